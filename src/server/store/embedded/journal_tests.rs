//! The power goes at any moment, and any of what was not synced is lost: what was answered is there.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{handle::Embedded as Store, journal::Tape, open as embedded, results::Results, *};
use crate::{
    event::{Event, Receipt, Status, command, command::Kind},
    io::random,
};

const T0: u64 = 1_777_896_000_000;
/// Room for about ten records, so that every run has checkpoints.
const JOURNAL_BYTES: usize = 8 * 1024;
const SECTOR: usize = 512;

/// A file on a disk with a cache: reads see every write, and a power cut keeps what was synced and some of the rest.
#[derive(Debug, Default)]
struct Platter {
    seen: Vec<u8>,
    kept: Vec<u8>,
    /// Sectors written since the last sync.
    waiting: Vec<(usize, Vec<u8>)>,
    syncs: u64,
}

impl Platter {
    fn set_len(&mut self, length: usize) {
        self.seen.resize(length, 0);
        // As a journalling file system does it: the length is there, or the sync of what needs it failed.
        self.kept.resize(length, 0);
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.seen[offset..offset + data.len()].copy_from_slice(data);
        let first = offset / SECTOR * SECTOR;
        for place in (first..offset + data.len()).step_by(SECTOR) {
            let end = (place + SECTOR).min(self.seen.len());
            self.waiting.push((place, self.seen[place..end].to_vec()));
        }
    }

    fn sync(&mut self) {
        self.syncs += 1;
        self.waiting.clear();
        self.kept.clone_from(&self.seen);
    }

    fn cut(&mut self, mut chance: impl FnMut() -> bool) {
        for (place, sector) in std::mem::take(&mut self.waiting) {
            if chance() {
                self.kept[place..place + sector.len()].copy_from_slice(&sector);
            }
        }
        self.seen.clone_from(&self.kept);
    }
}

/// A disk with both files, that stops at the n-th write or sync.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug)]
struct Platters {
    database: Platter,
    journal: Platter,
    good_for: u64,
}

impl Disk {
    fn new() -> Disk {
        let mut journal = Platter::default();
        journal.set_len(JOURNAL_BYTES);
        Disk(Arc::new(Mutex::new(Platters { database: Platter::default(), journal, good_for: u64::MAX })))
    }

    fn work<T>(&self, work: impl FnOnce(&mut Platters) -> T) -> io::Result<T> {
        let mut platters = self.0.lock().unwrap();
        if platters.good_for == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        platters.good_for -= 1;
        Ok(work(&mut platters))
    }

    fn good_for(&self, works: u64) {
        self.0.lock().unwrap().good_for = works;
    }

    /// The power goes and comes back.
    fn cut(&self, mut chance: impl FnMut() -> bool) -> Disk {
        let mut platters = self.0.lock().unwrap();
        // Whoever still holds the old disk is dead.
        platters.good_for = 0;
        let mut lost = Platters {
            database: std::mem::take(&mut platters.database),
            journal: std::mem::take(&mut platters.journal),
            good_for: u64::MAX,
        };
        lost.database.cut(&mut chance);
        lost.journal.cut(&mut chance);
        Disk(Arc::new(Mutex::new(lost)))
    }

    fn open(&self) -> Result<Store, StoreError> {
        let (disk, tape) = (self.clone(), self.clone());
        let opener = Box::new(move || Ok(redb::Builder::new().create_with_backend(disk.clone())?));
        let tape = || Ok(Some(Box::new(tape) as Box<dyn Tape>));
        let results = Results::Memory(Default::default());
        let opened = embedded::start(opener, tape, None, results, Limits::default(), random::fill)?;
        let (store, mut feed) = Store::from_opened(opened);
        tokio::spawn(async move { while feed.recv().await.is_some() {} });
        Ok(store)
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().database.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platters = self.0.lock().unwrap();
        let from = offset as usize;
        let found = platters.database.seen.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.work(|platters| platters.database.set_len(length as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.work(|platters| platters.database.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.work(|platters| platters.database.write(offset as usize, data))
    }
}

impl Tape for Disk {
    fn size(&self) -> usize {
        JOURNAL_BYTES
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().journal.seen.clone())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.work(|platters| platters.journal.write(offset as usize, bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.work(|platters| platters.journal.sync())
    }
}

fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let event = Event::new(id, "test", kind).to(to.parse().unwrap()).with_data(&"x".repeat(100));
    Publish { event, command, expires_ms: (command == Some(Kind::Action)).then_some(T0 + 60_000) }
}

async fn enroll(store: &Store, display: &str) {
    let (code, _) = store.create_enrollment(Some(display.parse().unwrap()), 1000, T0).await.unwrap();
    store.redeem(Redeem { code, public_key: [7; 32], display: None }, T0).await.unwrap();
}

/// What was answered, by event.
#[derive(Default)]
struct Answered {
    offsets: HashMap<String, u64>,
    receipts: Vec<String>,
}

/// Publishes until the disk stops, and notes what was answered.
async fn publish(store: &Store, round: usize, answered: &mut Answered) {
    for n in 0..60 {
        let id = format!("{round}-{n}");
        let item = item(&id, "display/lobby", if n % 2 == 0 { "kiosk.message" } else { "x" });
        let Ok(published) = store.publish(vec![item], T0).await else { return };
        answered.offsets.insert(id.clone(), published[0].position.offset);
        if n % 4 == 0 {
            let receipt = Receipt::new(&id, "test", Status::Shown, 1);
            let Ok(_) = store.receipt(&"lobby".parse().unwrap(), receipt, T0).await else { return };
            answered.receipts.push(id);
        }
    }
}

async fn check(store: &Store, answered: &Answered) {
    for (id, offset) in &answered.offsets {
        let record = store.event(id, Some("test")).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!(record.event.position.offset, *offset, "{id}");
    }
    for id in &answered.receipts {
        assert_eq!(store.event(id, None).await.unwrap().unwrap().receipts.len(), 1, "the receipt of {id}");
    }
    let history = store.history(&"display/lobby".parse().unwrap(), 0, 10_000).await.unwrap();
    let offsets: Vec<u64> = history.events.iter().map(|event| event.position.offset).collect();
    assert_eq!(offsets, (1..=history.head.last).collect::<Vec<_>>(), "no gap, and none twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_power_cut_at_any_moment_loses_nothing_that_was_answered(
        cuts in prop::collection::vec((0..150_u64, any::<u64>()), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut disk = Disk::new();
            let store = disk.open().unwrap();
            enroll(&store, "lobby").await;
            store.close().await;
            let mut answered = Answered::default();
            for (round, (good_for, seed)) in cuts.into_iter().enumerate() {
                let store = disk.open().unwrap();
                check(&store, &answered).await;
                disk.good_for(good_for);
                publish(&store, round, &mut answered).await;
                let mut state = seed | 1;
                disk = disk.cut(|| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state >> 63 == 1
                });
            }
            let store = disk.open().unwrap();
            check(&store, &answered).await;
            let again = store.publish(vec![item("0-0", "display/lobby", "kiosk.message")], T0).await.unwrap();
            assert!(!again[0].fresh || !answered.offsets.contains_key("0-0"));
        });
    }
}

#[tokio::test]
async fn a_disk_that_fails_under_the_journal_loses_nothing_and_the_store_goes_on_by_itself() {
    for good_for in 0..40 {
        let disk = Disk::new();
        let store = disk.open().unwrap();
        enroll(&store, "lobby").await;
        let mut answered = Answered::default();
        disk.good_for(good_for);
        publish(&store, 0, &mut answered).await;
        disk.good_for(u64::MAX);
        publish(&store, 1, &mut answered).await;
        assert!(answered.offsets.contains_key("1-59"), "it goes on, failing at {good_for}");
        check(&store, &answered).await;
        // What was read back from a journal whose sync failed may be in the cache alone.
        let store = disk.cut(|| false).open().unwrap();
        check(&store, &answered).await;
    }
}

#[tokio::test]
async fn a_batch_costs_one_sync_of_the_journal_and_the_database_is_synced_when_that_is_full() {
    let disk = Disk::new();
    let store = disk.open().unwrap();
    let before = disk.0.lock().unwrap().database.syncs;
    for n in 0..60 {
        store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap();
    }
    let (database, journal) = {
        let platters = disk.0.lock().unwrap();
        (platters.database.syncs - before, platters.journal.syncs)
    };
    assert!(journal > 40 && (3..20).contains(&database), "{journal} syncs of the journal, {database} of the database");
}

#[tokio::test]
async fn a_journal_is_not_taken_for_that_of_another_store() {
    let disk = Disk::new();
    let store = disk.open().unwrap();
    store.publish(vec![item("a", "all", "x")], T0).await.unwrap();
    let other = Disk::new();
    other.0.lock().unwrap().journal.seen = disk.0.lock().unwrap().journal.seen.clone();
    let store = other.open().unwrap();
    assert!(store.event("a", None).await.unwrap().is_none(), "its records have another seed");
    store.publish(vec![item("b", "all", "x")], T0).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_older_than_its_journal_is_refused_with_the_cure() {
    let disk = Disk::new();
    let store = disk.open().unwrap();
    store.publish(vec![item("first", "all", "x")], T0).await.unwrap();
    store.clone().close().await;
    let old = disk.0.lock().unwrap().database.seen.clone();
    let store = disk.cut(|| true);
    let (disk, store) = (store.clone(), store.open().unwrap());
    for n in 0..60 {
        store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap();
    }
    let mixed = disk.cut(|| true);
    mixed.0.lock().unwrap().database.seen = old;
    let refused = mixed.open().unwrap_err().to_string();
    assert!(refused.contains("remove pikiosk.journal"), "{refused}");
}
