//! What happens while cards are written, for progress bars and for `--json` lines.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::stream::SlowPart;

/// Whoever wants to know. Called from the cards' own threads: return quickly.
pub trait Events: Send + Sync {
    fn tell(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Events for F {
    fn tell(&self, event: Event) {
        self(event);
    }
}

/// Something that happened. `card` is the number of the card in the order given, from 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A card goes on to this.
    Phase { card: usize, phase: Phase },
    /// At most five a second and card, and one at the end of each phase.
    Progress {
        card: usize,
        phase: Phase,
        /// Bytes; never more than `total`.
        done: u64,
        /// Bytes, once known.
        total: Option<u64>,
        /// That went to or came from the card.
        bytes_per_second: u64,
        /// Seconds to the end of this phase.
        left_s: Option<u64>,
        limit: Limit,
    },
    /// It did not work at first.
    Retried { card: usize, doing: Doing, offset: u64, attempt: u32, why: String },
    /// The card has not answered for this long.
    Slow { card: usize, offset: u64, seconds: u64 },
    /// Worth knowing, and no failure.
    Warning { card: usize, text: String },
    /// This card is done with, one way or the other.
    Finished { card: usize, ok: bool, text: String },
}

/// What a card goes through, in this order. A phase that has nothing to do is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Does it keep what is written, and has it the room it says?
    Probing,
    Writing,
    /// Reads and writes only what differs; or only reads.
    Comparing,
    ReadingBack,
    /// What could not be written is written again, from a second pass over the image.
    Mending,
    Customising,
    /// The first MiB.
    Finishing,
}

impl Phase {
    pub fn words(self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Writing => "writing",
            Self::Comparing => "comparing",
            Self::ReadingBack => "reading back",
            Self::Mending => "mending",
            Self::Customising => "customising",
            Self::Finishing => "finishing",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    Write,
    Read,
}

/// What makes it take as long as it does, right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Getting or decoding the image.
    Source(SlowPart),
    /// This card, or the reader or hub it is in.
    Card(usize),
}

/// Speed and time left of one phase of one card. Time is passed in.
#[derive(Debug, Clone)]
pub struct Meter {
    began: Instant,
    told: Option<Instant>,
    /// How far this phase has come, in bytes.
    pub done: u64,
    pub total: Option<u64>,
    /// Bytes that were read or written for it.
    pub moved: u64,
    /// Since the last time it was told.
    waited_source: Duration,
    waited_card: Option<(usize, Duration)>,
    slow_part: SlowPart,
}

impl Meter {
    pub fn new(total: Option<u64>, now: Instant) -> Self {
        Self {
            began: now,
            told: None,
            done: 0,
            total,
            moved: 0,
            waited_source: Duration::ZERO,
            waited_card: None,
            slow_part: SlowPart::Decoding,
        }
    }

    pub fn waited_for_source(&mut self, time: Duration, slow_part: SlowPart) {
        self.waited_source += time;
        self.slow_part = slow_part;
    }

    pub fn waited_for_card(&mut self, card: usize, time: Duration) {
        let before = self.waited_card.map_or(Duration::ZERO, |(_, time)| time);
        self.waited_card = Some((card, before + time));
    }

    /// The event for now, unless one was told less than 200 ms ago; `last` is told always.
    pub fn progress(&mut self, card: usize, phase: Phase, last: bool, now: Instant) -> Option<Event> {
        const EVERY: Duration = Duration::from_millis(200);
        let since = now - self.told.unwrap_or(self.began);
        if !last && since < EVERY {
            return None;
        }
        let limit = if self.waited_source > since / 3 {
            Limit::Source(self.slow_part)
        } else {
            match self.waited_card {
                Some((slower, time)) if time > since / 3 => Limit::Card(slower),
                _ => Limit::Card(card),
            }
        };
        self.told = Some(now);
        self.waited_source = Duration::ZERO;
        self.waited_card = None;
        let bytes_per_second = self.per_second(self.moved, now);
        let done_per_second = self.per_second(self.done, now);
        // A total that is an estimate never makes it more than all of it.
        let total = if last { Some(self.done) } else { self.total.map(|total| total.max(self.done)) };
        let left_s = total.filter(|_| done_per_second > 0).map(|total| (total - self.done).div_ceil(done_per_second));
        Some(Event::Progress { card, phase, done: self.done, total, bytes_per_second, left_s, limit })
    }

    fn per_second(&self, bytes: u64, now: Instant) -> u64 {
        let millis = (now - self.began).as_millis().max(1);
        u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
    }

    pub fn elapsed(&self, now: Instant) -> Duration {
        now - self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_a_few_times_a_second_and_never_passes_its_end() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut meter = Meter::new(Some(1000), begin);
        (meter.done, meter.moved) = (500, 500);
        assert_eq!(meter.progress(2, Phase::Writing, false, at(100)), None);
        let event = meter.progress(2, Phase::Writing, false, at(1000)).unwrap();
        let Event::Progress { done, total, bytes_per_second, left_s, limit, .. } = event else { panic!("{event:?}") };
        assert_eq!((done, total, bytes_per_second, left_s), (500, Some(1000), 500, Some(1)));
        assert_eq!(limit, Limit::Card(2));
        assert_eq!(meter.progress(2, Phase::Writing, false, at(1100)), None);
        meter.done = 1200;
        let event = meter.progress(2, Phase::Writing, true, at(1150)).unwrap();
        assert!(matches!(event, Event::Progress { done: 1200, total: Some(1200), left_s: Some(0), .. }), "{event:?}");
    }

    #[test]
    fn what_was_waited_for_most_is_what_limits() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let limit = |meter: &mut Meter, ms| match meter.progress(0, Phase::Writing, false, at(ms)) {
            Some(Event::Progress { limit, .. }) => limit,
            other => panic!("{other:?}"),
        };
        let mut meter = Meter::new(None, begin);
        meter.waited_for_source(Duration::from_millis(600), SlowPart::Network);
        assert_eq!(limit(&mut meter, 1000), Limit::Source(SlowPart::Network));
        meter.waited_for_card(3, Duration::from_millis(400));
        assert_eq!(limit(&mut meter, 2000), Limit::Card(3));
        meter.waited_for_card(3, Duration::from_millis(100));
        assert_eq!(limit(&mut meter, 3000), Limit::Card(0));
    }
}
