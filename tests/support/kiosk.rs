//! A whole display with its server, all real: `pikiosk server`, `run`, `browser`, Firefox under Xvfb with matchbox.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    process::{self, Process},
    screen::{Colour, Frame, Screen},
    server::{BINARY, Server, free_port, pikiosk, pikiosk_of, receipt_of},
    site::{Site, turn_colour},
    wait::{seconds, until},
};

/// The display's id in every test.
pub const DISPLAY: &str = "wall";
/// What is on the glass at the start of every scenario.
pub const HOME: Colour = [0x0a, 0x5c, 0x36];
/// A cold start of Firefox on a busy machine.
pub const COLD: Duration = Duration::from_secs(60);

/// One display, enrolled, and everything around it. Fields drop in this order.
#[derive(Debug)]
pub struct Kiosk {
    run: Option<Process>,
    browser: Option<Process>,
    others: Vec<Process>,
    pub screen: Screen,
    pub server: Server,
    pub site: Site,
    /// Where the supervisor's page listens.
    pub page: SocketAddr,
    /// What `pikiosk run` is: the bench takes the build that a Pi gets.
    pub run_binary: PathBuf,
    config: PathBuf,
    folder: TempDir,
}

impl Kiosk {
    /// Starts everything, and returns when [`HOME`] is on the glass.
    #[track_caller]
    pub fn start() -> Kiosk {
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let server = Server::start(folder.path(), "");
        let screen = Screen::start(folder.path());
        let page: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let config = folder.path().join("kiosk.toml");
        let text = format!(
            "[display]\nid = \"{DISPLAY}\"\n[server]\nurl = \"{}\"\nenrollment = \"{}\"\n[page]\nlisten = \"{page}\"\n",
            server.url(),
            server.enrollment(DISPLAY)
        );
        fs::write(&config, text).expect("the config is written");
        let site = Site::start();
        let mut kiosk = Kiosk {
            run: None,
            browser: None,
            others: Vec::new(),
            screen,
            server,
            site,
            page,
            run_binary: BINARY.into(),
            config,
            folder,
        };
        kiosk.start_run();
        kiosk.start_browser();
        until("the display is enrolled", seconds(20), || {
            (kiosk.server.get(&format!("/v1/displays/{DISPLAY}")).status == 200).then_some(())
        });
        kiosk.home();
        kiosk
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn start_run(&mut self) {
        let mut command = pikiosk_of(&self.run_binary, &["run", "--config"]);
        command.arg(&self.config).arg("--state").arg(self.folder().join("state"));
        command.arg("--runtime").arg(self.runtime());
        self.run = Some(Process::start("run", self.folder(), &mut command));
    }

    pub fn start_browser(&mut self) {
        self.browser = Some(self.browser_process("browser"));
    }

    /// A second loop beside the first, as after a mistake of a person.
    pub fn start_another_browser(&mut self) {
        let another = self.browser_process("another-browser");
        self.others.push(another);
    }

    /// What the last of [`Self::start_another_browser`] wrote so far, and whether it ended.
    #[track_caller]
    pub fn another_browser(&mut self) -> (String, bool) {
        let last = self.others.last_mut().expect("another was started");
        let ended = last.ended().is_some();
        (last.log(), ended)
    }

    fn browser_process(&self, name: &str) -> Process {
        let mut command = pikiosk(&["browser", "--config"]);
        command.arg(&self.config).arg("--runtime").arg(self.runtime());
        command.env("DISPLAY", &self.screen.display).env("HOME", self.folder());
        Process::start(name, self.folder(), &mut command)
    }

    pub fn runtime(&self) -> PathBuf {
        self.folder().join("runtime")
    }

    /// kill -9 of the supervisor; the browser loop and Firefox live on.
    pub fn kill_run(&mut self) {
        if let Some(mut run) = self.run.take() {
            run.kill();
        }
    }

    /// SIGTERM to the supervisor and to the browser loop, as at a shutdown.
    #[track_caller]
    pub fn stop_display(&mut self) {
        for mut process in self.others.drain(..).chain(self.browser.take()).chain(self.run.take()) {
            process.stop(seconds(15));
        }
    }

    #[track_caller]
    pub fn run(&mut self) -> &mut Process {
        self.run.as_mut().expect("the supervisor runs")
    }

    #[track_caller]
    pub fn browser(&mut self) -> &mut Process {
        self.browser.as_mut().expect("the browser loop runs")
    }

    /// Publishes to the display; returns the event's id.
    #[track_caller]
    pub fn push(&self, command: &str, data: &Value) -> String {
        self.server.publish(&format!("display/{DISPLAY}"), command, data, None).0
    }

    /// Publishes and waits for the receipt, as `pikiosk push --wait` does.
    #[track_caller]
    pub fn push_and_wait(&self, command: &str, data: &Value) -> Value {
        let (id, reply) = self.server.publish(&format!("display/{DISPLAY}"), command, data, Some("30s"));
        receipt_of(&reply.json(), DISPLAY).unwrap_or_else(|| panic!("no receipt for {command} {id}: {}", reply.text()))
    }

    /// Publishes, waits, and asserts the status.
    #[track_caller]
    pub fn push_is(&self, command: &str, data: &Value, status: &str) -> Value {
        let receipt = self.push_and_wait(command, data);
        assert_eq!(receipt["status"], status, "{command} {data}: {receipt}");
        receipt
    }

    #[track_caller]
    pub fn receipt(&self, event: &str) -> Value {
        self.server.receipt_within(event, DISPLAY, seconds(30)).0
    }

    pub fn frame(&self) -> Frame {
        self.screen.frame()
    }

    /// Waits until nearly all of the glass has this colour; returns how long that took.
    #[track_caller]
    pub fn shows(&self, colour: Colour, limit: Duration) -> Duration {
        self.screen.until(&format!("#{colour:02x?} on the glass"), limit, |frame| frame.share(colour) > 0.8)
    }

    /// Puts [`HOME`] on the glass.
    #[track_caller]
    pub fn home(&self) {
        let url = self.site.colour(HOME, "home");
        let id = self.push("navigate", &json!({ "url": url }));
        let receipt = self.server.receipt_within(&id, DISPLAY, COLD).0;
        assert_eq!(receipt["status"], "shown", "{receipt}");
        self.shows(HOME, seconds(10));
    }

    /// Puts a page on the glass that has another colour at each load; does `harm`; waits until a later load is painted
    /// and alive. Returns how long the painting took, from the end of the harm.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "how long it took is what these tests are for")]
    pub fn recovers(&mut self, tag: &str, limit: Duration, harm: impl FnOnce(&mut Kiosk)) -> Duration {
        let url = self.site.url(&format!("/turn/{tag}"));
        self.push_is("navigate", &json!({ "url": url }), "shown");
        let before = self.site.turns(tag);
        self.shows(turn_colour(before), seconds(2));
        harm(self);
        // Half as long again for a machine that runs other tests.
        let took = self.screen.until("a later load of the page", limit * 3 / 2, |frame| {
            let turns = self.site.turns(tag);
            turns > before && frame.share(turn_colour(turns)) > 0.8
        });
        self.push_is("event", &json!({"name": "paint-me", "data": {"colour": "#ffffff"}}), "done");
        self.shows([255, 255, 255], seconds(2));
        println!("    {tag}: painted again after {:.2} s", took.as_secs_f64());
        took
    }

    /// Firefox's own process.
    #[track_caller]
    pub fn firefox(&self) -> i32 {
        let browser = self.browser.as_ref().expect("the browser loop runs").pid();
        let is_firefox = |seen: &process::Seen| seen.name.starts_with("firefox") && seen.state != 'Z';
        until("Firefox runs", COLD, || process::below(browser).into_iter().find(is_firefox)).pid
    }

    /// Firefox's own processes below every browser loop of this kiosk.
    pub fn all_firefoxes(&self) -> Vec<i32> {
        let loops: Vec<i32> = self.browser.iter().chain(&self.others).map(Process::pid).collect();
        let below = loops.iter().flat_map(|pid| process::below(*pid).into_iter().map(move |seen| (*pid, seen)));
        below
            .filter(|(pid, seen)| {
                seen.parent == *pid
                    && process::seen(*pid).is_some_and(|seen| seen.state != 'Z')
                    && seen.name.starts_with("firefox")
                    && seen.state != 'Z'
            })
            .map(|(_, seen)| seen.pid)
            .collect()
    }

    /// The processes that run the page on the glass.
    #[track_caller]
    pub fn content(&self) -> Vec<i32> {
        let browser = self.browser.as_ref().expect("the browser loop runs").pid();
        let is_content = |seen: &process::Seen| {
            (seen.name.starts_with("Web Content") || seen.name.starts_with("Isolated Web")) && seen.state != 'Z'
        };
        until("a content process runs", COLD, || {
            let found: Vec<i32> = process::below(browser).into_iter().filter(is_content).map(|seen| seen.pid).collect();
            (!found.is_empty()).then_some(found)
        })
    }

    /// The port on which Firefox takes WebDriver BiDi commands.
    pub fn bidi_port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.runtime().join("profile/WebDriverBiDiServer.json")).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        json["ws_port"].as_u64().and_then(|port| u16::try_from(port).ok())
    }

    /// Ends of all logs, for whoever reads a failure.
    pub fn logs(&self) -> String {
        let end = |name: &str| {
            let text = fs::read_to_string(self.folder().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        ["server", "run", "browser"].map(end).concat()
    }

    /// The lines of a log that say that something panicked.
    pub fn panics(&self) -> Vec<String> {
        let of = |name: &str| fs::read_to_string(self.folder().join(format!("{name}.log"))).unwrap_or_default();
        let all = ["server", "run", "browser"].map(of).concat();
        all.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }
}
