//! The loop itself: one select over the supervisor's socket, Firefox, its session, signals and the next deadline.

use std::{io, path::PathBuf, time::Duration};

use serde_json::value::RawValue;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

use super::{
    firefox,
    machine::{Effect, Input, Machine},
    memory, pages,
    profile::{Profile, ProfileError},
    screen::{Screen, Told},
    session::Session,
    supervisors,
    wire::{FromLoop, SOCKET, ToLoop},
};
use crate::{
    config::{BrowserSettings, ScreenSettings},
    display::drill::{Eyes, wire::Look},
    io::process::{self, Identity},
};

mod orders;
mod start;

/// Facts that wait for the loop. Firefox's messages are among them: a slow supervisor slows Firefox's reader down.
pub(super) const WAITING: usize = 256;
/// A killed Firefox and all its processes are gone within 2 s here.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// What the loop is told once.
#[derive(Debug)]
pub struct LoopSettings {
    /// Where the supervisor's socket is.
    pub runtime: PathBuf,
    /// Firefox's profile; by default `RUNTIME/profile`.
    pub profile: Option<PathBuf>,
    pub browser: BrowserSettings,
    pub screen: ScreenSettings,
}

/// Why the loop cannot run at all. Everything else it outlives.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error("make Firefox's profile")]
    Profile(#[source] ProfileError),
    #[error("watch signals and children")]
    Signals(#[source] io::Error),
    #[error("start the thread that looks after the screen")]
    Screen(#[source] io::Error),
}

/// What happened, from the tasks around.
#[derive(Debug)]
pub(super) enum Fact {
    Supervisor(mpsc::Sender<String>),
    SupervisorGone,
    Ordered(ToLoop),
    /// Where Firefox of this generation listens.
    Listening(u64, String),
    SessionOpened(u64, Box<Session>),
    SessionFailed(u64, String),
    Told(u64, Box<RawValue>),
    SessionClosed {
        generation: u64,
        firefox_ended: bool,
    },
    TreeGone(bool),
    Looked(u64, Result<Look, String>),
    Screen(Told),
    ContentEnded,
}

struct Loop {
    settings: LoopSettings,
    folder: PathBuf,
    /// None while it cannot be made.
    profile: Option<Profile>,
    /// Where and why the last start could not write it.
    no_profile: Option<String>,
    machine: Machine,
    /// For a drill.
    eyes: Eyes,
    screen: Screen,
    facts: mpsc::Sender<Fact>,
    url: Option<String>,
    supervisor: Option<mpsc::Sender<String>>,
    pid: Option<i32>,
    generation: u64,
    listening: Option<String>,
    /// Commands to the open session; dropping it ends the session.
    session: Option<mpsc::Sender<Box<RawValue>>>,
    session_id: u64,
    firefox_version: String,
    /// The next start is without the preferences of kiosk.toml.
    plain: bool,
    memory: memory::Watch,
    quit: bool,
}

/// Keeps Firefox running until SIGTERM, SIGINT or SIGHUP; then leaves nothing behind.
///
/// Must run on the thread that lives as long as the process: Firefox is bound to it.
pub async fn run(settings: LoopSettings) -> Result<(), LoopError> {
    let folder = settings.profile.clone().unwrap_or_else(|| settings.runtime.join("profile"));
    process::become_subreaper().map_err(LoopError::Signals)?;
    let profile = match Profile::claim(&folder).await {
        Ok(profile) => Some(profile),
        // A full disk, say: each start tries again, and the supervisor is told.
        Err(error @ ProfileError::Write { .. }) => {
            tracing::error!(why = error.place(), "Firefox's profile cannot be written");
            None
        }
        Err(error) => return Err(LoopError::Profile(error)),
    };
    firefox::end_leftovers(&folder, KILL_WITHIN);

    let watch = |kind| signal(kind).map_err(LoopError::Signals);
    let (mut term, mut int, mut hup) =
        (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?, watch(SignalKind::hangup())?);
    let mut child = watch(SignalKind::child())?;
    let (facts, mut happened) = mpsc::channel(WAITING);
    tokio::spawn(supervisors::meet(settings.runtime.join(SOCKET), facts.clone()));
    let seen = facts.clone();
    let tell = move |told| seen.blocking_send(Fact::Screen(told)).is_ok();
    let screen = Screen::start(settings.screen.clone(), tell).map_err(LoopError::Screen)?;

    let mut own = Loop {
        folder,
        profile,
        no_profile: None,
        eyes: Eyes::open(None),
        machine: Machine::new(fastrand::Rng::new()),
        screen,
        facts,
        url: None,
        supervisor: None,
        pid: None,
        generation: 0,
        listening: None,
        session: None,
        session_id: 0,
        firefox_version: String::new(),
        plain: false,
        memory: memory::Watch::default(),
        quit: false,
        settings,
    };
    let mut look_at = Instant::now();
    while !own.quit {
        let due = own.machine.deadline();
        let input = tokio::select! {
            fact = happened.recv() => match fact {
                Some(fact) => own.take(fact),
                None => Some(Input::StopWanted),
            },
            _ = child.recv() => own.reap(),
            _ = term.recv() => Some(Input::StopWanted),
            _ = int.recv() => Some(Input::StopWanted),
            _ = hup.recv() => Some(Input::StopWanted),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Some(Input::Due),
            () = tokio::time::sleep_until(look_at), if own.pid.is_some() => {
                let overgrown = own.memory.tend(own.settings.browser.memory_mb);
                overgrown.into_iter().for_each(|it| own.tell(&FromLoop::Overgrown(it)));
                own.memory.new_pages().into_iter().for_each(|page| own.watch(page));
                look_at = Instant::now() + own.memory.pace();
                None
            }
        };
        if let Some(input) = input {
            own.step(input);
        }
    }
    Ok(())
}

impl Loop {
    fn step(&mut self, input: Input) {
        tracing::debug!(?input, "input");
        for effect in self.machine.step(input, Instant::now()) {
            if let Some(next) = self.act(effect) {
                self.step(next);
            }
        }
    }

    fn take(&mut self, fact: Fact) -> Option<Input> {
        match fact {
            Fact::Supervisor(lines) => {
                self.supervisor = Some(lines);
                self.tell(&FromLoop::Hello {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    pid: std::process::id(),
                    display: std::env::var("DISPLAY").unwrap_or_default(),
                });
                self.screen.tell_again();
                None
            }
            Fact::SupervisorGone => {
                self.supervisor = None;
                self.screen.unveil();
                Some(Input::SupervisorGone)
            }
            Fact::Ordered(order) => self.obey(order),
            Fact::Listening(generation, url) if generation == self.generation => {
                self.listening = Some(url);
                Some(Input::Listening)
            }
            Fact::SessionOpened(id, session) if id == self.session_id => {
                self.firefox_version.clone_from(&session.firefox);
                self.relay(session);
                Some(Input::SessionOpened)
            }
            Fact::SessionFailed(id, why) if id == self.session_id => Some(Input::SessionFailed { why }),
            Fact::Told(id, raw) => {
                if id == self.session_id {
                    self.tell(&FromLoop::Bidi(raw));
                }
                None
            }
            Fact::SessionClosed { generation, firefox_ended } if generation == self.generation => {
                self.session = None;
                // A session that ends without Firefox is a Firefox that no longer listens to us.
                let lost = || Input::SessionFailed { why: "its remote control went away".to_owned() };
                Some(if firefox_ended { lost() } else { Input::SessionClosed })
            }
            Fact::Screen(told) => {
                self.tell(&match told {
                    Told::Sees(facts) => FromLoop::Sees(facts),
                    Told::Answered { ask, result } => FromLoop::Screen { ask, result },
                });
                None
            }
            Fact::Looked(ask, result) => {
                self.tell(&FromLoop::Looked { ask, result });
                None
            }
            Fact::ContentEnded => {
                self.tell(&FromLoop::ContentEnded {});
                None
            }
            Fact::TreeGone(true) => Some(Input::TreeGone),
            Fact::TreeGone(false) => {
                tracing::error!("some of Firefox's processes cannot be killed");
                None
            }
            // Of an earlier Firefox or session.
            Fact::Listening(..) | Fact::SessionOpened(..) | Fact::SessionFailed(..) | Fact::SessionClosed { .. } => {
                None
            }
        }
    }

    fn act(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Start { generation } => {
                self.generation = generation;
                self.listening = None;
                return self.start().err().map(|why| Input::StartFailed { why });
            }
            Effect::OpenSession => {
                self.session_id += 1;
                let (id, url, facts) =
                    (self.session_id, self.listening.clone().unwrap_or_default(), self.facts.clone());
                tokio::spawn(async move {
                    let fact = match Session::open(&url).await {
                        Ok(session) => Fact::SessionOpened(id, Box::new(session)),
                        Err(error) => Fact::SessionFailed(id, error.to_string()),
                    };
                    let _ = facts.send(fact).await;
                });
            }
            Effect::CloseSession => {
                // The relay sees its sender gone, ends the session, and tells.
                self.session = None;
            }
            Effect::KillTree => {
                let facts = self.facts.clone();
                tokio::task::spawn_blocking(move || {
                    let gone = process::kill_everything_below(KILL_WITHIN);
                    let _ = facts.blocking_send(Fact::TreeGone(gone));
                });
            }
            Effect::TellStarted { generation } => {
                let pid = self.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
                tracing::info!(pid, generation, "Firefox is up");
                self.tell(&FromLoop::Started { pid, generation, firefox: self.firefox_version.clone() });
            }
            Effect::TellAttached { generation } => {
                // Again, now that the version is known.
                let pid = self.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
                self.tell(&FromLoop::Started { pid, generation, firefox: self.firefox_version.clone() });
                self.tell(&FromLoop::Attached { generation });
            }
            Effect::TellExited { generation, why, uptime, pause } => {
                self.pid = None;
                tracing::warn!(why, uptime_s = uptime.as_secs(), pause_ms = pause.as_millis(), "Firefox ended");
                if let Some(why) = self.why_no_profile() {
                    self.tell(&FromLoop::NoProfile { why });
                }
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                self.tell(&FromLoop::Exited {
                    generation,
                    status: why,
                    uptime_ms: millis(uptime),
                    next_start_ms: millis(pause),
                });
            }
            Effect::Quit => self.quit = true,
        }
        None
    }

    fn relay(&mut self, session: Box<Session>) {
        let (sender, commands) = mpsc::channel(WAITING);
        let (told, mut messages) = mpsc::channel(WAITING);
        self.session = Some(sender);
        let (id, generation) = (self.session_id, self.generation);
        let facts = self.facts.clone();
        tokio::spawn(async move {
            while let Some(raw) = messages.recv().await {
                if facts.send(Fact::Told(id, raw)).await.is_err() {
                    return;
                }
            }
        });
        let facts = self.facts.clone();
        tokio::spawn(async move {
            let firefox_ended = session.relay(commands, told).await;
            let _ = facts.send(Fact::SessionClosed { generation, firefox_ended }).await;
        });
    }

    /// Tells when this process, which runs pages, ends.
    fn watch(&self, page: Identity) {
        let facts = self.facts.clone();
        tokio::spawn(async move {
            pages::ended(page).await;
            let _ = facts.send(Fact::ContentEnded).await;
        });
    }

    /// Reaps what has ended; tells if Firefox itself was among it.
    fn reap(&mut self) -> Option<Input> {
        let mut exited = None;
        while let Some((pid, how)) = process::reap_one() {
            if self.pid == Some(pid) {
                exited = Some(Input::Exited { how });
            }
        }
        exited
    }

    fn tell(&mut self, what: &FromLoop) {
        let Some(lines) = &self.supervisor else { return };
        let Ok(line) = serde_json::to_string(what) else { return };
        if lines.try_send(line).is_err() {
            // One that misses a line would wait for it for ever: the connection ends, and both begin anew.
            tracing::warn!("the supervisor reads nothing: its connection is ended");
            self.supervisor = None;
        }
    }
}
