//! The playlist: which item is on the glass, and when the next one comes. Pure.
//!
//! ```text
//!             Started                 ItemPainted                its seconds are over
//!   Waiting ----------> Asked(item) --------------> On(item) ------------------------> Asked(next, or whom `goes_on_with` named)
//!                         |  ^       ItemPictured      (loop = false: the last one stays, Ended)
//!              ItemFailed |  | the dwell is over
//!                         v  |
//!                       Failed(item)
//! ```
//!
//! An item whose site is away may stand as its last picture, for its own seconds.
//!
//! An item that fails is passed over, after a short dwell (a single picture or film at once). When every item has failed in a row the playlist is away:
//! it says so once, and goes on trying with a growing pause, so that a list of dead links never spins. The first whose site
//! answers again meanwhile is shown at once.
//!
//! Rejected: loading the next item behind the one on the glass. It needs a second browsing context, which a Pi with
//! 1 GB has no room for.

use std::{ops::Range, time::Duration};

use tokio::time::Instant;

use crate::{
    display::page::{MediaKind, Urls},
    event::command::{Playlist as Data, PlaylistItem},
};

/// How long a failed item holds its place: nothing flickers, and nothing spins.
pub const FAILED_DWELL: Duration = Duration::from_secs(2);
/// An item that has told nothing by then has failed. The browser's own deadlines are shorter.
pub const PAINT_WITHIN: Duration = Duration::from_secs(45);
/// The pause after every item has failed in a row; it doubles with each round.
pub const ROUND_PAUSE_FIRST: Duration = Duration::from_secs(5);
pub const ROUND_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What one item shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Url(String),
    Image(String),
    Video(String),
}

impl Source {
    /// The address of what is shown, whatever its kind.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) | Self::Image(url) | Self::Video(url) => url,
        }
    }

    /// Where to send the browser for it: pictures and films stand in a player of our own, of which `turn` and `fade` are.
    pub fn address(&self, urls: &Urls, turn: u64, fade: Duration) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Image(url) => urls.media(MediaKind::Image, url, turn, fade),
            Self::Video(url) => urls.media(MediaKind::Video, url, turn, fade),
        }
    }
}

/// What happened. The number is the item's place in the list, from 0: news of an item that is no longer wanted is
/// passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The playlist is what should be on the glass; also after the glass was lost and is back.
    Started,
    ItemPainted(usize),
    /// The last picture of the item's page is on the glass in its place.
    ItemPictured(usize),
    ItemFailed(usize),
    /// The site of one of [`Playlist::awaited`] answers again.
    Back(usize),
    /// The time that [`Playlist::deadline`] named is here.
    Due,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Put this item on the glass.
    Show { item: usize, source: Source },
    /// Every item failed in a row: say so on the glass until one shows. The playlist goes on trying.
    Away { retry_at: Instant },
    /// The last item is on the glass, and stays.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    Asked {
        item: usize,
        give_up: Instant,
    },
    On {
        item: usize,
        until: Instant,
    },
    Failed {
        next: usize,
        until: Instant,
    },
    /// All failed: this item is tried next.
    Paused {
        item: usize,
        until: Instant,
    },
    Ended {
        item: usize,
    },
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Playlist {
    items: Vec<(Source, Duration)>,
    repeat: bool,
    state: State,
    /// Who comes when the item on the glass has had its time, or has failed; the next one, if nobody was named.
    named: Option<usize>,
    /// How many items have failed since one was last on the glass.
    failed_in_a_row: u32,
}

impl Playlist {
    /// From the command's data, which was checked when it was read: an item without a source is left out.
    pub fn new(data: &Data) -> Self {
        let items =
            data.items.iter().filter_map(|item| Some((source(item)?, Duration::from_secs(item.seconds.into()))));
        Self { items: items.collect(), repeat: data.repeat, state: State::Waiting, named: None, failed_in_a_row: 0 }
    }

    /// When [`Input::Due`] is to come; none while there is nothing to wait for.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting | State::Ended { .. } => None,
            State::Asked { give_up: at, .. }
            | State::On { until: at, .. }
            | State::Failed { until: at, .. }
            | State::Paused { until: at, .. } => Some(at),
        }
    }

    /// The item that is on the glass or on its way there.
    pub fn item(&self) -> Option<usize> {
        match self.state {
            State::Waiting | State::Failed { .. } | State::Paused { .. } => None,
            State::Asked { item, .. } | State::On { item, .. } | State::Ended { item } => Some(item),
        }
    }

    /// The item on the glass and until when it stands there, where another one follows.
    pub fn on_until(&self) -> Option<(usize, Instant)> {
        if let State::On { item, until } = self.state { Some((item, until)) } else { None }
    }

    /// Who comes when the item on the glass has had its time, or has failed.
    pub fn goes_on_with(&mut self, item: usize) {
        self.named = Some(item);
    }

    /// While nothing can be shown and nothing is being tried: those of which any is shown as soon as it is back.
    pub fn awaited(&self) -> Range<usize> {
        match self.state {
            State::Paused { item, .. } if self.is_last(item) => item..item + 1,
            State::Failed { .. } | State::Paused { .. } if self.failed_in_a_row as usize >= self.items.len() => {
                0..self.items.len()
            }
            _ => 0..0,
        }
    }

    /// How long an item stands.
    pub fn seconds(&self, item: usize) -> Option<Duration> {
        self.items.get(item).map(|(_, seconds)| *seconds)
    }

    pub fn source(&self, item: usize) -> Option<&Source> {
        self.items.get(item).map(|(source, _)| source)
    }

    /// Once it is on the glass it stays there: nothing follows it.
    pub fn stays(&self, item: usize) -> bool {
        self.items.len() == 1 || self.is_last(item)
    }

    /// How many items there are.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        match (input, self.state.clone()) {
            // What was on the glass is not any more: the item it stood at is shown again.
            (Input::Started, state) => match state {
                State::Waiting => self.show(0, now),
                State::Failed { .. } => Vec::new(),
                State::Paused { until, .. } => vec![Effect::Away { retry_at: until }],
                State::Asked { item, .. } | State::On { item, .. } | State::Ended { item } => self.show(item, now),
            },
            (Input::ItemPainted(painted), State::Asked { item, .. }) if painted == item => self.on(item, now),
            (Input::ItemPictured(pictured), State::Asked { item, .. }) if pictured == item => self.stands(item, now),
            (Input::ItemFailed(failed), State::Asked { item, .. } | State::On { item, .. } | State::Ended { item })
                if failed == item =>
            {
                self.failed(item, now)
            }
            (Input::Due, State::Asked { item, give_up }) if give_up <= now => self.failed(item, now),
            (Input::Due, State::On { item, until }) if until <= now => self.after(item, now),
            (Input::Back(item), State::Failed { .. } | State::Paused { .. }) if self.awaited().contains(&item) => {
                self.show(item, now)
            }
            (Input::Due, State::Failed { next, until }) if until <= now => self.show(next, now),
            (Input::Due, State::Paused { item, until }) if until <= now => self.show(item, now),
            _ => Vec::new(),
        }
    }

    /// The one after it.
    pub fn next(&self, item: usize) -> usize {
        (item + 1) % self.items.len().max(1)
    }

    fn show(&mut self, item: usize, now: Instant) -> Vec<Effect> {
        self.named = None;
        let Some((source, _)) = self.items.get(item) else { return Vec::new() };
        let effect = Effect::Show { item, source: source.clone() };
        self.state = State::Asked { item, give_up: now + PAINT_WITHIN };
        vec![effect]
    }

    fn on(&mut self, item: usize, now: Instant) -> Vec<Effect> {
        self.failed_in_a_row = 0;
        if self.is_last(item) {
            self.state = State::Ended { item };
            return vec![Effect::Done];
        }
        // With nothing to change to, it stays: a single page is not loaded again and again.
        if self.items.len() == 1 {
            self.state = State::Ended { item };
            return Vec::new();
        }
        self.stands(item, now)
    }

    fn stands(&mut self, item: usize, now: Instant) -> Vec<Effect> {
        self.failed_in_a_row = 0;
        self.state = State::On { item, until: now + self.items[item].1 };
        Vec::new()
    }

    fn after(&mut self, item: usize, now: Instant) -> Vec<Effect> {
        let next = self.named.unwrap_or_else(|| self.next(item));
        self.show(next, now)
    }

    /// Without `loop`, the last item stays.
    fn is_last(&self, item: usize) -> bool {
        !self.repeat && item + 1 == self.items.len()
    }

    fn failed(&mut self, item: usize, now: Instant) -> Vec<Effect> {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        let round = u32::try_from(self.items.len()).unwrap_or(u32::MAX).max(1);
        // A list without `loop` ends at its last item, and that one is tried until it shows; the ones before had
        // their turn.
        let next = if self.is_last(item) { item } else { self.named.unwrap_or_else(|| self.next(item)) };
        if self.failed_in_a_row.is_multiple_of(round) || self.is_last(item) {
            let rounds = (self.failed_in_a_row / round).max(1);
            let pause = ROUND_PAUSE_FIRST.saturating_mul(1 << (rounds - 1).min(8)).min(ROUND_PAUSE_MAX);
            self.state = State::Paused { item: next, until: now + pause };
            return vec![Effect::Away { retry_at: now + pause }];
        }
        // The first picture or film of a row that fails leaves the item before on the glass, and no error to hide.
        if self.failed_in_a_row == 1 && !matches!(self.source(item), Some(Source::Url(_))) {
            return self.show(next, now);
        }
        self.state = State::Failed { next, until: now + FAILED_DWELL };
        Vec::new()
    }
}

fn source(item: &PlaylistItem) -> Option<Source> {
    let url = item.url.clone().map(Source::Url);
    let image = item.image.clone().map(Source::Image);
    let video = item.video.clone().map(Source::Video);
    url.or(image).or(video)
}

#[cfg(test)]
mod tests;
