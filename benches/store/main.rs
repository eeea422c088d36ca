//! What the store itself costs: `cargo bench --profile fast --bench store`, with `memory` or `durable` for a part.
//!
//! ```text
//!  memory    a batch on its way from the body of a request to the feed, step by step, in ns a message
//!  durable   64 publishers of 1 KiB on a file, beside a bare loop that appends and syncs what all of them wait for
//! ```
//!
//! Not a test: a busy machine must not fail the build.

#![expect(clippy::print_stdout, reason = "the figures on stdout are what a bench is for")]

use std::{
    fs::File,
    hint::black_box,
    io::Write,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use pikiosk::{
    auth::Principal,
    event::Event,
    io::random,
    server::{
        publishing::prepare,
        store::{Feed, Limits, Options, Publish, Store},
    },
};
use tokio::sync::oneshot;

const T0: u64 = 1_777_896_000_000;
const PUBLISHERS: usize = 64;
const SECONDS: Duration = Duration::from_secs(4);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    if wanted("memory") {
        memory();
    }
    if wanted("durable") {
        let dir = std::env::var_os("PIKIOSK_BENCH_DIR").map_or_else(|| "target".into(), std::path::PathBuf::from);
        for round in 1..=3 {
            println!("durable, round {round} of 3, in {}", dir.display());
            durable(&dir);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Reads the feed to nowhere, as a hub that keeps up.
fn drain(mut feed: Feed) {
    tokio::spawn(async move { while feed.recv().await.is_some() {} });
}

/// A body of 100 events for 1,000 users, as a web application would send it.
fn batch_body(round: usize) -> String {
    let event = |n: usize| {
        let number = round * 100 + n;
        format!(
            r#"{{"specversion":"1.0","id":"order-{number}","source":"https://shop.example.org/orders","type":"org.example.order","subject":"user/customer-{}","time":"2026-05-04T12:00:00Z","datacontenttype":"application/json","data":{{"order":{number},"state":"ready","text":"{}"}}}}"#,
            number % 1_000,
            "x".repeat(160),
        )
    };
    format!("[{}]", (0..100).map(event).collect::<Vec<_>>().join(","))
}

/// Processor time of this thread: other work on the machine must not count.
fn cpu() -> Duration {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(line.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn memory() {
    const ROUNDS: usize = 2_000;
    let bodies: Vec<String> = (0..ROUNDS).map(batch_body).collect();
    let operator = Principal::from_operator_key();
    let (mut parse, mut check, mut keep) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let single = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    single.block_on(async {
        let limits = Limits { feed: 2 * ROUNDS, ..Limits::default() };
        let (store, mut feed) = Store::open(Options { data: None, limits }, random::fill).expect("a store");
        for body in &bodies {
            let start = cpu();
            let events = Event::batch_from_json(body.as_bytes()).expect("events");
            let parsed = cpu();
            let batch: Vec<Publish> =
                events.into_iter().map(|event| prepare(event, &operator, T0).expect("a publish")).collect();
            let checked = cpu();
            black_box(store.publish(batch, T0).await.expect("published"));
            let kept = cpu();
            parse += parsed - start;
            check += checked - parsed;
            keep += kept - checked;
            while feed.try_recv().is_ok() {}
        }
    });
    let each = |time: Duration| time.as_nanos() / (ROUNDS as u128 * 100);
    println!(
        "memory, batches of 100, ns a message: parse {}, check {}, store {}",
        each(parse),
        each(check),
        each(keep)
    );
}

fn durable(dir: &Path) {
    let payload = vec![b'x'; 1024];
    let dir = tempfile::tempdir_in(dir).expect("a directory");
    let bare = bare_loop(&dir.path().join("bare"), &payload);
    let (store, a_commit, cpu) = publishers(&dir.path().join("data"));
    println!("  a bare loop that appends and syncs: {bare:8.0} writes/s");
    println!(
        "  64 publishers on the store:         {store:8.0} publishes/s, {a_commit:.1} a commit, {cpu:.1} us of the \
         writer's processor a publish, {:.2} of the bare loop",
        store / bare
    );
}

/// 64 tasks that each wait for their record to be on disk; one thread appends all that waits, and syncs once.
fn bare_loop(path: &Path, payload: &[u8]) -> f64 {
    let (asks, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    let mut file = File::create(path).expect("a file");
    let record = payload.to_vec();
    let writer = thread::spawn(move || {
        while let Ok(first) = waiting.recv() {
            let mut answers = vec![first];
            answers.extend(waiting.try_iter());
            for _ in &answers {
                file.write_all(&record).expect("written");
            }
            file.sync_data().expect("synced");
            for answer in answers {
                let _ = answer.send(());
            }
        }
    });
    let count = runtime().block_on(async move {
        let end = Instant::now() + SECONDS;
        let tasks: Vec<_> = (0..PUBLISHERS)
            .map(|_| {
                let asks = asks.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    while Instant::now() < end {
                        let (answer, answered) = oneshot::channel();
                        asks.send(answer).expect("a writer");
                        answered.await.expect("an answer");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.expect("a publisher");
        }
        count
    });
    writer.join().expect("the writer");
    f64::from(count) / SECONDS.as_secs_f64()
}

/// Processor time of the store's writer so far, in seconds.
fn writer_cpu() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    let writers = tasks.filter(|task| read(&task.path(), "comm").trim() == "store-writer");
    let nanos = writers.filter_map(|task| read(&task.path(), "schedstat").split(' ').next()?.parse::<f64>().ok());
    nanos.sum::<f64>() / 1e9
}

/// Publishes a second, publishes a commit, and the writer's microseconds of processor a publish.
fn publishers(data: &Path) -> (f64, f64, f64) {
    let data = data.to_owned();
    runtime().block_on(async move {
        let (store, feed) =
            Store::open(Options { data: Some(data), limits: Limits::default() }, random::fill).expect("a store");
        drain(feed);
        let end = Instant::now() + SECONDS;
        let tasks: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let store = store.clone();
                tokio::spawn(async move {
                    let text = "x".repeat(800);
                    for n in 0.. {
                        if Instant::now() >= end {
                            break;
                        }
                        let event = Event::new(
                            format!("{publisher}-{n}"),
                            "https://shop.example.org/orders",
                            "org.example.order",
                        )
                        .to(format!("user/customer-{publisher}").parse().expect("an address"))
                        .with_data(&text);
                        let item = Publish { event, command: None, expires_ms: None };
                        store.publish(vec![item], T0).await.expect("published");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a publisher");
        }
        let (stats, cpu) = (store.stats(), writer_cpu());
        store.close().await;
        let (events, commits) = (stats.events as f64, stats.commits as f64);
        (events / SECONDS.as_secs_f64(), events / commits, cpu / events * 1e6)
    })
}
