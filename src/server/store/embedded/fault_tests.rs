//! A disk that fails at any moment: nothing that was answered is lost, nothing is stored twice, and the store goes on by
//! itself when the disk does. And what is forgotten with time, and what never is.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::{handle::Embedded as Store, open as embedded, results::Results, *};
use crate::{
    event::{Event, Receipt, Status, command, command::Kind},
    io::random,
};

const T0: u64 = 1_777_896_000_000;
const DAY: u64 = 24 * 3_600_000;

/// A disk in memory that outlives the database on it, and fails from the n-th write or sync on.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    good_for: Arc<AtomicI64>,
    syncs: Arc<AtomicU64>,
}

impl Disk {
    fn new() -> Self {
        Disk { bytes: Arc::default(), good_for: Arc::new(AtomicI64::new(i64::MAX)), syncs: Arc::default() }
    }

    fn work(&self) -> io::Result<()> {
        match self.good_for.fetch_sub(1, Ordering::SeqCst) {
            left if left > 0 => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }

    fn store(&self, limits: Limits) -> (Store, Feed) {
        let disk = self.clone();
        let opener = Box::new(move || Ok(redb::Builder::new().create_with_backend(disk.clone())?));
        let opened =
            embedded::start(opener, || Ok(None), None, Results::Memory(Default::default()), limits, random::fill);
        Store::from_opened(opened.unwrap())
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock().unwrap();
        let from = offset as usize;
        let found = bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.work()?;
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.work()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.work()?;
        let from = offset as usize;
        self.bytes.lock().unwrap()[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let event = Event::new(id, "test", kind).to(to.parse().unwrap());
    Publish { event, command, expires_ms: (command == Some(Kind::Action)).then_some(T0 + 60_000) }
}

async fn enroll(store: &Store, display: &str) {
    let (code, _) = store.create_enrollment(Some(display.parse().unwrap()), 1000, T0).await.unwrap();
    store.redeem(Redeem { code, public_key: [7; 32], display: None }, T0).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fails_at_any_write_loses_nothing_that_was_answered() {
    for n in 0..60 {
        let disk = Disk::new();
        let (store, mut feed) = disk.store(Limits::default());
        let fed = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(batch) = feed.recv().await {
                for one in batch {
                    if let Fed::Event(event) = one {
                        seen.push((event.commit, event.event.id.clone()));
                    }
                }
            }
            seen
        });
        enroll(&store, "lobby").await;
        store.publish(vec![item("before", "all", "kiosk.zoom")], T0).await.unwrap();
        disk.good_for.store(n, Ordering::SeqCst);
        let mut failed = Vec::new();
        for event in 0..6 {
            let id = format!("e{event}");
            if let Err(error) = store.publish(vec![item(&id, "display/lobby", "kiosk.message")], T0).await {
                assert_eq!(error, StoreError::DiskFull, "failing at {n}");
                failed.push(event);
            }
        }
        disk.good_for.store(i64::MAX, Ordering::SeqCst);
        for event in 0..6 {
            let id = format!("e{event}");
            let again = store.publish(vec![item(&id, "display/lobby", "kiosk.message")], T0).await.unwrap();
            assert!(!again[0].fresh || failed.contains(&event), "e{event} was answered and is gone, failing at {n}");
        }
        let actions = store.backlog(&"lobby".parse().unwrap(), T0).await.unwrap().pending_actions;
        let mut ids: Vec<_> = actions.iter().map(|event| event.event.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["e0", "e1", "e2", "e3", "e4", "e5"], "failing at {n}");
        assert!(store.event("before", None).await.unwrap().is_some());
        store.close().await;
        let fed = fed.await.unwrap();
        let unique: HashSet<_> = fed.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!((fed.len(), unique.len()), (7, 7), "the feed tells each event once, failing at {n}: {fed:?}");
        assert!(fed.is_sorted(), "in commit order, failing at {n}");
    }
}

#[tokio::test]
async fn many_publishes_share_one_sync() {
    let disk = Disk::new();
    let (store, mut feed) = disk.store(Limits::default());
    let before = (disk.syncs.load(Ordering::SeqCst), store.stats());
    let publishes = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap() })
    });
    let publishes: Vec<_> = publishes.collect();
    let drained = tokio::spawn(async move { while feed.recv().await.is_some() {} });
    for publish in publishes {
        publish.await.unwrap();
    }
    let (syncs, stats) = (disk.syncs.load(Ordering::SeqCst) - before.0, store.stats());
    assert_eq!(stats.events - before.1.events, 200);
    assert!(stats.commits - before.1.commits < 50, "{stats:?}");
    assert!(syncs <= 2 * (stats.commits - before.1.commits), "{syncs} syncs, {stats:?}");
    store.close().await;
    drained.await.unwrap();
}

#[tokio::test]
async fn a_hub_that_does_not_read_stops_the_publishers_and_loses_nothing() {
    let (store, mut feed) = Disk::new().store(Limits { feed: 1, queue: 1, ..Limits::default() });
    let publishing = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..50 {
                store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap();
            }
        }
    });
    let mut count = 0;
    while count < 50 {
        count += feed.recv().await.unwrap().len();
        tokio::task::yield_now().await;
    }
    publishing.await.unwrap();
    assert_eq!(store.stats().events, 50);
}

/// A store in memory with little room, where every `expire` prunes.
fn small() -> (Store, Feed) {
    Disk::new().store(Limits { history_events: 3, history_ms: 7 * DAY, detail_events: 10, ..Limits::default() })
}

async fn prune(store: &Store, now_ms: u64) {
    for _ in 0..4 {
        store.expire(now_ms, HashSet::new()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_state_and_what_is_owed_never_are() {
    let (store, feed) = small();
    drop(feed);
    enroll(&store, "lobby").await;
    store.publish(vec![item("state", "display/lobby", "kiosk.navigate")], T0).await.unwrap();
    store.publish(vec![item("owed", "display/lobby", "kiosk.zoom")], T0).await.unwrap();
    store.publish(vec![item("newer", "display/lobby", "kiosk.zoom")], T0).await.unwrap();
    for n in 0..5 {
        store.publish(vec![item(&format!("e{n}"), "display/lobby", "x")], T0).await.unwrap();
    }
    let lobby = "lobby".parse().unwrap();
    store.receipt(&lobby, Receipt::new("state", "test", Status::Shown, 1), T0).await.unwrap();
    let known = async |id: &str| store.event(id, Some("test")).await.unwrap().is_some();

    prune(&store, T0 + DAY - 1).await;
    assert!(known("e0").await && known("e4").await, "nothing goes within 24 h");
    // The pruner rests for a minute where it found nothing old.
    prune(&store, T0 + DAY + 60_000).await;
    for (id, there) in [("state", true), ("owed", true), ("newer", true), ("e0", false), ("e1", false), ("e2", true)] {
        assert_eq!(known(id).await, there, "{id} after a day: in the history only the last three are");
    }
    assert_eq!(store.history(&"display/lobby".parse().unwrap(), 5, 9).await.unwrap().events.len(), 3);
    prune(&store, T0 + 8 * DAY).await;
    assert!(!known("e4").await && known("state").await && known("owed").await, "after a week the history goes too");
    let head = store.heads(&["display/lobby".parse().unwrap()]).await.unwrap().remove(0).1;
    assert_eq!((head.first, head.last), (9, 8), "and says so");

    let backlog = store.backlog(&lobby, T0 + 8 * DAY).await.unwrap();
    assert_eq!(backlog.state.iter().map(|event| event.event.id.as_str()).collect::<Vec<_>>(), ["state", "newer"]);
    prune(&store, T0 + 9 * DAY).await;
    assert!(!known("owed").await, "superseded by now, so it is owed no more");
    let again = store.publish(vec![item("e0", "all", "x")], T0 + 9 * DAY).await.unwrap();
    assert!(again[0].fresh, "an id that is forgotten is new");
    let state = store.publish(vec![item("state", "all", "x")], T0 + 9 * DAY).await.unwrap();
    assert!(!state[0].fresh, "an id whose event is still there is not");
}

#[tokio::test]
async fn a_crowd_of_events_is_thinned_before_its_day_and_repeats_are_known_all_the_same() {
    let (store, feed) = small();
    drop(feed);
    let first = store.publish(vec![item("e0", "all", "x")], T0).await.unwrap().remove(0);
    for n in 1..60 {
        store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap();
    }
    prune(&store, T0 + 1).await;
    assert!(store.event("e0", None).await.unwrap().is_none());
    assert!(store.event("e59", None).await.unwrap().is_some());
    let again = store.publish(vec![item("e0", "all", "x")], T0 + DAY - 1).await.unwrap().remove(0);
    assert_eq!(again, Published { fresh: false, ..first });
}

#[tokio::test]
async fn a_full_memory_of_ids_refuses_and_does_not_forget() {
    let (store, feed) = Disk::new().store(Limits { dedupe_entries: 3, ..Limits::default() });
    drop(feed);
    for n in 0..3 {
        store.publish(vec![item(&format!("e{n}"), "all", "x")], T0).await.unwrap();
    }
    let full = store.publish(vec![item("e3", "all", "x")], T0).await.unwrap_err();
    assert!(matches!(full, StoreError::Full { what: "event ids", limit: 3 }));
    assert!(!store.publish(vec![item("e0", "all", "x")], T0).await.unwrap()[0].fresh, "a repeat needs no room");
}

#[tokio::test]
async fn the_number_of_addresses_is_bounded_and_known_ones_go_on() {
    let (store, feed) = Disk::new().store(Limits { addresses: 2, ..Limits::default() });
    drop(feed);
    store.publish(vec![item("a", "user/a", "x"), item("b", "user/b", "x")], T0).await.unwrap();
    let full = store.publish(vec![item("c", "user/c", "x")], T0).await.unwrap_err();
    assert!(matches!(full, StoreError::Full { what: "addresses", .. }));
    assert!(store.publish(vec![item("d", "user/a", "x")], T0).await.unwrap()[0].fresh);
}
