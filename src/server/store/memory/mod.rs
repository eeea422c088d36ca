//! The store of one node without a disk: maps under one lock, gone with the process.
//!
//! ```text
//!  publish() receipt() backlog() ...                    history() heads() event() ...
//!      | a place in the feed is reserved first              |
//!  +---v------------ one Mutex<State>, microseconds --------v---------------------------+
//!  | dedupe: fingerprint -> commit     places: address -> epoch, last, ring, slots      |
//!  | log:    commit -> event, rows     displays: id -> key, groups, what it owes        |
//!  +---|--------------------------------------------------------------------------------+
//!      v  Feed, sent inside the lock: so the feed's order is the commits' order
//!    the hub
//! ```
//!
//! An event is written as JSON once and stands in memory once: history, ledger, feed and every socket share it. It forgets by the
//! same rules as the file's engine (`prune.rs`), and has one bound more, in bytes: a disk's size is no bound here.
//!
//! Rejected: a lock for each address. A publish to `all` or to a group needs many of them in some order, the commit number
//! needs one for everybody anyway, and what is held here is held for about a microsecond an event.

mod clock;
mod fleet;
mod handle;
mod ledger;
mod log;
mod prune;
mod publish;
mod state;
#[cfg(test)]
mod tests;

use super::{
    Backlog, Committed, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Fed, Feed, Head,
    History, KeptDisplay, Limits, Publish, Published, ReceiptOutcome, Record, Redeem, Settled, Stats, StoreError,
    StoredResult, moved, one_time, results,
};
pub use handle::Memory;
