//! What stands behind the servers: a Redis whose power can be cut, and a RabbitMQ.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::block_in_place,
    time::{Instant, sleep, timeout},
};

use super::{
    power::{Cut, Power},
    support::{process::Process, rabbit::Rabbit, server::free_port},
    world::tail,
};

/// A redis-server with all of its data in one append-only file.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    port: u16,
    /// Its user may have its file written anew.
    rewrites: bool,
    process: Option<Process>,
}

impl Redis {
    pub async fn start(folder: &Path, rewrites: bool, power: Option<&Power>) -> Redis {
        std::fs::create_dir_all(folder.join("redis")).expect("a folder is made");
        let mut redis = Redis { folder: folder.to_owned(), port: free_port(), rewrites, process: None };
        redis.start_again(power).await;
        redis
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub async fn start_again(&mut self, power: Option<&Power>) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]);
        command.arg("--dir").arg(self.folder.join("redis"));
        if let Some(power) = power {
            power.load("redis", ".incr.aof", &mut command);
        }
        if !self.rewrites {
            command.args(["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-bgrewriteaof"]);
        }
        self.process = Some(Process::start("redis", &self.folder, &mut command));
        let end = Instant::now() + Duration::from_secs(90);
        while !self.answers().await {
            let ended = self.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none() && Instant::now() < end, "Redis: {ended:?}\n{}", tail(&self.folder, "redis"));
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// True once it has read its file.
    async fn answers(&self) -> bool {
        let asking = async {
            let mut stream = TcpStream::connect(self.address()).await?;
            let mut answer = [0; 7];
            stream.write_all(b"PING\r\n").await?;
            stream.read_exact(&mut answer).await?;
            Ok::<_, io::Error>(answer == *b"+PONG\r\n")
        };
        matches!(timeout(Duration::from_secs(5), asking).await, Ok(Ok(true)))
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// After a kill: the tail of its file that was not synced may be missing.
    pub fn cut(&self, power: Option<&Power>, rng: &mut Rng) -> io::Result<Cut> {
        let files = std::fs::read_dir(self.folder.join("redis/appendonlydir"))?;
        let number = |path: &PathBuf| -> Option<u32> {
            path.to_str()?.strip_suffix(".incr.aof")?.rsplit('.').next()?.parse().ok()
        };
        // A server has it written anew now and then: the newest is the one that grows.
        let newest = files.filter_map(|file| Some(file.ok()?.path())).max_by_key(number);
        match (power, newest) {
            (Some(power), Some(file)) => power.cut_tail("redis", &file, rng),
            _ => Ok(Cut::default()),
        }
    }
}

/// A RabbitMQ.
#[derive(Debug)]
pub struct Broker(Rabbit);

impl Broker {
    /// None where it is not installed.
    pub async fn start(folder: &Path) -> Option<Broker> {
        let is_here = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists();
        is_here.then(|| block_in_place(|| apart(|| Broker(Rabbit::start(folder)))))
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.0.port).into()
    }

    /// kill -9; it is back after `down` and some seconds.
    pub async fn kill_and_start(&mut self, down: Duration) {
        self.0.kill();
        sleep(down).await;
        block_in_place(|| apart(|| self.0.start_again()));
    }
}

/// On a thread of its own: the broker's helper has a runtime of its own.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("the broker starts"))
}
