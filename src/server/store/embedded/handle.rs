//! The handle of an embedded store. Cheap to clone.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use redb::ReadTransaction;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Backlog, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Fed, Feed, Head, History,
    KeptDisplay, Limits, Publish, Published, ReceiptOutcome, Record, Redeem, Settled, Stats, StoreError, StoredResult,
    clock, displays, events, ledger, open, records,
    shared::{Seen, Shared},
    writer::{Batch, Job, Task},
};
use crate::{
    auth::{
        enrollment::{self, Offer},
        ticket::{self, Grant, Minted},
    },
    event::{Address, DisplayId, Receipt, health::Health},
    server::store::epoch,
};

/// How long one waits for a place in the writer's queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);
/// How long one waits for the answer: an SD card may stall for seconds.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// See the module.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Box<dyn Job>>,
    writer: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shared.fmt(f)
    }
}

impl Embedded {
    /// Opens or makes the store and starts its writer thread. `random` fills bytes from a secure source.
    ///
    /// # Errors
    /// `Locked`, `NewerSchema`, `Damaged`, `Io`, `DiskFull`.
    pub fn open(data: &Path, limits: Limits, random: fn(&mut [u8])) -> Result<(Embedded, Feed), StoreError> {
        Ok(Embedded::from_opened(open::open(data, limits, random)?))
    }

    #[cfg(test)]
    pub fn open_in_memory(limits: Limits, random: fn(&mut [u8])) -> Result<(Embedded, Feed), StoreError> {
        Ok(Embedded::from_opened(open::open_in_memory(limits, random)?))
    }

    pub(super) fn from_opened(opened: open::Opened) -> (Embedded, Feed) {
        let open::Opened { shared, jobs, feed, writer } = opened;
        (Embedded { shared, jobs, writer: Arc::new(Mutex::new(Some(writer))) }, feed)
    }

    /// Stores a batch, all or nothing, and answers when it is on disk. A repeat of `source` and `id` gets the first
    /// position, whatever its body.
    ///
    /// # Errors
    /// `NotEnrolled` for a display address without display, `QueueFull` (for a display address; a full display that is
    /// reached through a group or `all` gets a `failed` receipt instead), `Full`, `LowSpace`: nothing of the batch is stored.
    /// `Timeout`: may be stored; the same events published again are safe.
    pub async fn publish(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        // Checked here once more, since the alternative would be to guess: an event without address must reach nobody.
        if batch.iter().any(|item| item.event.subject.is_none()) {
            return Err(StoreError::Io("an event without an address was handed to the store".into()));
        }
        self.write(batch.len(), move |txn| events::publish(txn, batch, now_ms)).await
    }

    /// Writes a display's receipt into the ledger; answers when it is on disk. The first stays; a later one of the same
    /// status may fill in `frame_sha256` and `result` where they are missing.
    pub async fn receipt(
        &self,
        display: &DisplayId,
        receipt: Receipt,
        now_ms: u64,
    ) -> Result<ReceiptOutcome, StoreError> {
        let display = display.clone();
        self.write(1, move |batch| ledger::receipt(batch, &display, receipt, now_ms)).await
    }

    /// An event with its receipts. Without a `source` the newest of that id.
    pub async fn event(&self, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
        self.read(|rows| events::record(rows, id, source))
    }

    /// Events of one address with an offset above `after`, at most `limit` of them and about 1 MiB.
    pub async fn history(&self, address: &Address, after: u64, limit: usize) -> Result<History, StoreError> {
        self.read(|rows| events::history(rows, self.shared.seed(), address, after, limit))
    }

    /// Where the histories stand, in the order asked for, all of one snapshot. An address that never had an event has its
    /// epoch and offset 0.
    pub async fn heads(&self, addresses: &[Address]) -> Result<Vec<(Address, Head)>, StoreError> {
        self.read(|rows| {
            let head = |address: &Address| Ok((address.clone(), events::head(rows, self.shared.seed(), address)?));
            addresses.iter().map(head).collect()
        })
    }

    /// What to give to a display that connects, or whose groups changed. `NotEnrolled` if it is not.
    pub async fn backlog(&self, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
        let found = self.read(|rows| {
            let row = displays::get(rows, display)?.ok_or_else(|| StoreError::NotEnrolled(display.clone()))?;
            let view = ledger::view(rows, &row.addresses(display), display, &self.shared.limits, now_ms)?;
            Ok((view, events::as_of(rows)?))
        })?;
        let (view, as_of) = found;
        if view.is_only_read() {
            let ledger::View { state, pending_actions, .. } = view;
            return Ok(Backlog { state, pending_actions, settled: Vec::new(), as_of });
        }
        let display = display.clone();
        self.write(1, move |batch| ledger::backlog(batch, &display, now_ms)).await
    }

    /// Writes the final `expired` receipts of what is overdue: at once, or for a display in `connected` after
    /// `Limits::expiry_grace_ms`. To be called about once a second; commits nothing when nothing is due. Also drives the
    /// pruning of an idle store. The receipts are in the feed too.
    pub async fn expire(&self, now_ms: u64, connected: HashSet<DisplayId>) -> Result<Vec<Settled>, StoreError> {
        self.write(1, move |batch| ledger::expire(batch, &connected, now_ms)).await
    }

    /// The clock was set by so many ms.
    pub async fn clock_was_set(&self, by_ms: i64) -> Result<(), StoreError> {
        self.write(1, move |batch| clock::was_set(batch, by_ms)).await
    }

    /// Every enrolled display, by id.
    pub async fn displays(&self) -> Result<Vec<DisplayRow>, StoreError> {
        let rows = self.read(displays::all)?;
        Ok(rows.into_iter().map(|(id, row)| self.with_seen(id, row)).collect())
    }

    pub async fn display(&self, id: &DisplayId) -> Result<Option<DisplayRow>, StoreError> {
        let row = self.read(|rows| displays::get(rows, id))?;
        Ok(row.map(|row| self.with_seen(id.clone(), row)))
    }

    pub async fn patch_display(&self, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
        let of_writer = id.clone();
        let row = self.write(1, move |batch| displays::patch(batch, &of_writer, patch)).await?;
        Ok(self.with_seen(id.clone(), row))
    }

    /// Forgets a display with its key, state, queue and results. What was pending ends as `failed`.
    pub async fn remove_display(&self, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        let of_writer = id.clone();
        self.write(1, move |batch| displays::remove(batch, &of_writer, now_ms)).await?;
        self.shared.seen().remove(id);
        let (shared, id) = (self.shared.clone(), id.clone());
        blocking(move || shared.results.remove_all(&id)).await
    }

    /// Notes that a display was heard of, and how it is. In memory; written with a later commit, every five minutes.
    pub fn seen(&self, display: &DisplayId, health: Option<Health>, now_ms: u64) {
        let mut seen = self.shared.seen();
        let seen = seen.entry(display.clone()).or_default();
        *seen = Seen { at_ms: now_ms, health: health.map(Arc::new).or(seen.health.take()), saved: false };
    }

    /// Makes an enrollment code: its text and when it expires (ms since 1970). Only its hash is kept.
    pub async fn create_enrollment(
        &self,
        display: Option<DisplayId>,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        let code = enrollment::code_text(self.shared.random());
        let hash = enrollment::code_hash(&code).expect("a code that was just made has the form of one");
        let offer = Offer { display, expires_ms: now_ms.saturating_add(ttl_ms), tries: 0, spent: None };
        let expires_ms = offer.expires_ms;
        self.write(1, move |batch| displays::add_offer(batch, hash, &offer, now_ms)).await?;
        Ok((code, expires_ms))
    }

    /// Enrolls a display. The same code with the same key repeats the same answer.
    pub async fn redeem(&self, redeem: Redeem, now_ms: u64) -> Result<Enrolled, EnrollError> {
        let made_up = enrollment::made_up_id(self.shared.random());
        self.write(1, move |batch| displays::redeem(batch, &redeem, &made_up, now_ms)).await?
    }

    /// A ticket, good for 20 s and one socket.
    pub fn mint_ticket(&self, grant: &Grant, now_ms: u64) -> Result<Minted, StoreError> {
        let minted = ticket::mint(self.shared.random(), grant, now_ms);
        // A second longer than its life: its value's time has whole seconds, and `ticket::judge` is the judge.
        let end_ms = minted.expires_ms.saturating_add(1_000);
        self.shared.tickets.put(minted.key.clone(), minted.value.clone(), end_ms, now_ms)?;
        Ok(minted)
    }

    /// The ticket's value (JSON), once.
    pub fn take_ticket(&self, ticket: &str, now_ms: u64) -> Option<String> {
        self.shared.tickets.take(ticket, now_ms)
    }

    /// True the first time a text is used; it is remembered until `end_ms`.
    pub fn use_once(&self, text: &str, end_ms: u64, now_ms: u64) -> Result<bool, StoreError> {
        self.shared.used.put_new(text.to_owned(), end_ms, now_ms)
    }

    /// Secret of this store, the same after a restart: for codes that are checked without being kept.
    pub fn secret(&self) -> [u8; 32] {
        epoch::secret(self.shared.seed())
    }

    /// Keeps a record; it replaces one of the same key.
    pub async fn put_record(&self, collection: &str, record: Record) -> Result<(), StoreError> {
        let collection = collection.to_owned();
        self.write(1, move |batch| records::put(batch, &collection, &record)).await
    }

    pub async fn remove_record(&self, collection: &str, key: &str) -> Result<bool, StoreError> {
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.write(1, move |batch| records::remove(batch, &collection, &key)).await
    }

    pub async fn records(&self, collection: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.read(|rows| records::read(rows, collection, after, limit))
    }

    /// Takes in a display as it was under another id. False if the id is taken.
    pub async fn adopt_display(&self, id: &DisplayId, row: KeptDisplay) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(1, move |batch| displays::adopt(batch, &id, &row)).await
    }

    /// Tells every node, this one included, by the feed.
    pub async fn announce(&self, control: Control) -> Result<(), StoreError> {
        self.write(1, move |batch| {
            batch.fed.push(Fed::Control(Arc::new(control)));
            Ok(())
        })
        .await
    }

    /// 16 secure random bytes as 32 hex digits, for session and event ids.
    pub fn random_id(&self) -> String {
        self.shared.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The source of randomness the store was opened with.
    pub fn randomness(&self) -> fn(&mut [u8]) {
        self.shared.random
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
        let limits = &self.shared.limits;
        if body.len() > limits.result_bytes {
            return Err(StoreError::TooLarge { bytes: body.len(), limit: limits.result_bytes });
        }
        if !self.read(|rows| ledger::has_row(rows, event, display))? {
            return Err(StoreError::UnknownEvent(event.chars().take(80).collect()));
        }
        let (shared, display) = (self.shared.clone(), display.clone());
        let (event, content_type) = (event.to_owned(), content_type.chars().take(200).collect());
        let result = StoredResult { event, content_type, taken_ms: now_ms, body };
        blocking(move || shared.results.put(&display, result, shared.limits.results)).await
    }

    pub async fn result(&self, display: &DisplayId, event: &str) -> Result<Option<StoredResult>, StoreError> {
        let (shared, display, event) = (self.shared.clone(), display.clone(), event.to_owned());
        blocking(move || shared.results.find(&display, |id, _| id == event)).await
    }

    /// The newest result whose media type starts with `prefix`, for example `image/`.
    pub async fn latest_result(&self, display: &DisplayId, prefix: &str) -> Result<Option<StoredResult>, StoreError> {
        let (shared, display, prefix) = (self.shared.clone(), display.clone(), prefix.to_owned());
        blocking(move || shared.results.find(&display, |_, media| media.starts_with(&prefix))).await
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether the file can be read now: for `/readyz`.
    pub fn is_ready(&self) -> bool {
        !self.jobs.is_closed() && self.shared.snapshot().is_ok()
    }

    /// Finishes what was handed over and closes the file cleanly. Clones that are still held somewhere find it closed.
    pub async fn close(self) {
        self.shared.closing.store(true, Ordering::Release);
        let (wake, _) = Task::boxed(1, |_| Ok(()));
        // A full queue wakes the writer as well, and a closed one has ended it.
        let _ = self.jobs.try_send(wake);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join());
            let _ = timeout(ANSWER_WAIT, joined).await;
        }
    }

    fn with_seen(&self, id: DisplayId, row: KeptDisplay) -> DisplayRow {
        let seen = self.shared.seen().get(&id).cloned();
        let KeptDisplay { label, groups, public_key, enrolled_ms, last_seen_ms } = row;
        let (last_seen_ms, health) = match seen {
            Some(seen) => (Some(seen.at_ms), seen.health),
            None => (last_seen_ms, None),
        };
        DisplayRow { id, label, groups, public_key, enrolled_ms, last_seen_ms, health }
    }

    /// Reads of a snapshot take microseconds from the cache, so they are not worth another thread.
    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let result = self.shared.snapshot().and_then(|rows| work(&rows));
        if result.as_ref().is_err_and(StoreError::is_disk) {
            // The writer opens the file anew when it has something to do.
            let (heal, _) = Task::boxed(1, |_| Ok(()));
            let _ = self.jobs.try_send(heal);
        }
        result
    }

    async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Batch<'_, '_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Task::boxed(weight, work);
        let place = timeout(QUEUE_WAIT, self.jobs.reserve()).await.map_err(|_| StoreError::Busy)?;
        place.map_err(|_| StoreError::Closed)?.send(job);
        match timeout(ANSWER_WAIT, answer).await {
            Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Timeout),
        }
    }
}

/// Work on files, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
}
