//! `pikiosk run` as systemd, the browser loop and a person on its machine see it. The test plays systemd and the loop.
#![cfg(feature = "display")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use support::{
    faketime,
    process::Process,
    server::{free_port, pikiosk},
    wait::{seconds, until},
};

/// A supervisor without a server, in a folder of its own.
struct Alone {
    run: Process,
    notify: UnixDatagram,
    heard: Vec<String>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Alone {
    fn start() -> Self {
        Self::start_in(Self::folder(), "", |_, _| {})
    }

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("pikiosk-").tempdir().unwrap()
    }

    /// `lines` end its kiosk.toml; `more` is done to the command, which runs in this folder.
    fn start_in(folder: tempfile::TempDir, lines: &str, more: impl FnOnce(&mut Command, &Path)) -> Self {
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        notify.set_nonblocking(true).unwrap();
        let port = free_port();
        let mut command = Self::command(folder.path(), port, lines);
        command.env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "200000");
        more(&mut command, folder.path());
        let run = Process::start("run", folder.path(), &mut command);
        Alone { run, notify, heard: Vec::new(), port, folder }
    }

    fn command(folder: &Path, port: u16, lines: &str) -> Command {
        let config = folder.join("kiosk.toml");
        let text = format!("[display]\nid = \"alone\"\n[page]\nlisten = \"127.0.0.1:{port}\"\n{lines}");
        fs::write(&config, text).unwrap();
        let mut command = pikiosk(&["run", "--config"]);
        command.arg(config).arg("--runtime").arg(folder.join("run")).arg("--state").arg(folder.join("state"));
        command
    }

    /// Everything systemd was told so far.
    fn told(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notify.recv(&mut buffer) {
            self.heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        &self.heard
    }

    #[track_caller]
    fn until_told(&mut self, words: &str) {
        until(&format!("systemd is told {words}"), seconds(10), || {
            self.told().iter().any(|told| told.contains(words)).then_some(())
        });
    }

    fn browser(&self, paints: bool) -> FakeLoop {
        FakeLoop::start(&self.folder.path().join("run/browser.sock"), paints)
    }
}

/// A browser loop with a Firefox that does what it is told; whether its pages paint is the test's to say.
struct FakeLoop {
    asked: Arc<Mutex<Vec<Value>>>,
    /// Its end ends the thread.
    stream: UnixStream,
}

impl FakeLoop {
    fn start(socket: &Path, paints: bool) -> Self {
        let stream = until("the supervisor listens", seconds(10), || UnixStream::connect(socket).ok());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (asks, reading) = (asked.clone(), stream.try_clone().unwrap());
        thread::spawn(move || {
            let mut writing = reading.try_clone().unwrap();
            let mut tell = |said: &Value| writeln!(writing, "{said}");
            for line in BufReader::new(reading).lines().map_while(Result::ok) {
                let order: Value = serde_json::from_str(&line).unwrap();
                let said = match (&order["attach"], &order["bidi"]) {
                    (Value::Null, Value::Null) => Vec::new(),
                    (Value::Null, command) => firefox(command, paints),
                    _ => vec![
                        json!({ "started": { "pid": 1, "generation": 1, "firefox": "153.0" } }),
                        json!({ "attached": { "generation": 1 } }),
                    ],
                };
                asks.lock().unwrap().push(order);
                // The supervisor may be gone: then there is nobody to tell.
                if said.iter().any(|said| tell(said).is_err()) {
                    return;
                }
            }
        });
        FakeLoop { asked, stream }
    }

    fn was_asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|order| order["bidi"]["method"] == method).count()
    }
}

impl Drop for FakeLoop {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// What Firefox says to one command: its answer, and what follows from it.
fn firefox(command: &Value, paints: bool) -> Vec<Value> {
    let url = &command["params"]["url"];
    let navigation = json!(format!("n{}", command["id"]));
    let result = match command["method"].as_str().unwrap() {
        "browsingContext.getTree" => json!({ "contexts": [{ "context": "c", "url": "about:blank" }] }),
        "browsingContext.navigate" => json!({ "navigation": navigation, "url": url }),
        "browsingContext.captureScreenshot" => json!({ "data": "aGk=" }),
        _ => json!({}),
    };
    let mut said = vec![json!({ "bidi": { "type": "success", "id": command["id"], "result": result } })];
    if command["method"] == "browsingContext.navigate" {
        let event =
            |method: &str, params: Value| json!({ "bidi": { "type": "event", "method": method, "params": params } });
        let committed = json!({ "context": "c", "navigation": navigation, "url": url });
        said.push(event("browsingContext.navigationCommitted", committed));
        if paints {
            let painted = json!({ "kind": "painted", "uri": url, "status": 200 }).to_string();
            let data = json!({ "type": "string", "value": painted });
            let message = json!({ "channel": "pikiosk", "data": data, "source": { "context": "c", "realm": "r" } });
            said.push(event("script.message", message));
        }
    }
    said
}

#[test]
fn a_display_with_a_server_never_says_that_none_is_configured() {
    let server = format!("[server]\nurl = \"http://127.0.0.1:{}\"\nenrollment = \"a code\"\n", free_port());
    let mut alone = Alone::start_in(Alone::folder(), &server, |_, _| {});
    alone.until_told("the server cannot be reached");
    assert!(!alone.told().iter().any(|told| told.contains("no server is configured")), "{:?}", alone.told());
}

#[test]
fn systemd_is_told_ready_after_the_first_paint_and_not_before_and_the_watchdog_is_fed() {
    let mut alone = Alone::start();
    alone.until_told("STATUS=Waiting for the browser; no server is configured.");
    alone.until_told("WATCHDOG=1");
    let browser = alone.browser(false);
    until("it navigates", seconds(10), || (browser.was_asked("browsingContext.navigate") > 0).then_some(()));
    alone.until_told("EXTEND_TIMEOUT_USEC=");
    assert!(!alone.told().iter().any(|told| told.contains("READY=1")));
    drop(browser);
    alone.until_told("STATUS=Waiting for the browser: the browser loop is gone");
    let _painting = alone.browser(true);
    alone.until_told("READY=1");
    alone.until_told("STATUS=Showing the start page; no server is configured.");
    assert!(alone.run.stop(seconds(5)).success(), "SIGTERM ends it in order");
    alone.until_told("STOPPING=1");
}

#[test]
fn a_supervisor_that_hangs_does_not_feed_the_watchdog() {
    let mut alone = Alone::start();
    alone.until_told("WATCHDOG=1");
    alone.run.signal(nix::sys::signal::Signal::SIGSTOP);
    alone.told();
    alone.heard.clear();
    let before = std::time::Instant::now();
    until("a second passes", seconds(2), || (before.elapsed() > seconds(1)).then_some(()));
    assert!(alone.told().len() <= 1, "{:?}", alone.heard);
    alone.run.signal(nix::sys::signal::Signal::SIGCONT);
    alone.heard.clear();
    alone.until_told("WATCHDOG=1");
}

#[test]
fn status_tells_in_words_what_the_supervisor_shows() {
    let alone = Alone::start();
    let _browser = alone.browser(true);
    let status = || {
        let output = pikiosk(&["status", "--runtime"]).arg(alone.folder.path().join("run")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    until("status tells", seconds(10), || status().contains("no server is configured.").then_some(()));
    assert!(status().contains("alone"), "{}", status());
}

#[test]
fn a_display_whose_key_is_damaged_has_no_link_and_shows_its_page_all_the_same() {
    let folder = Alone::folder();
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(folder.path().join("state/display.key"), "torn").unwrap();
    let mut alone = Alone::start_in(folder, "[server]\nurl = \"http://127.0.0.1:9/\"\n", |_, _| {});
    let _browser = alone.browser(true);
    alone.until_told("READY=1");
    alone.until_told("STATUS=Showing the start page; this display has no link: the key in ");
    alone.until_told("is damaged: remove the file and enroll this display again.");
}

#[test]
fn a_second_supervisor_says_why_it_cannot_run() {
    let alone = Alone::start();
    until("the first one runs", seconds(10), || alone.folder.path().join("run/browser.sock").exists().then_some(()));
    let other = tempfile::tempdir().unwrap();
    let output = Alone::command(other.path(), alone.port, "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("the page could not listen") && said.contains("hint: is another supervisor running?"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// The supervisor's own clock is put on by half a minute each time: nothing in it is alone, or waits, for minutes.
#[test]
fn browser_loops_that_end_one_after_the_other_before_they_show_anything_are_told_within_minutes() {
    let Some(library) = faketime::library() else { return };
    let ahead = |clock: &Path, seconds: u32| {
        pikiosk::io::store::write_atomically(clock, format!("+{seconds}").as_bytes(), 0o644).unwrap();
    };
    let mut alone = Alone::start_in(Alone::folder(), "", |command, folder| {
        let clock = folder.join("clock");
        ahead(&clock, 0);
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", clock).env("FAKETIME_NO_CACHE", "1");
    });
    let folder = alone.folder.path().to_owned();
    let runtime = folder.join("run");
    until("the supervisor listens", seconds(10), || runtime.join("browser.sock").exists().then_some(()));
    for round in 1..=8 {
        let mut command = pikiosk(&["browser", "--firefox", "/bin/true", "--runtime"]);
        let mut browser = Process::start("browser", &folder, command.arg(&runtime).env("HOME", &folder));
        let came = |log: &str| log.matches("the browser loop is there").count();
        until("the loop is there", seconds(10), || {
            alone.told();
            (came(&alone.run.log()) == round).then_some(())
        });
        browser.kill();
        ahead(&folder.join("clock"), 30 * u32::try_from(round).unwrap());
    }
    alone.until_told("the X session ends again and again before it has shown anything");
}
