//! The store of one node: one file, one thread that writes it, one fsync for all that waits.
//!
//! ```text
//!  publish() receipt() expire() ...        history() heads() backlog() event() ...
//!        | bounded queue                          | snapshot reads
//!  +-----v--------- one writer thread ---+        |
//!  | takes all that waits: one batch     |   +----v------------------------+
//!  | 1 its changes -> the journal, synced|-->| redb: DATA/pikiosk.redb     |
//!  | 2 the tables, in memory; to the file|   +-----------------------------+
//!  |   when the journal is full          |   results (screenshots, logs): DATA/results/<display>/
//!  | 3 answers each, then the feed       |   tickets, nonces, health: in memory, never worth an fsync
//!  +-----|-------------------------------+
//!        v  Feed, in commit order -> the hub
//! ```
//!
//! Why redb: pure Rust (cross-compiles with the rest), ACID with one fsync a commit, checksummed pages, one file, a
//! lock against a second process, readers that never wait for the writer, and it is kept well.
//!
//! Rejected: SQLite (C in the build, a WAL beside the file, and its one good reason - ad hoc queries - is not needed),
//! sled (never left beta), fjall (a log-structured tree's background threads and write stalls for a few thousand
//! rows), a log of our own in place of the tables (indexes and compaction to prove again; the
//! journal has neither: it is read to its end at the start, and begins anew with every checkpoint).

mod clock;
mod displays;
mod events;
mod handle;
mod journal;
mod ledger;
mod open;
mod prune;
mod records;
mod schema;
mod shared;
mod tables;
mod writer;

use super::{
    Backlog, Committed, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Fed, Feed, Head,
    History, KeptDisplay, Limits, Publish, Published, ReceiptOutcome, Record, Redeem, Settled, Stats, StoreError,
    StoredResult, moved, one_time, results,
};
pub use handle::Embedded;
pub use open::make_data_dir;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod journal_tests;
