//! One run: clients, publishers and faults together, until it is calm again.

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
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    audit::{Figures, Wants, tell},
    check::{Violation, judge},
    courier::Courier,
    display::{Display, Way},
    log::{Log, Number, Saw},
    plan::{Death, Fault, Item, Plan, Size, USERS, What, display_id},
    publisher::Publisher,
    reader::{Pass, Reader, token},
    road::{Road, Weather},
    world::{Setup, World},
};

/// How long what was accepted may take to be done, once nothing goes wrong any more.
pub const CALM: Duration = Duration::from_secs(90);

/// Clients whose tasks can be ended and begun again.
pub struct Lives {
    pub displays: Vec<Display>,
    tasks: Vec<Mutex<JoinHandle<()>>>,
}

pub struct Run {
    pub plan: Plan,
    pub world: Mutex<World>,
    roads: Vec<Vec<Arc<Road>>>,
    pub lives: Lives,
    pub done: std::sync::Mutex<BTreeMap<&'static str, usize>>,
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
}
