//! Many sockets at once, and sockets that misbehave, over real connections.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use jsonwebtoken::{EncodingKey, Header, encode};
use pikiosk::{
    auth::jwt::JwtKeys,
    event::frame::Resume,
    io::random,
    server::{
        self, Parts, Settings,
        clock::Clock,
        directory::{Directory, Trust},
        store::{Options, Store},
        tickets::TicketStore,
    },
};
use serde_json::{Value, json};
use support::{
    process::Process,
    server::{Server, event, free_port},
    socket::{End, Socket, ticket},
    wait::{seconds, until},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef-of-a-test";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Every ticket is raced by eight sockets that start together; returns how many opened for each ticket.
async fn raced(server: SocketAddr, tickets: Vec<String>) -> Vec<usize> {
    const RACERS: usize = 8;
    let mut opened = Vec::new();
    for ticket in tickets {
        let gate = Arc::new(Barrier::new(RACERS));
        let race = (0..RACERS).map(|_| {
            let (gate, ticket) = (gate.clone(), ticket.clone());
            tokio::spawn(async move {
                gate.wait().await;
                match Socket::open(server, &ticket).await {
                    Ok(_) => 1,
                    Err(End::Refused(401)) => 0,
                    Err(other) => panic!("a racer ended as {other:?}"),
                }
            })
        });
        opened.push(join_all(race).await.into_iter().map(Result::unwrap).sum());
    }
    opened
}

fn race_500(server: &Server) {
    let tickets: Vec<String> = (0..500).map(|_| ticket(server, "ada")).collect();
    // A ticket lives 20 s: they are raced in the order in which they were made.
    let opened = runtime().block_on(raced(server.address, tickets));
    assert_eq!(opened, [1; 500], "sockets that each ticket opened");
}

#[test]
fn a_ticket_raced_by_eight_sockets_opens_exactly_one_of_them_500_times() {
    let folder = tempfile::tempdir().unwrap();
    race_500(&Server::start(folder.path(), "[limits]\nsockets_per_address = 1000\n"));
}

#[test]
fn a_ticket_in_redis_raced_by_eight_sockets_opens_exactly_one_of_them_500_times() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.current_dir(folder.path());
    let _redis = Process::start("redis", folder.path(), &mut command);
    until("Redis listens", seconds(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let more = format!("[limits]\nsockets_per_address = 1000\n[tickets]\nredis = \"redis://127.0.0.1:{port}/0\"\n");
    race_500(&Server::start(folder.path(), &more));
}

fn with_tokens(folder: &Path, more: &str) -> Server {
    let secret = folder.join("jwt.secret");
    fs::write(&secret, SECRET).unwrap();
    let key = "[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\n";
    Server::start(folder, &format!("{more}{key}secret_file = \"{}\"\n", secret.display()))
}

fn token(sub: &str, claims: Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut all = json!({"sub": sub, "exp": now + 600});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    encode(&Header::default(), &all, &EncodingKey::from_secret(SECRET)).unwrap()
}

#[test]
fn a_thousand_sockets_hear_every_event_in_order() {
    const SOCKETS: usize = 1_000;
    const EVENTS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    let server = with_tokens(folder.path(), "");
    let runtime = runtime();
    let address = server.address;
    let sockets = runtime.block_on(async move {
        let mut sockets = Vec::new();
        for batch in 0..SOCKETS / 50 {
            let open = (0..50).map(|n| async move {
                let token = token(&format!("u{}", batch * 50 + n), json!({"addr": ["all"]}));
                let mut socket = Socket::open(address, &token).await.unwrap();
                socket.hello().await.unwrap();
                socket.resume(&Resume::default()).await.unwrap();
                socket
            });
            sockets.extend(join_all(open).await);
        }
        sockets
    });
    // `resumed` is said before the socket is live: what is published now reaches it by its last read or by the hub.
    for number in 0..EVENTS {
        let reply = server.post("/v1/events", &event("all", "org.example.tick", &json!(number)));
        assert_eq!(reply.status, 202, "{}", reply.text());
    }
    runtime.block_on(async move {
        let hear = sockets.into_iter().map(|mut socket| async move {
            for number in 0..EVENTS {
                assert_eq!(socket.next().await.unwrap().json_data().get(), number.to_string());
            }
        });
        join_all(hear).await;
    });
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("pikiosk_deliveries_total"), "{metrics}");
}

#[test]
fn one_user_has_so_many_sockets_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[limits]\nsockets_per_address = 2\n");
    let runtime = runtime();
    let open = |user: &str| runtime.block_on(Socket::open(server.address, &ticket(&server, user)));
    let first = open("ada").unwrap();
    let _second = open("ada").unwrap();
    assert_eq!(open("ada").unwrap_err(), End::Refused(429));
    open("bob").unwrap();
    drop(first);
    until("the place is free again", seconds(10), || open("ada").ok());
}

/// A server in this process, for what no configuration offers: a quick heartbeat.
async fn in_process(
    settings: Settings,
) -> (SocketAddr, Store, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (store, feed) = Store::open(Options::default(), random::fill).unwrap();
    let trust = Arc::new(Trust::new(JwtKeys::default()));
    let (directory, follower) = Directory::open(store.clone(), trust, Vec::new()).await.unwrap();
    let tickets = TicketStore::Store(store.clone());
    let clock = Clock::new(server::now_ms());
    let parts = Parts { store: store.clone(), feed, clock, tickets, directory, follower, amqp: None, celery: None };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    (address, store, stop, tokio::spawn(server::serve(listener, settings, parts, shutdown)))
}

async fn minted(store: &Store, user: &str) -> String {
    let grant = pikiosk::auth::ticket::Grant { user: user.parse().unwrap(), display: None };
    store.mint_ticket(&grant, server::now_ms()).await.unwrap().key
}

#[test]
fn a_client_that_answers_pings_stays_and_a_silent_one_is_given_up() {
    runtime().block_on(async {
        let settings = Settings { heartbeat_ms: 200, ..Settings::default() };
        let (address, store, _stop, _server) = in_process(settings).await;
        let mut silent = Socket::open(address, &minted(&store, "silent").await).await.unwrap();
        let mut awake = Socket::open(address, &minted(&store, "awake").await).await.unwrap();
        silent.hello().await.unwrap();
        awake.hello().await.unwrap();
        // tungstenite answers pings while it reads, and only then: the silent one is not read for a while.
        let listening = tokio::time::timeout(Duration::from_millis(1_500), awake.take()).await;
        assert!(listening.is_err(), "it is neither closed nor told anything: {listening:?}");
        assert!(matches!(silent.end().await, End::Closed(4008, _)), "silent for more than 500 ms");
    });
}

#[test]
fn a_server_that_ends_closes_its_sockets_with_4000_and_ends() {
    runtime().block_on(async {
        let (address, store, stop, server) = in_process(Settings::default()).await;
        let mut sockets = Vec::new();
        for n in 0..20 {
            let mut socket = Socket::open(address, &minted(&store, &format!("u{n}")).await).await.unwrap();
            socket.hello().await.unwrap();
            sockets.push(socket);
        }
        stop.send(()).unwrap();
        for socket in &mut sockets {
            assert!(matches!(socket.end().await, End::Closed(4000, _)));
        }
        drop(sockets);
        tokio::time::timeout(seconds(60), server).await.expect("it ends").unwrap();
        assert!(Socket::open(address, "x").await.is_err());
    });
}

/// Says `bytes` and reads until the server ends the connection.
async fn answer(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(seconds(60), stream.read_to_end(&mut answer)).await.expect("it ends").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn whoever_asks_and_never_reads_the_answers_loses_its_place() {
    // Far more than the kernel keeps for anybody.
    const ANSWERS: usize = 400;
    runtime().block_on(async {
        let settings = Settings { connections: 1, unread: Duration::from_millis(500), ..Settings::default() };
        let (address, _store, _stop, _server) = in_process(settings).await;
        let mut deaf = TcpStream::connect(address).await.unwrap();
        deaf.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(ANSWERS).as_slice()).await.unwrap();
        let asked = || support::http::request(address, "GET", "/healthz", &[], b"", seconds(5)).ok();
        until("its place is free", seconds(60), || asked().filter(|reply| reply.status == 200));
    });
}

#[test]
fn a_handshake_that_never_ends_is_cut_and_what_is_no_http_is_told_so() {
    runtime().block_on(async {
        let settings = Settings { handshake: Duration::from_millis(300), ..Settings::default() };
        let (address, _store, _stop, _server) = in_process(settings).await;
        let half = answer(address, b"GET /v1/ws HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
        assert!(half.starts_with("HTTP/1.1 408") && half.contains("problem+json"), "{half}");
        assert_eq!(answer(address, b"").await, "", "whoever says nothing is told nothing");
        let tls = answer(address, b"\x16\x03\x01\x02\x00\x01\x00").await;
        assert!(
            tls.starts_with("HTTP/1.1 400") && tls.contains("problem+json") && tls.contains("no HTTP/1.1"),
            "{tls}"
        );
        let refused = answer(address, b"GET /v1/ws HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"), "{refused}");
    });
}

#[test]
fn a_websocket_opens_also_as_a_later_request_of_a_kept_connection_and_with_its_first_frame_already_sent() {
    runtime().block_on(async {
        let (address, store, _stop, _server) = in_process(Settings::default()).await;
        for before in ["", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let upgrade = format!(
                "{before}GET /v1/ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Authorization: Bearer {}\r\n\r\n",
                minted(&store, "ada").await
            );
            let ping = [0x89, 0x81, 0, 0, 0, 0, b'p'];
            stream.write_all(&[upgrade.as_bytes(), &ping].concat()).await.unwrap();
            let mut read = Vec::new();
            let pong = [0x8a, 1, b'p'];
            while !read.ends_with(&pong) && !read.windows(3).any(|three| three == pong) {
                let bytes =
                    tokio::time::timeout(seconds(60), stream.read_buf(&mut read)).await.expect("a pong").unwrap();
                assert!(bytes > 0, "{}", String::from_utf8_lossy(&read));
            }
            let said = String::from_utf8_lossy(&read).into_owned();
            // RFC 6455's own example of a key and its answer.
            assert!(said.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") && said.contains("kiosk.hello"), "{said}");
            assert_eq!(said.contains("HTTP/1.1 200"), !before.is_empty(), "{said}");
        }
    });
}

#[test]
fn who_publishes_too_often_is_told_when_to_try_again_by_http_and_on_its_socket_and_the_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_tokens(folder.path(), "[limits]\npublishes_per_second = 1\n");
    let token = token("ada", json!({"pub": ["user/ada"]}));
    let bearer = format!("Bearer {token}");
    let post = |count: usize| {
        let batch: Vec<Value> = (0..count).map(|_| event("user/ada", "org.example.note", &json!(1))).collect();
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/cloudevents-batch+json")];
        let body = Value::from(batch).to_string();
        support::http::request(server.address, "POST", "/v1/events", &headers, body.as_bytes(), seconds(60)).unwrap()
    };
    assert_eq!(post(9).status, 202);
    let refused = post(3);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("at most 1 a second"), "{}", refused.text());
    runtime().block_on(async {
        let mut socket = Socket::open(server.address, &token).await.unwrap();
        let positions = socket.hello().await.unwrap().positions;
        assert_eq!(positions.values().next().unwrap().offset, 9, "of a refused batch nothing is stored");
        let mut errors = 0;
        while errors == 0 {
            socket.say("kiosk.publish", &event("user/ada", "org.example.note", &json!(2))).await.unwrap();
            let mut answer = socket.next().await.unwrap();
            while answer.kind != "kiosk.published" {
                answer = socket.next().await.unwrap();
            }
            errors += usize::from(answer.json_data().get().contains("too often"));
        }
        socket.say("kiosk.call", &json!({"task": "x"})).await.unwrap();
        loop {
            if socket.next().await.unwrap().kind == "kiosk.result" {
                break;
            }
        }
    });
    let by_key: Vec<Value> = (0..100).map(|_| event("user/ada", "org.example.note", &json!(3))).collect();
    for one in by_key {
        assert_eq!(
            server.post("/v1/events", &one).status,
            202,
            "an operator's key is not limited unless it is configured"
        );
    }
}
