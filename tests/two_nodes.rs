//! Two real servers on one real Redis.
//!
//! What holds of one server holds of both together: one ticket opens one socket, a display misses nothing whichever it
//! reaches, and a publisher hears of a display that is elsewhere.
#![cfg(feature = "server")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::time::Duration;

use pikiosk::event::frame::Resume;
use redis::Redis;
use serde_json::json;
use support::{
    server::{Server, receipt_of},
    socket::{End, FakeDisplay, Socket},
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
        let text = format!("{more}\n[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
        let node = |name: &str| -> std::path::PathBuf {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let one = Server::start(&node("one"), &text);
        let two = one.another(&node("two"), &text);
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
            tokio::time::timeout(seconds(10), got).await.unwrap_or_else(|_| panic!("round {round}: nobody is left"));
        }
    });
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
