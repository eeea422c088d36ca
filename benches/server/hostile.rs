//! Clients that mean harm, or are only bad: they never read, or never finish a handshake.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::spawn_local,
};

use crate::{
    crowd::Crowd,
    options::Options,
    peers::{
        Peer, To,
        pikiosk::{Pikiosk, token},
    },
    support::{hearer::Hearer, socket::End},
    table::{Better::Less, Table},
};

const OTHERS: usize = 900;
const DEAF: usize = 100;
/// Messages a second to everybody, while it is looked how late the others get them.
const PACE: Duration = Duration::from_millis(100);
/// What each of the hundred gets besides in that time, 1 KiB each: its queue and the kernel's buffers are full after
/// ten seconds, and all of it is still less than the store in memory keeps.
const FILLERS: usize = 4;

/// A hundred of a thousand sockets stop reading: the others must not feel it, and nothing is lost to the hundred.
pub async fn slow(server: &Pikiosk, options: &Options, table: &mut Table) {
    let mut crowd = Crowd::new();
    crowd.grow(server, OTHERS).await;
    let deaf = Rc::new(Deafness::default());
    let mut hundred = Vec::new();
    for number in OTHERS..OTHERS + DEAF {
        let hearer = Hearer::open(server.address, &token(number)).await;
        hundred.push(spawn_local(listen(hearer, Rc::clone(&deaf))));
    }

    let seconds = if options.quick { 14 } else { 20 };
    let all_read = phase(server, &crowd, seconds).await;
    deaf.begin();
    let some_deaf = phase(server, &crowd, seconds).await;
    let name = server.name();
    table.add(name, "slow: p99 of 900 while all 1,000 read", all_read, ("ms", Less, ""));
    table.add(name, "slow: p99 of 900 while 100 never read", some_deaf, ("ms", Less, ""));
    table.add(name, "slow: it rises by", (some_deaf / all_read - 1.0) * 100.0, ("%", Less, "< 20"));

    let ends = hundred.into_iter().enumerate().map(|(n, task)| async move {
        let mut hearer = task.await.expect("no reader panics");
        let end = hearer.hear_all(QUIET).await;
        if end.is_some() {
            let resumed = hearer.come_back(server.address, &token(OTHERS + n)).await;
            assert!(resumed.recovered.values().all(|recovered| *recovered), "{resumed:?}");
            hearer.hear_all(QUIET).await;
        }
        (end, hearer.heard)
    });
    let ends: Vec<(Option<End>, u64)> = join_all(ends).await;
    let cut = ends.iter().filter(|(end, _)| end.is_some()).count();
    let told = ends.iter().filter(|(end, _)| matches!(end, Some(End::Closed(4001, _)))).count();
    let ticks = seconds * 1000 / PACE.as_millis() as u64;
    let published = 2 * ticks * (1 + FILLERS as u64);
    let lost: u64 = ends.iter().map(|(_, heard)| published.saturating_sub(*heard)).sum();
    println!(
        "  {name}: {cut} of {DEAF} were cut, {told} of them read 4001; after they came back {lost} messages are lost"
    );
    table.add(name, "slow: not cut, of 100", (DEAF - cut) as f64, ("sockets", Less, "0"));
    table.add(name, "slow: lost after they resumed", lost as f64, ("messages", Less, "0"));
}

/// Publishes for so long; returns the p99 of the crowd in ms.
async fn phase(server: &Pikiosk, crowd: &Crowd, seconds: u64) -> f64 {
    let mut publisher = server.publisher().await;
    let mut filler = server.fat_publisher(1024).await;
    let fillers: Vec<To> = (0..DEAF * FILLERS).map(|n| To::One(OTHERS + n % DEAF)).collect();
    let ticks = seconds * 1000 / PACE.as_millis() as u64;
    crowd.expect(ticks * OTHERS as u64);
    let mut due = tokio::time::Instant::now();
    for _ in 0..ticks {
        due += PACE;
        tokio::time::sleep_until(due).await;
        crowd.sent_to_all();
        publisher.send(&[To::All]).await;
        // Halfway between two messages to all: it is others' messages that are timed, not their queue behind a batch.
        tokio::time::sleep_until(due + PACE / 2).await;
        // As many as a body may be long.
        for some in fillers.chunks(200) {
            filler.send(some).await;
        }
    }
    crowd.heard_all().await;
    crate::speed::percentiles(&crowd.times()).1
}

/// So long nothing came: all is heard.
const QUIET: Duration = Duration::from_secs(3);

/// Tells the hundred to stop reading.
#[derive(Debug, Default)]
struct Deafness {
    is: Cell<bool>,
    begins: Notify,
}

impl Deafness {
    fn begin(&self) {
        self.is.set(true);
        self.begins.notify_waiters();
    }
}

/// Reads until it is to become deaf.
async fn listen(mut hearer: Hearer, deaf: Rc<Deafness>) -> Hearer {
    loop {
        let begins = deaf.begins.notified();
        if deaf.is.get() {
            return hearer;
        }
        tokio::select! {
            () = begins => return hearer,
            heard = hearer.hear() => if let Err(end) = heard { panic!("a socket that reads ended: {end:?}") },
        }
    }
}

/// 2,000 handshakes that never end, and 500 more a second: honest ones must open all the same.
pub async fn half_open(server: &Pikiosk, options: &Options, table: &mut Table) {
    let name = server.name();
    let honest = options.count(300);
    let quiet = connects(server, 0..honest).await;
    let ages = Rc::new(RefCell::new(Vec::new()));
    let address = server.address;
    let mut attackers: Vec<_> = Vec::new();
    for _ in 0..20 {
        attackers.extend((0..100).map(|_| spawn_local(attack(address, Rc::clone(&ages)))));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let more = {
        let ages = Rc::clone(&ages);
        spawn_local(async move {
            let mut more = Vec::new();
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            let end = Instant::now() + honest_time(honest);
            while Instant::now() < end {
                pace.tick().await;
                more.extend((0..10).map(|_| spawn_local(attack(address, Rc::clone(&ages)))));
            }
            more
        })
    };
    let busy = connects(server, honest..2 * honest).await;
    attackers.extend(more.await.expect("no attacker panics"));
    let count = attackers.len();
    for attacker in attackers {
        attacker.await.expect("no attacker panics");
    }
    let mut ages = ages.borrow().clone();
    ages.sort_unstable();
    println!("  {name}: {count} half-open handshakes were cut at {:?} to {:?}", ages.first(), ages.last());
    table.add(name, "half-open: honest connect p99, quiet", quiet, ("ms", Less, ""));
    table.add(name, "half-open: honest connect p99, 2,000 + 500/s", busy, ("ms", Less, "<= 500"));
    let last = ages.last().map_or(f64::NAN, Duration::as_secs_f64);
    table.add(name, "half-open: cut after at most", last, ("s", Less, "10"));
}

/// One handshake that stops in the middle; notes how long the server kept it.
async fn attack(address: SocketAddr, ages: Rc<RefCell<Vec<Duration>>>) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let began = Instant::now();
    let _ = stream.write_all(b"GET /v1/ws HTTP/1.1\r\nHost: display\r\nUpgrade: webso").await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    ages.borrow_mut().push(began.elapsed());
}

const HONEST_EACH: Duration = Duration::from_millis(50);

fn honest_time(count: usize) -> Duration {
    HONEST_EACH * u32::try_from(count).unwrap_or(u32::MAX)
}

/// p99 in ms, from the connection to `kiosk.resumed`.
async fn connects(server: &Pikiosk, numbers: std::ops::Range<usize>) -> f64 {
    let mut times = Vec::new();
    let mut pace = tokio::time::interval(HONEST_EACH);
    for number in numbers {
        pace.tick().await;
        let began = Instant::now();
        server.open(number, &json!({})).await.expect("an honest client gets in");
        times.push(began.elapsed());
    }
    crate::speed::percentiles(&times).1
}
