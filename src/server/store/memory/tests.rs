//! What only the engine in memory has: its bound in bytes, and how it forgets.

use std::collections::HashSet;

use super::{handle::Memory as Store, *};
use crate::{
    event::{Event, Receipt, Status, command, command::Kind},
    io::random,
    server::store::Limits,
};

const T0: u64 = 1_777_896_000_000;
const DAY: u64 = 24 * 3_600_000;

fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let event = Event::new(id, "test", kind).to(to.parse().unwrap());
    Publish { event, command, expires_ms: (command == Some(Kind::Action)).then_some(T0 + 60_000) }
}

async fn enroll(store: &Store, display: &str) {
    let (code, _) = store.create_enrollment(Some(display.parse().unwrap()), 1000, T0).await.unwrap();
    store.redeem(Redeem { code, public_key: [7; 32], display: None }, T0).await.unwrap();
}

/// A store whose feed is read by nobody, and does not hold it up.
fn open(limits: Limits) -> Store {
    Store::open(limits, random::fill).0
}

#[tokio::test]
async fn another_process_has_other_epochs_so_no_old_position_is_believed() {
    let heads = |store: Store| async move { store.heads(&["all".parse().unwrap()]).await.unwrap().remove(0).1 };
    assert_ne!(heads(open(Limits::default())).await.epoch, heads(open(Limits::default())).await.epoch);
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_state_and_what_is_owed_never_are() {
    let store = open(Limits { history_events: 1, ..Limits::default() });
    enroll(&store, "lobby").await;
    for (id, kind) in [("state", "kiosk.navigate"), ("owed", "kiosk.zoom"), ("zoom", "kiosk.zoom"), ("own", "x")] {
        store.publish(vec![item(id, "display/lobby", kind)], T0).await.unwrap();
    }
    store.receipt(&"lobby".parse().unwrap(), Receipt::new("state", "test", Status::Shown, 1), T0).await.unwrap();
    store.publish(vec![item("last", "display/lobby", "x")], T0).await.unwrap();
    store.expire(T0 + DAY - 1, HashSet::new()).await.unwrap();
    assert!(store.event("own", None).await.unwrap().is_some(), "not a moment before its day");
    store.expire(T0 + DAY + 60_000, HashSet::new()).await.unwrap();
    for (id, kept) in [("state", true), ("owed", true), ("zoom", true), ("own", false), ("last", true)] {
        assert_eq!(store.event(id, None).await.unwrap().is_some(), kept, "{id}");
    }
    let again = store.publish(vec![item("own", "all", "x")], T0 + DAY + 60_001).await.unwrap();
    assert!(again[0].fresh, "after a day it is another event");
    store.expire(T0 + 8 * DAY, HashSet::new()).await.unwrap();
    assert!(store.event("last", None).await.unwrap().is_none(), "an idle address keeps nothing for ever");
    let backlog = store.backlog(&"lobby".parse().unwrap(), T0 + 8 * DAY).await.unwrap();
    assert_eq!(backlog.state.len(), 2);
}

#[tokio::test]
async fn a_crowd_of_events_is_thinned_before_its_day_and_repeats_are_known_all_the_same() {
    let store = open(Limits { history_events: 2, detail_events: 50, ..Limits::default() });
    for n in 0..2_000 {
        store.publish(vec![item(&format!("e{n}"), "all", "x")], T0 + n).await.unwrap();
    }
    assert!(store.event("e0", None).await.unwrap().is_none());
    let again = store.publish(vec![item("e0", "all", "x")], T0 + 3_000).await.unwrap().remove(0);
    assert_eq!((again.fresh, again.position.offset), (false, 1));
    let history = store.history(&"all".parse().unwrap(), 0, 10).await.unwrap();
    assert_eq!((history.head.first, history.events.len()), (1_999, 2));
}

#[tokio::test]
async fn over_its_bytes_the_oldest_leave_first_without_a_gap_and_what_is_owed_stays_until_nothing_fits() {
    let store = open(Limits { memory_bytes: 64 * 1024, ..Limits::default() });
    enroll(&store, "lobby").await;
    store.publish(vec![item("owed", "display/lobby", "kiosk.message")], T0).await.unwrap();
    for n in 0..500 {
        store.publish(vec![item(&format!("e{n}"), "user/anna", "x")], T0).await.unwrap();
    }
    let history = store.history(&"user/anna".parse().unwrap(), 0, 1_000).await.unwrap();
    let offsets: Vec<u64> = history.events.iter().map(|event| event.position.offset).collect();
    assert_eq!(offsets, (history.head.first..=500).collect::<Vec<_>>());
    assert!((10..100).contains(&offsets.len()), "{} are left", offsets.len());
    assert!(store.event("owed", None).await.unwrap().is_some());
    assert!(!store.publish(vec![item("e0", "all", "x")], T0).await.unwrap()[0].fresh, "repeats are known");

    let mut refused = None;
    for n in 0..500 {
        let owed = item(&format!("m{n}"), "display/lobby", "kiosk.message");
        if let Err(error) = store.publish(vec![owed], T0).await {
            refused = Some((n, error));
            break;
        }
    }
    let (kept, error) = refused.expect("owed actions cannot be forgotten");
    assert!(matches!(error, StoreError::Full { .. }) && kept > 10, "{kept}: {error}");
    for n in 0..kept {
        assert!(store.event(&format!("m{n}"), None).await.unwrap().is_some());
    }
    store.expire(T0 + 60_000, HashSet::new()).await.unwrap();
    store.publish(vec![item("on", "display/lobby", "kiosk.message")], T0 + 60_000).await.unwrap();
}

#[tokio::test]
async fn a_full_memory_of_ids_or_addresses_refuses_and_forgets_nothing() {
    let store = open(Limits { dedupe_entries: 3, addresses: 2, ..Limits::default() });
    for (id, to) in [("a", "user/a"), ("b", "user/b")] {
        store.publish(vec![item(id, to, "x")], T0).await.unwrap();
    }
    let full = store.publish(vec![item("c", "user/c", "x")], T0).await.unwrap_err();
    assert!(full.to_string().contains("addresses"), "{full}");
    store.publish(vec![item("c", "user/a", "x")], T0).await.unwrap();
    let full = store.publish(vec![item("d", "user/a", "x"), item("a", "user/a", "x")], T0).await.unwrap_err();
    assert!(full.to_string().contains("event ids"), "{full}");
    assert!(!store.publish(vec![item("a", "user/a", "x")], T0).await.unwrap()[0].fresh);
    assert!(store.publish(vec![item("d", "user/a", "x")], T0 + DAY).await.is_err(), "a call makes room for the next");
    store.expire(T0 + 8 * DAY, HashSet::new()).await.unwrap();
    assert!(store.publish(vec![item("d", "user/a", "x")], T0 + 8 * DAY).await.unwrap()[0].fresh);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_does_not_read_stops_the_publishers_and_loses_nothing() {
    let (store, mut feed) = Store::open(Limits { feed: 2, ..Limits::default() }, random::fill);
    for id in ["a", "b"] {
        store.publish(vec![item(id, "all", "x")], T0).await.unwrap();
    }
    assert_eq!(store.publish(vec![item("c", "all", "x")], T0).await.unwrap_err(), StoreError::Busy);
    assert!(store.event("c", None).await.unwrap().is_none(), "busy means not stored");
    let waits = tokio::spawn({
        let store = store.clone();
        async move { store.publish(vec![item("d", "all", "x")], T0).await }
    });
    tokio::task::yield_now().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        for one in feed.recv().await.unwrap() {
            let Fed::Event(event) = one else { panic!() };
            ids.push(event.event.id.clone());
        }
    }
    waits.await.unwrap().unwrap();
    assert_eq!(ids, ["a", "b", "d"]);
    drop(feed);
    store.publish(vec![item("e", "all", "x")], T0).await.unwrap();
    store.clone().close().await;
    assert_eq!(store.publish(vec![item("f", "all", "x")], T0).await.unwrap_err(), StoreError::Closed);
    assert!(!store.is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_on_all_threads_get_commits_that_the_feed_brings_in_order() {
    let (store, mut feed) = Store::open(Limits::default(), random::fill);
    let publishers: Vec<_> = (0..8)
        .map(|publisher| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..200 {
                    store.publish(vec![item(&format!("{publisher}-{n}"), "all", "x")], T0).await.unwrap();
                }
            })
        })
        .collect();
    let mut last = 0;
    while last < 1_600 {
        for one in feed.recv().await.unwrap() {
            let Fed::Event(event) = one else { panic!() };
            assert_eq!((event.commit, event.position.offset), (last + 1, last + 1));
            last += 1;
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
