//! The processes of a run, and what can be done to them.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    plan::Means,
    power::{Cut, Power},
    road::Road,
    services::{Broker, Redis},
    support::{
        process::Process,
        server::{free_port, pikiosk_of},
    },
    wire::Http,
};

/// The files of the embedded store.
const STORE_FILES: [&str; 2] = ["pikiosk.redb", "pikiosk.journal"];
/// How a server ends whose store is not there.
const UNREACHABLE: i32 = 21;
/// Room for the store's folder, where a full disk can be played.
const ROOM: &str = "2g";
const SECRET: &[u8] = b"a secret of 32 bytes for the run!";

/// What a run is run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// One server with its own file.
    Embedded,
    /// Two servers on one Redis that has each command on its disk before it answers.
    Redis,
}

/// One server.
#[derive(Debug)]
struct Node {
    name: String,
    address: SocketAddr,
    config: PathBuf,
    data: PathBuf,
    process: Option<Process>,
}

/// Everything that runs besides the clients.
#[derive(Debug)]
pub struct World {
    folder: PathBuf,
    binary: PathBuf,
    nodes: Vec<Node>,
    store: Option<Redis>,
    broker: Option<Broker>,
    /// The roads of the servers to what stands behind them: their store, the broker.
    pub back_roads: Vec<Arc<Road>>,
    power: Option<Power>,
    mounted: Option<PathBuf>,
    /// The operator's.
    pub key: String,
    pub means: Means,
}

impl World {
    /// Starts it; `binary` is the server to judge, which may have Redis write its file anew or not.
    pub async fn start(folder: &Path, binary: &Path, setup: Setup, may_rewrite: bool) -> World {
        let power = Power::new(folder);
        // A Redis whose disk is full ends itself: there is nothing to see in it that its kill does not show.
        let mounted = if setup == Setup::Embedded { mount(&folder.join("disk")) } else { None };
        let holes = lay_holes();
        let broker = Broker::start(folder).await;
        let store = match setup {
            Setup::Embedded => None,
            Setup::Redis => Some(Redis::start(folder, may_rewrite, power.as_ref()).await),
        };
        let means = Means {
            nodes: if setup == Setup::Redis { 2 } else { 1 },
            power: power.is_some(),
            store: store.is_some(),
            broker: broker.is_some(),
            holes,
            disk: mounted.is_some(),
            back_roads: 0,
        };
        for (there, what) in [
            (means.power, "power cuts: there is no C compiler for tests/history/power.c"),
            (means.disk || setup == Setup::Redis, "full disks: mounting a tmpfs needs root"),
            (means.holes, "black holes: they need root, nft and a network namespace of their own (make proof-history)"),
            (means.broker, "publishing through RabbitMQ: rabbitmq-server is not installed"),
        ] {
            if !there {
                println!("NOT DONE HERE: {what}");
            }
        }
        let mut world = World {
            folder: folder.to_owned(),
            binary: binary.to_owned(),
            nodes: Vec::new(),
            store,
            broker,
            back_roads: Vec::new(),
            power,
            mounted,
            key: String::new(),
            means,
        };
        for number in 0..means.nodes {
            world.lay_out(number).await;
            world.start_node(number).await;
        }
        world.means.back_roads = world.back_roads.len();
        let key = fs::read_to_string(world.nodes[0].data.join("operator.key")).expect("the server made a key");
        world.key = key.trim().to_owned();
        world
    }

    pub fn secret() -> &'static [u8] {
        SECRET
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    async fn lay_out(&mut self, number: usize) {
        let name = format!("node{number}");
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let data = self.mounted.as_deref().unwrap_or(&self.folder).join(&name);
        let secret = self.folder.join("secret");
        fs::write(&secret, SECRET).expect("the secret is written");
        let config = self.folder.join(format!("{name}.toml"));
        let mut text = format!("listen = \"{address}\"\ndata = \"{}\"\n", data.display());
        // Small, so that whoever does not read for a second is too slow.
        text += "[limits]\nsocket_queue = 32\n";
        if let Some(store) = &self.store {
            let road = Road::open(store.address()).await.expect("a loopback port is free");
            text += &format!("[store]\nkind = \"redis\"\nurl = \"redis://{}/0\"\n", road.address);
            self.back_roads.push(road);
        }
        if let Some(broker) = &self.broker {
            let road = Road::open(broker.address()).await.expect("a loopback port is free");
            text += &format!("[amqp]\nurl = \"amqp://guest:guest@{}/\"\n", road.address);
            self.back_roads.push(road);
        }
        text += &format!("[[auth.jwt]]\nid = \"run\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n", secret.display());
        fs::write(&config, text).expect("the config is written");
        self.nodes.push(Node { name, address, config, data, process: None });
    }

    /// Where programs reach the broker.
    pub fn broker_address(&self) -> Option<SocketAddr> {
        self.broker.as_ref().map(Broker::address)
    }

    /// Starts a node on its old data and port, and waits until it is ready.
    async fn start_node(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let mut command = pikiosk_of(&self.binary, &["server", "--config"]);
        command.arg(&node.config);
        if let (Some(power), None) = (&self.power, &self.store) {
            power.load(&node.name, &STORE_FILES.join(":"), &mut command);
        }
        node.process = Some(Process::start(&node.name, &self.folder, &mut command));
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let mut ended = node.process.as_mut().and_then(Process::ended);
            // It did not reach its Redis in time: systemd starts it again.
            if ended.is_some_and(|status| status.code() == Some(UNREACHABLE)) {
                node.process = Some(Process::start(&node.name, &self.folder, &mut command));
                ended = None;
            }
            assert!(ended.is_none(), "{} ended: {ended:?}\n{}", node.name, tail(&self.folder, &node.name));
            assert!(Instant::now() < end, "{} is not ready in 60 s\n{}", node.name, tail(&self.folder, &node.name));
            if let Some(mut http) = Http::connect(node.address, node.address).await
                && let Some((200, _)) = http.request("GET", "/readyz", &[], b"").await
            {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// kill -9.
    pub async fn kill_server(&mut self, number: usize, down: Duration) {
        if let Some(mut process) = self.nodes[number].process.take() {
            process.kill();
        }
        sleep(down).await;
        self.start_node(number).await;
    }

    /// kill -9 of what keeps the events, and what was not synced is lost in part. Tells what was.
    pub async fn cut_power(&mut self, number: usize, down: Duration, rng: &mut Rng) -> io::Result<Cut> {
        if let Some(store) = &mut self.store {
            store.kill();
            let cut = store.cut(self.power.as_ref(), rng)?;
            sleep(down).await;
            store.start_again(self.power.as_ref()).await;
            return Ok(cut);
        }
        let node = &mut self.nodes[number];
        if let Some(mut process) = node.process.take() {
            process.kill();
        }
        let mut cut = Cut::default();
        if let Some(power) = &self.power {
            for file in STORE_FILES {
                let of_file = power.cut(&node.name, &node.data.join(file), rng)?;
                cut = Cut { kept: cut.kept + of_file.kept, all: cut.all + of_file.all };
            }
        }
        sleep(down).await;
        self.start_node(number).await;
        Ok(cut)
    }

    /// kill -9 of Redis.
    pub async fn kill_store(&mut self, down: Duration) {
        if let Some(store) = &mut self.store {
            store.kill();
            sleep(down).await;
            store.start_again(self.power.as_ref()).await;
        }
    }

    /// kill -9 of RabbitMQ, which is back after some 10 s.
    pub async fn kill_broker(&mut self, down: Duration) {
        if let Some(broker) = &mut self.broker {
            broker.kill_and_start(down).await;
        }
    }

    /// The disk of the store has no byte left for this time.
    pub async fn fill_disk(&self, time: Duration) {
        let Some(disk) = &self.mounted else { return };
        // The store may grow meanwhile, and a disk does not shrink below what is on it.
        let is_full = (0..20).any(|_| {
            let stat = nix::sys::statvfs::statvfs(disk).expect("the disk is there");
            let used = (stat.blocks() - stat.blocks_free()) * stat.fragment_size();
            remount(disk, &used.to_string())
        });
        assert!(is_full, "the disk takes another size");
        sleep(time).await;
        assert!(remount(disk, ROOM), "the disk takes its size again");
    }

    /// Packets from and to these ports of clients vanish for this time.
    pub fn make_holes(&self, ports: &[u16], time: Duration) {
        for port in ports {
            let element = format!("{{ {port} timeout {}ms }}", time.as_millis());
            let _ = quiet("nft", &["add", "element", "inet", "history", "holes", &element]);
        }
    }

    /// Removes a display and enrolls it anew with the same key. Persists until it is done.
    pub async fn reborn(&self, id: &str, public_key: &str) {
        let mut is_removed = false;
        loop {
            if let Some(mut http) = self.http().await {
                if !is_removed {
                    let path = format!("/v1/displays/{id}");
                    let answer = http.json("DELETE", &path, Some(&self.key), &json!(null)).await;
                    is_removed = matches!(answer, Some((200 | 204 | 404, _)));
                }
                if is_removed && self.enroll(&mut http, id, public_key, None).await.is_some() {
                    return;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn http(&self) -> Option<Http> {
        let node = self.nodes.iter().find(|node| node.process.is_some())?;
        Http::connect(node.address, node.address).await
    }

    /// Enrolls a display, and puts it into its group.
    pub async fn enroll(&self, http: &mut Http, id: &str, public_key: &str, group: Option<&str>) -> Option<()> {
        let (_, answer) = http.json("POST", "/v1/enrollments", Some(&self.key), &json!({"display": id})).await?;
        let body = json!({"code": answer["code"], "public_key": public_key});
        let (_, answer) = http.json("POST", "/v1/enroll", None, &body).await?;
        (answer["display"] == id).then_some(())?;
        if let Some(group) = group {
            let path = format!("/v1/displays/{id}");
            let (status, _) = http.json("PATCH", &path, Some(&self.key), &json!({"groups": [group]})).await?;
            (status == 200).then_some(())?;
        }
        Some(())
    }

    /// The last lines that each process wrote.
    pub fn tails(&self) -> String {
        self.nodes.iter().map(|node| format!("--- {}\n{}", node.name, tail(&self.folder, &node.name))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.process = None;
        }
        if let Some(disk) = &self.mounted {
            let _ = quiet("umount", &[&disk.to_string_lossy()]);
        }
    }
}

pub fn tail(folder: &Path, name: &str) -> String {
    let log = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn quiet(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// A disk of its own for the store, where one may mount.
fn mount(folder: &Path) -> Option<PathBuf> {
    fs::create_dir_all(folder).ok()?;
    let options = format!("size={ROOM},mode=0700");
    quiet("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &folder.to_string_lossy()]).then(|| folder.to_owned())
}

fn remount(disk: &Path, size: &str) -> bool {
    quiet("mount", &["-o", &format!("remount,size={size}"), &disk.to_string_lossy()])
}

/// The rules into which black holes are made: only in a network namespace of this run's own, never among others.
fn lay_holes() -> bool {
    // A namespace of its own has the loopback and nothing else.
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let mut names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    if !names.all(|name| name == "lo") {
        return false;
    }
    const RULES: [&[&str]; 5] = [
        &["add", "table", "inet", "history"],
        &["add", "set", "inet", "history", "holes", "{ type inet_service; flags timeout; }"],
        &["add", "chain", "inet", "history", "input", "{ type filter hook input priority 0; }"],
        &["add", "rule", "inet", "history", "input", "tcp", "sport", "@holes", "drop"],
        &["add", "rule", "inet", "history", "input", "tcp", "dport", "@holes", "drop"],
    ];
    RULES.iter().all(|rule| quiet("nft", rule))
}
