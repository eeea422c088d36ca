//! Two real servers on one real Redis.
//!
//! What holds of one server holds of both together: one ticket opens one socket, a display misses nothing whichever it
//! reaches, and a publisher hears of a display that is elsewhere.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use pikiosk::event::frame::Resume;
use redis::Redis;
use serde_json::{Value, json};
use support::{
    http,
    server::{Server, event, receipt_of},
    socket::{End, FakeDisplay, Socket, ticket},
    wait::{seconds, until},
};

/// Two nodes of a store in a Redis.
struct Nodes {
    one: Server,
    two: Server,
    redis: Redis,
    _folder: tempfile::TempDir,
}

impl Nodes {
    fn start(redis: Redis, more: &str) -> Nodes {
        let folder = tempfile::tempdir().unwrap();
        let more = format!("{more}\n[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
        let node = |name: &str| -> std::path::PathBuf {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let one = Server::start(&node("one"), &more);
        let two = one.another(&node("two"), &more);
        Nodes { one, two, redis, _folder: folder }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_publisher_on_one_node_hears_of_a_display_on_the_other() {
    let nodes = Nodes::start(Redis::start(), "");
    let display = FakeDisplay::enroll(&nodes.one, "lobby", 1).over(&[&nodes.two]);
    let runtime = runtime();
    runtime.spawn(display.clone().live());
    until("the display is on node two", seconds(10), || (display.notes.lock().unwrap().connects > 0).then_some(()));
    let (_, reply) = nodes.one.publish("display/lobby", "reload", &json!({}), Some("10s"));
    let receipt = receipt_of(&reply.json(), "lobby").unwrap_or_else(|| panic!("{}", reply.text()));
    assert_eq!((reply.status, receipt["status"].as_str()), (200, Some("done")), "{receipt}");
    runtime.shutdown_timeout(Duration::from_secs(1));
}

#[test]
fn a_display_has_one_socket_over_both_nodes_and_the_newest_wins() {
    let nodes = Nodes::start(Redis::start(), "");
    let display = FakeDisplay::enroll(&nodes.one, "lobby", 1);
    let addresses = [nodes.one.address, nodes.two.address];
    runtime().block_on(async {
        let mut older: Option<Socket> = None;
        for round in 0..6 {
            let server = addresses[round % 2];
            let mut socket = Socket::open(server, &display.ticket_of(server).unwrap()).await.unwrap();
            socket.hello().await.unwrap();
            if let Some(mut older) = older.replace(socket) {
                assert!(matches!(older.end().await, End::Closed(4003, _)), "round {round}");
            }
        }
        // Both at once: one of the two stays, not none.
        for round in 0..20 {
            let open = async |server| {
                let mut socket = Socket::open(server, &display.ticket_of(server).unwrap()).await.unwrap();
                // Who says something is given what comes at once; one that is replaced already hears only that.
                let _ = socket.say("kiosk.resume", &Resume::default()).await;
                socket
            };
            let (mut one, mut two) = tokio::join!(open(addresses[0]), open(addresses[1]));
            let end = tokio::select! { end = one.end() => end, end = two.end() => end };
            assert!(matches!(end, End::Closed(4003, _)), "round {round}: {end:?}");
            let publish = || nodes.one.publish("display/lobby", "event", &json!({"name": "hello"}), None);
            tokio::task::block_in_place(publish);
            let got = async {
                tokio::select! { () = an_event(&mut one) => {}, () = an_event(&mut two) => {} }
            };
            tokio::time::timeout(seconds(60), got).await.unwrap_or_else(|_| panic!("round {round}: nobody is left"));
        }
    });
}

#[test]
fn who_is_revoked_at_one_node_is_out_of_the_other_and_stays_out_and_so_is_an_operators_key() {
    let nodes = Nodes::start(Redis::start(), "");
    let key = nodes.one.post("/v1/keys", &json!({"name": "desk", "operator": true})).json();
    let text = key["key"].as_str().unwrap().to_owned();
    let as_desk = |server: &Server| {
        let headers = [("Authorization", format!("Bearer {text}"))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::request(server.address, "GET", "/v1/displays", &headers, b"", seconds(60)).unwrap().status
    };
    until("the new key is known at the other node", seconds(5), || (as_desk(&nodes.two) == 200).then_some(()));
    runtime().block_on(async {
        let open = async |server: &Server| Socket::open(server.address, &ticket(&nodes.one, "anna")).await;
        let (mut here, mut there) = (open(&nodes.one).await.unwrap(), open(&nodes.two).await.unwrap());
        for socket in [&mut here, &mut there] {
            socket.hello().await.unwrap();
        }
        let minted_before = ticket(&nodes.one, "anna");
        assert_eq!(nodes.one.post("/v1/revocations", &json!({"user": "anna"})).status, 201);
        for (node, socket) in [("this", &mut here), ("the other", &mut there)] {
            let end = tokio::time::timeout(seconds(60), socket.end()).await;
            assert!(matches!(end, Ok(End::Closed(4501, _))), "{node} node: {end:?}");
        }
        let refused = Socket::open(nodes.two.address, &minted_before).await;
        assert!(matches!(refused, Err(End::Refused(401))), "a ticket of before opens nothing");
    });
    let id = key["id"].as_str().unwrap();
    assert_eq!(nodes.one.request("DELETE", &format!("/v1/keys/{id}"), b"").unwrap().status, 204);
    until("the key is nothing at the other node", seconds(5), || (as_desk(&nodes.two) == 401).then_some(()));
}

/// Ends with the next `kiosk.event`; never, if the socket ends first.
async fn an_event(socket: &mut Socket) {
    loop {
        match socket.take().await {
            Ok(event) if event.kind == "kiosk.event" => return,
            Ok(_) => {}
            Err(_) => std::future::pending().await,
        }
    }
}

/// How many tickets are raced for; `make proof-tickets` sets 2,000.
fn tickets() -> usize {
    std::env::var("PIKIOSK_TICKETS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

const RACERS: usize = 8;

#[test]
fn a_ticket_that_eight_race_for_on_two_nodes_opens_exactly_one_socket() {
    race_for_tickets("");
}

#[test]
fn a_ticket_in_the_redis_of_a_web_application_opens_exactly_one_socket_over_two_nodes() {
    let redis = Redis::start();
    race_for_tickets(&format!("[tickets]\nredis = \"{}\"\n", redis.url()));
}

fn race_for_tickets(more: &str) {
    let nodes = Nodes::start(Redis::start(), more);
    let servers = [nodes.one.address, nodes.two.address];
    let began = std::time::Instant::now();
    let late: Vec<String> = (0..20).map(|n| ticket(&nodes.two, &format!("late{n}"))).collect();
    runtime().block_on(async {
        for round in 0..tickets() {
            // A user each: the cap of sockets per user is not what is tried here.
            let minter = if round % 2 == 0 { &nodes.one } else { &nodes.two };
            let ticket = tokio::task::block_in_place(|| ticket(minter, &format!("user{round}")));
            let racers = (0..RACERS).map(|racer| Socket::open(servers[racer % 2], &ticket));
            let opened: Vec<_> = futures_util::future::join_all(racers).await;
            let winners = opened.iter().filter(|socket| socket.is_ok()).count();
            assert_eq!(winners, 1, "ticket {round}: {opened:?}");
            assert!(opened.iter().all(|socket| matches!(socket, Ok(_) | Err(End::Refused(401)))), "{opened:?}");
        }
        // What was minted at the start is too old by now, or soon.
        until_elapsed(began, Duration::from_secs(21)).await;
        for ticket in &late {
            assert_eq!(Socket::open(servers[0], ticket).await.unwrap_err(), End::Refused(401), "after 21 s");
        }
    });
    if more.is_empty() {
        let ticket = ticket(&nodes.one, "anna");
        let Nodes { one, two, redis, _folder } = nodes;
        redis.stop();
        runtime().block_on(async {
            for server in [one.address, two.address] {
                assert_eq!(Socket::open(server, &ticket).await.unwrap_err(), End::Refused(401), "while Redis is down");
            }
        });
    }
}

/// The one wait that is for time itself: a ticket's life is what is tried.
async fn until_elapsed(began: std::time::Instant, age: Duration) {
    tokio::time::sleep_until((began + age).into()).await;
}

/// What is published while nodes die and come back, to one display that goes from node to node.
#[test]
fn a_display_that_goes_from_node_to_node_misses_nothing_though_each_is_killed() {
    const EVENTS: usize = 400;
    const KILLS: [usize; 4] = [60, 140, 220, 300];
    let mut nodes = Nodes::start(Redis::durable(), "");
    let display = FakeDisplay::enroll(&nodes.one, "lobby", 1).over(&[&nodes.one, &nodes.two]);
    let runtime = runtime();
    runtime.spawn(display.clone().live());
    let events: Vec<Value> =
        (0..EVENTS).map(|n| event("display/lobby", "kiosk.event", &json!({"name": "tick", "data": n}))).collect();
    let answered = AtomicUsize::new(0);
    let (addresses, key) = ([nodes.one.address, nodes.two.address], nodes.one.key.clone());
    std::thread::scope(|scope| {
        let publishing = || {
            let mut server = 0;
            for event in &events {
                until("a publish is answered", seconds(60), || {
                    // A careful publisher: the same event again, at the other node.
                    server += 1;
                    match publish_at(addresses[server % 2], &key, event) {
                        Some(202) => Some(()),
                        Some(status) => panic!("{status}"),
                        None => None,
                    }
                });
                answered.fetch_add(1, Ordering::Relaxed);
            }
        };
        scope.spawn(publishing);
        for (turn, kill_at) in KILLS.into_iter().enumerate() {
            until("publishes go on", seconds(60), || (answered.load(Ordering::Relaxed) >= kill_at).then_some(()));
            match turn {
                0 => {
                    nodes.one.kill();
                    nodes.one.start_again();
                }
                1 => {
                    nodes.two.kill();
                    nodes.two.start_again();
                }
                _ => nodes.redis.kill_and_restart(|_| {}),
            }
        }
    });
    for event in &events {
        let id = event["id"].as_str().unwrap();
        let (receipt, _) = nodes.two.receipt_within(id, "lobby", seconds(30));
        assert_eq!(receipt["status"], "done", "{id}");
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    let notes = display.notes.lock().unwrap();
    let acted: Vec<&str> = notes.acted.iter().map(|(id, ..)| id.as_str()).collect();
    let published: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(acted, published, "each once, and in order");
    assert!(notes.connects > 2, "{}", notes.connects);
}

/// The status, or None where the publisher is to come again.
fn publish_at(server: std::net::SocketAddr, key: &str, event: &Value) -> Option<u16> {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/cloudevents+json")];
    let reply =
        http::request(server, "POST", "/v1/events", &headers, event.to_string().as_bytes(), seconds(60)).ok()?;
    (reply.status != 503).then_some(reply.status)
}

#[test]
fn while_redis_is_down_sockets_stay_and_publishes_are_refused_and_afterwards_all_goes_on() {
    let mut nodes = Nodes::start(Redis::durable(), "");
    runtime().block_on(async {
        let mut anna = Socket::open(nodes.two.address, &ticket(&nodes.one, "anna")).await.unwrap();
        anna.hello().await.unwrap();
        anna.resume(&Resume::default()).await.unwrap();
        let before = event("user/anna", "org.example", &json!(0));
        assert_eq!(nodes.one.post("/v1/events", &before).status, 202);
        assert_eq!(anna.next().await.unwrap().id, before["id"].as_str().unwrap());
        nodes.redis.kill();
        let down = event("user/anna", "org.example", &json!(1));
        let answer = nodes.one.post("/v1/events", &down);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(nodes.one.get("/readyz").status, 503);
        nodes.redis.start_again();
        until("a publish is answered", seconds(20), || publish_at(nodes.one.address, &nodes.one.key, &down));
        let event = anna.next().await.expect("the socket stayed");
        assert_eq!(event.id, down["id"].as_str().unwrap());
        until("it is ready", seconds(20), || (nodes.one.get("/readyz").status == 200).then_some(()));
    });
}

#[test]
fn a_redis_that_lost_accepted_events_makes_every_client_resume_with_recovered_false_and_its_state() {
    let mut nodes = Nodes::start(Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "no"]), "");
    let lobby = FakeDisplay::enroll(&nodes.one, "lobby", 1);
    let (_, reply) = nodes.one.publish("display/lobby", "navigate", &json!({"url": "https://example.org/kept"}), None);
    assert_eq!(reply.status, 202);
    let mut logs =
        std::fs::read_dir(nodes.redis.dir().join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap();
    let length = std::fs::metadata(&log).unwrap().len();
    nodes.one.publish("display/lobby", "navigate", &json!({"url": "https://example.org/lost"}), None);
    runtime().block_on(async {
        let server = nodes.two.address;
        let open = async || Socket::open(server, &lobby.ticket_of(server).unwrap()).await.unwrap();
        let mut socket = open().await;
        let hello = socket.hello().await.unwrap();
        let positions = Resume { positions: hello.positions };
        socket.resume(&positions).await.unwrap();
        // Until it is live: one that is still reading when Redis goes is told 4000.
        let live = event("display/lobby", "kiosk.event", &json!({"name": "live"}));
        assert_eq!(nodes.one.post("/v1/events", &live).status, 202);
        an_event(&mut socket).await;
        nodes.redis.kill_and_restart(|_| {
            std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length).unwrap();
        });
        assert!(matches!(socket.end().await, End::Closed(4001, _)));
        until("it is ready", seconds(20), || (nodes.two.get("/readyz").status == 200).then_some(()));
        let mut socket = open().await;
        socket.hello().await.unwrap();
        let resumed = socket.resume(&positions).await.unwrap();
        assert!(!resumed.recovered.is_empty() && resumed.recovered.values().all(|recovered| !recovered), "{resumed:?}");
        let state = socket.next().await.unwrap();
        assert_eq!((state.kind.as_str(), state.json_data().get().contains("kept")), ("kiosk.navigate", true));
    });
}

#[test]
fn a_display_that_is_removed_at_one_node_is_cut_at_the_other() {
    let nodes = Nodes::start(Redis::start(), "");
    let lobby = FakeDisplay::enroll(&nodes.one, "lobby", 1);
    runtime().block_on(async {
        let server = nodes.two.address;
        let mut socket = Socket::open(server, &lobby.ticket_of(server).unwrap()).await.unwrap();
        socket.hello().await.unwrap();
        assert_eq!(nodes.one.request("DELETE", "/v1/displays/lobby", b"").unwrap().status, 204);
        assert!(matches!(socket.end().await, End::Closed(4502, _)));
    });
}
