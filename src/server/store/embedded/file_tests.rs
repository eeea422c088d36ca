//! The file itself: what it keeps over a restart, who may read it, and what is refused to be opened.

use std::collections::HashSet;

use crate::{
    event::Status,
    io::random,
    server::store::{Store, contract::*, *},
};

fn on_disk(dir: &tempfile::TempDir) -> (Store, Feed) {
    Store::open(Options { data: Some(dir.path().join("data")), limits: Limits::default() }, random::fill).unwrap()
}

#[tokio::test]
async fn a_store_that_is_closed_ends_for_its_clones_too() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = on_disk(&dir);
    let clone = store.clone();
    store.close().await;
    assert_eq!(clone.publish(vec![item("a", "all", "x")], T0).await.unwrap_err(), StoreError::Closed);
    assert!(!clone.is_ready().await);
    drop(feed);
    on_disk(&dir);
}

#[tokio::test]
async fn what_is_published_is_there_after_the_store_was_closed_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = on_disk(&dir);
    enroll(&store, "lobby", &["shops"]).await;
    let first = publish(&store, "a", "group/shops", "kiosk.navigate").await;
    publish(&store, "b", "display/lobby", "kiosk.message").await;
    settle(&store, "lobby", "b", Status::Shown).await;
    store.seen(&id("lobby"), None, T0 + 5);
    store.expire(T0 + DAY / 2, HashSet::new()).await.unwrap();
    drop(feed);
    store.close().await;

    let (store, mut feed) = on_disk(&dir);
    assert_eq!(publish(&store, "a", "all", "x").await, Published { fresh: false, ..first });
    assert_eq!(ids(&store.backlog(&id("lobby"), T0).await.unwrap().state), ["a"]);
    assert_eq!(receipts(&store, "b").await, [("lobby".into(), Status::Shown)]);
    assert_eq!(store.displays().await.unwrap()[0].last_seen_ms, Some(T0 + 5));
    publish(&store, "c", "group/shops", "x").await;
    let Fed::Event(fed) = feed.recv().await.unwrap().remove(0) else { panic!() };
    assert_eq!((fed.event.id.as_str(), fed.position.offset), ("c", 2), "the feed begins after what was known");
}

#[tokio::test]
async fn secrets_are_for_their_owner_and_kept_as_hashes() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (store, _feed) = on_disk(&dir);
    let data = dir.path().join("data");
    let (code, _) = store.create_enrollment(None, 1000, T0).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("pikiosk.redb"))), (0o700, 0o600));
    let file = std::fs::read(data.join("pikiosk.redb")).unwrap();
    for secret in [code.as_str(), &code.replace('-', "")] {
        assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn a_store_that_is_open_elsewhere_or_newer_or_no_store_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _feed) = on_disk(&dir);
    let options = || Options { data: Some(dir.path().join("data")), limits: Limits::default() };
    let locked = Store::open(options(), random::fill).unwrap_err();
    assert!(matches!(&locked, StoreError::Locked(_)) && locked.to_string().contains("second server"), "{locked}");
    store.close().await;

    let file = dir.path().join("data/pikiosk.redb");
    let db = redb::Database::open(&file).unwrap();
    let txn = db.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    txn.open_table(meta).unwrap().insert("schema", 1_000).unwrap();
    txn.commit().unwrap();
    drop(db);
    let newer = Store::open(options(), random::fill).unwrap_err();
    assert!(newer.to_string().contains("start the newer pikiosk"), "{newer}");

    std::fs::write(&file, b"this is no database, but a text that somebody put here").unwrap();
    let damaged = Store::open(options(), random::fill).unwrap_err();
    assert!(matches!(&damaged, StoreError::Damaged(_)), "{damaged:?}");
}
