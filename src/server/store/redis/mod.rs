//! The store of any number of nodes: a Redis (6.2 or newer, or what speaks like it), and scripts.
//!
//! ```text
//!  node 1: publish() receipt() backlog() ...            node 2: the same
//!        | EVALSHA, one script = one transaction              |
//!        v                                                    v
//!  +-- Redis: every key is {prefix}:... ------------------------------------------------------+
//!  | meta            event:<commit>   ledger:<commit>   dedupe, ids, ages       (publish.lua) |
//!  | addresses       history:<address> (a stream, ids: life-offset)  state:<address>       |
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
//! **A power cut leaves half a call.** A script's commands stand in Redis' file between MULTI and EXEC. Where the file ends
//! in the middle of one of them, Redis 7 (`aof-load-truncated yes`) cuts it behind the last whole one, leaves the MULTI
//! open, and carries out that half at its start *after next*, before whatever was written behind it.
//!
//! ```text
//!  life 1      file: ... MULTI a b c|      the power is cut: nobody was answered
//!  life 2      a b c are read over; what is accepted now stands behind them in the file
//!  life 3      a b c are carried out, and then all that was accepted in life 2
//! ```
//!
//! So nothing may clash with such a half, and the half must be found. `attach.lua` begins each life: with commands that
//! close the MULTI, with the numbers of `meta` written anew, and with commits, feed and history going on under numbers (and
//! a `life`) that the half cannot have used: whatever comes behind it is carried out as it was. Each call of several
//! commands notes first in `calls` what it is about; where the last note of a life is not the one that `attach.lua` saw,
//! it is a half, and `mend.lua` drops it (a publish) or completes it (a receipt, a removal, a change of displays, a result)
//! before any other script is known. Then Redis is asked to write its file anew, and the half is gone from it.
//!
//! **Cluster** gives failover here, not sharding: the prefix is a hash tag, so that a script stays in one slot.
//!
//! **One clock.** Expiry and ages are judged by the time that the node that asks brings along: Redis' own, which every node
//! goes by (`clock.rs`). Where Redis may not be asked, nodes are expected to keep theirs by NTP.
//!
//! Rejected: pub/sub. It forgets whoever is away for a moment, so each node would have to read the streams anyhow.
//! Rejected: a stream per address read by every node. XREAD over 10,000 keys, and no order between addresses.
//! Rejected: to accept nothing until Redis has written its file anew. A large store is away for minutes at each restart,
//! and Redis 7 does not start at all where the power goes meanwhile: an open MULTI may only stand in the last file.
//! Rejected: MULTI with WATCH. A publish reads who is in a group and what is full before it writes: four round trips
//! and a retry for each collision where one script does.

mod clock;
mod connect;
mod displays;
mod engine;
mod events;
mod feed;
mod handle;
mod ledger;
mod mend;
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

#[cfg(test)]
mod torn;
