//! The handle of a store in memory. Cheap to clone.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};

use super::{
    Backlog, Control, DisplayPatch, DisplayRow, EnrollError, Enrolled, EventRecord, Fed, Feed, Head, History,
    KeptDisplay, Limits, Publish, Published, ReceiptOutcome, Record, Redeem, Settled, Stats, StoreError, StoredResult,
    clock, fleet, ledger, one_time::OneTime, prune, publish, results::Results, state::State,
};
use crate::{
    auth::{
        enrollment::{self, Offer},
        ticket::{self, Grant, Minted},
    },
    event::{Address, DisplayId, Receipt, health::Health},
    server::store::epoch,
};

/// How long one waits for a place in the feed when the hub is behind.
const FEED_WAIT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    limits: Limits,
    seed: [u8; 32],
    random: fn(&mut [u8]),
    tickets: OneTime,
    used: OneTime,
    results: Results,
    operations: AtomicU64,
}

struct Inner {
    state: State,
    /// None once the store is closed.
    feed: Option<mpsc::Sender<Vec<Fed>>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store in memory")
    }
}

impl Memory {
    pub fn open(limits: Limits, random: fn(&mut [u8])) -> (Memory, Feed) {
        let mut seed = [0; 32];
        random(&mut seed);
        let (to_feed, feed) = mpsc::channel(limits.feed);
        let shared = Shared {
            inner: Mutex::new(Inner { state: State::new(limits.clone(), seed), feed: Some(to_feed) }),
            seed,
            random,
            tickets: OneTime::new("tickets", limits.one_time),
            used: OneTime::new("used nonces", limits.one_time),
            results: Results::Memory(Mutex::default()),
            operations: AtomicU64::new(0),
            limits,
        };
        (Memory(Arc::new(shared)), feed)
    }

    pub async fn publish(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        self.write(now_ms, |state| publish::publish(state, batch, now_ms)).await
    }

    pub async fn receipt(
        &self,
        display: &DisplayId,
        receipt: Receipt,
        now_ms: u64,
    ) -> Result<ReceiptOutcome, StoreError> {
        self.write(now_ms, |state| Ok(ledger::receipt(state, display, receipt))).await
    }

    pub async fn event(&self, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
        self.read(|state| publish::record(state, id, source))
    }

    pub async fn history(&self, address: &Address, after: u64, limit: usize) -> Result<History, StoreError> {
        self.read(|state| publish::history(state, address, after, limit))
    }

    pub async fn heads(&self, addresses: &[Address]) -> Result<Vec<(Address, Head)>, StoreError> {
        self.read(|state| addresses.iter().map(|address| (address.clone(), state.head(address))).collect())
    }

    pub async fn backlog(&self, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
        self.write(now_ms, |state| ledger::backlog(state, display, now_ms)).await
    }

    pub async fn expire(&self, now_ms: u64, connected: HashSet<DisplayId>) -> Result<Vec<Settled>, StoreError> {
        self.write(now_ms, |state| Ok(ledger::expire(state, &connected, now_ms))).await
    }

    pub async fn clock_was_set(&self, by_ms: i64) -> Result<(), StoreError> {
        self.write(0, |state| {
            clock::was_set(state, by_ms);
            Ok(())
        })
        .await
    }

    pub async fn displays(&self) -> Result<Vec<DisplayRow>, StoreError> {
        self.read(|state| state.displays.iter().map(|(id, display)| fleet::row(id, display)).collect())
    }

    pub async fn display(&self, id: &DisplayId) -> Result<Option<DisplayRow>, StoreError> {
        self.read(|state| state.displays.get(id).map(|display| fleet::row(id, display)))
    }

    pub async fn patch_display(&self, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
        self.write(0, |state| fleet::patch(state, id, patch)).await
    }

    pub async fn adopt_display(&self, id: &DisplayId, kept: KeptDisplay) -> Result<bool, StoreError> {
        self.write(0, |state| Ok(fleet::adopt(state, id, kept))).await
    }

    pub async fn remove_display(&self, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        self.write(now_ms, |state| fleet::remove(state, id, now_ms)).await?;
        self.0.results.remove_all(id)
    }

    pub fn seen(&self, display: &DisplayId, health: Option<Health>, now_ms: u64) {
        if let Some(display) = self.lock().state.displays.get_mut(display) {
            display.kept.last_seen_ms = Some(now_ms);
            display.health = health.map(Arc::new).or(display.health.take());
        }
    }

    pub async fn create_enrollment(
        &self,
        display: Option<DisplayId>,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        let code = enrollment::code_text(self.random_bytes());
        let hash = enrollment::code_hash(&code).expect("a code that was just made has the form of one");
        let expires_ms = now_ms.saturating_add(ttl_ms);
        let offer = Offer { display, expires_ms, tries: 0, spent: None };
        self.write(now_ms, |state| fleet::add_offer(state, hash, offer, now_ms)).await?;
        Ok((code, expires_ms))
    }

    pub async fn redeem(&self, redeem: Redeem, now_ms: u64) -> Result<Enrolled, EnrollError> {
        let made_up = enrollment::made_up_id(self.random_bytes());
        self.write(now_ms, |state| Ok(fleet::redeem(state, &redeem, made_up, now_ms))).await?
    }

    pub fn mint_ticket(&self, grant: &Grant, now_ms: u64) -> Result<Minted, StoreError> {
        let minted = ticket::mint(self.random_bytes(), grant, now_ms);
        // A second longer than its life: its value's time has whole seconds, and `ticket::judge` is the judge.
        let end_ms = minted.expires_ms.saturating_add(1_000);
        self.0.tickets.put(minted.key.clone(), minted.value.clone(), end_ms, now_ms)?;
        Ok(minted)
    }

    pub fn take_ticket(&self, ticket: &str, now_ms: u64) -> Option<String> {
        self.0.tickets.take(ticket, now_ms)
    }

    pub fn use_once(&self, text: &str, end_ms: u64, now_ms: u64) -> Result<bool, StoreError> {
        self.0.used.put_new(text.to_owned(), end_ms, now_ms)
    }

    pub fn secret(&self) -> [u8; 32] {
        epoch::secret(&self.0.seed)
    }

    pub fn random_id(&self) -> String {
        self.random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn randomness(&self) -> fn(&mut [u8]) {
        self.0.random
    }

    pub async fn put_record(&self, collection: &str, record: Record) -> Result<(), StoreError> {
        self.write(0, |state| fleet::put_record(state, collection, record)).await
    }

    pub async fn remove_record(&self, collection: &str, key: &str) -> Result<bool, StoreError> {
        self.write(0, |state| Ok(fleet::remove_record(state, collection, key))).await
    }

    pub async fn records(&self, collection: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.read(|state| fleet::records(state, collection, after, limit))
    }

    pub async fn announce(&self, control: Control) -> Result<(), StoreError> {
        self.write(0, |state| {
            state.fed.push(Fed::Control(Arc::new(control)));
            Ok(())
        })
        .await
    }

    pub async fn put_result(
        &self,
        display: &DisplayId,
        event: &str,
        content_type: &str,
        body: Bytes,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let limits = &self.0.limits;
        if body.len() > limits.result_bytes {
            return Err(StoreError::TooLarge { bytes: body.len(), limit: limits.result_bytes });
        }
        if !self.read(|state| ledger::has_row(state, event, display))? {
            return Err(StoreError::UnknownEvent(event.chars().take(80).collect()));
        }
        let content_type = content_type.chars().take(200).collect();
        let result = StoredResult { event: event.to_owned(), content_type, taken_ms: now_ms, body };
        self.0.results.put(display, result, limits.results)
    }

    pub async fn result(&self, display: &DisplayId, event: &str) -> Result<Option<StoredResult>, StoreError> {
        self.0.results.find(display, |id, _| id == event)
    }

    pub async fn latest_result(&self, display: &DisplayId, prefix: &str) -> Result<Option<StoredResult>, StoreError> {
        self.0.results.find(display, |_, media| media.starts_with(prefix))
    }

    pub fn stats(&self) -> Stats {
        let operations = self.0.operations.load(Ordering::Relaxed);
        let events = self.lock().state.published;
        Stats { events, commits: 0, operations, failures: 0, file_bytes: 0 }
    }

    pub fn is_ready(&self) -> bool {
        self.lock().feed.is_some()
    }

    /// Ends the feed. Clones that are still held somewhere find the store closed.
    pub async fn close(self) {
        self.lock().feed = None;
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0.random)(&mut bytes);
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, work: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        Ok(work(&self.lock().state))
    }

    /// Does some work under the lock, and sends what comes of it to the feed. A place in the feed is reserved before: a hub
    /// that is behind holds up the publishers, and nothing is done that could not be told.
    async fn write<T>(
        &self,
        now_ms: u64,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.operations.fetch_add(1, Ordering::Relaxed);
        let waits = {
            let mut inner = self.lock();
            let Inner { state, feed } = &mut *inner;
            let feed = feed.as_ref().ok_or(StoreError::Closed)?;
            match feed.try_reserve() {
                Ok(place) => return finish(state, Some(place), now_ms, work),
                // Nobody listens (any more): the store goes on.
                Err(TrySendError::Closed(())) => return finish(state, None, now_ms, work),
                Err(TrySendError::Full(())) => feed.clone(),
            }
        };
        let place = timeout(FEED_WAIT, waits.reserve()).await.map_err(|_| StoreError::Busy)?;
        let mut inner = self.lock();
        if inner.feed.is_none() {
            return Err(StoreError::Closed);
        }
        finish(&mut inner.state, place.ok(), now_ms, work)
    }
}

fn finish<T>(
    state: &mut State,
    place: Option<mpsc::Permit<'_, Vec<Fed>>>,
    now_ms: u64,
    work: impl FnOnce(&mut State) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    state.now_ms = state.now_ms.max(now_ms);
    let before = state.published;
    let result = work(state);
    prune::step(state, state.published - before);
    let fed = std::mem::take(&mut state.fed);
    if let Some(place) = place
        && !fed.is_empty()
    {
        place.send(fed);
    }
    result
}
