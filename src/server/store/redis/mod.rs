//! The store of any number of nodes: a Redis (6.2 or newer, or what speaks like it), and scripts.
//!
//! ```text
//!  node 1: publish() receipt() backlog() ...            node 2: the same
//!        | EVALSHA, one script = one transaction              |
//!        v                                                    v
//!  +-- Redis: every key is {prefix}:... ------------------------------------------------------+
//!  | meta            event:<commit>   ledger:<commit>   dedupe, ids, ages       (publish.lua) |
//!  | addresses       history:<address> (a stream, ids are the offsets)  state:<address>       |
//!  | pending:<display>  counts  expiry  given:<display>      displays  members:<group> ...    |
//!  | feed: ONE stream, numbered without gap: which event, receipt or control comes next       |
//!  +----|------------------------------------------------------------------------------------+
//!       | XREAD BLOCK only wakes; feed.lua reads on from the last number, and from its tag
//!       v
//!  feed.rs of every node --Feed, in commit order--> the hub of that node
//! ```
//!
//! **Nothing is skipped silently.** Every entry of the feed has a number and a random tag. A node that does not find the
//! entry it saw last (its tag is another one, the number is beyond the end, it was trimmed) tells its hub `Fed::Lost`,
//! which closes every socket with 4001; they come back and resume from the history.
//!
//! **A history that was lost is told.** Epochs come from a random lineage in `meta`. At every connection, and whenever
//! Redis does not know our scripts (it was restarted, or is another one), `attach.lua` asks whether this Redis holds
//! what it held: the tag must fit, and a Redis that began anew must be one that keeps what it accepts (`appendonly yes`,
//! `appendfsync always`, and no promoted replica). If not, the lineage is made new, and with it every epoch: clients are
//! told `recovered: false` and get the retained state. No script runs before that, since none is known there.
//!
//! **Cluster** gives failover here, not sharding: the prefix is a hash tag, so that a script stays in one slot.
//!
//! Clocks: expiry and ages are judged by the time of the node that asks; nodes are expected to keep theirs by NTP.
//!
//! Rejected: pub/sub. It forgets whoever is away for a moment, so each node would have to read the streams anyhow.
//! Rejected: a stream per address read by every node. XREAD over 10,000 keys, and no order between addresses.
//! Rejected: MULTI with WATCH. A publish reads who is in a group and what is full before it writes: four round trips
//! and a retry for each collision where one script does.

mod connect;
mod displays;
mod engine;
mod events;
mod feed;
mod handle;
mod ledger;
mod reply;
mod scripts;
mod small;

use super::{
    Backlog, Committed, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Fed, Feed, Head,
    History, KeptDisplay, LEASE_MS, Limits, Present, Publish, Published, ReceiptOutcome, Record, Redeem, Settled,
    Stats, StoreError, StoredResult, words,
};
pub use connect::{Connector, Shared, Tls, Waits};
pub use handle::{Redis, Setup};

#[cfg(test)]
mod tests;
