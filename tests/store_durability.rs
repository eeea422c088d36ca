//! What the store has answered is there, whatever becomes of its process; and how fast it answers.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pikiosk::{
    event::{Address, DisplayId, Event, Receipt, Status, command},
    io::random,
    server::store::{Fed, Limits, Options, Publish, ReceiptOutcome, Redeem, Store},
};

const T0: u64 = 1_777_896_000_000;
const DATA: &str = "PIKIOSK_TEST_STORE";

fn open(data: &Path) -> (Store, pikiosk::server::store::Feed) {
    Store::open(Options { data: Some(data.into()), limits: Limits::default() }, random::fill).unwrap()
}

fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let data = serde_json::json!({"text": "a message of a typical length, with an id", "id": id});
    let event = Event::new(id, "bench", kind).to(to.parse::<Address>().unwrap()).with_data(&data);
    Publish { event, command, expires_ms: None }
}

async fn enroll(store: &Store, display: &str) {
    let display: DisplayId = display.parse().unwrap();
    let (code, _) = store.create_enrollment(Some(display), 60_000, T0).await.unwrap();
    store.redeem(Redeem { code, public_key: [7; 32], display: None }, T0).await.unwrap();
}

/// Reads the feed to nowhere, as a hub that keeps up.
fn drain(mut feed: pikiosk::server::store::Feed) {
    tokio::spawn(async move { while feed.recv().await.is_some() {} });
}

/// Not a test of its own: what the killed process does. It says `p <id> <offset>` for each answered publish and `r <id>`
/// for each answered receipt.
#[test]
#[ignore = "the child of a_store_that_is_killed_keeps_everything_it_answered"]
fn publisher() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, feed) = open(Path::new(&data));
        drain(feed);
        let say = |line: String| {
            let mut out = std::io::stdout().lock();
            out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
        };
        let run = random::bytes::<4>();
        let publishers = (0..16).map(|publisher| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let id = format!("{run:?}/{publisher}/{n}").replace(' ', "");
                    let one =
                        store.publish(vec![item(&id, "display/lobby", "kiosk.zoom")], T0).await.unwrap().remove(0);
                    say(format!("p {id} {}\n", one.position.offset));
                    if n % 3 == 0 {
                        let receipt = Receipt::new(&id, "bench", Status::Done, 1);
                        store.receipt(&"lobby".parse().unwrap(), receipt, T0).await.unwrap();
                        say(format!("r {id}\n"));
                    }
                }
            })
        });
        for publisher in publishers.collect::<Vec<_>>() {
            publisher.await.unwrap();
        }
    });
}

#[test]
fn a_store_that_is_killed_keeps_everything_it_answered() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, _feed) = open(dir.path());
        enroll(&store, "lobby").await;
        store.close().await;
    });
    let mut published: BTreeMap<String, u64> = BTreeMap::new();
    let mut received = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publisher", "--ignored", "--nocapture"])
            .env(DATA, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut count) = (String::new(), 0);
        while lines.read_line(&mut line).unwrap() > 0 {
            // A line that was cut by the kill has no end, and may be the beginning of another id.
            let words: Vec<&str> = line.trim_end_matches('\n').split(' ').collect();
            match words[..] {
                ["p", id, offset] if line.ends_with('\n') => {
                    published.insert(id.to_owned(), offset.parse().unwrap());
                }
                ["r", id] if line.ends_with('\n') => received.push(id.to_owned()),
                _ => {}
            }
            line.clear();
            count += 1;
            if count == 100 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    assert!(published.len() > 300, "{}", published.len());

    runtime.block_on(async {
        let (store, _feed) = open(dir.path());
        for (id, offset) in &published {
            let record = store.event(id, Some("bench")).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            assert_eq!(record.event.position.offset, *offset);
        }
        for id in &received {
            let record = store.event(id, None).await.unwrap().unwrap();
            assert_eq!(record.receipts.len(), 1, "the receipt of {id} is lost");
        }
        let head = store.heads(&["display/lobby".parse().unwrap()]).await.unwrap().remove(0).1;
        let mut offsets: Vec<u64> = published.values().copied().collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), published.len(), "no position was given twice");
        assert!(head.last >= *published.values().max().unwrap());
        let again = store.publish(vec![item(published.keys().next().unwrap(), "all", "x")], T0).await.unwrap();
        assert!(!again[0].fresh, "and what was answered is known as a repeat");
    });
}

/// `cargo test --test store_durability -- --ignored --nocapture how_fast`
#[test]
#[ignore = "prints numbers"]
fn how_fast() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut out = std::io::stdout();
    for (kind, to) in [("org.example", "all"), ("kiosk.zoom", "all")] {
        for publishers in [1, 16, 256] {
            runtime.block_on(async {
                let dir = tempfile::tempdir().unwrap();
                let (store, feed) = open(dir.path());
                drain(feed);
                for n in 0..20 {
                    enroll(&store, &format!("display-{n}")).await;
                }
                let before = store.stats();
                let began = Instant::now();
                let end = began + Duration::from_secs(3);
                let tasks: Vec<_> = (0..publishers)
                    .map(|publisher| {
                        let store = store.clone();
                        tokio::spawn(async move {
                            let mut longest = Duration::ZERO;
                            for n in 0.. {
                                let asked = Instant::now();
                                if asked > end {
                                    break;
                                }
                                let item = item(&format!("{publisher}-{n}"), to, kind);
                                store.publish(vec![item], T0).await.unwrap();
                                longest = longest.max(asked.elapsed());
                            }
                            longest
                        })
                    })
                    .collect();
                let mut longest = Duration::ZERO;
                for task in tasks {
                    longest = longest.max(task.await.unwrap());
                }
                let (after, took) = (store.stats(), began.elapsed().as_secs_f64());
                let (events, commits) = (after.events - before.events, after.commits - before.commits);
                writeln!(
                    out,
                    "{kind:12} {publishers:3} publishers: {:6.0} publishes/s, {events} in {commits} commits ({:.1} a commit), longest wait {longest:?}, file {} KiB",
                    events as f64 / took,
                    events as f64 / commits as f64,
                    after.file_bytes / 1024,
                )
                .unwrap();
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints numbers"]
async fn how_fast_for_a_thousand_displays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    drain(feed);
    let began = Instant::now();
    let enrolling: Vec<_> = (0..1000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { enroll(&store, &format!("display-{n}")).await })
        })
        .collect();
    for one in enrolling {
        one.await.unwrap();
    }
    let mut report = format!("1,000 displays: enrolled in {:?}", began.elapsed());
    let began = Instant::now();
    for n in 0..10 {
        store.publish(vec![item(&format!("m{n}"), "all", "kiosk.message")], T0).await.unwrap();
    }
    report += &format!(", a publish to all {:?}", began.elapsed() / 10);
    let began = Instant::now();
    for n in 0..1000 {
        let backlog = store.backlog(&format!("display-{n}").parse().unwrap(), T0).await.unwrap();
        assert_eq!(backlog.pending_actions.len(), 10);
    }
    report += &format!(", a backlog {:?}", began.elapsed() / 1000);
    let began = Instant::now();
    let receiving: Vec<_> = (0..1000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let display = format!("display-{n}").parse().unwrap();
                store.receipt(&display, Receipt::new("m1", "bench", Status::Shown, 1), T0).await.unwrap()
            })
        })
        .collect();
    for one in receiving {
        assert_eq!(one.await.unwrap(), ReceiptOutcome::First);
    }
    report += &format!(", 1,000 receipts at once {:?}", began.elapsed());
    writeln!(std::io::stdout(), "{report}").unwrap();
}

#[tokio::test]
async fn the_feed_is_in_commit_order_and_every_receipt_follows_its_event() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut feed) = open(dir.path());
    enroll(&store, "lobby").await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = format!("e{n}");
                store.publish(vec![item(&id, "display/lobby", "kiosk.zoom")], T0).await.unwrap();
                let receipt = Receipt::new(&id, "bench", Status::Shown, 1);
                let outcome = store.receipt(&"lobby".parse().unwrap(), receipt, T0).await.unwrap();
                assert_eq!(outcome, ReceiptOutcome::First);
            })
        })
        .collect();
    let (mut last, mut receipts) = (0, 0);
    while receipts < 20 {
        for fed in feed.recv().await.unwrap() {
            match fed {
                Fed::Event(event) => {
                    assert_eq!((event.commit, event.position.offset), (last + 1, last + 1));
                    last = event.commit;
                }
                Fed::Control(_) | Fed::Lost => {}
                Fed::Receipt(settled) => {
                    assert!(settled.event <= last);
                    receipts += 1;
                }
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}
