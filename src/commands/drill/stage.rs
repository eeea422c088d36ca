//! A display in memory, made for a drill: Xvfb, matchbox, `pikiosk run`, `pikiosk browser`, all in one folder that is gone
//! afterwards.
//!
//! As root it has a network and mounts of its own (`unshare --net --mount`): then a network can be taken away and a disk
//! be filled that are nobody else's.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::DrillFailure;
use crate::{
    commands::{
        actors::{Actor, ActorError},
        doctor::on_path,
    },
    display::{
        drill::{Around, Client, NotHere},
        status::StatusFile,
    },
};

const SOON: Duration = Duration::from_secs(20);
/// A cold start of Firefox on a machine that does something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
const EVERY: Duration = Duration::from_millis(50);
/// The address of the drill's site in a network of its own: one for documentation (RFC 5737), so nobody's.
const SITE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The card of a display that a drill can fill: the journal, the key and the little there is besides.
const CARD: &str = "size=4m,mode=0700";

/// Goes on as root in a network and with mounts of its own, with nothing in between; returns where that cannot be.
pub fn enter_own_network() {
    let allowed = nix::unistd::getuid().is_root()
        && Command::new("unshare")
            .args(["--net", "--mount", "ip", "link", "set", "lo", "up"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    let Ok(own) = std::env::current_exe() else { return };
    if allowed {
        // Only returns if it failed, and then the drill does without.
        let _ = Command::new("unshare")
            .args(["--net", "--mount", "--"])
            .arg(own)
            .args(std::env::args_os().skip(1))
            .arg("--own-network")
            .exec();
    }
}

/// Everything that runs. Fields drop in this order: the browser before its screen, all before the folder.
#[derive(Debug)]
pub struct Stage {
    browser: Option<Actor>,
    supervisor: Option<Actor>,
    _manager: Option<Actor>,
    _screen: Actor,
    display: String,
    firefox: PathBuf,
    own_network: bool,
    card: Option<Card>,
    /// The supervisor was started in 1970.
    in_1970: bool,
    folder: Folder,
}

/// A folder of this run, gone with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not be removed");
        }
    }
}

/// A small disk in memory for what must survive.
#[derive(Debug)]
struct Card(PathBuf);

impl Drop for Card {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

impl Stage {
    /// Puts everything up, and returns once the supervisor's first page is painted.
    pub async fn set(own_network: bool) -> Result<Self, DrillFailure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| on_path(name, &folders));
        let packages = "firefox-esr xvfb matchbox-window-manager";
        let missing = |missing| DrillFailure::NoGlass { missing, packages };
        let firefox = find(&["firefox-esr", "firefox"]).ok_or(missing("Firefox"))?;
        let xvfb = find(&["Xvfb"]).ok_or(missing("Xvfb"))?;
        let matchbox = find(&["matchbox-window-manager"]);

        let at = in_memory().join(format!("pikiosk-drill-{:08x}", fastrand::u32(..)));
        let made = fs::DirBuilder::new().mode(0o700).create(&at);
        made.map_err(|source| DrillFailure::Folder { path: at.clone(), source })?;
        let folder = Folder(at.clone());
        if own_network {
            // The loopback comes up by itself nowhere.
            ip(&["link", "set", "lo", "up"]).map_err(|source| ActorError::Start { what: "ip", source })?;
        }
        let state = at.join("state");
        let card = if own_network { mount_card(&state) } else { None };

        let mut command = Command::new(xvfb);
        command.args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-nocursor", "-screen", "0", "1280x720x24"]);
        let mut screen = Actor::start_speaking("Xvfb", &at, &mut command)?;
        let display = format!(":{}", first_line(&mut screen).await?);
        let manager = match matchbox {
            None => None,
            Some(matchbox) => {
                let mut command = Command::new(matchbox);
                command.args(["-use_titlebar", "no", "-use_cursor", "no", "-use_desktop_mode", "plain"]);
                command.args(["-kbdconfig", "/dev/null"]).env("DISPLAY", &display);
                Some(Actor::start("matchbox", &at, &mut command)?)
            }
        };
        let page = free_port().map_err(|source| ActorError::Start { what: "supervisor", source })?;
        write(&at, "kiosk.toml", &format!("[display]\nid = \"drill\"\n\n[page]\nlisten = \"127.0.0.1:{page}\"\n"))?;
        let mut stage = Stage {
            browser: None,
            supervisor: None,
            _manager: manager,
            _screen: screen,
            display,
            firefox,
            own_network,
            card,
            in_1970: false,
            folder,
        };
        stage.start_supervisor()?;
        stage.start_browser()?;
        stage.until_painted().await?;
        Ok(stage)
    }

    pub fn runtime(&self) -> PathBuf {
        self.folder.0.join("run")
    }

    pub fn display(&self) -> &str {
        &self.display
    }

    /// One line for the head of the table.
    pub fn what(&self) -> String {
        let firefox = StatusFile::read(&self.runtime()).ok().and_then(|status| status.health.firefox);
        let firefox = firefox.map_or_else(|| "Firefox".to_owned(), |version| format!("Firefox {version}"));
        let manager = if self._manager.is_some() { "matchbox" } else { "no matchbox (sudo apt install matchbox)" };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("?").to_owned();
        format!("A display in memory: Xvfb {}, {manager}, {firefox}; load {load} on {cores} cores.", self.display)
    }

    fn start_supervisor(&mut self) -> Result<(), ActorError> {
        let at = &self.folder.0;
        let mut command = pikiosk(&["run", "--config"])?;
        command.arg(at.join("kiosk.toml")).arg("--runtime").arg(at.join("run")).arg("--state").arg(at.join("state"));
        if let Some(faketime) = faketime().filter(|_| self.in_1970) {
            // Deadlines and timers are of the monotonic clock, which no battery holds back.
            command.env("LD_PRELOAD", faketime).env("FAKETIME", "@1970-01-01 00:00:30");
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        self.supervisor = Some(Actor::start("supervisor", at, &mut command)?);
        Ok(())
    }

    fn start_browser(&mut self) -> Result<(), ActorError> {
        let at = &self.folder.0;
        let mut command = pikiosk(&["browser", "--config"])?;
        command.arg(at.join("kiosk.toml")).arg("--runtime").arg(at.join("run")).arg("--firefox").arg(&self.firefox);
        command.env("DISPLAY", &self.display).env("HOME", at).env("MOZ_NO_REMOTE", "1");
        self.browser = Some(Actor::start("browser", at, &mut command)?);
        Ok(())
    }

    async fn until_painted(&mut self) -> Result<(), DrillFailure> {
        let began = Instant::now();
        while !StatusFile::read(&self.runtime()).is_ok_and(|status| status.health.showing) {
            for actor in self.browser.iter_mut().chain(&mut self.supervisor) {
                actor.check()?;
            }
            if began.elapsed() > PATIENCE {
                let late = "Firefox painted nothing";
                return Err(match &self.browser {
                    Some(browser) => browser.late(late, PATIENCE).into(),
                    None => self._screen.late(late, PATIENCE).into(),
                });
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }
}

/// The supervisor listens before it paints; a machine with much to do gets a moment.
pub async fn connect(runtime: &Path) -> Result<Client, DrillFailure> {
    Ok(Client::connect(runtime).await?)
}

impl Around for Stage {
    fn kill_supervisor(&mut self) -> Result<(), NotHere> {
        kill(self.supervisor.take())?;
        self.start_supervisor().map_err(|error| NotHere(error.to_string()))
    }

    fn session_killed(&mut self) -> Result<(), NotHere> {
        kill(self.browser.take())?;
        self.start_browser().map_err(|error| NotHere(error.to_string()))
    }

    fn network(&self) -> Result<Ipv4Addr, NotHere> {
        match self.own_network {
            true => Ok(SITE),
            false => Err(NotHere("only root can take a network away (sudo pikiosk drill --headless ...)".into())),
        }
    }

    fn take_network(&mut self) -> Result<(), NotHere> {
        self.network()?;
        address("del").map_err(|error| NotHere(error.to_string()))
    }

    fn give_network(&mut self) -> Result<(), NotHere> {
        self.network()?;
        address("replace").map_err(|error| NotHere(error.to_string()))
    }

    fn fill_disk(&mut self) -> Result<(), NotHere> {
        let Some(card) = &self.card else {
            return Err(NotHere(
                "only root can have a disk of its own to fill (sudo pikiosk drill --headless ...)".into(),
            ));
        };
        fill(&card.0.join("filled")).map_err(|error| NotHere(error.to_string()))
    }

    fn empty_disk(&mut self) {
        if let Some(card) = &self.card {
            let _ = fs::remove_file(card.0.join("filled"));
        }
    }

    fn take_clock(&mut self) -> Result<(), NotHere> {
        if faketime().is_none() {
            return Err(NotHere("it takes libfaketime (sudo apt install faketime)".into()));
        }
        self.in_1970 = true;
        self.kill_supervisor()
    }

    fn give_clock(&mut self) -> Result<bool, NotHere> {
        let was = std::mem::take(&mut self.in_1970);
        if was {
            self.kill_supervisor()?;
        }
        Ok(was)
    }

    fn screens(&self) -> Result<Vec<String>, NotHere> {
        Err(NotHere("a display in memory has no plug; on a display: sudo pikiosk drill screen-unplugged".into()))
    }

    async fn unplug(&mut self) -> Result<(), NotHere> {
        self.screens().map(drop)
    }

    fn site_address(&self) -> Ipv4Addr {
        if self.own_network { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }
    }
}

/// What gives a program a clock of its own, where Debian's package `faketime` puts it.
fn faketime() -> Option<PathBuf> {
    let folder = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    Some(Path::new(&folder).join("libfaketimeMT.so.1")).filter(|library| library.exists())
}

fn kill(actor: Option<Actor>) -> Result<(), NotHere> {
    let actor = actor.ok_or_else(|| NotHere("it does not run".into()))?;
    actor.kill().map_err(|error| NotHere(error.to_string()))
}

/// Writes until there is no room for another byte.
fn fill(path: &Path) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path)?;
    for size in [64 * 1024, 1] {
        let block = vec![0; size];
        loop {
            match file.write(&block) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn mount_card(at: &Path) -> Option<Card> {
    fs::create_dir(at).ok()?;
    let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
    nix::mount::mount(Some("drill"), at, Some("tmpfs"), flags, Some(CARD)).ok()?;
    Some(Card(at.to_owned()))
}

fn address(what: &str) -> io::Result<()> {
    ip(&["address", what, &format!("{SITE}/32"), "dev", "lo"])
}

fn ip(args: &[&str]) -> io::Result<()> {
    let done = Command::new("ip").args(args).stdin(Stdio::null()).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
    }
}

/// This very binary, without the settings that the person's environment has for displays and servers of their own.
fn pikiosk(args: &[&str]) -> Result<Command, ActorError> {
    let own = std::env::current_exe().map_err(|source| ActorError::Start { what: "pikiosk", source })?;
    let mut command = Command::new(own);
    command.args(args);
    let is_setting = |name: &str| name.starts_with("PIKIOSK_") && name != "PIKIOSK_LOG";
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    Ok(command)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), DrillFailure> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|source| DrillFailure::Folder { path, source })
}

/// Where files are in memory, as /run is on a display: a Firefox whose profile is on a busy disk waits for that disk.
fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let writable = nix::unistd::access(memory, nix::unistd::AccessFlags::W_OK).is_ok();
    if writable && std::env::var_os("TMPDIR").is_none() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Free now; whoever takes it before the supervisor does makes the supervisor say so.
fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The number of the X display, which Xvfb says when it is ready.
async fn first_line(screen: &mut Actor) -> Result<String, ActorError> {
    let late = "the screen in memory did not start";
    let voice = screen.voice().map(tokio::process::ChildStdout::from_std);
    let Some(Ok(voice)) = voice else { return Err(screen.late(late, Duration::ZERO)) };
    let mut line = String::new();
    let mut reader = BufReader::new(voice);
    match tokio::time::timeout(SOON, reader.read_line(&mut line)).await {
        Ok(Ok(_)) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(screen.late(late, SOON)),
    }
}
