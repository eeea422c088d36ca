//! Which item of a playlist can come next, found out while the one before it is still on the glass. Pure.
//!
//! ```text
//!   some seconds before its time is over: the next item
//!     -> Probing --its site answers, or nobody can say---------------> Known: it is loaded
//!   ^       | it does not
//!   |       v
//!   |    Looking --a picture of its page is on the card--------------> Known: it stands as that picture
//!   '-------' none: the one after it
//!
//!   a picture or film
//!     -> Fetching --a copy is on the card----------------------------> Known: it is loaded
//!   ^       | none
//!   |    Probing --its site answers----------------------------------> Known: it is loaded
//!   '-------' it does not, or has no such file: the one after it
//! ```
//!
//! A picture or film that Firefox could not show is passed over for as long as it is the same that is there.
//!
//! So a viewer sees one item after the other, and not the errors of those whose sites are away. A good site is asked once
//! more for each of its turns, by one request without its pictures and scripts. The network's names and routes to it
//! are warm then, which is all that is fetched of a page beforehand: a second one beside the one on the glass needs
//! memory that a Pi with 1 GB has not.
//!
//! The probe may see another network than Firefox does, and it has none of the site's cookies. So it is believed only that
//! nobody answers, only of an item that it reached before or that Firefox could not load either, and not for ever. Of a
//! picture or film, which needs no cookies, it is believed from the first, until Firefox has shown it in spite of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    out::Out,
    port::{AskId, Gather},
};
use crate::display::{
    page::SiteFault,
    playlist::{Playlist, Source},
};

/// The probe waits for ten seconds at most.
pub const LEAD: Duration = Duration::from_secs(12);
/// What is on the glass stays so much longer while it is not yet known who follows.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// Every so many times Firefox itself tries.
const TRY_FOR_REAL: u32 = 5;

/// Since when an item's site is away, and how often it was tried since.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    pub since: Instant,
    pub tries: u32,
    /// What Firefox could not show.
    version: Option<String>,
}

/// What a site has of which there is no copy on the card.
const UNCOPIED: &str = "";

/// The machine.
#[derive(Debug, Default)]
pub struct Scout {
    step: Step,
    /// How many items were passed over on the way.
    passed: usize,
    reached: BTreeSet<usize>,
    /// Firefox has shown them.
    shown: BTreeSet<usize>,
    lost: BTreeMap<usize, Lost>,
    /// In whose turn another one comes, and why.
    passed_over: BTreeMap<usize, SiteFault>,
    /// The item that comes or is there, and which version of it.
    coming: Option<(usize, String)>,
}

#[derive(Debug, Default, PartialEq)]
enum Step {
    #[default]
    Idle,
    /// Which version of the picture or film is on the card.
    Fetching { item: usize, ask: AskId },
    /// Whether its site answers.
    Probing { item: usize, ask: AskId },
    /// Whether there is a picture of its page on the card.
    Looking { item: usize, fault: SiteFault, ask: AskId },
    Known {
        item: usize,
        /// Why it can only stand as its last picture.
        away: Option<SiteFault>,
        /// Which version of a picture or film there is.
        version: Option<String>,
    },
}

impl Scout {
    pub fn is_idle(&self) -> bool {
        self.step == Step::Idle
    }

    /// True while it is not known who follows.
    pub fn is_under_way(&self) -> bool {
        matches!(self.step, Step::Fetching { .. } | Step::Probing { .. } | Step::Looking { .. })
    }

    /// Begins with the item after the one on the glass.
    pub fn begin(&mut self, list: &mut Playlist, on: usize, out: &mut Out) {
        self.passed = 0;
        self.consider(list, list.next(on), out);
    }

    /// True if the question was this machine's.
    pub fn probed(&mut self, list: &mut Playlist, ask: AskId, result: &Result<(), SiteFault>, out: &mut Out) -> bool {
        let item = match self.step {
            Step::Probing { item, ask: asked } if asked == ask => item,
            _ => return false,
        };
        let is_media = !matches!(list.source(item), Some(Source::Url(_)));
        match result {
            Err(fault) if self.is_believed(item, fault, is_media) => {
                let lost = self.lost(item, out.now);
                // Once it answers again, what it has is another thing.
                lost.version = None;
                if lost.tries.is_multiple_of(TRY_FOR_REAL) {
                    self.known(list, item, None, None);
                } else if is_media {
                    self.pass(list, item, fault.clone(), out);
                } else {
                    let ask = out.gather(Gather::Picture { url: url_of(list, item) });
                    self.step = Step::Looking { item, fault: fault.clone(), ask };
                }
            }
            Err(fault) if is_silence(fault) => self.known(list, item, None, None),
            Ok(()) | Err(_) => {
                self.reached.insert(item);
                let version = (is_media && result.is_ok()).then(|| UNCOPIED.to_owned());
                self.is_there(list, item, version, out);
            }
        }
        true
    }

    /// True if the question was this machine's.
    pub fn looked(&mut self, list: &mut Playlist, ask: AskId, found: &Value, out: &mut Out) -> bool {
        match &self.step {
            Step::Fetching { item, ask: asked } if *asked == ask => match found.as_str() {
                Some(version) => self.is_there(list, *item, Some(version.to_owned()), out),
                None => self.step = Step::Probing { item: *item, ask: out.probe(url_of(list, *item)) },
            },
            Step::Looking { item, fault, ask: asked } if *asked == ask => match (*item, fault.clone()) {
                (item, fault) if *found == Value::Bool(true) => self.known(list, item, Some(fault), None),
                (item, fault) => self.pass(list, item, fault, out),
            },
            _ => return false,
        }
        true
    }

    /// It can be loaded, unless it is what Firefox could not show the last time.
    fn is_there(&mut self, list: &mut Playlist, item: usize, version: Option<String>, out: &mut Out) {
        let is_known = version.is_some() && self.lost.get(&item).is_some_and(|lost| lost.version == version);
        match self.passed_over.get(&item).cloned().filter(|_| is_known) {
            Some(fault) if !self.lost(item, out.now).tries.is_multiple_of(TRY_FOR_REAL) => {
                self.pass(list, item, fault, out);
            }
            _ => self.known(list, item, None, version),
        }
    }

    fn is_believed(&self, item: usize, fault: &SiteFault, is_media: bool) -> bool {
        let is_lost = self.lost.contains_key(&item);
        let at_first = is_media && !self.shown.contains(&item);
        match fault {
            fault if is_silence(fault) => is_lost || at_first || self.reached.contains(&item),
            SiteFault::Status(404 | 410) => is_media && (is_lost || at_first),
            // An answer that Firefox may get otherwise.
            _ => is_media && is_lost,
        }
    }

    /// The one after it.
    fn pass(&mut self, list: &mut Playlist, item: usize, fault: SiteFault, out: &mut Out) {
        let url = url_of(list, item);
        tracing::warn!(item = item + 1, url, fault = fault.code(), "an item of the playlist is passed over");
        self.passed_over(item, fault);
        self.passed += 1;
        self.consider(list, list.next(item), out);
    }

    /// Another one comes in its turn.
    pub fn passed_over(&mut self, item: usize, fault: SiteFault) {
        self.passed_over.insert(item, fault);
    }

    pub fn all_passed_over(&self) -> &BTreeMap<usize, SiteFault> {
        &self.passed_over
    }

    /// This item's turn has come: why it is to stand as its last picture, if it is.
    pub fn turn_of(&mut self, coming: usize) -> Option<SiteFault> {
        self.coming = None;
        match std::mem::take(&mut self.step) {
            Step::Known { item, away, version } if item == coming => {
                self.coming = version.map(|version| (item, version));
                away
            }
            _ => None,
        }
    }

    /// The item's own page is on the glass.
    pub fn painted(&mut self, item: usize) {
        self.shown.insert(item);
        self.lost.remove(&item);
        self.passed_over.remove(&item);
    }

    /// The last picture of its page is.
    pub fn pictured(&mut self, item: usize) {
        self.passed_over.remove(&item);
    }

    /// Firefox tried it in vain.
    pub fn failed(&mut self, item: usize, now: Instant) {
        let version = self.coming.take_if(|(coming, _)| *coming == item).map(|(_, version)| version);
        self.lost(item, now).version = version;
    }

    /// The item was tried once more in vain.
    fn lost(&mut self, item: usize, now: Instant) -> &mut Lost {
        let lost = self.lost.entry(item).or_insert(Lost { since: now, tries: 0, version: None });
        lost.tries = lost.tries.saturating_add(1);
        lost
    }

    pub fn since(&self, item: usize) -> Option<&Lost> {
        self.lost.get(&item)
    }

    fn consider(&mut self, list: &mut Playlist, item: usize, out: &mut Out) {
        match list.source(item) {
            // The last of a list is tried until it is there.
            Some(_) if self.passed >= list.count() || list.stays(item) => self.known(list, item, None, None),
            Some(Source::Url(url)) => self.step = Step::Probing { item, ask: out.probe(url.clone()) },
            Some(Source::Image(url) | Source::Video(url)) => {
                self.step = Step::Fetching { item, ask: out.gather(Gather::Copy { url: url.clone() }) };
            }
            None => self.known(list, item, None, None),
        }
    }

    fn known(&mut self, list: &mut Playlist, item: usize, away: Option<SiteFault>, version: Option<String>) {
        list.goes_on_with(item);
        self.step = Step::Known { item, away, version };
    }
}

fn url_of(list: &Playlist, item: usize) -> String {
    list.source(item).map_or_else(String::new, |source| source.url().to_owned())
}

/// Nobody answers. What answers, however it does, may answer Firefox otherwise.
fn is_silence(fault: &SiteFault) -> bool {
    use SiteFault::{Interrupted, NameNotFound, NoNetwork, Refused, TimedOut};
    matches!(fault, NameNotFound | Refused | TimedOut | Interrupted | NoNetwork)
}
