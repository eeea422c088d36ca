use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::{
    auth::ticket::Grant,
    event::{Address, DisplayId, Event, Receipt, Status, command, command::Kind},
    io::random,
};

const T0: u64 = 1_777_896_000_000;
const DAY: u64 = 24 * 3_600_000;

fn id(text: &str) -> DisplayId {
    text.parse().unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn memory() -> (Store, Feed) {
    with_limits(Limits::default())
}

fn with_limits(limits: Limits) -> (Store, Feed) {
    Store::open(Options { data: None, limits }, random::fill).unwrap()
}

fn on_disk(dir: &tempfile::TempDir) -> (Store, Feed) {
    Store::open(Options { data: Some(dir.path().join("data")), limits: Limits::default() }, random::fill).unwrap()
}

/// An event as the publisher's side of the server would hand it over.
fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let event = Event::new(id, "test", kind).to(address(to)).with_data(&serde_json::json!({"n": id}));
    Publish { event, command, expires_ms: (command == Some(Kind::Action)).then_some(T0 + 60_000) }
}

async fn publish(store: &Store, id: &str, to: &str, kind: &str) -> Published {
    store.publish(vec![item(id, to, kind)], T0).await.unwrap().remove(0)
}

async fn enroll(store: &Store, display: &str, groups: &[&str]) {
    let (code, _) = store.create_enrollment(Some(id(display)), 1000, T0).await.unwrap();
    let redeem = Redeem { code, public_key: [7; 32], display: None };
    assert_eq!(store.redeem(redeem, T0).await.unwrap().display, id(display));
    let groups: BTreeSet<_> = groups.iter().map(|name| name.parse().unwrap()).collect();
    store.patch_display(&id(display), DisplayPatch { label: None, groups: Some(groups) }).await.unwrap();
}

async fn settle(store: &Store, display: &str, event: &str, status: Status) -> ReceiptOutcome {
    store.receipt(&id(display), Receipt::new(event, "test", status, 5), T0).await.unwrap()
}

fn ids(events: &[std::sync::Arc<Committed>]) -> Vec<&str> {
    events.iter().map(|event| event.event.id.as_str()).collect()
}

async fn receipts(store: &Store, event: &str) -> Vec<(String, Status)> {
    let record = store.event(event, Some("test")).await.unwrap().unwrap();
    record.receipts.iter().map(|(display, receipt)| (display.to_string(), receipt.status)).collect()
}

#[tokio::test]
async fn a_publish_gets_the_next_position_of_its_address_and_reaches_the_feed() {
    let (store, mut feed) = memory();
    enroll(&store, "lobby", &[]).await;
    let first = publish(&store, "a", "display/lobby", "kiosk.navigate").await;
    let second = publish(&store, "b", "display/lobby", "org.example").await;
    let other = publish(&store, "c", "all", "kiosk.reload").await;
    assert_eq!((first.position.offset, second.position.offset, other.position.offset), (1, 2, 1));
    assert_eq!(first.position.epoch, second.position.epoch);
    assert_ne!(first.position.epoch, other.position.epoch, "an epoch belongs to one address");
    assert!(first.commit < second.commit && second.commit < other.commit);

    let Fed::Event(fed) = feed.recv().await.unwrap().remove(0) else { panic!() };
    assert_eq!((fed.commit, fed.targets.as_slice()), (first.commit, &[id("lobby")][..]));
    let sent = Event::from_json(fed.text.as_bytes()).unwrap();
    assert_eq!(sent.position, Some(first.position.clone()), "the text carries offset and epoch");
    assert_eq!(sent, fed.event);
}

#[tokio::test]
async fn a_repeat_of_source_and_id_gets_the_first_position_whatever_it_carries() {
    let (store, mut feed) = memory();
    enroll(&store, "lobby", &[]).await;
    let first = publish(&store, "a", "all", "kiosk.reload").await;
    let again = store.publish(vec![item("a", "display/lobby", "org.other")], T0 + DAY - 1).await.unwrap().remove(0);
    assert_eq!(again, Published { fresh: false, ..first.clone() });

    let mut elsewhere = item("a", "all", "kiosk.reload");
    elsewhere.event.source = "other".into();
    let batch = vec![elsewhere.clone(), item("b", "all", "x"), elsewhere, item("b", "display/lobby", "y")];
    let published = store.publish(batch, T0).await.unwrap();
    assert_eq!(published.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(published[1].position, published[3].position, "a repeat inside one batch");
    feed.recv().await.unwrap();
    assert_eq!(feed.recv().await.unwrap().len(), 2, "repeats do not reach the feed");
}

#[tokio::test]
async fn a_token_that_came_with_an_event_is_not_kept_and_no_address_is_no_audience() {
    let (store, mut feed) = memory();
    let mut secret = item("a", "all", "x");
    secret.event.token = Some(crate::event::envelope::Token("hush".into()));
    store.publish(vec![secret], T0).await.unwrap();
    let Fed::Event(fed) = feed.recv().await.unwrap().remove(0) else { panic!() };
    assert!(fed.event.token.is_none() && !fed.text.contains("hush"));
    let mut nowhere = item("b", "all", "x");
    nowhere.event.subject = None;
    assert!(store.publish(vec![nowhere], T0).await.is_err());
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
async fn a_batch_with_a_display_that_is_not_enrolled_stores_nothing() {
    let (store, _feed) = memory();
    let batch = vec![item("a", "all", "x"), item("b", "display/nobody", "kiosk.reload")];
    assert_eq!(store.publish(batch, T0).await.unwrap_err(), StoreError::NotEnrolled(id("nobody")));
    assert!(store.event("a", None).await.unwrap().is_none());
    assert!(publish(&store, "a", "all", "x").await.fresh);
    let refused = store.publish(vec![item("c", "display/nobody", "org.example")], T0).await;
    assert!(refused.is_err(), "own types too");
}

#[tokio::test]
async fn a_command_waits_for_each_display_that_its_address_reaches() {
    let (store, _feed) = memory();
    enroll(&store, "one", &["shops"]).await;
    enroll(&store, "two", &["shops", "north"]).await;
    enroll(&store, "three", &[]).await;
    for (event, to, displays) in [
        ("e1", "display/one", &["one"][..]),
        ("e2", "group/shops", &["one", "two"]),
        ("e3", "group/north", &["two"]),
        ("e4", "group/nobody", &[]),
        ("e5", "all", &["one", "three", "two"]),
        ("e6", "user/anna", &[]),
    ] {
        publish(&store, event, to, "kiosk.reload").await;
        let record = store.event(event, None).await.unwrap().unwrap();
        assert_eq!(record.pending.iter().map(|id| id.as_str()).collect::<Vec<_>>(), displays, "{to}");
    }
    publish(&store, "own", "all", "org.example").await;
    assert!(store.event("own", None).await.unwrap().unwrap().pending.is_empty(), "nobody owes a receipt for it");
}

#[tokio::test]
async fn the_first_final_receipt_stays_and_only_the_frame_is_filled_in() {
    let (store, mut feed) = memory();
    enroll(&store, "lobby", &[]).await;
    publish(&store, "a", "display/lobby", "kiosk.navigate").await;
    assert_eq!(settle(&store, "lobby", "a", Status::Shown).await, ReceiptOutcome::First);
    assert_eq!(settle(&store, "lobby", "a", Status::Shown).await, ReceiptOutcome::AlreadyFinal);
    assert_eq!(settle(&store, "lobby", "a", Status::Failed).await, ReceiptOutcome::AlreadyFinal);
    let mut frame = Receipt::new("a", "test", Status::Shown, 5);
    frame.frame_sha256 = Some("ff".into());
    assert_eq!(store.receipt(&id("lobby"), frame.clone(), T0).await.unwrap(), ReceiptOutcome::Updated);
    frame.frame_sha256 = Some("00".into());
    assert_eq!(store.receipt(&id("lobby"), frame, T0).await.unwrap(), ReceiptOutcome::AlreadyFinal);
    let record = store.event("a", None).await.unwrap().unwrap();
    assert_eq!(record.receipts[0].1.frame_sha256.as_deref(), Some("ff"));
    assert!(record.pending.is_empty());
    assert_eq!(settle(&store, "lobby", "zzz", Status::Done).await, ReceiptOutcome::UnknownEvent);
    assert_eq!(settle(&store, "nobody", "a", Status::Done).await, ReceiptOutcome::UnknownEvent);

    let mut fed = Vec::new();
    while fed.len() < 3 {
        fed.extend(feed.recv().await.unwrap());
    }
    assert!(matches!(&fed[1], Fed::Receipt(settled) if settled.receipt.frame_sha256.is_none()));
    assert!(matches!(&fed[2], Fed::Receipt(settled) if settled.receipt.frame_sha256.is_some()));
}

#[tokio::test]
async fn a_receipt_without_source_finds_the_event_that_is_still_owed() {
    let (store, _feed) = memory();
    enroll(&store, "lobby", &[]).await;
    publish(&store, "a", "all", "kiosk.reload").await;
    settle(&store, "lobby", "a", Status::Done).await;
    let mut other = item("a", "all", "kiosk.reload");
    other.event.source = "other".into();
    store.publish(vec![other], T0).await.unwrap();
    let receipt = Receipt { source: None, ..Receipt::new("a", "", Status::Failed, 1) };
    assert_eq!(store.receipt(&id("lobby"), receipt, T0).await.unwrap(), ReceiptOutcome::First);
    assert_eq!(receipts(&store, "a").await, [("lobby".into(), Status::Done)]);
    let other = store.event("a", Some("other")).await.unwrap().unwrap();
    assert_eq!(other.receipts[0].1.status, Status::Failed);
}

#[tokio::test]
async fn a_display_that_connects_gets_the_newest_state_of_each_slot_and_its_actions() {
    let (store, _feed) = memory();
    enroll(&store, "lobby", &["shops"]).await;
    publish(&store, "n1", "display/lobby", "kiosk.navigate").await;
    publish(&store, "z1", "all", "kiosk.zoom").await;
    publish(&store, "m1", "display/lobby", "kiosk.message").await;
    publish(&store, "p1", "group/shops", "kiosk.playlist").await;
    publish(&store, "m2", "all", "kiosk.message").await;
    publish(&store, "x1", "group/other", "kiosk.navigate").await;

    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["z1", "p1"], "navigate and playlist share a slot; in commit order");
    assert_eq!(ids(&backlog.pending_actions), ["m1", "m2"]);
    assert_eq!(receipts(&store, "n1").await, [("lobby".into(), Status::Superseded)]);
    assert_eq!(backlog.superseded.len(), 1);

    settle(&store, "lobby", "p1", Status::Shown).await;
    settle(&store, "lobby", "m1", Status::Shown).await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["z1", "p1"], "state is always given, done or not");
    assert_eq!(ids(&backlog.pending_actions), ["m2"]);
    assert!(backlog.superseded.is_empty());
    assert_eq!(store.backlog(&id("nobody"), T0).await.unwrap_err(), StoreError::NotEnrolled(id("nobody")));
}

#[tokio::test]
async fn a_display_that_joins_a_group_gets_its_state_and_may_answer_for_it() {
    let (store, _feed) = memory();
    enroll(&store, "lobby", &[]).await;
    publish(&store, "n1", "group/shops", "kiosk.navigate").await;
    assert!(store.backlog(&id("lobby"), T0).await.unwrap().state.is_empty());
    assert_eq!(settle(&store, "lobby", "n1", Status::Shown).await, ReceiptOutcome::UnknownEvent);
    let groups = Some(["shops".parse().unwrap()].into());
    store.patch_display(&id("lobby"), DisplayPatch { groups, label: Some("Lobby".into()) }).await.unwrap();
    assert_eq!(ids(&store.backlog(&id("lobby"), T0).await.unwrap().state), ["n1"]);
    assert_eq!(settle(&store, "lobby", "n1", Status::Shown).await, ReceiptOutcome::First);
    assert_eq!(store.display(&id("lobby")).await.unwrap().unwrap().label, "Lobby");
}

#[tokio::test]
async fn what_is_overdue_expires_at_once_or_after_a_grace_for_who_is_connected() {
    let (store, _feed) = memory();
    enroll(&store, "on", &[]).await;
    enroll(&store, "off", &[]).await;
    publish(&store, "m", "all", "kiosk.message").await;
    let connected: HashSet<_> = [id("on")].into();
    let due = T0 + 60_000;
    let expired = |settled: Vec<Settled>| settled.iter().map(|one| one.display.to_string()).collect::<Vec<_>>();
    assert!(store.expire(due - 1, connected.clone()).await.unwrap().is_empty());
    assert_eq!(expired(store.expire(due, connected.clone()).await.unwrap()), ["off"]);
    assert_eq!(store.backlog(&id("on"), due).await.unwrap().pending_actions.len(), 0, "it is not sent any more");
    assert!(store.expire(due + 29_999, connected.clone()).await.unwrap().is_empty(), "it may be acting");
    assert_eq!(expired(store.expire(due + 30_000, connected).await.unwrap()), ["on"]);
    assert_eq!(receipts(&store, "m").await, [("off".into(), Status::Expired), ("on".into(), Status::Expired)]);
    assert_eq!(settle(&store, "on", "m", Status::Shown).await, ReceiptOutcome::AlreadyFinal);
}

#[tokio::test]
async fn a_full_queue_refuses_its_display_and_does_not_silence_the_others() {
    let (store, _feed) = with_limits(Limits { pending_actions: 2, ..Limits::default() });
    enroll(&store, "gone", &[]).await;
    publish(&store, "a", "display/gone", "kiosk.message").await;
    let batch = vec![item("b", "display/gone", "kiosk.message"), item("c", "display/gone", "kiosk.message")];
    let full = StoreError::QueueFull { display: id("gone"), limit: 2 };
    assert_eq!(store.publish(batch, T0).await.unwrap_err(), full, "a batch counts itself");
    publish(&store, "b", "display/gone", "kiosk.message").await;
    assert_eq!(store.publish(vec![item("c", "display/gone", "kiosk.message")], T0).await.unwrap_err(), full);
    publish(&store, "n", "display/gone", "kiosk.navigate").await;

    enroll(&store, "here", &[]).await;
    publish(&store, "c", "all", "kiosk.message").await;
    assert_eq!(receipts(&store, "c").await, [("gone".into(), Status::Failed)]);
    assert_eq!(store.event("c", None).await.unwrap().unwrap().pending, [id("here")]);
    settle(&store, "gone", "a", Status::Done).await;
    publish(&store, "d", "display/gone", "kiosk.message").await;
}

#[tokio::test]
async fn a_burst_of_state_for_a_display_that_is_away_keeps_a_bounded_number_pending() {
    let (store, _feed) = with_limits(Limits { pending_states: 3, ..Limits::default() });
    enroll(&store, "away", &[]).await;
    for n in 0..10 {
        publish(&store, &format!("n{n}"), "display/away", "kiosk.navigate").await;
    }
    assert_eq!(receipts(&store, "n6").await, [("away".into(), Status::Superseded)]);
    assert!(receipts(&store, "n7").await.is_empty());
    assert_eq!(ids(&store.backlog(&id("away"), T0).await.unwrap().state), ["n9"]);
    assert_eq!(receipts(&store, "n8").await, [("away".into(), Status::Superseded)]);
}

#[tokio::test]
async fn history_is_replayed_in_pieces_and_tells_what_is_lost() {
    let (store, _feed) = with_limits(Limits { history_events: 5, ..Limits::default() });
    let all = address("all");
    let before = store.heads(std::slice::from_ref(&all)).await.unwrap().remove(0).1;
    assert_eq!((before.last, before.first), (0, 1));
    for n in 1..=8 {
        publish(&store, &format!("e{n}"), "all", "x").await;
    }
    let head = store.heads(std::slice::from_ref(&all)).await.unwrap().remove(0).1;
    assert_eq!((head.last, head.first), (8, 4));
    assert_eq!(head.epoch, before.epoch, "known before the first event");
    let page = store.history(&all, 4, 3).await.unwrap();
    assert_eq!((ids(&page.events), page.more), (vec!["e5", "e6", "e7"], true));
    let rest = store.history(&all, 7, 3).await.unwrap();
    assert_eq!((ids(&rest.events), rest.more, rest.as_of), (vec!["e8"], false, 8));
    let at = |offset| crate::event::Position { epoch: head.epoch.clone(), offset };
    for (position, recovered) in [(at(3), true), (at(2), false), (at(8), true), (at(9), false), (at(0), false)] {
        assert_eq!(head.recovers(&position), recovered, "{position}");
    }
    assert!(!head.recovers(&crate::event::Position { epoch: "other".into(), offset: 8 }));
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

#[tokio::test]
async fn enrollment_gives_a_display_its_key_once() {
    let (store, _feed) = memory();
    let redeem = |code: &str, key: u8, display: Option<&str>| Redeem {
        code: code.to_lowercase(),
        public_key: [key; 32],
        display: display.map(id),
    };
    let (code, expires) = store.create_enrollment(None, 5000, T0).await.unwrap();
    assert_eq!(expires, T0 + 5000);
    let enrolled = store.redeem(redeem(&code, 1, Some("lobby")), T0).await.unwrap();
    assert_eq!(enrolled, Enrolled { display: id("lobby"), replaced: false });
    assert_eq!(store.redeem(redeem(&code, 1, Some("lobby")), T0).await.unwrap().display, id("lobby"), "the same again");
    assert!(matches!(store.redeem(redeem(&code, 2, Some("lobby")), T0).await, Err(EnrollError::Code(_))));
    assert_eq!(store.display(&id("lobby")).await.unwrap().unwrap().public_key, [1; 32]);

    let (code, _) = store.create_enrollment(None, 5000, T0).await.unwrap();
    for _ in 0..5 {
        let taken = store.redeem(redeem(&code, 2, Some("lobby")), T0).await.unwrap_err();
        assert_eq!(taken, EnrollError::Taken(id("lobby")));
    }
    let tried = store.redeem(redeem(&code, 2, Some("foyer")), T0).await.unwrap_err();
    assert!(tried.to_string().contains("too often"), "{tried}");

    let (code, _) = store.create_enrollment(Some(id("lobby")), 5000, T0).await.unwrap();
    let other = store.redeem(redeem(&code, 2, Some("foyer")), T0).await.unwrap_err();
    assert_eq!(other, EnrollError::ForAnother(id("lobby")));
    let replaced = store.redeem(redeem(&code, 2, None), T0).await.unwrap();
    assert_eq!(replaced, Enrolled { display: id("lobby"), replaced: true });

    let (code, _) = store.create_enrollment(None, 5000, T0).await.unwrap();
    assert!(matches!(store.redeem(redeem(&code, 3, None), T0 + 5000).await, Err(EnrollError::Code("it has expired"))));
    let made_up = store.redeem(redeem(&code, 3, None), T0).await.unwrap().display;
    assert!(made_up.as_str().starts_with("display-"), "{made_up}");
    assert!(matches!(store.redeem(redeem("0000-0000-0000-0", 3, None), T0).await, Err(EnrollError::Code(_))));
    assert!(matches!(store.redeem(redeem("hello", 3, None), T0).await, Err(EnrollError::Code(_))));
}

#[tokio::test]
async fn a_display_that_is_removed_leaves_nothing_behind() {
    let (store, _feed) = memory();
    enroll(&store, "lobby", &["shops"]).await;
    publish(&store, "n", "display/lobby", "kiosk.navigate").await;
    publish(&store, "m", "all", "kiosk.message").await;
    let before = store.heads(&[address("display/lobby")]).await.unwrap().remove(0).1;
    store.put_result(&id("lobby"), "m", "image/png", "png".into(), T0).await.unwrap();
    store.remove_display(&id("lobby"), T0).await.unwrap();
    assert_eq!(receipts(&store, "m").await, [("lobby".into(), Status::Failed)]);
    assert!(store.displays().await.unwrap().is_empty());
    assert!(store.result(&id("lobby"), "m").await.unwrap().is_none());
    assert!(store.publish(vec![item("x", "display/lobby", "x")], T0).await.is_err());
    assert!(store.remove_display(&id("lobby"), T0).await.is_err());

    enroll(&store, "lobby", &[]).await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert!(backlog.state.is_empty() && backlog.pending_actions.is_empty(), "the next card begins afresh");
    let after = store.heads(&[address("display/lobby")]).await.unwrap().remove(0).1;
    assert_ne!(before.epoch, after.epoch, "its history is lost, and the epoch says so");
    publish(&store, "g", "group/shops", "kiosk.message").await;
    assert!(store.event("g", None).await.unwrap().unwrap().pending.is_empty(), "it left its group");
}

#[tokio::test]
async fn tickets_and_nonces_work_once() {
    let (store, _feed) = memory();
    let grant = Grant { user: "anna".parse().unwrap(), display: None };
    let minted = store.mint_ticket(&grant, T0).await.unwrap();
    let value = store.take_ticket(&minted.key, T0 + 20_000).await.unwrap().unwrap();
    assert_eq!(crate::auth::ticket::judge(value.as_bytes(), T0 + 20_000).unwrap().grant, grant);
    assert_eq!(store.take_ticket(&minted.key, T0).await.unwrap(), None);
    assert!(store.use_once("a nonce", T0 + 60_000, T0).await.unwrap());
    assert!(!store.use_once("a nonce", T0 + 60_000, T0 + 59_999).await.unwrap());
    assert!(store.use_once("a nonce", T0 + 120_000, T0 + 60_000).await.unwrap(), "it is over");
}

#[tokio::test]
async fn records_are_kept_in_the_order_of_their_keys_and_replaced() {
    let (store, _feed) = memory();
    let record = |key: &str, value: &str| Record { key: key.into(), value: value.into() };
    for (key, value) in [("b", "2"), ("a", "1"), ("c", "3"), ("b", "two")] {
        store.put_record("things", record(key, value)).await.unwrap();
    }
    store.put_record("others", record("z", "26")).await.unwrap();
    let all = store.records("things", "", 10).await.unwrap();
    assert_eq!(all, [record("a", "1"), record("b", "two"), record("c", "3")]);
    assert_eq!(store.records("things", "a", 1).await.unwrap(), [record("b", "two")]);
    assert!(store.remove_record("things", "a").await.unwrap());
    assert!(!store.remove_record("things", "a").await.unwrap());
    assert_eq!(store.records("things", "", 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn results_belong_to_an_event_of_the_display_and_are_bounded() {
    let (store, _feed) = memory();
    enroll(&store, "lobby", &[]).await;
    publish(&store, "s", "all", "kiosk.screenshot").await;
    let put = |event: &'static str, size: usize| {
        let body = vec![0; size].into();
        let store = store.clone();
        async move { store.put_result(&id("lobby"), event, "image/png", body, T0).await }
    };
    assert_eq!(put("s", 8 * 1024 * 1024).await, Ok(()));
    assert!(matches!(put("s", 8 * 1024 * 1024 + 1).await, Err(StoreError::TooLarge { .. })));
    assert!(matches!(put("other", 1).await, Err(StoreError::UnknownEvent(_))));
    let found = store.latest_result(&id("lobby"), "image/").await.unwrap().unwrap();
    assert_eq!((found.event.as_str(), found.body.len()), ("s", 8 * 1024 * 1024));
    assert!(store.latest_result(&id("lobby"), "text/").await.unwrap().is_none());
}
