//! What clients that mean harm, or only are many, do to the others: nothing. The bench measures the same at full size.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream as StdStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{
    hearer::Hearer,
    process::Process,
    server::{BINARY, Server, event, free_port},
    socket::End,
    token::{token, trusted},
    wait::{Patience, seconds, until},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// So long nothing came: all is heard.
const QUIET: Duration = Duration::from_secs(2);
/// What an honest client bears, on a machine that does other things too.
const HONEST: Duration = Duration::from_millis(500);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn user_token(number: usize) -> String {
    token(&format!("u{number}"), &["group/all-of-them", &format!("user/u{number}")])
}

/// Publishes a batch over a connection of its own.
fn publish(server: &Server, batch: &[Value]) {
    let body = Value::from(batch).to_string();
    let bearer = format!("Bearer {}", server.key);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/cloudevents-batch+json")];
    let reply = support::http::request(server.address, "POST", "/v1/events", &headers, body.as_bytes(), seconds(60));
    let reply = reply.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text());
}

fn to_all(count: usize, text: &str) -> Vec<Value> {
    (0..count).map(|_| event("group/all-of-them", "org.example.flood", &json!(text))).collect()
}

#[test]
fn a_flood_of_eight_publishers_reaches_every_socket_whole_and_in_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &trusted(folder.path()));
    let (sockets, publishers, batches, batch) = (150, 8, 5, 20);
    runtime().block_on(async {
        let mut hearers = Vec::new();
        for number in 0..sockets {
            hearers.push(Hearer::open(server.address, &user_token(number)).await);
        }
        let wanted = publishers * batches * batch;
        let hearing = hearers.into_iter().map(|mut hearer| {
            tokio::spawn(async move {
                while hearer.heard < wanted as u64 {
                    tokio::time::timeout(seconds(60), hearer.hear()).await.expect("more comes").expect("it stays open");
                }
                hearer.positions.positions
            })
        });
        let hearing: Vec<_> = hearing.collect();
        std::thread::scope(|scope| {
            for _ in 0..publishers {
                scope.spawn(|| (0..batches).for_each(|_| publish(&server, &to_all(batch, "flood"))));
            }
        });
        // Each has checked that its offsets have no gap; all end at the same one.
        let ends: Vec<_> = join_all(hearing).await.into_iter().map(Result::unwrap).collect();
        let of_all = |end: &std::collections::BTreeMap<_, _>| end.get(&"group/all-of-them".parse().unwrap()).cloned();
        assert!(ends.iter().all(|end| of_all(end) == of_all(&ends[0])), "one order, one end");
    });
}

#[test]
fn sockets_that_never_read_are_cut_the_others_do_not_wait_and_those_who_come_back_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &trusted(folder.path()));
    let (readers, deaf) = (40, 5);
    let patience = Patience::begin();
    runtime().block_on(async {
        let mut open = Vec::new();
        for number in 0..readers + deaf {
            open.push(Hearer::open(server.address, &user_token(number)).await);
        }
        let silent = open.split_off(readers);
        // 8 MiB for each: more than kernels hold for a peer that does not read, fewer events than the history keeps.
        let (batches, batch, text) = (20, 25, "x".repeat(16 * 1024));
        let wanted = batches * batch;
        let heard = Arc::new(AtomicUsize::new(0));
        let reading: Vec<_> = open
            .into_iter()
            .map(|mut hearer| {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut longest = Duration::ZERO;
                    while hearer.heard < wanted as u64 {
                        let began = Instant::now();
                        hearer.hear().await.unwrap_or_else(|end| panic!("one that reads was ended: {end:?}"));
                        longest = longest.max(began.elapsed());
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                    longest
                })
            })
            .collect();
        for n in 1..=batches {
            let events = to_all(batch, &text);
            tokio::task::block_in_place(|| {
                publish(&server, &events);
                // So that only those who never read fall behind, however slow this machine is.
                until("all who read have read", seconds(10), || {
                    (heard.load(Ordering::Relaxed) >= n * batch * readers).then_some(())
                });
            });
        }
        for longest in join_all(reading).await {
            let longest = longest.unwrap();
            assert!(longest < patience.limit(seconds(5)), "a reader waited {longest:?} for those who do not read");
        }
        for (n, mut hearer) in silent.into_iter().enumerate() {
            let end = hearer.hear_all(QUIET).await;
            let is_cut = matches!(end, Some(End::Closed(4001, _) | End::Broken));
            assert!(is_cut, "one that never read: {end:?} after {} events", hearer.heard);
            assert!(hearer.heard < wanted as u64, "it was cut before the end");
            let resumed = hearer.come_back(server.address, &user_token(readers + n)).await;
            assert!(resumed.recovered.values().all(|recovered| *recovered), "{resumed:?}");
            while hearer.heard < wanted as u64 {
                tokio::time::timeout(seconds(60), hearer.hear()).await.expect("the rest comes").expect("it stays open");
            }
        }
    });
}

/// From the connection to the end of the greeting.
async fn honest(server: &Server, number: usize) -> Duration {
    let began = Instant::now();
    Hearer::open(server.address, &user_token(number)).await;
    began.elapsed()
}

/// Begins a request and leaves it; returns how long the server bore it, and what it said.
async fn half_a_handshake(server: SocketAddr) -> (Duration, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let began = Instant::now();
    stream.write_all(b"GET /v1/ws HTTP/1.1\r\nHost: display\r\nUpgrade: webso").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(seconds(60), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server bears a half-open handshake for ever");
    (began.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn handshakes_that_never_end_are_cut_at_their_time_and_honest_ones_open_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let more = format!("{}[limits]\nhandshake_seconds = 2\n", trusted(folder.path()));
    let server = Server::start(folder.path(), &more);
    let patience = Patience::begin();
    runtime().block_on(async {
        let mut attackers = Vec::new();
        let mut times = Vec::new();
        for number in 0..40 {
            attackers.extend((0..25).map(|_| tokio::spawn(half_a_handshake(server.address))));
            times.push(honest(&server, number).await);
        }
        for attacker in join_all(attackers).await {
            let (age, said) = attacker.unwrap();
            assert!((seconds(1)..patience.limit(seconds(4))).contains(&age), "cut after {age:?}: {said:?}");
            assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
        }
        times.sort();
        let slowest = times[times.len() * 99 / 100];
        assert!(slowest < patience.limit(HONEST), "honest handshakes took up to {slowest:?}");
    });
}

#[test]
fn a_request_that_comes_byte_by_byte_is_cut_at_its_time_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[limits]\nhandshake_seconds = 1\n");
    let mut stream = StdStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (patience, began) = (Patience::begin(), Instant::now());
    // A byte every 50 ms: each read is answered by more, so only a bound on the whole ends it.
    let bytes = b"GET /v1/ws HTTP/1.1\r\nX-Header: ".iter().chain(std::iter::repeat(&b'a'));
    for byte in bytes {
        assert!(patience.lasts(seconds(5)), "it may go on for ever");
        let mut answer = [0; 512];
        if stream.write_all(&[*byte]).is_err() || matches!(stream.read(&mut answer), Ok(0)) {
            break;
        }
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "an honest slow client has its time: {:?}", began.elapsed());
}

/// A shell gives a program 1,024, and so do most containers.
#[test]
fn a_server_that_was_given_few_descriptors_holds_more_connections_than_those() {
    const GIVEN: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let config = folder.path().join("server.toml");
    let text = format!("listen = \"{address}\"\ndata = \"{}\"\n", folder.path().join("data").display());
    std::fs::write(&config, text + "[limits]\nhandshake_seconds = 60\n").unwrap();
    let limited = format!("ulimit -Sn {GIVEN}; exec \"$0\" server --config \"$1\"");
    let mut command = Command::new("sh");
    let _server = Process::start("server", folder.path(), command.args(["-c", &limited, BINARY]).arg(&config));
    let asked = || support::http::request(address, "GET", "/healthz", &[], b"", seconds(5)).ok();
    until("the server is up", seconds(30), || asked().filter(|reply| reply.status == 200));
    let _idle: Vec<StdStream> = (0..2 * GIVEN).map(|_| StdStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    until("one more is served", seconds(10), || asked().filter(|reply| reply.status == 200));
    assert!(began.elapsed() < seconds(55), "it waited for one of the idle ones to be given up");
}

/// slowhttptest's own three attacks. Skipped, and said, where it is not installed.
#[test]
fn slowhttptest_takes_nobodys_place() {
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        println!("SKIPPED: slowhttptest is not installed (apt install slowhttptest)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let more = format!("{}[limits]\nhandshake_seconds = 2\n", trusted(folder.path()));
    let server = Server::start(folder.path(), &more);
    let url = server.url();
    let events = format!("{url}/v1/events");
    // Heads that never end (-H), bodies that never end (-B), answers that are never read (-X).
    let attacks: [&[&str]; 3] = [
        &["-H", "-c", "300", "-r", "150", "-i", "1", "-l", "4", "-p", "1", "-u", &url],
        &["-B", "-c", "300", "-r", "150", "-i", "1", "-l", "4", "-p", "1", "-u", &events],
        &[
            "-X", "-c", "200", "-r", "100", "-w", "8", "-y", "32", "-n", "1", "-z", "8", "-l", "4", "-p", "1", "-u",
            &url,
        ],
    ];
    let patience = Patience::begin();
    let mut running: Vec<Process> = attacks
        .iter()
        .enumerate()
        .map(|(n, arguments)| {
            Process::start(&format!("attack{n}"), folder.path(), Command::new("slowhttptest").args(*arguments))
        })
        .collect();
    let mut times = Vec::new();
    runtime().block_on(async {
        until("the attacks run", seconds(5), || (server.get("/readyz").status == 200).then_some(()));
        let began = Instant::now();
        for number in 0.. {
            times.push(honest(&server, number).await);
            tokio::task::block_in_place(|| publish(&server, &to_all(1, "in between")));
            if began.elapsed() > seconds(4) {
                break;
            }
        }
    });
    for attack in &mut running {
        until("the attack ends", seconds(15), || attack.ended());
    }
    times.sort();
    let slowest = times[times.len() * 99 / 100];
    assert!(slowest < patience.limit(HONEST), "honest handshakes took up to {slowest:?} of {}", times.len());
}
