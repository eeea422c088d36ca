//! What the display remembers over a crash, a kill and a power cut.
//!
//! ```text
//!  event --judge--> Fresh ------> Taken + Read, one line, fsynced --> act --> Ended --> receipt
//!             \---> Duplicate --> the stored receipt again, nothing is done
//!              \--> InHand -----> its receipt is still to come
//!
//!  after a restart: state         painted again; its receipt, if it had none
//!                   action        started, not ended: failed/interrupted | not started: done now, if not expired
//! ```
//!
//! Position and dedupe stand in one line, so that a crash cannot part them. The final receipt needs no fsync of its
//! own: losing it in a power cut makes a `failed/interrupted`, which the server ignores if the first one reached it.
//!
//! Rejected: an embedded database. A display keeps a few hundred small rows; one file that is read whole at start and
//! appended to with one fsync is less to wear the card and less to prove.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::event::{
    Address, Position, Receipt, Status,
    command::{self, Kind, Slot},
    receipt::INTERRUPTED,
};

mod file;
mod record;

pub use file::{JournalError, JournalFile};
pub use record::{EventKey, Record, Taken};

/// At least so many final receipts are kept to answer duplicates,
pub const FINALS_MIN: usize = 512;
/// all of the last 24 hours, in milliseconds,
pub const FINALS_AGE_MS: u64 = 24 * 3600 * 1000;
/// and never more than this: about 2 MB of memory.
pub const FINALS_MAX: usize = 4096;
/// Actions that wait or run at one time. The server's own queue per display is no longer.
pub const ACTIONS_MAX: usize = 1000;
/// Results larger than this are kept with the last few receipts only.
const BIG_RESULT: usize = 1024;
const BIG_RESULTS_KEPT: usize = 16;

/// What is known of an event that arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Fresh,
    /// It ended: this is its receipt.
    Duplicate(Box<Receipt>),
    /// It was taken on and has no receipt yet.
    InHand,
}

#[derive(Debug, Clone, PartialEq)]
struct Final {
    key: EventKey,
    receipt: Receipt,
    at_ms: Option<u64>,
    told: bool,
}

/// The journal's content. Pure: [`apply`](Self::apply) is the only way to change it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    positions: BTreeMap<Address, Position>,
    state: BTreeMap<Slot, Taken>,
    actions: VecDeque<Taken>,
    /// Actions that end in another life: they take the machine down, and the boot in which each began; or the supervisor.
    leaving: BTreeMap<EventKey, String>,
    finals: VecDeque<Final>,
    /// Where a final stands, counted from the first one ever.
    by_key: HashMap<EventKey, u64>,
    dropped: u64,
}

impl Journal {
    /// What an event that arrived is.
    pub fn judge(&self, key: &EventKey) -> Verdict {
        if let Some(found) = self.ended(key) {
            return Verdict::Duplicate(Box::new(found.receipt.clone()));
        }
        let taken = self.state.values().chain(&self.actions).any(|taken| taken.key == *key);
        if taken { Verdict::InHand } else { Verdict::Fresh }
    }

    /// Whether this event's place in its address was passed already. For events that have no receipt.
    pub fn has_read(&self, address: &Address, position: &Position) -> bool {
        self.positions.get(address).is_some_and(|at| at.epoch == position.epoch && position.offset <= at.offset)
    }

    /// Where reading goes on, per address.
    pub fn positions(&self) -> &BTreeMap<Address, Position> {
        &self.positions
    }

    /// The last value of a slot.
    pub fn state(&self, slot: Slot) -> Option<&Taken> {
        self.state.get(&slot)
    }

    /// Commands that were taken on and did not end, in the order in which they came.
    pub fn open(&self) -> impl Iterator<Item = &Taken> {
        self.state.values().filter(|taken| self.ended(&taken.key).is_none()).chain(&self.actions)
    }

    /// Actions that were taken on and did not end, in the order in which they came.
    pub fn actions(&self) -> impl Iterator<Item = &Taken> {
        self.actions.iter()
    }

    /// Actions that take the machine down and did not end, and the boot in which each began.
    pub fn leaving(&self) -> impl Iterator<Item = (&Taken, &str)> {
        self.actions.iter().filter_map(|taken| Some((taken, self.leaving.get(&taken.key)?.as_str())))
    }

    /// True for an action that takes the machine down and did not end.
    pub fn is_leaving(&self, key: &EventKey) -> bool {
        self.leaving.contains_key(key)
    }

    /// True where one more action is too many.
    pub fn is_full(&self) -> bool {
        self.actions.len() >= ACTIONS_MAX
    }

    /// The stored receipt, if the command ended.
    pub fn receipt(&self, key: &EventKey) -> Option<&Receipt> {
        self.ended(key).map(|found| &found.receipt)
    }

    /// Receipts that were never written to a socket, oldest first.
    pub fn untold(&self) -> impl Iterator<Item = &Receipt> {
        self.finals.iter().filter(|ended| !ended.told).map(|ended| &ended.receipt)
    }

    /// The records that a restart makes of what it finds: an action that was cut is never done again. What was to take the
    /// machine down stays open: whether it did is seen by the boot.
    pub fn after_restart(&self) -> Vec<Record> {
        let cut = self.actions.iter().filter(|taken| taken.started && !self.leaving.contains_key(&taken.key));
        cut.map(|taken| {
            let receipt = |status| Receipt::new(&taken.key.id, &taken.key.source, status, 0);
            // The supervisor is running again: that was the whole of it.
            let receipt = if taken.name == "restart" {
                receipt(Status::Done)
            } else {
                receipt(Status::Failed).because(INTERRUPTED)
            };
            Record::Ended { receipt, at_ms: None }
        })
        .collect()
    }

    /// Makes one change. Unknown keys and repeats change nothing.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Read(positions) => {
                for (address, position) in positions {
                    // An action that waited may come after newer events: reading never goes back.
                    if !self.has_read(address, position) {
                        self.positions.insert(address.clone(), position.clone());
                    }
                }
            }
            Record::Taken(taken) if self.judge(&taken.key) != Verdict::Fresh => {}
            Record::Taken(taken) => match command::spec(&taken.name).map(|spec| spec.kind) {
                Some(Kind::State(slot)) => {
                    self.state.insert(slot, taken.clone());
                }
                Some(Kind::Action) | None => self.actions.push_back(taken.clone()),
            },
            Record::Back(taken) => {
                if let Some(Kind::State(slot)) = command::spec(&taken.name).map(|spec| spec.kind) {
                    self.state.insert(slot, taken.clone());
                }
            }
            Record::Started(key) => {
                if let Some(taken) = self.actions.iter_mut().find(|taken| taken.key == *key) {
                    taken.started = true;
                }
            }
            Record::Leaving { key, boot } => {
                if let Some(taken) = self.actions.iter_mut().find(|taken| taken.key == *key) {
                    taken.started = true;
                    self.leaving.insert(key.clone(), boot.clone());
                }
            }
            Record::Ended { receipt, at_ms } => self.end(receipt, *at_ms),
            Record::Told(key) => {
                if let Some(found) = self.ended_mut(key) {
                    found.told = true;
                }
            }
            Record::ClockSet(by_ms) => {
                for expires_ms in self.actions.iter_mut().filter_map(|taken| taken.expires_ms.as_mut()) {
                    *expires_ms = expires_ms.saturating_add_signed(*by_ms);
                }
            }
        }
    }

    /// The fewest records that make this journal.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::Read(self.positions.clone())];
        records.extend(self.actions.iter().cloned().map(Record::Taken));
        let leaving = |(key, boot): (&EventKey, &String)| Record::Leaving { key: key.clone(), boot: boot.clone() };
        records.extend(self.leaving.iter().map(leaving));
        records.extend(self.state.values().cloned().map(Record::Back));
        for ended in &self.finals {
            records.push(Record::Ended { receipt: ended.receipt.clone(), at_ms: ended.at_ms });
            if ended.told {
                records.push(Record::Told(ended.key.clone()));
            }
        }
        records
    }

    fn ended(&self, key: &EventKey) -> Option<&Final> {
        self.finals.get(usize::try_from(self.by_key.get(key)? - self.dropped).ok()?)
    }

    fn ended_mut(&mut self, key: &EventKey) -> Option<&mut Final> {
        self.finals.get_mut(usize::try_from(self.by_key.get(key)? - self.dropped).ok()?)
    }

    fn end(&mut self, receipt: &Receipt, at_ms: Option<u64>) {
        let key = EventKey::of_receipt(receipt);
        self.actions.retain(|taken| taken.key != key);
        self.leaving.remove(&key);
        if let Some(found) = self.ended_mut(&key) {
            // The first final counts; only its frame's hash may be filled in.
            if found.receipt.is_completed_by(receipt) {
                found.receipt.frame_sha256.clone_from(&receipt.frame_sha256);
                found.told = false;
            }
            return;
        }
        self.by_key.insert(key.clone(), self.dropped + self.finals.len() as u64);
        self.finals.push_back(Final { key, receipt: receipt.clone(), at_ms, told: false });
        let is_big =
            |receipt: &Receipt| receipt.result.as_ref().is_some_and(|result| result.to_string().len() > BIG_RESULT);
        if is_big(receipt) {
            let big = self.finals.iter_mut().rev().map(|ended| &mut ended.receipt).filter(|receipt| is_big(receipt));
            if let Some(receipt) = big.into_iter().nth(BIG_RESULTS_KEPT) {
                receipt.result = None;
            }
        }
        self.forget(at_ms);
    }

    fn forget(&mut self, now_ms: Option<u64>) {
        while let Some(first) = self.finals.front().filter(|_| self.finals.len() > FINALS_MIN) {
            let aged = |at: u64| now_ms.is_some_and(|now| now.saturating_sub(at) > FINALS_AGE_MS);
            let is_current = self.state.values().any(|taken| taken.key == first.key);
            if self.finals.len() <= FINALS_MAX && (is_current || !first.at_ms.is_some_and(aged)) {
                return;
            }
            // A value still on the glass keeps its receipt: it moves to the back.
            let Some(first) = self.finals.pop_front() else { return };
            self.by_key.remove(&first.key);
            self.dropped += 1;
            if is_current {
                self.by_key.insert(first.key.clone(), self.dropped + self.finals.len() as u64);
                self.finals.push_back(first);
            }
        }
    }
}

#[cfg(test)]
mod tests;
