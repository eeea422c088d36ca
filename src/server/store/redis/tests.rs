//! What only several nodes have, and what a Redis that is killed or emptied does to them.

use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;

use super::super::{
    contract::{
        DAY, T0, address, enroll, id, ids, in_redis, item, publish,
        redis_server::{self, Redis},
    },
    *,
};
use crate::{event::Position, io::random};

/// How long a node may take to find out about anything.
const LIMIT: Duration = Duration::from_secs(20);

fn setup(redis: &Redis) -> RedisSetup {
    RedisSetup { address: redis.url().parse().unwrap(), ..in_redis(Limits::default()) }
}

async fn node(setup: &RedisSetup) -> (Store, Feed) {
    Store::open_redis(setup.clone(), random::fill).await.unwrap()
}

/// Publishes until it is answered, as a careful publisher does.
async fn surely(store: &Store, event: &str, to: &str) -> Published {
    let until = async {
        loop {
            match store.publish(vec![item(event, to, "org.example")], T0).await {
                Ok(mut published) => return published.remove(0),
                Err(StoreError::Unreachable(_) | StoreError::Timeout) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(LIMIT, until).await.expect("Redis is there again")
}

/// Everything the feed brings up to the event of this id: ids, and `LOST` where it says so.
async fn up_to(feed: &mut Feed, last: &str) -> Vec<String> {
    let mut found = Vec::new();
    let read = async {
        loop {
            for fed in feed.recv().await.expect("the feed goes on") {
                match fed {
                    Fed::Event(event) => found.push(event.event.id.clone()),
                    Fed::Lost => found.push("LOST".to_owned()),
                    Fed::Receipt(_) | Fed::Control(_) => {}
                }
            }
            if found.iter().any(|id| id == last) {
                return;
            }
        }
    };
    timeout(LIMIT, read).await.expect("the feed comes so far");
    found
}

async fn position(store: &Store, of: &str) -> Position {
    store.heads(&[address(of)]).await.unwrap().remove(0).1.position()
}

async fn recovers(store: &Store, of: &str, position: &Position) -> bool {
    store.heads(&[address(of)]).await.unwrap().remove(0).1.recovers(position)
}

#[tokio::test]
async fn a_server_waits_for_a_redis_that_is_still_reading_its_file() {
    let mut redis = Redis::durable();
    let setup = setup(&redis);
    let (store, feed) = node(&setup).await;
    for n in 0..60 {
        publish(&store, &n.to_string(), "all", "org.example").await;
    }
    drop(feed);
    store.close().await;
    redis.command(&["BGREWRITEAOF"]).unwrap();
    redis_server::until("the file is written anew", || {
        redis.text(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0")
    });
    let keys: u64 = redis.command(&["DBSIZE"]).unwrap().trim().trim_start_matches(':').parse().unwrap();
    redis.kill();
    let began = std::time::Instant::now();
    // Longer than one waits for a Redis that is not there at all.
    let of_each_us = 17_000_000 / keys;
    let events = ["--loading-process-events-interval-bytes", "1024"];
    redis.start_reading(&["--key-load-delay", &of_each_us.to_string(), events[0], events[1]]);
    let (store, _feed) = node(&setup).await;
    assert!(began.elapsed() > Duration::from_secs(16), "it read for {:?}: this proves nothing", began.elapsed());
    assert_eq!(position(&store, "all").await.offset, 60);
}

#[tokio::test]
async fn what_one_node_takes_every_node_hands_on_in_one_order() {
    let setup = in_redis(Limits::default());
    let ((one, mut feed_one), (two, mut feed_two)) = (node(&setup).await, node(&setup).await);
    let publishing = async |store: &Store, name: &str| {
        for n in 0..50 {
            publish(store, &format!("{name}{n}"), "all", "org.example").await;
        }
    };
    tokio::join!(publishing(&one, "a"), publishing(&two, "b"));
    publish(&one, "end", "all", "org.example").await;
    let (by_one, by_two) = (up_to(&mut feed_one, "end").await, up_to(&mut feed_two, "end").await);
    assert_eq!(by_one.len(), 101);
    assert_eq!(by_one, by_two);
    assert_eq!(one.secret(), two.secret(), "codes that one made the other checks");
}

#[tokio::test]
async fn a_command_to_more_displays_than_the_feed_names_still_names_them_all() {
    let (store, mut feed) = node(&in_redis(Limits::default())).await;
    for n in 0..100 {
        enroll(&store, &format!("d{n:03}"), &["many"]).await;
    }
    publish(&store, "a", "group/many", "kiosk.reload").await;
    let Fed::Event(fed) = feed.recv().await.unwrap().remove(0) else { panic!() };
    assert_eq!(fed.targets.len(), 100);
}

#[tokio::test]
async fn a_display_that_another_node_holds_gets_its_grace_too() {
    let setup = in_redis(Limits::default());
    let ((one, _feed_one), (two, _feed_two)) = (node(&setup).await, node(&setup).await);
    enroll(&one, "on", &[]).await;
    enroll(&one, "off", &[]).await;
    publish(&one, "m", "all", "kiosk.message").await;
    let present = Present { session: "s".into(), name: "on".into(), display: Some(id("on")), since_ms: T0 };
    two.tell_presence(std::slice::from_ref(&present), T0).await.unwrap();
    assert_eq!(one.presence_elsewhere(T0).await.unwrap(), [present]);
    assert!(two.presence_elsewhere(T0).await.unwrap().is_empty(), "its own it knows itself");
    let due = T0 + 60_000;
    let expired = one.expire(due, HashSet::new()).await.unwrap();
    assert_eq!(expired.iter().map(|one| one.display.as_str()).collect::<Vec<_>>(), ["off"]);
    two.close().await;
    assert!(one.presence_elsewhere(T0).await.unwrap().is_empty(), "a node that ended holds nothing");
    assert_eq!(one.expire(due, HashSet::new()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_node_holds_is_believed_for_the_lease_and_no_longer() {
    let setup = in_redis(Limits::default());
    let (one, _feed) = node(&setup).await;
    one.tell_presence(&[], T0).await.unwrap();
    let Store::Redis(engine) = &one else { panic!() };
    let key = engine.engine.key(&format!("node:{}", engine.node));
    let answer = redis_server::shared().command(&["PTTL", &key]).unwrap();
    let left: u64 = answer.trim_start_matches(':').trim().parse().unwrap();
    assert!((LEASE_MS - 5_000..=LEASE_MS).contains(&left), "{left}");
}

#[tokio::test]
async fn a_node_that_the_feed_left_behind_is_told_and_goes_on_from_there() {
    let redis = Redis::start();
    let setup = RedisSetup { limits: Limits { feed: 1, ..Limits::default() }, ..setup(&redis) };
    let (one, mut slow) = node(&setup).await;
    // The hub takes nothing: one batch waits in the channel, one in the reader's hand.
    for n in 0..3 {
        publish(&one, &format!("a{n}"), "all", "org.example").await;
    }
    let Store::Redis(engine) = &one else { panic!() };
    let read_all = async {
        while engine.engine.place().seen < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, read_all).await.unwrap();
    for n in 0..20 {
        publish(&one, &format!("b{n}"), "all", "org.example").await;
    }
    assert!(redis.command(&["XTRIM", &engine.engine.key("feed"), "MAXLEN", "1"]).unwrap().starts_with(':'));
    let before = position(&one, "all").await;
    up_to(&mut slow, "LOST").await;
    surely(&one, "end", "all").await;
    assert_eq!(up_to(&mut slow, "end").await, ["end"], "and goes on");
    assert!(recovers(&one, "all", &before).await, "the history itself lost nothing");
}

#[tokio::test]
async fn a_redis_that_syncs_at_once_loses_nothing_when_it_is_killed() {
    let mut redis = Redis::durable();
    let setup = setup(&redis);
    let ((one, mut feed_one), (two, mut feed_two)) = (node(&setup).await, node(&setup).await);
    for n in 0..10 {
        publish(&one, &format!("a{n}"), "all", "org.example").await;
    }
    let before = position(&one, "all").await;
    redis.kill();
    assert!(!one.is_ready().await);
    let refused = one.publish(vec![item("b", "all", "org.example")], T0).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable(_)), "{refused:?}");
    redis.start_again();
    assert!(surely(&two, "c", "all").await.fresh);
    let expected: Vec<String> = (0..10).map(|n| format!("a{n}")).chain(["c".to_owned()]).collect();
    assert_eq!(up_to(&mut feed_one, "c").await, expected);
    assert_eq!(up_to(&mut feed_two, "c").await, expected);
    assert!(recovers(&one, "all", &before).await, "and no epoch changed");
    assert!(!surely(&one, "a3", "all").await.fresh, "repeats are still known");
}

#[tokio::test]
async fn a_redis_that_lost_accepted_events_makes_every_epoch_new_once_and_every_node_is_told() {
    cut_short("everysec").await;
}

/// It says that it keeps everything; the feed's tags know better.
#[tokio::test]
async fn a_redis_whose_older_file_was_put_back_makes_every_epoch_new_though_it_syncs_at_once() {
    cut_short("always").await;
}

async fn cut_short(fsync: &str) {
    let mut redis = Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", fsync]);
    let setup = setup(&redis);
    let ((one, mut feed_one), (two, mut feed_two)) = (node(&setup).await, node(&setup).await);
    enroll(&one, "lobby", &[]).await;
    publish(&one, "n", "display/lobby", "kiosk.navigate").await;
    publish(&one, "a1", "all", "org.example").await;
    let kept = log_of(&redis);
    redis.has_written();
    let length = std::fs::metadata(&kept).unwrap().len();
    publish(&one, "a2", "all", "org.example").await;
    publish(&one, "a3", "all", "org.example").await;
    up_to(&mut feed_one, "a3").await;
    up_to(&mut feed_two, "a3").await;
    let (seen, of_lobby) = (position(&one, "all").await, position(&one, "display/lobby").await);

    // As a power cut leaves it: what was not synced yet is gone.
    redis.kill_and_restart(|_| {
        std::fs::OpenOptions::new().write(true).open(&kept).unwrap().set_len(length).unwrap();
    });
    let again = surely(&two, "a2", "all").await;
    assert!(again.fresh, "it was forgotten with the rest");
    assert_eq!(again.position.offset, seen.offset - 1, "offsets are given again");
    assert_ne!(again.position.epoch, seen.epoch, "so the epoch tells that they mean something else");
    up_to(&mut feed_one, "LOST").await;
    up_to(&mut feed_two, "LOST").await;
    publish(&one, "end", "user/anna", "org.example").await;
    for feed in [&mut feed_one, &mut feed_two] {
        let since = up_to(feed, "end").await;
        assert!(!since.contains(&"LOST".to_owned()), "told once: {since:?}");
    }
    assert!(!recovers(&one, "all", &seen).await && !recovers(&two, "display/lobby", &of_lobby).await);
    let backlog = one.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["n"], "what was kept is given again");
    assert_eq!(position(&one, "all").await, position(&two, "all").await, "both nodes speak of one epoch");
    let settled = position(&one, "all").await;
    let (three, _feed) = node(&setup).await;
    assert_eq!(position(&three, "all").await, settled, "and it is made new once");
}

/// The log that Redis 7 appends to.
fn log_of(redis: &Redis) -> std::path::PathBuf {
    let mut logs = std::fs::read_dir(redis.dir().join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    logs.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
}

#[tokio::test]
async fn a_redis_that_may_have_lost_something_while_no_node_was_there_makes_every_epoch_new() {
    for (fsync, kept) in [("everysec", false), ("always", true)] {
        let mut redis = Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", fsync]);
        let setup = setup(&redis);
        let (one, _feed) = node(&setup).await;
        publish(&one, "a", "all", "org.example").await;
        let before = position(&one, "all").await;
        one.close().await;
        redis.kill_and_restart(|_| {});
        let (one, _feed) = node(&setup).await;
        assert_eq!(recovers(&one, "all", &before).await, kept, "appendfsync {fsync}");
        let between = position(&one, "all").await;
        one.close().await;
        let (one, _feed) = node(&setup).await;
        assert!(recovers(&one, "all", &between).await, "a node that only starts anew changes nothing");
    }
}

#[tokio::test]
async fn a_redis_that_somebody_emptied_begins_anew_and_every_socket_comes_back() {
    let redis = Redis::start();
    let setup = setup(&redis);
    let (one, mut feed) = node(&setup).await;
    publish(&one, "a", "all", "org.example").await;
    let before = position(&one, "all").await;
    up_to(&mut feed, "a").await;
    assert!(redis.command(&["FLUSHALL"]).unwrap().starts_with("+OK"));
    surely(&one, "b", "all").await;
    assert_eq!(up_to(&mut feed, "b").await, ["LOST", "b"]);
    assert!(!recovers(&one, "all", &before).await);
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_way_to_go() {
    let redis = Redis::start();
    let rules = ["ACL", "SETUSER", "poor", "on", ">s3cret", "~*", "+@all", "-info"];
    assert!(redis.command(&rules).unwrap().starts_with("+OK"));
    let mut setup = setup(&redis);
    setup.address = format!("redis://poor:s3cret@127.0.0.1:{}/", redis.port()).parse().unwrap();
    let error = Store::open_redis(setup.clone(), random::fill).await.unwrap_err().to_string();
    assert!(error.contains("refuses its user") && error.contains("info") && !error.contains("s3cret"), "{error}");
    setup.address = format!("redis://poor:wrong@127.0.0.1:{}/", redis.port()).parse().unwrap();
    let error = Store::open_redis(setup, random::fill).await.unwrap_err().to_string();
    assert!(error.contains("refuses its user: redis://127.0.0.1") && !error.contains("wrong@"), "{error}");
}

#[tokio::test]
async fn a_full_redis_refuses_a_publish_whole_and_takes_receipts_of_what_it_has() {
    let redis = Redis::start();
    let setup = setup(&redis);
    let (one, _feed) = node(&setup).await;
    enroll(&one, "lobby", &[]).await;
    publish(&one, "a", "display/lobby", "kiosk.message").await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let batch = vec![item("b", "all", "x"), item("c", "all", "x")];
    assert_eq!(one.publish(batch, T0).await.unwrap_err(), StoreError::Memory);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert!(one.event("b", None).await.unwrap().is_none(), "nothing of it is there");
    assert_eq!(publish(&one, "d", "all", "x").await.position.offset, 1);
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_is_owed_or_retained_is_not() {
    let limits = Limits { history_events: 2, detail_events: 5, ..Limits::default() };
    let (store, _feed) = Store::open_redis(in_redis(limits), random::fill).await.unwrap();
    enroll(&store, "lobby", &[]).await;
    publish(&store, "state", "display/lobby", "kiosk.navigate").await;
    for n in 0..20 {
        publish(&store, &format!("e{n}"), "all", "org.example").await;
    }
    store.expire(T0, HashSet::new()).await.unwrap();
    assert!(store.event("e0", None).await.unwrap().is_none(), "over what is kept");
    assert!(store.event("e19", None).await.unwrap().is_some(), "in its history");
    assert!(store.event("state", None).await.unwrap().is_some(), "retained, and owed");
    assert!(!store.publish(vec![item("e0", "all", "x")], T0).await.unwrap()[0].fresh, "a repeat for 24 hours");
    store.expire(T0 + DAY, HashSet::new()).await.unwrap();
    assert!(store.publish(vec![item("e0", "all", "x")], T0 + DAY).await.unwrap()[0].fresh, "and no longer");
    store.expire(T0 + 8 * DAY, HashSet::new()).await.unwrap();
    let head = store.heads(&[address("all")]).await.unwrap().remove(0).1;
    assert_eq!((head.first, head.last), (22, 21), "history has an end as well");
    assert_eq!(ids(&store.backlog(&id("lobby"), T0 + 8 * DAY).await.unwrap().state), ["state"]);
}

#[tokio::test]
async fn of_two_cards_with_one_code_at_two_nodes_one_is_enrolled() {
    let setup = in_redis(Limits::default());
    let ((one, _feed_one), (two, _feed_two)) = (node(&setup).await, node(&setup).await);
    for round in 0..30 {
        let (code, _) = one.create_enrollment(Some(id("lobby")), 1_000, T0).await.unwrap();
        let redeem = |key: u8| Redeem { code: code.clone(), public_key: [key; 32], display: None };
        let (first, second) = tokio::join!(one.redeem(redeem(1), T0), two.redeem(redeem(2), T0));
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "round {round}: {first:?} {second:?}");
        let key = if first.is_ok() { [1; 32] } else { [2; 32] };
        assert_eq!(two.display(&id("lobby")).await.unwrap().unwrap().public_key, key, "and its key is kept");
    }
    // Two changes of one display at once: both are there.
    for round in 0..30 {
        let label = DisplayPatch { label: Some(format!("label {round}")), groups: None };
        let groups = DisplayPatch { label: None, groups: Some([format!("g{round}").parse().unwrap()].into()) };
        let lobby = id("lobby");
        let (named, grouped) = tokio::join!(one.patch_display(&lobby, label), two.patch_display(&lobby, groups));
        named.and(grouped).unwrap();
        let row = one.display(&lobby).await.unwrap().unwrap();
        assert_eq!((row.label, row.groups.len()), (format!("label {round}"), 1), "round {round}");
        publish(&one, &format!("e{round}"), &format!("group/g{round}"), "kiosk.zoom").await;
        let record = two.event(&format!("e{round}"), None).await.unwrap().unwrap();
        assert_eq!(record.pending, [id("lobby")], "the group's members are those of its displays");
    }
}

#[tokio::test]
async fn what_two_nodes_expire_at_once_ends_once() {
    let setup = in_redis(Limits::default());
    let ((one, mut feed), (two, _feed_two)) = (node(&setup).await, node(&setup).await);
    enroll(&one, "lobby", &[]).await;
    for round in 0..20 {
        publish(&one, &format!("m{round}"), "all", "kiosk.message").await;
        let due = T0 + 60_000;
        let (here, there) = tokio::join!(one.expire(due, HashSet::new()), two.expire(due, HashSet::new()));
        assert_eq!(here.unwrap().len() + there.unwrap().len(), 1, "round {round}");
    }
    publish(&one, "end", "all", "org.example").await;
    let mut receipts = 0;
    loop {
        for fed in timeout(LIMIT, feed.recv()).await.unwrap().unwrap() {
            match fed {
                Fed::Receipt(_) => receipts += 1,
                Fed::Event(event) if event.event.id == "end" => return assert_eq!(receipts, 20),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn how_a_display_is_can_be_read_at_every_node() {
    let setup = in_redis(Limits::default());
    let ((one, _feed_one), (two, _feed_two)) = (node(&setup).await, node(&setup).await);
    enroll(&one, "lobby", &[]).await;
    let health = serde_json::from_value(serde_json::json!({"version": "1.2.3"})).unwrap();
    one.seen(&id("lobby"), Some(health), T0 + 5);
    assert_eq!(one.display(&id("lobby")).await.unwrap().unwrap().last_seen_ms, Some(T0 + 5), "at once where it is");
    one.expire(T0 + 10, HashSet::new()).await.unwrap();
    let row = two.displays().await.unwrap().remove(0);
    assert_eq!((row.last_seen_ms, row.health.is_some()), (Some(T0 + 5), true), "and elsewhere with the next tick");
    two.seen(&id("lobby"), None, T0 + 20);
    let row = two.display(&id("lobby")).await.unwrap().unwrap();
    assert_eq!((row.last_seen_ms, row.health.is_some()), (Some(T0 + 20), true), "the newest of both");
}
