//! Where events, ledgers, displays and tickets are kept. A publish is answered only after it is kept.
//!
//! ```text
//!  the rest of the server --> facade::Store --> embedded/  a file and one writer thread: one node
//!                                          \-> memory/    maps, gone with the process
//!                                          \-> redis/     scripts: any number of nodes
//!  each engine --Feed, in commit order--> the hub of its node
//! ```
//!
//! What a method promises is said at the facade; the contract suite runs over every engine. Tickets, nonces and health
//! are in memory where there is one node: never worth an fsync.
//!
//! Rejected: one engine over an abstract key-value transaction. Redis has no transactions that read, and a round trip for
//! each row; what is one script there would be forty.
//!
//! Limits and their reasons are all in `limits.rs`.

mod embedded;
mod epoch;
mod error;
mod facade;
mod limits;
mod memory;
mod one_time;
mod redis;
mod results;
mod types;
mod words;

pub use embedded::make_data_dir;
pub use error::{EnrollError, StoreError};
pub use facade::{Options, Store};
pub use limits::Limits;
pub use redis::{Connector, Setup as RedisSetup, Shared as SharedLink, Tls, Waits};
pub use types::*;

/// A node that has not said for this long what sockets it holds is believed gone, in ms.
pub const LEASE_MS: u64 = 15_000;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod model_tests;
