//! `Store`: what the rest of the server holds. Cheap to clone.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    Backlog, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Feed, Head, History, Limits, Publish,
    Published, ReceiptOutcome, Redeem, Settled, Stats, StoreError, StoredResult,
};
use crate::event::{Address, DisplayId, Receipt, health::Health};

/// Where and how a store is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory of the file `pikiosk.redb`, made with mode 0700 where it is missing. None: in memory, gone with
    /// the process.
    pub data: Option<PathBuf>,
    pub limits: Limits,
}

/// The embedded store. See the module for how it works.
#[derive(Debug, Clone)]
pub struct Store {}

// The bodies are on their way.
#[expect(unused_variables, clippy::unused_async)]
impl Store {
    /// Opens or makes the store and starts its writer thread. `random` fills bytes from a secure source.
    ///
    /// # Errors
    /// `Locked`, `NewerSchema`, `Damaged`, `Io`, `DiskFull`.
    pub fn open(options: Options, random: fn(&mut [u8])) -> Result<(Store, Feed), StoreError> {
        Err(StoreError::Closed)
    }

    /// Stores a batch, all or nothing, and answers when it is on disk. A repeat of `source` and `id` gets the first
    /// position, whatever its body.
    ///
    /// # Errors
    /// `NotEnrolled` for a display address without display, `QueueFull`, `Full`: nothing of the batch is stored.
    /// `Timeout`: may be stored; the same events published again are safe.
    pub async fn publish(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Writes a display's receipt into the ledger; answers when it is on disk. The first stays; a later one of the same
    /// status may fill in `frame_sha256` and `result` where they are missing.
    pub async fn receipt(
        &self,
        display: &DisplayId,
        receipt: Receipt,
        now_ms: u64,
    ) -> Result<ReceiptOutcome, StoreError> {
        Err(StoreError::Closed)
    }

    /// An event with its receipts. Without a `source` the newest of that id.
    pub async fn event(&self, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Events of one address with an offset above `after`, at most `limit` of them and about 1 MiB.
    pub async fn history(&self, address: &Address, after: u64, limit: usize) -> Result<History, StoreError> {
        Err(StoreError::Closed)
    }

    /// Where the histories stand, in the order asked for, all of one snapshot. An address that never had an event has its
    /// epoch and offset 0.
    pub async fn heads(&self, addresses: &[Address]) -> Result<Vec<(Address, Head)>, StoreError> {
        Err(StoreError::Closed)
    }

    /// What to give to a display that connects, or whose groups changed. `NotEnrolled` if it is not.
    pub async fn backlog(&self, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
        Err(StoreError::Closed)
    }

    /// Writes the final `expired` receipts of what is overdue: at once, or for a display in `connected` after
    /// `Limits::expiry_grace_ms`. To be called about once a second; costs a read when nothing is due. Also drives the
    /// pruning of an idle store. The receipts are in the feed too.
    pub async fn expire(&self, now_ms: u64, connected: HashSet<DisplayId>) -> Result<Vec<Settled>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Every enrolled display, by id.
    pub async fn displays(&self) -> Result<Vec<DisplayRow>, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn display(&self, id: &DisplayId) -> Result<Option<DisplayRow>, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn patch_display(&self, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
        Err(StoreError::Closed)
    }

    /// Forgets a display with its key, state, queue and results. What was pending ends as `failed`.
    pub async fn remove_display(&self, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Notes that a display was heard of, and how it is. In memory; written with a later commit, never with its own.
    pub fn seen(&self, display: &DisplayId, health: Option<Health>, now_ms: u64) {}

    /// Makes an enrollment code: its text and when it expires (ms since 1970). Only its hash is kept.
    pub async fn create_enrollment(
        &self,
        display: Option<DisplayId>,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        Err(StoreError::Closed)
    }

    /// Enrolls a display. The same code with the same key repeats the same answer.
    pub async fn redeem(&self, redeem: Redeem, now_ms: u64) -> Result<Enrolled, EnrollError> {
        Err(StoreError::Closed.into())
    }

    /// A ticket for a user (or a display), good for 20 s and one socket; with its end in ms since 1970.
    pub fn mint_ticket(
        &self,
        user: &str,
        display: Option<&DisplayId>,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        Err(StoreError::Closed)
    }

    /// The ticket's value (JSON), once.
    pub fn take_ticket(&self, ticket: &str, now_ms: u64) -> Option<String> {
        None
    }

    /// A nonce for a display's ticket request, good for 60 s and one request.
    pub fn mint_nonce(&self, now_ms: u64) -> Result<String, StoreError> {
        Err(StoreError::Closed)
    }

    /// True once.
    pub fn take_nonce(&self, nonce: &str, now_ms: u64) -> bool {
        false
    }

    /// Makes the first operator key if the store holds none: its text goes to `file` (0600) before its hash goes to
    /// the store. True if one was made.
    pub async fn ensure_operator_key(&self, file: &Path, now_ms: u64) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }

    /// Whether this is an operator key of this store; in constant time.
    pub fn is_operator_key(&self, key: &str) -> bool {
        false
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
        Err(StoreError::Closed)
    }

    pub async fn result(&self, display: &DisplayId, event: &str) -> Result<Option<StoredResult>, StoreError> {
        Err(StoreError::Closed)
    }

    /// The newest result whose media type starts with `prefix`, for example `image/`.
    pub async fn latest_result(&self, display: &DisplayId, prefix: &str) -> Result<Option<StoredResult>, StoreError> {
        Err(StoreError::Closed)
    }

    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Ends the writer after what waits, and closes the file cleanly.
    pub async fn close(self) {}
}
