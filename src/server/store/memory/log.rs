//! What was committed, by commit number: a map of small runs, since numbers are dense where they are new and rare where
//! they are old.

use std::{collections::BTreeMap, sync::Arc};

use super::Committed;
use crate::event::{DisplayId, Receipt};

/// Commits of one run. One retained event keeps its run: 14 KiB.
const RUN: u64 = 256;

/// The ledger's rows of one command: the final receipt of each display, None while it is owed.
pub type Rows = BTreeMap<DisplayId, Option<Receipt>>;

/// One publish, for as long as a repeat of it is known or anybody needs it.
#[derive(Debug)]
pub struct Entry {
    pub fingerprint: u128,
    pub stored_ms: u64,
    pub offset: u64,
    /// Which address, by its number in `Places`, and which of its generations.
    pub place: u32,
    pub generation: u32,
    /// None once it is forgotten, and only its repeats are known.
    pub event: Option<Arc<Committed>>,
    /// Empty for what is no command.
    pub rows: Option<Box<Rows>>,
}

#[derive(Debug, Default)]
pub struct Log {
    runs: BTreeMap<u64, Run>,
    len: usize,
}

#[derive(Debug)]
struct Run {
    used: usize,
    entries: Vec<Option<Entry>>,
}

impl Log {
    /// Entries kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, commit: u64, entry: Entry) {
        let run = self
            .runs
            .entry(commit / RUN)
            .or_insert_with(|| Run { used: 0, entries: std::iter::repeat_with(|| None).take(RUN as usize).collect() });
        let place = &mut run.entries[(commit % RUN) as usize];
        if place.replace(entry).is_none() {
            run.used += 1;
            self.len += 1;
        }
    }

    pub fn get(&self, commit: u64) -> Option<&Entry> {
        self.runs.get(&(commit / RUN))?.entries[(commit % RUN) as usize].as_ref()
    }

    pub fn get_mut(&mut self, commit: u64) -> Option<&mut Entry> {
        self.runs.get_mut(&(commit / RUN))?.entries[(commit % RUN) as usize].as_mut()
    }

    /// The event, if it is not forgotten.
    pub fn event(&self, commit: u64) -> Option<&Arc<Committed>> {
        self.get(commit)?.event.as_ref()
    }

    pub fn remove(&mut self, commit: u64) {
        let Some(run) = self.runs.get_mut(&(commit / RUN)) else { return };
        if run.entries[(commit % RUN) as usize].take().is_some() {
            run.used -= 1;
            self.len -= 1;
        }
        if run.used == 0 {
            self.runs.remove(&(commit / RUN));
        }
    }

    /// The first commit from `from` on that is kept.
    pub fn next(&self, from: u64) -> Option<u64> {
        let mut start = from % RUN;
        for (number, run) in self.runs.range(from / RUN..) {
            if *number != from / RUN {
                start = 0;
            }
            let found = (start..RUN).find(|place| run.entries[*place as usize].is_some());
            if let Some(place) = found {
                return Some(number * RUN + place);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry { fingerprint: 0, stored_ms: 0, offset: 0, place: 0, generation: 0, event: None, rows: None }
    }

    #[test]
    fn what_is_left_is_found_in_order_and_empty_runs_are_dropped() {
        let mut log = Log::default();
        for commit in 1..=1_000 {
            log.insert(commit, entry());
        }
        for commit in 1..=1_000 {
            if commit % 300 != 0 {
                log.remove(commit);
            }
        }
        log.remove(5);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(commit) = log.next(from) {
            found.push(commit);
            from = commit + 1;
        }
        assert_eq!((found, log.len(), log.runs.len()), (vec![300, 600, 900], 3, 3));
        assert!(log.get(5).is_none() && log.get(300).is_some() && log.get(9_999).is_none());
    }
}
