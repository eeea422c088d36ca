//! What the demo puts up: server, site, supervisor, and where there is a glass the browser on it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use url::Url;

use super::show::Show;
use super::site::Site;
use super::{DemoError, Size};
use crate::commands::actors::{Actor, ActorError};
use crate::commands::client::{Client, ClientError};
use crate::commands::doctor::on_path;
use crate::display::status::StatusFile;

/// The display's id.
pub(super) const DISPLAY: &str = "demo";
/// A cold start of Firefox on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
/// Everything but Firefox starts in well under a second.
const SOON: Duration = Duration::from_secs(20);

/// Where the pages will be seen.
#[derive(Debug)]
pub(super) enum Glass {
    /// A window on the desktop that is there.
    Window { display: String, firefox: PathBuf, size: Size },
    /// Xvfb, and matchbox where it is installed.
    Memory { firefox: PathBuf, xvfb: PathBuf, matchbox: Option<PathBuf>, size: Size },
}

/// What there is no glass without.
#[derive(Debug)]
pub(super) struct Missing {
    pub what: &'static str,
    pub packages: &'static str,
}

impl Glass {
    pub fn choose(headless: bool, size: Size) -> Result<Self, Missing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| on_path(name, &folders));
        let firefox = find(&["firefox-esr", "firefox"]);
        let firefox =
            firefox.ok_or(Missing { what: "Firefox", packages: "firefox-esr xvfb matchbox-window-manager" })?;
        let display = std::env::var("DISPLAY").ok().filter(|display| !display.is_empty());
        match display {
            Some(display) if !headless => Ok(Self::Window { display, firefox, size }),
            _ => {
                let xvfb = find(&["Xvfb"]);
                let xvfb = xvfb.ok_or(Missing { what: "Xvfb", packages: "xvfb matchbox-window-manager" })?;
                Ok(Self::Memory { firefox, xvfb, matchbox: find(&["matchbox-window-manager"]), size })
            }
        }
    }
}

/// A folder of this run, gone with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, DemoError> {
        let path = std::env::temp_dir().join(format!("pikiosk-demo-{:08x}", fastrand::u32(..)));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(DemoError::Folder { path, source }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not be removed");
        }
    }
}

/// Everything that runs. Fields drop in this order: the browser before its screen, all before the folder.
#[derive(Debug)]
pub(super) struct Stage {
    browser: Option<Actor>,
    supervisor: Actor,
    manager: Option<Actor>,
    screen: Option<Actor>,
    server: Actor,
    pub site: Site,
    pub client: Client,
    pub server_url: Url,
    pub key_file: PathBuf,
    pub page: SocketAddr,
    watched: bool,
    folder: Folder,
}

/// The first line of `pikiosk server --json`.
#[derive(Deserialize)]
struct Listening {
    listening: String,
    operator_key_file: PathBuf,
}

impl Stage {
    /// Puts up what needs no glass, and waits until the display is at the server.
    pub async fn set(show: &Show) -> Result<Self, DemoError> {
        let folder = Folder::make()?;
        let at = folder.0.clone();
        let site = Site::open().await.map_err(|source| ActorError::Start { what: "web site", source })?;

        let wait = show.wait("event server");
        let mut command = pikiosk(&["server", "--json", "--listen", "127.0.0.1:0"])?;
        // An empty file: this machine's own server.toml is none of the demo's business.
        command.arg("--data").arg(at.join("server")).arg("--config").arg(write(&at, "server.toml", "")?);
        let mut server = Actor::start_speaking("server", &at, &mut command)?;
        let line = first_line(&mut server, "the server did not say where it listens").await?;
        let said: Listening = serde_json::from_str(&line)
            .map_err(|error| ActorError::Start { what: "server", source: io::Error::other(error) })?;
        let key = fs::read_to_string(&said.operator_key_file)
            .map_err(|source| ActorError::Start { what: "server", source })?;
        let refused = |source: ClientError| DemoError::Server { source };
        let server_url = Url::parse(&said.listening)
            .map_err(|error| ActorError::Start { what: "server", source: io::Error::other(error) })?;
        let client = Client::with_key(server_url.clone(), key.trim().to_owned()).map_err(refused)?;
        wait.done(&said.listening);

        let wait = show.wait("supervisor");
        let made: Value = client.post(&["enrollments"], &json!({ "display": DISPLAY })).await.map_err(refused)?;
        let page = free_port().map_err(|source| ActorError::Start { what: "supervisor", source })?;
        let kiosk = format!(
            "[display]\nid = \"{DISPLAY}\"\n\n[server]\nurl = \"{}\"\nenrollment = \"{}\"\n\n[page]\nlisten = \"{page}\"\n",
            said.listening,
            made["code"].as_str().unwrap_or_default()
        );
        let kiosk = write(&at, "kiosk.toml", &kiosk)?;
        let mut command = pikiosk(&["run", "--config"])?;
        command.arg(&kiosk).arg("--runtime").arg(at.join("run")).arg("--state").arg(at.join("state"));
        let supervisor = Actor::start("supervisor", &at, &mut command)?;
        let mut stage = Self {
            browser: None,
            supervisor,
            manager: None,
            screen: None,
            server,
            site,
            client,
            server_url,
            key_file: said.operator_key_file,
            page,
            watched: false,
            folder,
        };
        let late = "the display did not come to the server";
        stage.until(late, SOON, async |stage| stage.is_connected().await).await?;
        wait.done(&format!("display `{DISPLAY}`, connected; its page is http://{page}"));
        Ok(stage)
    }

    /// Puts up the glass, and Firefox on it; waits until something is painted there.
    pub async fn light(&mut self, glass: Glass, show: &Show) -> Result<(), DemoError> {
        let at = self.folder.0.clone();
        let (display, firefox, size) = match glass {
            Glass::Window { display, firefox, size } => {
                self.watched = true;
                show.wait("screen").done(&format!("a window on {display}"));
                let firefox = windowed(&at, &firefox, size)?;
                (display, firefox, size)
            }
            Glass::Memory { firefox, xvfb, matchbox, size } => {
                (self.memory_screen(&xvfb, matchbox.as_deref(), size, show).await?, firefox, size)
            }
        };
        let wait = show.wait("Firefox");
        let started = Instant::now();
        let mut command = pikiosk(&["browser", "--config"])?;
        command.arg(at.join("kiosk.toml")).arg("--runtime").arg(at.join("run")).arg("--firefox").arg(&firefox);
        command.env("DISPLAY", &display).env("HOME", &at).env("MOZ_NO_REMOTE", "1");
        if let (None, Some(home)) = (std::env::var_os("XAUTHORITY"), std::env::var_os("HOME")) {
            command.env("XAUTHORITY", Path::new(&home).join(".Xauthority"));
        }
        self.browser = Some(Actor::start("browser", &at, &mut command)?);
        self.until("Firefox painted nothing", PATIENCE, async |stage| stage.is_showing()).await?;
        let status = StatusFile::read(&at.join("run")).ok();
        let version = status.and_then(|status| status.health.firefox).unwrap_or_else(|| "some version".to_owned());
        let seconds = started.elapsed().as_secs_f32();
        wait.done(&format!("{version}, {}x{}, first paint after {seconds:.1} s", size.width, size.height));
        Ok(())
    }

    async fn memory_screen(
        &mut self,
        xvfb: &Path,
        matchbox: Option<&Path>,
        size: Size,
        show: &Show,
    ) -> Result<String, DemoError> {
        let at = &self.folder.0;
        let wait = show.wait("screen");
        let mut command = Command::new(xvfb);
        // Xvfb chooses a free number and says it when it is ready.
        command.args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0"]);
        command.arg(format!("{}x{}x24", size.width, size.height));
        let mut screen = Actor::start_speaking("Xvfb", at, &mut command)?;
        let number = first_line(&mut screen, "the screen in memory did not start").await?;
        let display = format!(":{}", number.trim());
        self.screen = Some(screen);
        let manager = match matchbox {
            None => "without matchbox (sudo apt install matchbox-window-manager)",
            Some(matchbox) => {
                let keys = write(at, "no-keys", "")?;
                let mut command = Command::new(matchbox);
                command.args(["-use_titlebar", "no", "-use_cursor", "no", "-use_desktop_mode", "plain", "-kbdconfig"]);
                command.arg(keys).env("DISPLAY", &display);
                self.manager = Some(Actor::start("matchbox", at, &mut command)?);
                "with matchbox"
            }
        };
        wait.done(&format!("in memory (Xvfb {display}) {manager}"));
        Ok(display)
    }

    pub fn has_glass(&self) -> bool {
        self.browser.is_some()
    }

    /// True where a person looks on.
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    /// The binary as the person would type it, and the other things to paste.
    pub fn binary() -> String {
        std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_else(|_| "pikiosk".to_owned())
    }

    async fn is_connected(&self) -> bool {
        let shown = self.client.get::<Value>(&["displays", DISPLAY]).await;
        shown.is_ok_and(|display| display["connected"] == json!(true))
    }

    fn is_showing(&self) -> bool {
        StatusFile::read(&self.folder.0.join("run")).is_ok_and(|status| status.health.showing)
    }

    /// Waits for a condition, and meanwhile for any actor to end, which is an error.
    async fn until(
        &mut self,
        late: &'static str,
        within: Duration,
        condition: impl AsyncFn(&Self) -> bool,
    ) -> Result<(), DemoError> {
        const EVERY: Duration = Duration::from_millis(50);
        let deadline = Instant::now() + within;
        while !condition(self).await {
            self.check()?;
            if Instant::now() > deadline {
                return Err(self.browser.as_ref().unwrap_or(&self.supervisor).late(late, within).into());
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), DemoError> {
        let optional = [&mut self.browser, &mut self.manager, &mut self.screen].into_iter().flatten();
        for actor in optional.chain([&mut self.supervisor, &mut self.server]) {
            actor.check()?;
        }
        Ok(())
    }

    /// Never ends but with the actor that ended by itself. A supervisor that was asked to restart is started again, as
    /// systemd would.
    pub async fn watch(&mut self) -> DemoError {
        loop {
            if self.supervisor.has_ended_well()
                && let Err(error) = self.start_supervisor_again()
            {
                return error;
            }
            if let Err(error) = self.check() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    fn start_supervisor_again(&mut self) -> Result<(), DemoError> {
        let at = &self.folder.0;
        let mut command = pikiosk(&["run", "--config"])?;
        command.arg(at.join("kiosk.toml")).arg("--runtime").arg(at.join("run")).arg("--state").arg(at.join("state"));
        self.supervisor = Actor::start("supervisor", at, &mut command)?;
        Ok(())
    }
}

/// This very binary, without the settings that the person's environment has for displays and servers of their own.
fn pikiosk(args: &[&str]) -> Result<Command, DemoError> {
    let own = std::env::current_exe().map_err(|source| ActorError::Start { what: "pikiosk", source })?;
    let mut command = Command::new(own);
    command.args(args);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    Ok(command)
}

fn is_setting(name: &str) -> bool {
    name.starts_with("PIKIOSK_") && name != "PIKIOSK_LOG"
}

/// Kiosk mode would take the whole desktop of whoever tries this: the same Firefox in a window.
fn windowed(folder: &Path, firefox: &Path, size: Size) -> Result<PathBuf, DemoError> {
    let script = format!(
        "#!/bin/sh\n# Firefox as the display starts it, but in a window.\nfor word do\n  shift\n  \
         [ \"$word\" = --kiosk ] || set -- \"$@\" \"$word\"\ndone\nexec '{}' --width {} --height {} \"$@\"\n",
        firefox.display().to_string().replace('\'', r"'\''"),
        size.width,
        size.height
    );
    let path = write(folder, "firefox-in-a-window", &script)?;
    match fs::set_permissions(&path, fs::Permissions::from_mode(0o700)) {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::Folder { path, source }),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, DemoError> {
    let path = folder.join(name);
    match fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::Folder { path, source }),
    }
}

/// Free now; whoever takes it before the supervisor does makes the supervisor say so.
fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// The line with which an actor says that it is ready.
async fn first_line(actor: &mut Actor, late: &'static str) -> Result<String, DemoError> {
    let voice = actor.voice().map(tokio::process::ChildStdout::from_std);
    let Some(Ok(voice)) = voice else { return Err(actor.late(late, Duration::ZERO).into()) };
    let line = tokio::time::timeout(SOON, read_line(voice)).await;
    match line {
        Ok(Ok(line)) if !line.trim().is_empty() => Ok(line),
        Ok(_) => {
            // End of file: it is ending, and its status follows within moments.
            let deadline = Instant::now() + SOON;
            while Instant::now() < deadline {
                actor.check()?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(actor.late(late, SOON).into())
        }
        Err(_) => Err(actor.late(late, SOON).into()),
    }
}

async fn read_line(voice: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(voice).read_line(&mut line).await?;
    Ok(line)
}
