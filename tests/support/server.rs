//! A real `pikiosk server` with a folder and a port of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::{Value, json};

use super::{
    http::{self, Reply},
    process::Process,
    wait::{seconds, timed, until},
};

pub use super::port::free_port;

/// The binary that Cargo built for this test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_pikiosk");

/// The binary with an environment in which nothing of the developer's own settings counts, but how much it logs.
pub fn pikiosk(arguments: &[&str]) -> Command {
    pikiosk_of(Path::new(BINARY), arguments)
}

/// [`pikiosk`], of another build.
pub fn pikiosk_of(binary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PIKIOSK_") && name != "PIKIOSK_LOG") {
        command.env_remove(name);
    }
    command.args(arguments).env("RUST_BACKTRACE", "1");
    command
}

#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    /// The operator's.
    pub key: String,
    folder: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
    process: Option<Process>,
    /// The listening socket, where this test holds it as systemd would.
    held: Option<TcpListener>,
}

/// What systemd does for a service with a socket (`sd_listen_fds(3)`).
const WITH_SOCKET: &str = r#"eval "exec 3<&$1"; shift; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@""#;

impl Server {
    /// Starts one; `more` is added to its `server.toml`.
    #[track_caller]
    pub fn start(folder: &Path, more: &str) -> Server {
        Server::begin(folder, more, String::new(), &[])
    }

    /// [`Self::start`], with these variables in its environment.
    #[track_caller]
    pub fn start_with(folder: &Path, more: &str, environment: &[(&str, &str)]) -> Server {
        Server::begin(folder, more, String::new(), environment)
    }

    #[track_caller]
    fn begin(folder: &Path, more: &str, key: String, environment: &[(&str, &str)]) -> Server {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let config = folder.join("server.toml");
        let text = format!("listen = \"{address}\"\ndata = \"{}\"\n{more}", folder.join("server").display());
        fs::write(&config, text).expect("the config is written");
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let folder = folder.to_owned();
        let mut server = Server { address, key, folder, config, environment, process: None, held: None };
        server.start_again();
        server
    }

    /// [`Server::start`], with a listening socket that stays open while the server is started anew.
    #[track_caller]
    pub fn start_held(folder: &Path, more: &str) -> Server {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = held.local_addr().expect("a bound socket has an address");
        fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).expect("it may be inherited");
        let config = folder.join("server.toml");
        let text = format!("listen = \"127.0.0.1:1\"\ndata = \"{}\"\n{more}", folder.join("server").display());
        fs::write(&config, text).expect("the config is written");
        let folder = folder.to_owned();
        let (key, environment) = (String::new(), Vec::new());
        let mut server = Server { address, key, folder, config, environment, process: None, held: Some(held) };
        server.start_again();
        server
    }

    /// Starts another node of the store that `self` uses; `more` says where that is.
    #[track_caller]
    pub fn another(&self, folder: &Path, more: &str) -> Server {
        Server::begin(folder, more, self.key.clone(), &[])
    }

    /// Starts it on its old data and port.
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut command = match &self.held {
            None => pikiosk(&["server", "--config"]),
            Some(held) => {
                let number = held.as_raw_fd().to_string();
                pikiosk_of(Path::new("sh"), &["-c", WITH_SOCKET, BINARY, &number, "server", "--config"])
            }
        };
        command.arg(&self.config).envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start("server", &self.folder, &mut command));
        until("the server is ready", seconds(60), || {
            let ended = self.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log());
            (self.request("GET", "/readyz", b"").ok()?.status == 200).then_some(())
        });
        match fs::read_to_string(self.folder.join("server/operator.key")) {
            Ok(key) => self.key = key.trim().to_owned(),
            Err(error) => assert!(!self.key.is_empty(), "the first node of a store makes a key: {error}"),
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, as a deploy does it; waits for the end.
    #[track_caller]
    pub fn stop(&mut self, limit: Duration) {
        if let Some(mut process) = self.process.take() {
            let ended = process.stop(limit);
            assert!(ended.success(), "{ended}\n{}", self.log());
        }
    }

    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// One request of the operator.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Reply> {
        let bearer = format!("Bearer {}", self.key);
        let kind = if path.starts_with("/v1/events") { "application/cloudevents+json" } else { "application/json" };
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        http::request(self.address, method, path, &headers, body, seconds(60))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, b"").unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.request("POST", path, body.as_bytes()).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// A code that enrolls this display.
    #[track_caller]
    pub fn enrollment(&self, display: &str) -> String {
        let reply = self.post("/v1/enrollments", &json!({ "display": display }));
        reply.json()["code"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
    }

    /// Publishes a command; returns the event's id. `wait` is the query's, such as `10s`.
    #[track_caller]
    pub fn publish(&self, address: &str, command: &str, data: &Value, wait: Option<&str>) -> (String, Reply) {
        let event = event(address, &format!("kiosk.{command}"), data);
        let path = wait.map_or("/v1/events".to_owned(), |wait| format!("/v1/events?wait={wait}"));
        let reply = self.post(&path, &event);
        assert!(matches!(reply.status, 200 | 202), "{command} {data}: {} {}", reply.status, reply.text());
        (event["id"].as_str().expect("it was made so").to_owned(), reply)
    }

    /// The final receipt of an event on a display, if there is one.
    #[track_caller]
    pub fn receipt(&self, event: &str, display: &str) -> Option<Value> {
        let reply = self.get(&format!("/v1/events/{event}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        receipt_of(&reply.json(), display)
    }

    /// Waits for it; returns how long that took.
    #[track_caller]
    pub fn receipt_within(&self, event: &str, display: &str, limit: Duration) -> (Value, Duration) {
        timed(&format!("a receipt for {event}"), limit, || self.receipt(event, display))
    }
}

/// The final receipt of one display in an answer to a publish or in an event's record.
pub fn receipt_of(answer: &Value, display: &str) -> Option<Value> {
    answer["receipts"].as_array()?.iter().find(|receipt| receipt["display"] == display).cloned()
}

/// A CloudEvents object with an id of its own.
pub fn event(address: &str, kind: &str, data: &Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    json!({"specversion": "1.0", "id": id, "source": "tests", "type": kind, "subject": address, "data": data})
}
