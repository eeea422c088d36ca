//! Which item of a playlist can come next, found out while the one before it is still on the glass. Pure.
//!
//! ```text
//!   some seconds before its time is over: the next item
//!     -> Probing --its site answers, or nobody can say---------------> Known: it is loaded
//!   ^       | it does not
//!   |       v
//!   |    Looking --a picture of its page is on the card--------------> Known: it stands as that picture
//!   '-------' none: the one after it
//! ```
//!
//! So a viewer sees one item after the other, and not the errors of those whose sites are away. A good site is asked once
//! more for each of its turns, by one request without its pictures and scripts. The network's names and routes to it
//! are warm then, which is all that is fetched of a page beforehand: a second one beside the one on the glass needs
//! memory that a Pi with 1 GB has not.
//!
//! The probe may see another network than Firefox does, and it has none of the site's cookies. So it is believed only that
//! nobody answers, only of an item that it reached before or that Firefox could not load either, and not for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
}

/// The machine.
#[derive(Debug, Default)]
pub struct Scout {
    step: Step,
    /// How many items were passed over on the way.
    passed: usize,
    reached: BTreeSet<usize>,
    lost: BTreeMap<usize, Lost>,
}

#[derive(Debug, Default, PartialEq)]
enum Step {
    #[default]
    Idle,
    /// Whether its site answers.
    Probing { item: usize, ask: AskId },
    /// Whether there is a picture of its page on the card.
    Looking { item: usize, fault: SiteFault, ask: AskId },
    Known {
        item: usize,
        /// Why it can only stand as its last picture.
        away: Option<SiteFault>,
    },
}

impl Scout {
    pub fn is_idle(&self) -> bool {
        self.step == Step::Idle
    }

    /// True while it is not known who follows.
    pub fn is_under_way(&self) -> bool {
        matches!(self.step, Step::Probing { .. } | Step::Looking { .. })
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
        match result {
            Err(fault) if is_silence(fault) => {
                let is_believed = self.reached.contains(&item) || self.lost.contains_key(&item);
                if is_believed && !self.lost(item, out.now).tries.is_multiple_of(TRY_FOR_REAL) {
                    let ask = out.gather(Gather::Picture { url: url_of(list, item) });
                    self.step = Step::Looking { item, fault: fault.clone(), ask };
                } else {
                    self.known(list, item, None);
                }
            }
            Ok(()) | Err(_) => {
                self.reached.insert(item);
                self.known(list, item, None);
            }
        }
        true
    }

    /// True if the question was this machine's.
    pub fn looked(&mut self, list: &mut Playlist, ask: AskId, is_there: bool, out: &mut Out) -> bool {
        let (item, fault) = match &self.step {
            Step::Looking { item, fault, ask: asked } if *asked == ask => (*item, fault.clone()),
            _ => return false,
        };
        if is_there {
            self.known(list, item, Some(fault));
        } else {
            let url = url_of(list, item);
            tracing::warn!(item = item + 1, url, fault = fault.code(), "an item of the playlist is passed over");
            self.passed += 1;
            self.consider(list, list.next(item), out);
        }
        true
    }

    /// This item's turn has come: why it is to stand as its last picture, if it is.
    pub fn turn_of(&mut self, coming: usize) -> Option<SiteFault> {
        match std::mem::take(&mut self.step) {
            Step::Known { item, away } if item == coming => away,
            _ => None,
        }
    }

    /// The item's own page is on the glass.
    pub fn painted(&mut self, item: usize) {
        self.lost.remove(&item);
    }

    /// The item was tried once more in vain.
    pub fn lost(&mut self, item: usize, now: Instant) -> &Lost {
        let lost = self.lost.entry(item).or_insert(Lost { since: now, tries: 0 });
        lost.tries = lost.tries.saturating_add(1);
        lost
    }

    pub fn since(&self, item: usize) -> Option<&Lost> {
        self.lost.get(&item)
    }

    fn consider(&mut self, list: &mut Playlist, item: usize, out: &mut Out) {
        match list.source(item) {
            Some(Source::Url(url)) if self.passed < list.count() && !list.stays(item) => {
                self.step = Step::Probing { item, ask: out.probe(url.clone()) };
            }
            // Pictures and films are on the card; and the last of a list is tried until it is there.
            _ => self.known(list, item, None),
        }
    }

    fn known(&mut self, list: &mut Playlist, item: usize, away: Option<SiteFault>) {
        list.goes_on_with(item);
        self.step = Step::Known { item, away };
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
