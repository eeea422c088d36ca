//! A deploy: the server is started anew under thousands of sockets, with its listening socket held as systemd holds it.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![expect(clippy::print_stdout, reason = "figures are for whoever runs this with --nocapture")]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use jsonwebtoken::{EncodingKey, Header, encode};
use nix::sys::signal::Signal;
use pikiosk::event::frame::{Resume, come_back_within};
use serde_json::json;
use support::{
    process,
    server::{Server, event},
    socket::{End, Socket},
    wait::{Patience, seconds, until},
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef-of-a-test";
/// So many are let go over two seconds.
const SOCKETS: usize = 2_000;

fn token(user: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": format!("u{user}"), "exp": now + 600, "addr": ["all"]});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// What one client saw of the restart.
struct Seen {
    /// Asked to wait until the goodbye is over.
    sent_away: usize,
    let_go: Instant,
    back: Instant,
}

/// Waits to be let go and comes back as a display does: at a random time within what the server named.
async fn lives_through_it(mut socket: Socket, user: usize, server: std::net::SocketAddr) -> Seen {
    let End::Closed(4000, reason) = socket.end().await else { panic!("a socket ended otherwise") };
    let within = come_back_within(&reason).unwrap_or_else(|| panic!("it names no time: {reason}"));
    assert_eq!(within, seconds(2), "2,000 sockets at 1,000 a second");
    let let_go = Instant::now();
    drop(socket);
    let mut wait = within.mul_f64(fastrand::f64());
    let mut sent_away = 0;
    loop {
        tokio::time::sleep(wait).await;
        match Socket::open(server, &token(user)).await {
            Ok(mut socket) => {
                socket.hello().await.unwrap();
                return Seen { sent_away, let_go, back: Instant::now() };
            }
            // Retry-After names a second of its own for each.
            Err(End::Refused(503)) => {
                sent_away += 1;
                wait = seconds(1) + within.mul_f64(fastrand::f64());
            }
            Err(other) => panic!("a client was turned away: {other:?}"),
        }
    }
}

#[test]
fn a_deploy_refuses_nobody_and_two_thousand_sockets_come_back_spread() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("jwt.secret");
    fs::write(&secret, SECRET).unwrap();
    let key = format!("[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n", secret.display());
    let mut server = Server::start_held(folder.path(), &key);
    assert!(server.log().contains(&format!("listening on {}", server.url())), "{}", server.log());
    let address = server.address;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sockets = runtime.block_on(async {
        let mut sockets = Vec::new();
        for batch in 0..SOCKETS / 50 {
            let open = (0..50).map(|n| async move {
                let mut socket = Socket::open(address, &token(batch * 50 + n)).await.unwrap();
                socket.hello().await.unwrap();
                socket.resume(&Resume::default()).await.unwrap();
                socket
            });
            sockets.extend(join_all(open).await);
        }
        sockets
    });
    let clients: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(user, socket)| runtime.spawn(lives_through_it(socket, user, address)))
        .collect();

    // Somebody publishes all the time, each time over a connection of its own.
    let (done, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (longest, patience, began, seen) = std::thread::scope(|scope| {
        let (bearer, done, published) = (format!("Bearer {}", server.key), &done, &published);
        let publishing = scope.spawn(move || {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/cloudevents+json")];
                let body = event("user/nobody", "org.example.tick", &json!(1)).to_string();
                let reply =
                    support::http::request(address, "POST", "/v1/events", &headers, body.as_bytes(), seconds(30));
                assert_eq!(reply.unwrap().status, 202, "no publish is refused or cut");
                longest = longest.max(asked.elapsed());
                published.fetch_add(1, Ordering::Relaxed);
            }
            longest
        });
        until("a publish", seconds(10), || (published.load(Ordering::Relaxed) > 0).then_some(()));
        let (patience, began) = (Patience::begin(), Instant::now());
        server.stop(seconds(30));
        server.start_again();
        let seen: Vec<Seen> = runtime.block_on(join_all(clients)).into_iter().map(Result::unwrap).collect();
        done.store(true, Ordering::Relaxed);
        (publishing.join().unwrap(), patience, began, seen)
    });

    let mut backs: Vec<Duration> = seen.iter().map(|seen| seen.back - began).collect();
    backs.sort();
    let most = (0..SOCKETS)
        .map(|first| {
            backs[first..].iter().take_while(|back| **back < backs[first] + Duration::from_millis(250)).count()
        })
        .max()
        .unwrap();
    let sent_away: usize = seen.iter().map(|seen| seen.sent_away).sum();
    println!(
        "{SOCKETS} sockets: back after {:?} (half of them) to {:?} (all); most in any 250 ms: {most}; {sent_away} sent \
         away with 503 first; {} publishes, all 202, the longest took {longest:?}",
        backs[SOCKETS / 2],
        backs[SOCKETS - 1],
        published.load(Ordering::Relaxed),
    );
    let first = seen.iter().map(|seen| seen.let_go).min().unwrap();
    let early = seen.iter().filter(|seen| seen.let_go < first + seconds(1)).count();
    // A machine that is too busy hears of it later than it was said.
    let fewest = if patience.limit(seconds(1)) > seconds(1) { 1 } else { SOCKETS / 4 };
    assert!((fewest..=SOCKETS * 3 / 4).contains(&early), "{early} were let go in the first of two seconds");
    // All at once would be all of them.
    assert!(most < SOCKETS / 2, "{most} of {SOCKETS} came back within 250 ms");
    assert!(longest < patience.limit(seconds(10)), "a publisher waited {longest:?}");
}

#[test]
fn whoever_was_let_in_before_the_end_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let mut let_in: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    // Connections are taken in their order: those before this one are in.
    assert_eq!(server.get("/healthz").status, 200);
    process::send(server.pid(), Signal::SIGTERM);
    until("the server says that it ends", seconds(10), || {
        server.log().contains("sockets are told to come back\",").then_some(())
    });
    for stream in &mut let_in {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    for mut stream in let_in {
        stream.set_read_timeout(Some(seconds(60))).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    server.stop(seconds(20));
}

#[test]
fn a_publisher_that_asks_nothing_more_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let mut stream = TcpStream::connect(server.address).unwrap();
    let body = r#"{"specversion":"1.0","id":"1","source":"test","type":"t","subject":"user/anna"}"#;
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{body}",
        server.key,
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer[..length]));
    process::send(server.pid(), Signal::SIGTERM);
    // Less than the time that a next request may take to come.
    stream.set_read_timeout(Some(seconds(5))).unwrap();
    assert_eq!(stream.read(&mut answer).unwrap(), 0, "the connection ends");
    server.stop(seconds(20));
}
