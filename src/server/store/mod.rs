//! Where events, ledgers, displays and tickets are kept. A publish is answered only after it is on disk.
//!
//! ```text
//!  publish() receipt() expire() ...        history() heads() backlog() event() ...
//!        | bounded queue                          | snapshot reads
//!  +-----v--------- one writer thread ---+        |
//!  | takes all that waits, one           |   +----v------------------------+
//!  | transaction, ONE commit (fsync),    |-->| redb: DATA/pikiosk.redb     |
//!  | then answers each, then the feed    |   +-----------------------------+
//!  +-----|-------------------------------+   results (screenshots, logs): DATA/results/<display>/
//!        v  Feed, in commit order            tickets, nonces, health: in memory, never worth an fsync
//!      the hub
//! ```
//!
//! Why redb: pure Rust (cross-compiles with the rest), ACID with one fsync a commit, checksummed pages, one file, a
//! lock against a second process, readers that never wait for the writer, and it is kept well. `memory` is the same
//! code over redb's in-memory backend, so the two cannot drift apart.
//!
//! Rejected: SQLite (C in the build, a WAL beside the file, and its one good reason - ad hoc queries - is not needed),
//! sled (never left beta), fjall (a log-structured tree's background threads and write stalls for a few thousand
//! rows), a log of our own (recovery, indexes and compaction to prove again).
//!
//! Limits and their reasons are all in `limits.rs`.

mod displays;
mod embedded;
mod error;
mod events;
mod handle;
mod ledger;
mod limits;
mod one_time;
mod prune;
mod results;
mod schema;
mod shared;
mod types;
mod writer;

pub use embedded::make_data_dir;
pub use error::{EnrollError, StoreError};
pub use handle::{Options, Store};
pub use limits::Limits;
pub use types::*;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
