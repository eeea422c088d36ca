//! One run: clients, publishers and faults together, then the audit.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fastrand::Rng;
use pikiosk::event::frame::ServerFrame;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    check::{Evidence, Violation, judge},
    courier::Courier,
    display::{Display, Way},
    log::{Kept, Log, Number, Saw},
    plan::{Death, Fault, Item, Plan, Size, USERS, What, display_id},
    publisher::{Publisher, SOURCE, place_of},
    reader::{Pass, Reader, token},
    road::{Road, Weather},
    wire::{Http, Socket},
    world::{Setup, World},
};

/// How long what was accepted may take to be done, once nothing goes wrong any more.
const CALM: Duration = Duration::from_secs(90);
/// As the server's default.
const HISTORY_EVENTS: u64 = 1_000;

/// What a run was like.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "it is there to be printed")]
pub struct Figures {
    pub events: usize,
    pub commands: usize,
    pub receipts: usize,
    pub by_status: BTreeMap<String, usize>,
    pub faults: BTreeMap<&'static str, usize>,
    pub deliveries: usize,
    pub sockets: usize,
    /// How sockets ended, by close code; 0 where they broke.
    pub ends: BTreeMap<u16, usize>,
    pub repeated_requests: usize,
    pub seconds: u64,
}

/// Clients whose tasks can be ended and begun again.
struct Lives {
    displays: Vec<Display>,
    tasks: Vec<Mutex<JoinHandle<()>>>,
}

struct Run {
    plan: Plan,
    world: Mutex<World>,
    roads: Vec<Vec<Arc<Road>>>,
    lives: Lives,
    done: std::sync::Mutex<BTreeMap<&'static str, usize>>,
}

/// Runs a plan of this seed and size against a server, and judges it.
pub async fn run(seed: u64, size: Size, setup: Setup, folder: &Path, binary: &Path) -> (Figures, Vec<Violation>) {
    let began = std::time::Instant::now();
    let world = World::start(folder, binary, setup, size.may_rewrite(seed)).await;
    let mut plan = Plan::new(seed, size, world.means);
    let markers = markers(&mut plan);
    let commands = plan.events.iter().filter(|item| item.what != What::Plain).count();
    let (events, faults) = (plan.events.len(), plan.faults.len());
    println!("{events} events, {commands} of them commands, {faults} faults, {} displays", size.displays);

    let mut roads = Vec::new();
    for _ in 0..size.roads() {
        let mut of_client = Vec::new();
        for node in world.addresses() {
            of_client.push(Road::open(node).await.expect("a loopback port is free"));
        }
        roads.push(of_client);
    }
    roads.extend(world.back_roads.iter().map(|road| vec![road.clone()]));
    let nodes = world.addresses();
    let ways = |client: usize| -> Arc<[Way]> {
        roads[client].iter().zip(&nodes).map(|(road, node)| Way { road: road.address, node: *node }).collect()
    };
    let displays: Vec<Display> =
        (0..size.displays).map(|n| Display::new(display_id(n), n as u8, ways(n), Log::new(began))).collect();
    let mut http = world.http().await.expect("the server answers");
    for (number, display) in displays.iter().enumerate() {
        let group = size.group_of(number);
        let done = world.enroll(&mut http, &display.id, &display.key.public_text(), group.as_deref()).await;
        done.unwrap_or_else(|| panic!("{} is not enrolled", display.id));
    }
    let readers: Vec<Reader> = readers(&world, size)
        .into_iter()
        .enumerate()
        .map(|(number, pass)| Reader {
            log: Log::new(began),
            pass,
            ways: ways(size.displays + number),
            turn: Arc::default(),
        })
        .collect();
    let mut reading: JoinSet<()> = readers.iter().map(|reader| reader.clone().live()).collect();
    let tasks = displays.iter().map(|display| Mutex::new(tokio::spawn(display.clone().live()))).collect();
    let accepted = Arc::new(AtomicUsize::new(0));
    let publishers: Vec<Publisher> = (0..size.publishers)
        .map(|number| Publisher {
            log: Log::new(began),
            ways: ways(size.displays + readers.len() + number),
            key: world.key.clone(),
            rng: Rng::with_seed(seed + number as u64),
            accepted: accepted.clone(),
            size,
            now_ms,
        })
        .collect();
    let mut logs: Vec<Log> = publishers.iter().map(|publisher| publisher.log.clone()).collect();
    let lives = Lives { displays, tasks };
    let broker = world.broker_address();
    let run = Arc::new(Run { plan, world: Mutex::new(world), roads, lives, done: Default::default() });

    let mut publishing = JoinSet::new();
    let regular = run.plan.events[..run.plan.events.len() - markers].to_vec();
    let (carried, regular): (Vec<Item>, Vec<Item>) =
        regular.into_iter().partition(|item| item.by_broker && broker.is_some());
    for (number, publisher) in publishers.into_iter().enumerate() {
        let own = regular.iter().skip(number).step_by(size.publishers).cloned().collect();
        publishing.spawn(publisher.publish(own));
    }
    if let Some(broker) = broker {
        let courier = Courier { log: Log::new(began), broker, accepted: accepted.clone(), now_ms };
        logs.push(courier.log.clone());
        publishing.spawn(courier.publish(carried));
    }
    let striking = tokio::spawn(run.clone().strike(seed, accepted.clone()));
    let publishing = async {
        while let Some(done) = publishing.join_next().await {
            done.expect("a publisher ends well");
        }
    };
    // Both at once: a fault that cannot be done must not leave the publishers waiting for ever.
    let publishing = async {
        publishing.await;
        Ok(())
    };
    tokio::try_join!(publishing, striking).expect("the faults end well");
    println!("all published after {} s; now it is calm", began.elapsed().as_secs());

    // After everything else: whoever has the marker of an address was given what stands before it.
    let marker = Publisher {
        log: Log::new(began),
        ways: nodes.iter().map(|node| Way { road: *node, node: *node }).collect(),
        key: run.world.lock().await.key.clone(),
        rng: Rng::with_seed(seed),
        accepted,
        size,
        now_ms,
    };
    logs.push(marker.log.clone());
    // What the broker confirmed is not with the server yet: it is in the ledger when it is.
    run.ledger(Wants::Carried, Instant::now() + CALM).await;
    marker.publish(run.plan.events[run.plan.events.len() - markers..].to_vec()).await;

    let evidence = run.audit(&readers, markers, logs).await;
    let found = judge(&evidence);
    let figures = run.figures(&evidence, commands, began.elapsed());
    if !found.is_empty() {
        tell(&evidence, &found, folder);
        println!("{}", run.world.lock().await.tails());
    }
    reading.abort_all();
    for task in &run.lives.tasks {
        task.lock().await.abort();
    }
    (figures, found)
}

/// One plain event to every address at the end of the plan; returns how many.
fn markers(plan: &mut Plan) -> usize {
    let size = plan.size;
    let displays = (0..size.displays).map(|n| format!("display/{}", display_id(n)));
    let groups = (0..size.groups()).map(|n| format!("group/g{n}"));
    let users = USERS.iter().map(|user| format!("user/{user}"));
    let addresses: Vec<String> = displays.chain(groups).chain(users).chain(["all".to_owned()]).collect();
    for address in &addresses {
        let number = Number::try_from(plan.events.len()).expect("a run is finite");
        plan.events.push(Item {
            number,
            address: address.clone(),
            what: What::Plain,
            is_brief: false,
            padding: 0,
            by_broker: false,
        });
    }
    addresses.len()
}

fn readers(world: &World, size: Size) -> Vec<Pass> {
    let user = |name: &&str| Pass::User { name: (*name).to_owned(), operator: world.key.clone() };
    let groups = (0..size.groups()).map(|n| format!("group/g{n}"));
    let wide: Vec<String> = groups.chain(["all".to_owned()]).collect();
    let wide = Pass::Token(token(World::secret(), &wide, now_ms() / 1000));
    USERS.iter().map(user).chain([wide]).collect()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(now.as_millis()).expect("and not by much")
}

impl Run {
    /// Does each fault when as much was accepted as the plan says.
    async fn strike(self: Arc<Self>, seed: u64, accepted: Arc<AtomicUsize>) {
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let mut under_way = JoinSet::new();
        for (at, fault) in self.plan.faults.clone() {
            while accepted.load(Ordering::Relaxed) < at {
                sleep(Duration::from_millis(2)).await;
            }
            self.count(fault);
            match fault {
                Fault::KillServer { node, down_ms } => {
                    self.world.lock().await.kill_server(node, Duration::from_millis(down_ms)).await;
                }
                Fault::CutPower { node, down_ms } => {
                    let down = Duration::from_millis(down_ms);
                    let cut = self.world.lock().await.cut_power(node, down, &mut rng).await;
                    cut.expect("the disk can be cut");
                }
                Fault::KillStore { down_ms } => {
                    self.world.lock().await.kill_store(Duration::from_millis(down_ms)).await;
                }
                Fault::KillBroker { down_ms } => {
                    self.world.lock().await.kill_broker(Duration::from_millis(down_ms)).await;
                }
                Fault::FullDisk { ms } => self.world.lock().await.fill_disk(Duration::from_millis(ms)).await,
                Fault::BlackHole { road, ms } => {
                    let ports: Vec<u16> = self.roads[road].iter().flat_map(|road| road.ports()).collect();
                    self.world.lock().await.make_holes(&ports, Duration::from_millis(ms));
                }
                Fault::Reset { road } => self.roads[road].iter().for_each(|road| road.reset()),
                lasting => {
                    let run = self.clone();
                    let accepted = accepted.clone();
                    under_way.spawn(async move { run.last(lasting, &accepted).await });
                }
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Faults that go on beside others.
    async fn last(&self, fault: Fault, accepted: &AtomicUsize) {
        let (road, weather, ms) = match fault {
            Fault::KillDisplay { display, when, down_ms } => {
                return self.kill_display(display, when, Duration::from_millis(down_ms)).await;
            }
            Fault::Reborn { display } => return self.reborn(display, accepted).await,
            Fault::Stall { road, ms } => (road, Weather::Stalled, ms),
            Fault::Slices { road, ms } => (road, Weather::Sliced, ms),
            Fault::Slow { road, ms } => (road, Weather::Slow, ms),
            _ => return,
        };
        for way in &self.roads[road] {
            way.turn(weather);
        }
        sleep(Duration::from_millis(ms)).await;
        for way in &self.roads[road] {
            way.turn(Weather::Fair);
        }
    }

    async fn kill_display(&self, number: usize, when: Death, down: Duration) {
        let display = &self.lives.displays[number];
        let mut task = self.lives.tasks[number].lock().await;
        if when != Death::Now {
            display.die_at(when);
            // Where it has nothing to do, it dies idle.
            let _ = timeout(Duration::from_secs(3), &mut *task).await;
        }
        task.abort();
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        display.forget_death();
        display.log.add(Saw::Killed);
        sleep(down).await;
        *task = tokio::spawn(display.clone().live());
    }

    /// Removes a display and enrolls it anew while it is away; it comes back with its old positions when the new history
    /// has grown.
    async fn reborn(&self, number: usize, accepted: &AtomicUsize) {
        let display = &self.lives.displays[number];
        let mut task = self.lives.tasks[number].lock().await;
        task.abort();
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        display.log.add(Saw::Killed);
        self.world.lock().await.reborn(&display.id, &display.key.public_text()).await;
        let (from, end) = (accepted.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(8));
        while accepted.load(Ordering::Relaxed) < from + self.plan.events.len() / 8 && Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
        }
        *task = tokio::spawn(display.clone().live());
    }

    fn count(&self, fault: Fault) {
        let name = match fault {
            Fault::KillServer { .. } => "server killed",
            Fault::CutPower { .. } => "power cut",
            Fault::KillStore { .. } => "store killed",
            Fault::KillBroker { .. } => "broker killed",
            Fault::KillDisplay { .. } => "display killed",
            Fault::Reborn { .. } => "display removed and enrolled",
            Fault::Reset { .. } => "connections reset",
            Fault::Stall { .. } => "stall",
            Fault::Slices { .. } => "slices",
            Fault::Slow { .. } => "slow link",
            Fault::BlackHole { .. } => "black hole",
            Fault::FullDisk { .. } => "full disk",
        };
        *self.done.lock().expect("no panic holds it").entry(name).or_default() += 1;
    }

    /// Waits until everything is done, or nothing more will be, and gathers the evidence.
    async fn audit<'a>(&'a self, readers: &[Reader], markers: usize, logs: Vec<Log>) -> Evidence<'a> {
        let end = Instant::now() + CALM;
        let first_marker = Number::try_from(self.plan.events.len() - markers).expect("a run is finite");
        let mut waiting: Vec<&Log> = self.lives.displays.iter().map(|display| &display.log).collect();
        while !waiting.is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            // Its own, its group's and the one for all.
            waiting.retain(|log| log.count(|saw| matches!(saw, Saw::Got(number, _) if *number >= first_marker)) < 2);
        }
        let ledger = self.ledger(Wants::All, end).await;
        let mut heads = BTreeMap::new();
        for reader in readers {
            heads.extend(self.heads(reader).await);
        }
        let mut behind: Vec<&Reader> = readers.iter().collect();
        while !behind.is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            behind.retain(|reader| {
                reader.log.count(|saw| matches!(saw, Saw::Got(number, _) if *number >= first_marker)) == 0
            });
        }
        let named = |log: &Log, name: String| (name, log.take());
        Evidence {
            size: self.plan.size,
            events: &self.plan.events,
            publishers: logs.iter().enumerate().map(|(n, log)| named(log, format!("publisher {n}"))).collect(),
            displays: self.lives.displays.iter().map(|one| named(&one.log, one.id.clone())).collect(),
            readers: readers.iter().enumerate().map(|(n, one)| named(&one.log, format!("reader {n}"))).collect(),
            ledger,
            heads,
            history_events: HISTORY_EVENTS,
        }
    }

    /// What the server keeps of every event; asks again, until `end`, for what is not there or not done.
    async fn ledger(&self, wants: Wants, end: Instant) -> Vec<Kept> {
        let (key, address) = {
            let world = self.world.lock().await;
            (world.key.clone(), world.addresses()[0])
        };
        let mut asking = JoinSet::new();
        for part in 0..4 {
            let (key, events) = (key.clone(), self.plan.events.clone());
            asking.spawn(async move {
                let mut kept = Vec::new();
                let mut http = Http::connect(address, address).await.expect("the server answers");
                for item in events.iter().skip(part).step_by(4).filter(|item| wants == Wants::All || item.by_broker) {
                    kept.extend(ask(&mut http, &key, item.number, wants, end).await);
                }
                kept
            });
        }
        let mut ledger = Vec::new();
        while let Some(part) = asking.join_next().await {
            ledger.extend(part.expect("an auditor ends well"));
        }
        ledger
    }

    /// Where the addresses of a reader stand, as a new socket of it is told.
    async fn heads(&self, reader: &Reader) -> BTreeMap<String, (String, u64)> {
        let way = reader.ways[0];
        // A server that forgot who we are has no heads to tell; what is missing is found in the ledger.
        let Some(bearer) = reader.bearer(way).await else { return BTreeMap::new() };
        let Ok(mut socket) = Socket::open(way.road, &bearer).await else { return BTreeMap::new() };
        let Ok(Ok(ServerFrame::Hello(hello))) = socket.next().await.map(ServerFrame::read) else {
            return BTreeMap::new();
        };
        hello.positions.into_iter().map(|(address, at)| (address.to_string(), (at.epoch, at.offset))).collect()
    }

    fn figures(&self, evidence: &Evidence<'_>, commands: usize, took: Duration) -> Figures {
        let mut figures = Figures {
            events: self.plan.events.len(),
            commands,
            faults: self.done.lock().expect("no panic holds it").clone(),
            seconds: took.as_secs(),
            ..Figures::default()
        };
        for kept in &evidence.ledger {
            for (_, status, error) in &kept.receipts {
                figures.receipts += 1;
                let name = match error.as_deref() {
                    Some(error) if status.as_str() == "failed" => format!("failed: {error}"),
                    _ => status.as_str().to_owned(),
                };
                *figures.by_status.entry(name).or_default() += 1;
            }
        }
        for (_, log) in evidence.displays.iter().chain(&evidence.readers) {
            figures.deliveries += log.iter().filter(|entry| matches!(entry.saw, Saw::Got(..))).count();
            figures.sockets += log.iter().filter(|entry| matches!(entry.saw, Saw::Opened { .. })).count();
        }
        for entry in evidence.displays.iter().chain(&evidence.readers).flat_map(|(_, log)| log) {
            if let Saw::Ended(code) = entry.saw {
                *figures.ends.entry(code).or_default() += 1;
            }
        }
        let sent = evidence.publishers.iter().flat_map(|(_, log)| log);
        let sent = sent.filter(|entry| matches!(entry.saw, Saw::Sent(_))).count();
        figures.repeated_requests = sent.saturating_sub(figures.events);
        figures
    }
}

/// What is looked for in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// What went through the broker, there at last.
    Carried,
    /// Everything, with all its receipts.
    All,
}

/// One event of the ledger; None if the server does not know it.
async fn ask(http: &mut Http, key: &str, number: Number, wants: Wants, end: Instant) -> Option<Kept> {
    let path = format!("/v1/events/e{number}?source={SOURCE}");
    loop {
        let (status, answer) = http.json("GET", &path, Some(key), &serde_json::Value::Null).await?;
        if status != 200 && (wants == Wants::All || Instant::now() >= end) {
            return None;
        }
        let pending: Vec<String> = serde_json::from_value(answer["pending"].clone()).unwrap_or_default();
        let is_ready = if wants == Wants::All { pending.is_empty() } else { status == 200 };
        if !is_ready && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        let receipt = |one: &serde_json::Value| {
            let status = serde_json::from_value(one["status"].clone()).ok()?;
            Some((one["display"].as_str()?.to_owned(), status, one["error"].as_str().map(str::to_owned)))
        };
        return Some(Kept {
            event: number,
            place: place_of(&answer)?,
            receipts: answer["receipts"].as_array()?.iter().filter_map(receipt).collect(),
            pending,
        });
    }
}

/// Prints the violations, and writes every client's log beside the servers'.
fn tell(evidence: &Evidence<'_>, found: &[Violation], folder: &Path) {
    let mut by_rule: BTreeMap<_, Vec<&Violation>> = BTreeMap::new();
    for violation in found {
        by_rule.entry(violation.rule).or_default().push(violation);
    }
    for (rule, violations) in by_rule {
        println!("{rule:?}: {}", violations.len());
        for violation in violations.iter().take(10) {
            println!("  {}", violation.what);
        }
    }
    let path = folder.join("clients.log");
    let mut text = String::new();
    for (name, log) in evidence.publishers.iter().chain(&evidence.displays).chain(&evidence.readers) {
        for entry in log {
            text += &format!("{name} {} {:?}\n", entry.at, entry.saw);
        }
    }
    let _ = std::fs::write(&path, text);
    println!("what each client saw: {}", path.display());
}
