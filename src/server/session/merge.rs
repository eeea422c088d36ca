//! Replay: several histories and a display's backlog, merged into one stream in commit order. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    event::Address,
    server::store::{Backlog, Committed, History},
};

/// One address's history from some offset on.
#[derive(Debug)]
struct Source {
    address: Address,
    /// The offset up to which events were taken from the store.
    read: u64,
    waiting: VecDeque<Arc<Committed>>,
    more: bool,
    asked: bool,
}

/// History of this address is missing between what was read and what came next: it was pruned meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("history of `{0}` was pruned while it was read")]
pub struct Gap(pub Address);

/// Merges histories (and a backlog). It is pulled: nothing is read before what was read is sent.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    backlog: VecDeque<Arc<Committed>>,
    /// Commands come from the backlog, not from history.
    skips_commands: bool,
}

/// What a merge does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read history of these addresses, each after this offset.
    Read(Vec<(Address, u64)>),
    /// An answer is on its way.
    Wait,
    Done,
}

impl Merge {
    /// `from`: the offset after which to read, for each address that has something to read.
    pub fn new(from: impl IntoIterator<Item = (Address, u64)>, skips_commands: bool) -> Self {
        let source = |(address, read)| Source { address, read, waiting: VecDeque::new(), more: true, asked: false };
        Merge { sources: from.into_iter().map(source).collect(), backlog: VecDeque::new(), skips_commands }
    }

    /// State and pending actions, each once, in commit order.
    pub fn add_backlog(&mut self, backlog: &Backlog) {
        let both = backlog.state.iter().chain(&backlog.pending_actions);
        let by_commit: BTreeMap<u64, Arc<Committed>> = both.map(|event| (event.commit, event.clone())).collect();
        self.backlog = by_commit.into_values().collect();
    }

    /// Takes an answer to [`Step::Read`].
    pub fn take(&mut self, address: &Address, history: History) -> Result<(), Gap> {
        let Some(source) = self.sources.iter_mut().find(|source| source.address == *address) else { return Ok(()) };
        source.asked = false;
        source.more = history.more && !history.events.is_empty();
        for event in history.events {
            if event.position.offset <= source.read {
                continue;
            }
            if event.position.offset != source.read + 1 {
                return Err(Gap(address.clone()));
            }
            source.read += 1;
            if !(self.skips_commands && event.kind.is_some()) {
                source.waiting.push_back(event);
            }
        }
        if !source.more && source.read < history.head.last {
            return Err(Gap(address.clone()));
        }
        Ok(())
    }

    /// Events that can be sent now, in commit order.
    pub fn ready(&mut self) -> Vec<Arc<Committed>> {
        let mut out = Vec::new();
        while self.sources.iter().all(|source| !source.waiting.is_empty() || !source.more) {
            let first = self.sources.iter_mut().filter(|source| !source.waiting.is_empty());
            let first = first.min_by_key(|source| source.waiting[0].commit).map(|source| &mut source.waiting);
            let history = first.as_ref().map_or(u64::MAX, |waiting| waiting[0].commit);
            let event = match self.backlog.front() {
                Some(event) if event.commit <= history => self.backlog.pop_front(),
                _ => first.and_then(VecDeque::pop_front),
            };
            let Some(event) = event else { break };
            out.push(event);
        }
        out
    }

    /// What to do once everything that was ready is sent.
    pub fn next(&mut self) -> Step {
        let mut reads = Vec::new();
        let mut waits = false;
        for source in &mut self.sources {
            waits |= source.asked;
            if source.waiting.is_empty() && source.more && !source.asked {
                source.asked = true;
                reads.push((source.address.clone(), source.read));
            }
        }
        match (reads.is_empty(), waits) {
            (false, _) => Step::Read(reads),
            (true, true) => Step::Wait,
            (true, false) => Step::Done,
        }
    }

    /// How far each address was read.
    pub fn read_to(&self) -> impl Iterator<Item = (&Address, u64)> {
        self.sources.iter().map(|source| (&source.address, source.read))
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
