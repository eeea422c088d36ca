//! Webhooks and the access log, as those see them who get them.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use support::{
    server::Server,
    socket::{FakeDisplay, Socket, ticket},
    wait::{seconds, until},
};

const SECRET: &str = "a secret of both sides";

/// One POST as it came.
#[derive(Debug, Clone)]
struct Post {
    id: String,
    events: Vec<Value>,
    status: u16,
}

/// Takes webhooks; answers with the status it is told to.
struct Receiver {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (status, posts) = (Arc::new(AtomicU16::new(204)), Arc::new(Mutex::new(Vec::new())));
        let (answers, taken) = (status.clone(), posts.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut headers = Vec::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or_default() <= 2 {
                        break;
                    }
                    headers.push(line.trim().to_owned());
                }
                if headers.is_empty() {
                    continue;
                }
                let header = |name: &str| {
                    let found = headers.iter().filter_map(|line| line.split_once(": "));
                    let mut found = found.filter(|(have, _)| have.eq_ignore_ascii_case(name));
                    found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
                };
                let mut body = vec![0; header("content-length").parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                let (id, body) = (header("webhook-id"), String::from_utf8(body).unwrap());
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
                let signed = format!("{id}.{}.{body}", header("webhook-timestamp"));
                let tag = ring::hmac::sign(&key, signed.as_bytes());
                assert_eq!(header("webhook-signature"), format!("v1,{}", BASE64_STANDARD.encode(tag)));
                assert_eq!(header("content-type"), "application/cloudevents-batch+json");
                let status = answers.load(Ordering::Relaxed);
                taken.lock().unwrap().push(Post { id, events: serde_json::from_str(&body).unwrap(), status });
                let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Receiver { address, status, posts }
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Ids of the events of one type that were taken, in order.
    fn taken(&self, kind: &str) -> Vec<String> {
        let posts = self.posts().into_iter().filter(|post| post.status == 204);
        let events = posts.flat_map(|post| post.events).filter(|event| event["type"] == format!("pikiosk.{kind}"));
        events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn server(folder: &std::path::Path, receiver: SocketAddr, events: &str) -> Server {
    Server::start(folder, &settings(folder, receiver, events))
}

fn settings(folder: &std::path::Path, receiver: SocketAddr, events: &str) -> String {
    let secret = folder.join("webhook.secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    format!(
        "[log]\naccess = true\n[[webhooks]]\nurl = \"http://{receiver}/path-that-is-secret\"\nevents = {events}\nsecret_file = \"{}\"\n",
        secret.display()
    )
}

#[test]
fn a_receiver_hears_of_displays_and_receipts_in_order_and_again_after_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let server = server(folder.path(), receiver.address, r#"["display.up", "receipt"]"#);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let display = FakeDisplay::enroll(&server, "lobby", 1);
    runtime.spawn(display.live());
    until("it is up", seconds(20), || (receiver.taken("display.up").len() == 1).then_some(()));

    // Busy for a while: the same batch comes again, and nothing is told twice or out of order once it is taken.
    receiver.status.store(503, Ordering::Relaxed);
    let first: Vec<String> =
        (0..5).map(|_| server.publish("display/lobby", "identify", &json!({}), Some("10s")).0).collect();
    let failed = until("a batch is tried again", seconds(20), || {
        let failed: Vec<Post> = receiver.posts().into_iter().filter(|post| post.status == 503).collect();
        (failed.len() >= 2).then_some(failed)
    });
    assert!(failed.iter().all(|post| post.id == failed[0].id && post.events == failed[0].events), "{failed:?}");
    receiver.status.store(204, Ordering::Relaxed);
    let (last, _) = server.publish("display/lobby", "identify", &json!({}), Some("10s"));
    until("all receipts are told", seconds(20), || (receiver.taken("receipt").len() == 6).then_some(()));
    let told = receiver.taken("receipt");
    for (id, event) in told.iter().zip(first.iter().chain([&last])) {
        assert!(id.ends_with(event), "in the order of the receipts: {told:?}");
    }

    let metrics = server.get("/metrics").text();
    let to = format!("to=\"{}\"", receiver.address);
    for line in [format!("pikiosk_webhook_waiting{{{to}}} 0"), r#"pikiosk_receipts_total{status="done"} 6"#.to_owned()]
    {
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("result=\"failed\"") && !metrics.contains("path-that-is-secret"), "{metrics}");
    assert!(!server.log().contains("path-that-is-secret"), "{}", server.log());
}

#[test]
fn what_a_receiver_refuses_for_good_is_dropped_and_what_follows_comes() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    receiver.status.store(400, Ordering::Relaxed);
    let server = server(folder.path(), receiver.address, r#"["display.up"]"#);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(FakeDisplay::enroll(&server, "lobby", 1).live());
    until("it refuses", seconds(20), || {
        server.get("/metrics").text().contains("pikiosk_webhook_dropped_total").then_some(())
    });
    receiver.status.store(204, Ordering::Relaxed);
    runtime.spawn(FakeDisplay::enroll(&server, "hall", 2).live());
    let told =
        until("the next is told", seconds(20), || Some(receiver.taken("display.up")).filter(|told| !told.is_empty()));
    assert!(told.len() == 1 && told[0].starts_with("up:hall:"), "{told:?}");
}

#[test]
fn the_access_log_has_one_line_for_each_request_and_socket_and_never_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let server = server(folder.path(), receiver.address, r#"["display.up"]"#);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (used, unused) = (ticket(&server, "ada"), ticket(&server, "ada"));
    let mut socket = runtime.block_on(Socket::open(server.address, &used)).unwrap();
    runtime.block_on(socket.hello()).unwrap();
    drop(socket);
    let refused = server.get(&format!("/v1/ws?ws_token={unused}&x=1"));
    assert_eq!(refused.status, 401, "two credentials");
    assert_eq!(server.get(&format!("/v1/{unused}")).status, 404);
    assert_eq!(server.get("/v1/displays/nobody").status, 404);
    let lines = until("the lines are written", seconds(10), || {
        let log = server.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<Value> = lines.filter(|line| line["kind"].is_string()).collect();
        let has = |kind: &str| lines.iter().any(|line| line["kind"] == kind);
        (has("close") && lines.iter().any(|line| line["path"] == "/v1/displays/nobody")).then_some(lines)
    });
    let find =
        |what: &dyn Fn(&Value) -> bool| lines.iter().find(|line| what(line)).unwrap_or_else(|| panic!("{lines:?}"));
    let minted = find(&|line| line["path"] == "/v1/tickets");
    assert_eq!(
        (&minted["who"], &minted["method"], &minted["status"]),
        (&json!("operator"), &json!("POST"), &json!(200))
    );
    let opened = find(&|line| line["kind"] == "open");
    assert_eq!(opened["who"], "ada");
    assert_eq!(find(&|line| line["kind"] == "close")["session"], opened["session"]);
    find(&|line| line["status"] == 401 && line["path"] == "/v1/ws?ws_token=…&x=…");
    find(&|line| line["status"] == 404 && line["path"] == "/v1/…");
    let log = server.log();
    for secret in [&used, &unused, &server.key] {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
}

#[test]
fn over_two_nodes_each_receipt_and_each_display_is_told_once() {
    let (redis, folder, receiver) = (redis::Redis::start(), tempfile::tempdir().unwrap(), Receiver::start());
    let settings = settings(folder.path(), receiver.address, r#"["display.up", "display.down", "receipt"]"#);
    let settings = format!("{settings}[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let node = |name: &str| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let one = Server::start(&node("one"), &settings);
    let two = one.another(&node("two"), &settings);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(FakeDisplay::enroll(&one, "lobby", 1).over(&[&two]).live());
    runtime.spawn(FakeDisplay::enroll(&one, "hall", 2).live());
    for server in [&one, &two] {
        until("each node knows of both", seconds(20), || {
            let displays = server.get("/v1/displays").json();
            displays.as_array().unwrap().iter().all(|display| display["connected"] == true).then_some(())
        });
    }
    let published: Vec<String> = (0..20)
        .map(|n| {
            let (node, display) = if n % 2 == 0 { (&one, "display/lobby") } else { (&two, "display/hall") };
            node.publish(display, "identify", &json!({}), Some("10s")).0
        })
        .collect();
    until("all is told", seconds(20), || (receiver.taken("receipt").len() >= 20).then_some(()));
    // One more, behind which nothing of those can come any more.
    let (last, _) = one.publish("display/hall", "identify", &json!({}), Some("10s"));
    until("the last is told", seconds(20), || {
        receiver.taken("receipt").iter().any(|id| id.ends_with(&last)).then_some(())
    });
    let mut told = receiver.taken("receipt");
    assert_eq!(told.len(), 21, "each once: {told:?}");
    told.retain(|id| !id.ends_with(&last));
    told.sort_by_key(|id| published.iter().position(|event| id.ends_with(event)));
    assert!(told.iter().zip(&published).all(|(id, event)| id.ends_with(event)), "{told:?}");
    assert_eq!((receiver.taken("display.up").len(), receiver.taken("display.down").len()), (2, 0));
}
