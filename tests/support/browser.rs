//! The browser loop alone, on a screen of its own; the test plays the supervisor on `RUNTIME/browser.sock`.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{kiosk::COLD, process::Process, screen::Screen, server::pikiosk, site::Site, wait::seconds};

/// One Firefox at a time: two would measure one another.
static ONE: Mutex<()> = Mutex::new(());

/// `pikiosk browser` and what it needs. Fields drop in this order.
#[derive(Debug)]
pub struct Browser {
    pub process: Process,
    pub screen: Screen,
    pub site: Site,
    listener: UnixListener,
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// The loop runs and looks for its supervisor.
    #[track_caller]
    pub fn start() -> Browser {
        let one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let listener = UnixListener::bind(folder.path().join("browser.sock")).expect("the socket is made");
        let screen = Screen::start(folder.path());
        let process = start_loop(folder.path(), &screen);
        Browser { process, screen, site: Site::start(), listener, folder, _one: one }
    }

    /// Another loop in the place of the one that ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process = start_loop(self.folder.path(), &self.screen);
    }

    pub fn profile(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    /// A supervisor that wants a session, and this page at the start.
    #[track_caller]
    pub fn supervise(&self, url: &str) -> Supervisor {
        let mut supervisor = self.meet();
        supervisor.order(&json!({ "open": { "url": url } }));
        supervisor.order(&json!({ "attach": {} }));
        supervisor
    }

    /// A supervisor that has said nothing yet.
    #[track_caller]
    pub fn meet(&self) -> Supervisor {
        Supervisor::meets(&self.listener)
    }
}

#[track_caller]
fn start_loop(folder: &Path, screen: &Screen) -> Process {
    start_loop_on(folder, &screen.display, Path::new("/dev/null"))
}

/// `pikiosk browser` on this X server, with this kiosk.toml.
#[track_caller]
pub fn start_loop_on(folder: &Path, display: &str, config: &Path) -> Process {
    let mut command = pikiosk(&["browser", "--runtime"]);
    command.arg(folder).arg("--profile").arg(folder.join("profile"));
    command.arg("--config").arg(config);
    command.env("DISPLAY", display).env("HOME", folder);
    Process::start("browser", folder, &mut command)
}

/// The supervisor's end of the socket. Dropped, it is gone.
#[derive(Debug)]
pub struct Supervisor {
    stream: UnixStream,
    lines: mpsc::Receiver<Value>,
    next_id: u64,
    context: String,
    /// BiDi events that came while something else was waited for.
    events: Vec<Value>,
}

impl Supervisor {
    /// The next loop that connects here.
    #[track_caller]
    pub fn meets(listener: &UnixListener) -> Supervisor {
        let (stream, _) = listener.accept().expect("the loop connects");
        let reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("the loop speaks JSON");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Supervisor { stream, lines, next_id: 0, context: String::new(), events: Vec::new() }
    }

    pub fn order(&mut self, order: &Value) {
        self.stream.write_all(format!("{order}\n").as_bytes()).expect("the loop reads");
    }

    /// The next line of this kind; events of BiDi are kept for [`event`](Self::event), other lines are passed over.
    #[track_caller]
    pub fn heard(&mut self, kind: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let line = self.line(deadline, kind);
            if let Some(what) = line.get(kind) {
                return what.clone();
            }
        }
    }

    /// Waits for a session and takes its first window.
    #[track_caller]
    pub fn attached(&mut self) -> u64 {
        let generation = self.heard("attached", COLD)["generation"].as_u64().expect("a number");
        let tree = self.ask("browsingContext.getTree", json!({}), seconds(20)).expect("the tree is told");
        self.context = tree["contexts"][0]["context"].as_str().expect("there is a window").to_owned();
        self.ask("session.subscribe", json!({ "events": ["browsingContext.navigationCommitted"] }), seconds(20))
            .expect("events are told");
        generation
    }

    /// Sends one command, and returns its result, BiDi's error, or nothing once `within` has passed.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value, within: Duration) -> Result<Value, Option<String>> {
        self.next_id += 1;
        let id = self.next_id;
        self.order(&json!({ "bidi": { "id": id, "method": method, "params": params } }));
        let deadline = Instant::now() + within;
        loop {
            let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                return Err(None);
            };
            let Some(message) = line.get("bidi") else { continue };
            if message["id"] == id {
                return match message["type"].as_str() {
                    Some("success") => Ok(message["result"].clone()),
                    _ => Err(Some(format!("{}: {}", message["error"], message["message"]))),
                };
            }
            self.keep(message);
        }
    }

    /// What this expression is in the page.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str, within: Duration) -> Result<Value, Option<String>> {
        let target = json!({ "context": self.context });
        let params = json!({ "expression": expression, "target": target, "awaitPromise": true });
        self.ask("script.evaluate", params, within).map(|result| result["result"]["value"].clone())
    }

    pub fn navigate(&mut self, url: &str, within: Duration) -> Result<Value, Option<String>> {
        let params = json!({ "context": self.context, "url": url, "wait": "complete" });
        self.ask("browsingContext.navigate", params, within)
    }

    /// The picture of the page, in base64.
    #[track_caller]
    pub fn screenshot(&mut self) -> String {
        let params = json!({ "context": self.context });
        let result = self.ask("browsingContext.captureScreenshot", params, seconds(20)).expect("a picture is taken");
        result["data"].as_str().expect("base64").to_owned()
    }

    /// Waits for a `navigationCommitted` whose address begins so.
    #[track_caller]
    pub fn committed(&mut self, url: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let fits = |event: &Value| event["params"]["url"].as_str().is_some_and(|it| it.starts_with(url));
            if let Some(place) = self.events.iter().position(fits) {
                return self.events.swap_remove(place);
            }
            if let Some(message) = self.line(deadline, url).get("bidi") {
                self.keep(message);
            }
        }
    }

    fn keep(&mut self, message: &Value) {
        if message["type"] == "event" {
            self.events.push(message.clone());
        }
    }

    #[track_caller]
    fn line(&mut self, deadline: Instant, what: &str) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("the loop did not tell `{what}` in time"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The reading thread holds a clone of the socket.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
