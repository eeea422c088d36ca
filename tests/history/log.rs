//! What each client saw, in the order in which it saw it. The judge reads this, the ledger and nothing else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use pikiosk::event::{Position, Status};

/// The number of a planned event; its id is `e<number>`.
pub type Number = u32;

/// Where an event stands, as somebody was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub address: Arc<str>,
    pub epoch: Arc<str>,
    pub offset: u64,
}

/// One thing that one client saw or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Saw {
    /// Publisher: a request with this event left.
    Sent(Number),
    /// Publisher: the server (or the broker, then without a place) took it.
    Accepted(Number, Option<Place>),
    /// Publisher: it was refused for good.
    Refused(Number, u16),
    /// A socket is open; where its addresses stand.
    Opened {
        heads: BTreeMap<String, Position>,
    },
    /// What was asked for, and what the server answered.
    Resumed {
        asked: BTreeMap<String, Position>,
        recovered: BTreeMap<String, bool>,
    },
    Got(Number, Place),
    /// Display: it is on the glass (an action was done, a state was painted).
    Acted(Number),
    /// Display: a receipt was sent.
    Said(Number, Status),
    /// The socket ended: a close code, or 0 where it broke.
    Ended(u16),
    /// Display: kill -9. What was not on its disk is gone.
    Killed,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Microseconds since the run began.
    pub at: u64,
    pub saw: Saw,
}

/// One client's log. It outlives the client.
#[derive(Debug, Clone)]
pub struct Log {
    began: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Log {
    pub fn new(began: Instant) -> Log {
        Log { began, entries: Arc::default() }
    }

    pub fn add(&self, saw: Saw) {
        let mut entries = self.entries.lock().expect("no panic holds it");
        let at = u64::try_from(self.began.elapsed().as_micros()).expect("a run ends");
        entries.push(Entry { at, saw });
    }

    /// How many entries are like this.
    pub fn count(&self, is: impl Fn(&Saw) -> bool) -> usize {
        self.entries.lock().expect("no panic holds it").iter().filter(|entry| is(&entry.saw)).count()
    }

    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock().expect("no panic holds it"))
    }
}

/// What the server's ledger says of one event after the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub event: Number,
    pub place: Place,
    /// Display, status, error.
    pub receipts: Vec<(String, Status, Option<String>)>,
    pub pending: Vec<String>,
}
