//! Sockets of one server: what one costs while it is idle, and what messages to them cost.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::task::spawn_local;

use crate::{
    crowd::Crowd,
    options::Options,
    peers::{Peer, Publisher, To},
    table::{
        Better::{Less, More},
        Table,
    },
};

/// A server that just opened a thousand sockets still frees and settles.
pub const SETTLE: Duration = Duration::from_millis(1500);

pub async fn measure(peer: &dyn Peer, options: &Options, table: &mut Table) {
    let mut crowd = Crowd::new();
    let sockets = options.sockets;
    let (group, holders) = (peer.processes(), peer.holders());
    let name = peer.name();

    tokio::time::sleep(SETTLE).await;
    let empty = holders.memory();
    peer.admit(0..sockets).await;
    let cpu = group.cpu();
    crowd.grow(peer, sockets).await;
    tokio::time::sleep(SETTLE).await;
    let cpu = group.cpu() - cpu;
    let per_socket = |memory: f64| (memory - empty) / sockets as f64;
    if options.wants("connect") {
        table.add(name, "connect, authenticated", cpu * 1e3 / sockets as f64, ("CPU-ms", Less, "<= 0.15"));
    }
    if options.wants("memory") {
        let row = format!("memory of an idle socket, {sockets} open");
        table.add(name, &row, per_socket(holders.memory()), ("KB", Less, "<= 8"));
    }

    if options.wants("flood") {
        let messages = options.count(200);
        let ways = [("1 publisher", 1, 1), ("64 publishers", 64, 1), ("1 publisher, 50 a request", 1, 50)];
        for (way, publishers, batch) in ways {
            let row = format!("flood, {messages} to each, {way}");
            let rate = fan_out(peer, &crowd, messages, (publishers, batch)).await;
            table.add(name, &row, rate / 1e3, ("k/CPU-s", More, ">= 1.3 nats"));
        }
        tokio::time::sleep(SETTLE).await;
        let row = format!("memory of a socket after a flood, {sockets} open");
        table.add(name, &row, per_socket(holders.memory()), ("KB", Less, "<= 12"));
    }
    if options.wants("unicast") {
        for (batch, messages) in
            [(1, options.count(20_000)), (100, options.count(100_000)), (1000, options.count(100_000))]
        {
            let row = format!("unicast, {batch} a request");
            let to: Vec<To> = (0..messages).map(|n| To::One(n % sockets)).collect();
            let rate = flood(peer, &crowd, &to, How { publishers: 4, batch, flush: true }, 1).await;
            let promise = if batch == 100 { ">= 0.8 nats" } else { "" };
            table.add(name, &row, rate / 1e3, ("k/CPU-s", More, promise));
        }
    }
    if options.wants("paced") {
        for per_second in [2, 10] {
            let count = options.count(10 * per_second);
            let pace = Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(1);
            let to = vec![To::All; count];
            let (p50, p99, cpu) = paced(peer, &crowd, &to, pace, sockets as u64).await;
            let row = format!("paced fan-out, {per_second}/s");
            let deliveries = (count * sockets) as f64;
            table.add(name, &format!("{row}, p50"), p50, ("ms", Less, ""));
            table.add(name, &format!("{row}, p99"), p99, ("ms", Less, "no worse"));
            table.add(name, &format!("{row}, a delivery"), cpu * 1e6 / deliveries, ("CPU-us", Less, ""));
        }
        let count = options.count(5_000);
        let to: Vec<To> = (0..count).map(|n| To::One(n * 7 % sockets)).collect();
        let (p50, p99, cpu) = paced(peer, &crowd, &to, Duration::from_millis(2), 1).await;
        table.add(name, "paced unicast, 500/s, p50", p50, ("ms", Less, ""));
        table.add(name, "paced unicast, 500/s, p99", p99, ("ms", Less, "no worse"));
        table.add(name, "paced unicast, 500/s, a message", cpu * 1e6 / count as f64, ("CPU-us", Less, ""));
    }
    let closed = crowd.closed();
    if !closed.is_empty() {
        println!("  {name}: {} sockets were closed: {:?}", closed.len(), &closed[..closed.len().min(5)]);
    }
}

/// A flood to all: so many messages by so many publishers with so many in a request.
pub async fn fan_out(peer: &dyn Peer, crowd: &Crowd, messages: usize, (publishers, batch): (usize, usize)) -> f64 {
    // Who waits for no answer writes all at once: to send little by little would flatter us.
    let how = if peer.open_loop() { How::open(messages) } else { How { publishers, batch, flush: true } };
    flood(peer, crowd, &vec![To::All; messages], how, crowd.len() as u64).await
}

/// How a flood is published.
#[derive(Debug, Clone, Copy)]
struct How {
    publishers: usize,
    /// Messages in one request or write.
    batch: usize,
    /// Each batch waits until the server has the one before.
    flush: bool,
}

impl How {
    fn open(all: usize) -> How {
        How { publishers: 1, batch: all, flush: false }
    }
}

/// As fast as it goes. Returns deliveries per second of the server's processor time.
async fn flood(peer: &dyn Peer, crowd: &Crowd, to: &[To], how: How, each: u64) -> f64 {
    let How { publishers, batch, flush } = how;
    let group = peer.processes();
    let connections: Vec<Box<dyn Publisher>> = join_all((0..publishers).map(|_| peer.publisher())).await;
    let wanted = to.len() as u64 * each;
    crowd.expect(wanted);
    let chunks: Rc<Vec<Vec<To>>> = Rc::new(to.chunks(batch).map(<[To]>::to_vec).collect());
    let next = Rc::new(Cell::new(0));
    let cpu = group.cpu();
    let began = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut publisher| {
            let (chunks, next) = (Rc::clone(&chunks), Rc::clone(&next));
            spawn_local(async move {
                while let Some(chunk) = chunks.get(next.replace(next.get() + 1)) {
                    publisher.send(chunk).await;
                    if flush {
                        publisher.flush().await;
                    }
                }
                publisher
            })
        })
        .collect();
    // Held until all is heard: a publisher that leaves early may take what is on its way with it.
    let held: Vec<_> = join_all(tasks).await.into_iter().map(|ended| ended.expect("no publisher panics")).collect();
    let heard = crowd.heard_all().await;
    let (wall, cpu) = (began.elapsed(), group.cpu() - cpu);
    drop(held);
    if heard != wanted {
        println!("  {}: {heard} of {wanted} messages came; closed: {:?}", peer.name(), crowd.closed());
    }
    println!("  {}: {heard} deliveries in {wall:.2?}, {cpu:.3} CPU-s", peer.name());
    heard as f64 / cpu.max(1e-9)
}

/// One message after the other, with idle gaps. Returns p50 and p99 in ms, and processor time.
async fn paced(peer: &dyn Peer, crowd: &Crowd, to: &[To], pace: Duration, each: u64) -> (f64, f64, f64) {
    let mut publisher = peer.publisher().await;
    let wanted = to.len() as u64 * each;
    crowd.expect(wanted);
    let cpu = peer.processes().cpu();
    let mut due = tokio::time::Instant::now();
    for to in to {
        due += pace;
        tokio::time::sleep_until(due).await;
        match to {
            To::All => crowd.sent_to_all(),
            To::One(number) => crowd.sent_to(*number),
        }
        publisher.send(std::slice::from_ref(to)).await;
    }
    let heard = crowd.heard_all().await;
    if heard != wanted {
        println!("  {}: {heard} of {wanted} messages came", peer.name());
    }
    let cpu = peer.processes().cpu() - cpu;
    let (p50, p99) = percentiles(&crowd.times());
    (p50, p99, cpu)
}

/// p50 and p99, in ms.
pub fn percentiles(times: &[Duration]) -> (f64, f64) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let p = |percent: usize| times.get(times.len() * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    (p(50), p(99))
}
