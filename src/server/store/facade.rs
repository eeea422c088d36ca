//! `Store`: what the rest of the server holds, whichever engine is behind it. Cheap to clone.

use std::{collections::HashSet, path::PathBuf};

use bytes::Bytes;

use super::{
    Backlog, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Feed, Head, History, KeptDisplay,
    Limits, Present, Publish, Published, ReceiptOutcome, Record, Redeem, Settled, Stats, StoreError, StoredResult,
    embedded::Embedded,
    memory::Memory,
    redis::{Redis, Setup},
};
use crate::{
    auth::ticket::{Grant, Minted},
    event::{Address, DisplayId, Receipt, health::Health},
};

/// Where and how a store is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory of the file `pikiosk.redb`, made with mode 0700 where it is missing. None: in memory, gone with
    /// the process.
    pub data: Option<PathBuf>,
    pub limits: Limits,
}

/// An engine. What each method promises stands here once; the contract suite holds every engine to it.
///
/// Groups may change while events are in flight. A command reaches the displays that are members when it is published,
/// and each of them owes a receipt for it from then on. So a display that joins gets the group's state with its next
/// [`Store::backlog`] (and may answer for it), and no action that was published before; a display that leaves still gets
/// and owes the actions that were accepted for it; the group's state is not its state any more, and ends as `superseded`
/// where it still waited.
#[derive(Debug, Clone)]
pub enum Store {
    /// Maps of this process, gone with it.
    Memory(Memory),
    /// A file of this node.
    Embedded(Embedded),
    /// A Redis that any number of nodes share.
    Redis(Redis),
}

/// The same call on whichever engine it is.
macro_rules! each {
    ($self:ident, $engine:ident => $call:expr) => {
        match $self {
            Store::Memory($engine) => $call,
            Store::Embedded($engine) => $call,
            Store::Redis($engine) => $call,
        }
    };
}

impl Store {
    /// Opens the engine of one node: a file in `options.data`, or memory. `random` fills bytes from a secure source.
    ///
    /// # Errors
    /// `Locked`, `NewerSchema`, `Damaged`, `Io`, `DiskFull`.
    pub fn open(options: Options, random: fn(&mut [u8])) -> Result<(Store, Feed), StoreError> {
        let Options { data, limits } = options;
        let Some(data) = data else {
            let (store, feed) = Memory::open(limits, random);
            return Ok((Store::Memory(store), feed));
        };
        let (store, feed) = Embedded::open(&data, limits, random)?;
        Ok((Store::Embedded(store), feed))
    }

    /// Opens the engine of several nodes. To be called inside a runtime.
    ///
    /// # Errors
    /// `Unreachable`, `TooOld`, `NewerSchema`.
    pub async fn open_redis(setup: Setup, random: fn(&mut [u8])) -> Result<(Store, Feed), StoreError> {
        let (store, feed) = Redis::open(setup, random).await?;
        Ok((Store::Redis(store), feed))
    }

    /// Stores a batch, all or nothing, and answers when it is on disk. A repeat of `source` and `id` gets the first
    /// position, whatever its body.
    ///
    /// # Errors
    /// `NotEnrolled` for a display address without display, `QueueFull` (for a display address; a full display that is
    /// reached through a group or `all` gets a `failed` receipt instead), `Full`, `LowSpace`: nothing of the batch is stored.
    /// `Timeout`: may be stored; the same events published again are safe.
    pub async fn publish(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        // Checked here, since the alternative would be to guess: an event without address must reach nobody.
        if batch.iter().any(|item| item.event.subject.is_none()) {
            return Err(StoreError::Io("an event without an address was handed to the store".into()));
        }
        each!(self, store => store.publish(batch, now_ms).await)
    }

    /// Writes a display's receipt into the ledger; answers when it is on disk. The first stays; a later one of the same
    /// status may fill in `frame_sha256` and `result` where they are missing.
    pub async fn receipt(
        &self,
        display: &DisplayId,
        receipt: Receipt,
        now_ms: u64,
    ) -> Result<ReceiptOutcome, StoreError> {
        each!(self, store => store.receipt(display, receipt, now_ms).await)
    }

    /// An event with its receipts. Without a `source` the newest of that id.
    pub async fn event(&self, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
        each!(self, store => store.event(id, source).await)
    }

    /// Events of one address with an offset above `after`, at most `limit` of them and about 1 MiB.
    pub async fn history(&self, address: &Address, after: u64, limit: usize) -> Result<History, StoreError> {
        each!(self, store => store.history(address, after, limit).await)
    }

    /// Where the histories stand, in the order asked for, all of one snapshot. An address that never had an event has its
    /// epoch and offset 0.
    pub async fn heads(&self, addresses: &[Address]) -> Result<Vec<(Address, Head)>, StoreError> {
        each!(self, store => store.heads(addresses).await)
    }

    /// What to give to a display that connects, or whose groups changed. `NotEnrolled` if it is not. Each action that it gives
    /// is an attempt: one that was given [`super::Limits::attempts`] times and never answered ends here as `failed`, so that it
    /// cannot kill a display for ever. State is never counted.
    pub async fn backlog(&self, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
        each!(self, store => store.backlog(display, now_ms).await)
    }

    /// Writes the final `expired` receipts of what is overdue: at once, or for a display in `connected` (of this node; an
    /// engine of several nodes adds the others') after `Limits::expiry_grace_ms`. To be called about once a second; commits
    /// nothing when nothing is due. Also drives the pruning of an idle store. The receipts are in the feed too.
    pub async fn expire(&self, now_ms: u64, connected: HashSet<DisplayId>) -> Result<Vec<Settled>, StoreError> {
        each!(self, store => store.expire(now_ms, connected).await)
    }

    /// The clock that every node of this store goes by, in ms since 1970. None: it has none, and its node goes by its own.
    pub async fn time(&self) -> Result<Option<u64>, StoreError> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(None),
            Store::Redis(store) => store.time().await,
        }
    }

    /// The clock that this node goes by was set forward by so many ms (or back): every command that was stored since the
    /// store was opened (since Redis was started, by whichever node) and still waits, or is retained, expires so much later.
    pub async fn clock_was_set(&self, by_ms: i64) -> Result<(), StoreError> {
        match self {
            Store::Memory(store) => store.clock_was_set(by_ms).await,
            Store::Embedded(store) => store.clock_was_set(by_ms).await,
            Store::Redis(store) => store.clock_was_set(by_ms).await,
        }
    }

    /// Every enrolled display, by id.
    pub async fn displays(&self) -> Result<Vec<DisplayRow>, StoreError> {
        each!(self, store => store.displays().await)
    }

    pub async fn display(&self, id: &DisplayId) -> Result<Option<DisplayRow>, StoreError> {
        each!(self, store => store.display(id).await)
    }

    pub async fn patch_display(&self, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
        each!(self, store => store.patch_display(id, patch).await)
    }

    /// Takes in a display as it was under another id. False if the id is taken.
    pub async fn adopt_display(&self, id: &DisplayId, row: KeptDisplay) -> Result<bool, StoreError> {
        each!(self, store => store.adopt_display(id, row).await)
    }

    /// Forgets a display with its key, state, queue and results. What was pending ends as `failed`.
    pub async fn remove_display(&self, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        each!(self, store => store.remove_display(id, now_ms).await)
    }

    /// Notes that a display was heard of, and how it is. In memory, or as good as: never worth waiting for.
    pub fn seen(&self, display: &DisplayId, health: Option<Health>, now_ms: u64) {
        each!(self, store => store.seen(display, health, now_ms));
    }

    /// Makes an enrollment code: its text and when it expires (ms since 1970). Only its hash is kept.
    pub async fn create_enrollment(
        &self,
        display: Option<DisplayId>,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        each!(self, store => store.create_enrollment(display, ttl_ms, now_ms).await)
    }

    /// Enrolls a display. The same code with the same key repeats the same answer.
    pub async fn redeem(&self, redeem: Redeem, now_ms: u64) -> Result<Enrolled, EnrollError> {
        each!(self, store => store.redeem(redeem, now_ms).await)
    }

    /// A ticket, good for 20 s and one socket.
    pub async fn mint_ticket(&self, grant: &Grant, now_ms: u64) -> Result<Minted, StoreError> {
        match self {
            Store::Memory(store) => store.mint_ticket(grant, now_ms),
            Store::Embedded(store) => store.mint_ticket(grant, now_ms),
            Store::Redis(store) => store.mint_ticket(grant, now_ms).await,
        }
    }

    /// The ticket's value (JSON), once: of any number of nodes that ask, one gets it.
    pub async fn take_ticket(&self, ticket: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
        match self {
            Store::Memory(store) => Ok(store.take_ticket(ticket, now_ms)),
            Store::Embedded(store) => Ok(store.take_ticket(ticket, now_ms)),
            Store::Redis(store) => store.take_ticket(ticket).await,
        }
    }

    /// True the first time a text is used, on any node; it is remembered until `end_ms`.
    pub async fn use_once(&self, text: &str, end_ms: u64, now_ms: u64) -> Result<bool, StoreError> {
        match self {
            Store::Memory(store) => store.use_once(text, end_ms, now_ms),
            Store::Embedded(store) => store.use_once(text, end_ms, now_ms),
            Store::Redis(store) => store.use_once(text, end_ms, now_ms).await,
        }
    }

    /// Secret of this store, the same on every node and after a restart: for codes that are checked without being kept.
    pub fn secret(&self) -> [u8; 32] {
        each!(self, store => store.secret())
    }

    /// 16 secure random bytes as 32 hex digits, for session and event ids.
    pub fn random_id(&self) -> String {
        each!(self, store => store.random_id())
    }

    /// The source of randomness the store was opened with.
    pub fn randomness(&self) -> fn(&mut [u8]) {
        each!(self, store => store.randomness())
    }

    /// Keeps a record; it replaces one of the same key. `Full` at the bound of a collection.
    pub async fn put_record(&self, collection: &str, record: Record) -> Result<(), StoreError> {
        each!(self, store => store.put_record(collection, record).await)
    }

    /// Removes a record; true if it was there.
    pub async fn remove_record(&self, collection: &str, key: &str) -> Result<bool, StoreError> {
        each!(self, store => store.remove_record(collection, key).await)
    }

    /// The records of a collection with a key above `after`, in the order of their keys, at most `limit`.
    pub async fn records(&self, collection: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        each!(self, store => store.records(collection, after, limit).await)
    }

    /// Tells every node, this one included, by the feed: after everything that was committed before.
    pub async fn announce(&self, control: Control) -> Result<(), StoreError> {
        each!(self, store => store.announce(control).await)
    }

    /// Whether several nodes may share this store: then what each of them sees is told once all the same.
    pub fn is_shared(&self) -> bool {
        matches!(self, Store::Redis(_))
    }

    /// Tells the other nodes that a socket of this display opened here. Nothing to do for an engine of one node.
    pub async fn claim(&self, display: &DisplayId, session: &str) -> Result<(), StoreError> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(()),
            Store::Redis(store) => store.claim(display, session).await,
        }
    }

    /// Says what sockets this node holds, for the others; to be said again within [`super::LEASE_MS`], or they believe it
    /// gone. Nothing to do for an engine of one node.
    pub async fn tell_presence(&self, own: &[Present], now_ms: u64) -> Result<(), StoreError> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(()),
            Store::Redis(store) => store.tell_presence(own, now_ms).await,
        }
    }

    /// What the other nodes hold, by the lease.
    pub async fn presence_elsewhere(&self, now_ms: u64) -> Result<Vec<Present>, StoreError> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(Vec::new()),
            Store::Redis(store) => store.presence_elsewhere(now_ms).await,
        }
    }

    /// Keeps a result. `UnknownEvent` if this display was never given the event, `TooLarge` over 8 MiB.
    pub async fn put_result(
        &self,
        display: &DisplayId,
        event: &str,
        content_type: &str,
        body: Bytes,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        each!(self, store => store.put_result(display, event, content_type, body, now_ms).await)
    }

    pub async fn result(&self, display: &DisplayId, event: &str) -> Result<Option<StoredResult>, StoreError> {
        each!(self, store => store.result(display, event).await)
    }

    /// The newest result whose media type starts with `prefix`, for example `image/`.
    pub async fn latest_result(&self, display: &DisplayId, prefix: &str) -> Result<Option<StoredResult>, StoreError> {
        each!(self, store => store.latest_result(display, prefix).await)
    }

    pub fn stats(&self) -> Stats {
        each!(self, store => store.stats())
    }

    /// Whether the engine can be read now: for `/readyz`.
    pub async fn is_ready(&self) -> bool {
        match self {
            Store::Memory(store) => store.is_ready(),
            Store::Embedded(store) => store.is_ready(),
            Store::Redis(store) => store.is_ready().await,
        }
    }

    /// Finishes what was handed over and closes cleanly. Clones that are still held somewhere find it closed.
    pub async fn close(self) {
        each!(self, store => store.close().await)
    }
}
