//! A real redis-server on a free port of this machine, gone with the value.
//!
//! Its data, if it keeps any, lies in a folder of its own. It is started so that the kernel kills it when the test
//! process ends, however that ends.
#![allow(dead_code, reason = "not every test that includes this file asks for all of it")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "port.rs"]
#[allow(clippy::duplicate_mod, reason = "`support` has it too, not all have `support`")]
mod port;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

pub use port::free_port;

/// What the user of a pikiosk server may do, and no more: as the manual says.
pub const ACL: &str = include_str!("../../assets/redis.acl");
/// The password in it that a person replaces.
const ACL_PASSWORD: &str = "CHANGE-ME";

/// A redis-server of this test's own, killed by its pid on drop.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// One for all cases of this process, with the user of the manual; each case has its own prefix.
pub fn shared() -> &'static Redis {
    static SHARED: LazyLock<Redis> = LazyLock::new(|| {
        let (give, take) = std::sync::mpsc::channel();
        // The kernel kills it when the thread that started it ends: this one ends with the process.
        std::thread::spawn(move || {
            let redis = Redis::start();
            redis.make_server_user();
            give.send(redis).unwrap();
            loop {
                std::thread::park();
            }
        });
        take.recv().expect("a redis-server starts")
    });
    &SHARED
}

impl Redis {
    /// Starts one that keeps nothing, and waits until it answers PING.
    pub fn start() -> Redis {
        Redis::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts one that has each command on its disk before it answers.
    pub fn durable() -> Redis {
        Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn start_with(arguments: &[&str]) -> Redis {
        Redis::start_in(&[], arguments)
    }

    /// With these variables in its environment.
    pub fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Redis {
        let environment: Vec<_> =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        // The port is free when it is chosen; another process may take it before Redis does.
        for _ in 0..5 {
            let port = free_port();
            let dir = tempfile::tempdir().unwrap();
            let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
            if let Some(redis) = Redis::begin(port, dir, arguments, environment.clone()) {
                return redis;
            }
        }
        panic!("redis-server does not start: is it installed (apt install redis-server)?");
    }

    /// Starts an empty one on a given port, for instance that of one which was stopped.
    pub fn start_on(port: u16) -> Option<Redis> {
        let arguments = ["--save", "", "--appendonly", "no"].map(str::to_owned);
        Redis::begin(port, tempfile::tempdir().unwrap(), arguments.into(), Vec::new())
    }

    fn begin(
        port: u16,
        dir: tempfile::TempDir,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
    ) -> Option<Redis> {
        let child = spawn(port, dir.path(), &arguments, &environment);
        let mut redis = Redis { child, port, dir, arguments, environment };
        redis.is_up().then_some(redis)
    }

    fn is_up(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            // An error is an answer too: it is up, and wants a password.
            if self.command(&["PING"]).is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NO")) {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        false
    }

    /// kill -9, and starts it again on its port and its data; `meanwhile` may change those.
    pub fn kill_and_restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.kill();
        meanwhile(self.dir.path());
        self.start_again();
    }

    /// Starts one that was killed.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, self.dir.path(), &self.arguments, &self.environment);
        assert!(self.is_up(), "redis-server does not start again");
    }

    /// Starts one that was killed, with these arguments too, and does not wait until it has read its file.
    pub fn start_reading(&mut self, more: &[&str]) {
        self.arguments.extend(more.iter().map(|word| (*word).to_owned()));
        self.child = spawn(self.port, self.dir.path(), &self.arguments, &self.environment);
        until("it takes connections", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is small")
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Makes the user of the manual's ACL.
    pub fn make_server_user(&self) {
        let lines = ACL.lines().filter(|line| !line.starts_with('#'));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).skip(1).collect();
        let rules = words.iter().map(|word| if *word == format!(">{ACL_PASSWORD}") { ">s3cret" } else { word });
        // Every case has a prefix of its own, where a person's server has one.
        let rules = rules.map(|word| if word.starts_with("~{") { "~{*}:*" } else { word });
        let words: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rules).collect();
        let answer = self.command(&words).unwrap();
        assert!(answer.starts_with("+OK"), "{answer}");
    }

    pub fn url_of_a_server_user(&self) -> String {
        format!("redis://pikiosk:s3cret@127.0.0.1:{}/", self.port)
    }

    /// Sends one command and gives the raw answer (RESP): its first line, and the second where the first is a length.
    pub fn command(&self, words: &[&str]) -> std::io::Result<String> {
        let wait = Duration::from_secs(30);
        let mut socket = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), wait)?;
        socket.set_read_timeout(Some(wait))?;
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        socket.write_all(text.as_bytes())?;
        let mut socket = BufReader::new(socket);
        let mut answer = String::new();
        socket.read_line(&mut answer)?;
        if answer.starts_with('$') && !answer.starts_with("$-1") {
            socket.read_line(&mut answer)?;
        }
        Ok(answer)
    }

    /// The same, all of the answer that comes within its first piece, as text.
    pub fn text(&self, words: &[&str]) -> String {
        let wait = Duration::from_secs(30);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let Ok(mut socket) = TcpStream::connect_timeout(&address, wait) else { return String::new() };
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let (mut answer, mut length) = (vec![0; 65_536], 0);
        let read = socket.set_read_timeout(Some(wait)).and_then(|()| socket.write_all(text.as_bytes()));
        if read.is_ok() {
            length = socket.read(&mut answer).unwrap_or(0);
        }
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Waits until all that it answered is in its file: with `everysec` it may keep that back while a sync is under way.
    pub fn has_written(&self) {
        until("Redis wrote its file", || {
            self.text(&["INFO", "persistence"]).lines().any(|line| line == "aof_buffer_length:0")
        });
    }

    /// A Sentinel that watches a master on this machine; two of them decide.
    pub fn sentinel(name: &str, master: u16) -> Redis {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor {name} 127.0.0.1 {master} 2\nsentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 5000\n"
        );
        std::fs::write(&conf, text).unwrap();
        let mut redis = Redis::start_with(&[]);
        redis.kill();
        redis.arguments = vec!["--sentinel".to_owned()];
        redis.dir = dir;
        redis.start_again();
        redis
    }

    /// Stops it; the port stays known.
    pub fn stop(mut self) -> u16 {
        self.kill();
        self.port
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition of these servers.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn spawn(port: u16, dir: &Path, arguments: &[String], environment: &[(String, String)]) -> Child {
    let mut command = Command::new("setpriv");
    // A static value is never dropped: without this, the shared one would outlive its tests.
    command.args(["--pdeathsig", "KILL", "redis-server"]);
    // A Sentinel wants its file before everything else.
    let file = dir.join("sentinel.conf");
    if file.exists() {
        command.arg(file);
    }
    command
        .args(["--port", &port.to_string()])
        .args(["--bind", "127.0.0.1", "--daemonize", "no", "--dir"])
        .arg(dir)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server and setpriv are installed (apt install redis-server util-linux)")
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
