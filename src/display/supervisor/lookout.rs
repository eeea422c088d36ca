//! While nothing of a playlist can be shown: whose site answers again. Pure.
//!
//! ```text
//!   Off --nothing can be shown--> Resting --the time is over--> Asking one item's site after the other --> Resting
//! ```
//!
//! One that was silent and answers is back. One that answers all the time, and that Firefox cannot show, has the
//! playlist's own pauses: else it would be loaded every few seconds.

use std::{collections::BTreeSet, ops::Range};

use tokio::time::Instant;

use super::{out::Out, port::AskId, retry::retry_after};
use crate::display::{
    page::SiteFault,
    playlist::{Playlist, Source},
};

/// The machine.
#[derive(Debug)]
pub struct Lookout {
    step: Step,
    silent: BTreeSet<usize>,
    rounds: u32,
    back: Option<usize>,
    /// Spreads the rounds, so that a hundred displays do not ask a site at once.
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Off,
    Resting { until: Instant },
    Asking { item: usize, ask: AskId },
}

impl Lookout {
    pub fn new(rng: fastrand::Rng) -> Self {
        Lookout { step: Step::Off, silent: BTreeSet::new(), rounds: 0, back: None, rng }
    }

    /// `awaited`: of which any would be shown now.
    pub fn settle(&mut self, awaited: &Range<usize>, now: Instant) {
        match self.step {
            Step::Off if !awaited.is_empty() => self.rest(now),
            Step::Resting { .. } if awaited.is_empty() => self.step = Step::Off,
            Step::Off | Step::Resting { .. } | Step::Asking { .. } => {}
        }
    }

    /// Something of the playlist is on the glass.
    pub fn painted(&mut self) {
        self.silent.clear();
        self.rounds = 0;
    }

    pub fn deadline(&self) -> Option<Instant> {
        if let Step::Resting { until } = self.step { Some(until) } else { None }
    }

    /// True if it began to ask.
    pub fn due(&mut self, list: &Playlist, out: &mut Out) -> bool {
        let is_due = self.deadline().is_some_and(|at| at <= out.now);
        if is_due {
            self.rounds = self.rounds.saturating_add(1);
            self.ask(list, list.awaited().start, out);
        }
        is_due
    }

    /// Whose site it was, if the question was this machine's.
    pub fn probed(
        &mut self,
        list: &Playlist,
        ask: AskId,
        result: &Result<(), SiteFault>,
        out: &mut Out,
    ) -> Option<usize> {
        let item = match self.step {
            Step::Asking { item, ask: asked } if asked == ask => item,
            _ => return None,
        };
        match result {
            Ok(()) if self.silent.remove(&item) => self.back = Some(item),
            Ok(()) => {}
            Err(_) => drop(self.silent.insert(item)),
        }
        self.ask(list, item + 1, out);
        Some(item)
    }

    /// Whose site answers again, once.
    pub fn came_back(&mut self) -> Option<usize> {
        self.back.take()
    }

    /// This one's site, if it is still to be asked and nobody is back.
    fn ask(&mut self, list: &Playlist, item: usize, out: &mut Out) {
        let awaited = list.awaited();
        let source = list.source(item).filter(|_| awaited.contains(&item) && self.back.is_none());
        match source.map(Source::url) {
            Some(url) => self.step = Step::Asking { item, ask: out.probe(url.to_owned()) },
            None => {
                self.step = Step::Off;
                self.settle(&awaited, out.now);
            }
        }
    }

    fn rest(&mut self, now: Instant) {
        let until = now + retry_after(&SiteFault::Refused, self.rounds.saturating_add(1), &mut self.rng);
        self.step = Step::Resting { until };
    }
}
