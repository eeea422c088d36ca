//! What does the supervisor's bidding: one loop over the browser, the link, chores and the next deadline.
//!
//! ```text
//!   glass ---Told--\                              /--> journal (fsync before what follows)
//!   link ----Told---\                            /---> glass: questions, restart, kill
//!   chores --Input----> Supervisor::step --Effects---> link: receipts, health
//!   deadline --------/                           \---> chores: probe, picture, logs
//!   signals --------/                             \--> report: page, status.json, systemd
//!
//!   glass    the browser loop's socket; bidi: its words (pure), glass/lines, glass/said: what it may say at all
//!   control  the socket for people and drills; drilling, configure: those two commands, from afar
//!   keeping  the journal's file; memory: recovery's; kept: pictures of the glass, and the playlist's files
//!   clock    was it set? server_clock: who sets it where NTP does not; hearing, sensors, speech: what came, the machine, say
//! ```
//!
//! One thread; only chores and fsyncs leave it. The loop itself feeds systemd's watchdog, and only while no deadline of
//! the machine is overdue.
//!
//! Rejected: a task per concern with shared state behind locks. What the glass shows would depend on which task ran
//! first, and no test could say so.

mod bidi;
mod chores;
mod clock;
mod configure;
mod control;
mod drilling;
mod glass;
mod hearing;
mod keeping;
mod kept;
mod memory;
mod report;
mod sensors;
mod server_clock;
mod speech;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use self::{
    chores::Outbox,
    clock::Clock,
    control::Control,
    glass::Glass,
    memory::Memory,
    report::{Report, Surroundings},
};
use crate::{
    config::{KioskSettings, Sources},
    display::{
        blackbox::Leave,
        browser::wire,
        configured::Configured,
        drill, helper,
        journal::{JournalError, JournalFile},
        link::{self, LinkSetting, Order, Server, identity},
        offline::{Offline, Wants},
        page::{Page, PageError, Secret},
        supervisor::{Effect, Gather, Input, Machine, Setting, Supervisor},
    },
    event::DisplayId,
    io::{http, log_ring::LogRing, notify, random, store},
};

/// Orders to the link: the receipts of a replayed queue. What does not fit is redelivered by the server.
const ORDERS_WAITING: usize = 1024;
/// Events from the link: a slow glass slows the server down, which has the queue on disk.
const EVENTS_WAITING: usize = 64;
const HEALTH_EVERY: Duration = Duration::from_secs(60);
/// Changes follow one another in the first seconds of a page; the server wants the outcome.
const HEALTH_AT_MOST_EVERY: Duration = Duration::from_secs(2);
/// A machine whose decision is this late is stuck.
const LATE: Duration = Duration::from_secs(10);
const WITHOUT_SYSTEMD: Duration = Duration::from_secs(30);
/// Receipts on their way when the supervisor ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);

/// Where and as what to run.
#[derive(Debug)]
pub struct RunSetting {
    pub kiosk: KioskSettings,
    /// For this boot: the browser's socket, the status file, the page's secret.
    pub runtime: PathBuf,
    /// For ever: the journal, the key.
    pub state: PathBuf,
    pub log: LogRing,
    /// Where the settings came from: others that shall be tried are laid over it.
    pub sources: Sources,
}

/// Why the supervisor cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("making {0}")]
    Directory(PathBuf, #[source] io::Error),
    #[error("opening the journal")]
    Journal(#[from] JournalError),
    #[error("serving the local page")]
    Page(#[from] PageError),
    #[error("listening for the browser at {0}")]
    Glass(PathBuf, #[source] io::Error),
    #[error("listening for signals")]
    Signals(#[source] io::Error),
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A signal asked for it.
    Asked,
    /// It is to be started again.
    Restart,
}

/// Runs until a signal or the command `restart` ends it.
pub async fn run(setting: RunSetting) -> Result<Ending, RunError> {
    let mut shell = Shell::start(setting).await?;
    let mut ending = signals().map_err(RunError::Signals)?;
    let watchdog = notify::watchdog_interval();
    loop {
        let now = Instant::now();
        shell.report(now);
        shell.want_media();
        let next = shell.deadline(watchdog);
        let input = tokio::select! {
            told = shell.glass.next() => shell.glass_told(told),
            told = shell.from_link.recv(), if shell.link.is_some() => shell.link_told(told),
            Some(done) = shell.chores.join_next() => match done {
                Ok(input) => Some(input),
                Err(error) => {
                    tracing::error!(%error, "a chore broke off");
                    None
                }
            },
            asked = shell.control.next() => shell.controlled(asked),
            () = sleep_until(next) => Some(Input::Due),
            _ = ending.recv() => {
                shell.report.leave(Leave::Signal, Instant::now());
                shell.end().await;
                return Ok(Ending::Asked);
            }
        };
        // The clock first: what is due may hang on it.
        for input in shell.clock.look(Instant::now()).into_iter().chain(input) {
            let effects = shell.supervisor.step(input, Instant::now());
            if let Some(by) = shell.perform(effects).await {
                shell.report.leave(Leave::Command { name: by.to_owned() }, Instant::now());
                shell.end().await;
                return Ok(Ending::Restart);
            }
        }
        if shell.disk_again.is_some_and(|at| at <= Instant::now()) {
            shell.mend_disk().await;
        }
        shell.tick(Instant::now(), watchdog).await;
    }
}

struct Shell {
    supervisor: Supervisor,
    glass: Glass,
    control: Control,
    page: Page,
    offline: Offline,
    journal: Option<JournalFile>,
    /// When what was noted goes to the disk.
    sync_at: Option<Instant>,
    /// When a disk that could not be written is tried again.
    disk_again: Option<Instant>,
    link: Option<mpsc::Sender<Order>>,
    from_link: mpsc::Receiver<link::Told>,
    link_task: Option<JoinHandle<()>>,
    /// What the playlist needs of the network, for when there is none; none where nothing may be kept.
    media: Option<Wants>,
    link_state: Option<link::State>,
    server: Option<Arc<Server>>,
    display: Option<DisplayId>,
    firefox: Option<String>,
    chores: JoinSet<Input>,
    report: Report,
    memory: Memory,
    log: LogRing,
    runtime: PathBuf,
    state: PathBuf,
    sources: Sources,
    clock: Clock,
    health_at: Instant,
    watchdog_at: Instant,
}

impl Shell {
    async fn start(setting: RunSetting) -> Result<Self, RunError> {
        let RunSetting { kiosk, runtime, state, log, sources } = setting;
        for directory in [&runtime, &state] {
            store::make_dir(directory).map_err(|error| RunError::Directory(directory.clone(), error))?;
        }
        let now = Instant::now();
        let (file, journal) = JournalFile::open(&state.join("journal"))?;
        let configured = kiosk.display.id.clone();
        let offline = Offline::open(&state, kiosk.offline);
        let page = Page::bind(kiosk.page.listen, secret(&runtime), offline.clone()).await?;
        let socket = runtime.join(wire::SOCKET);
        let (pages, open) = (page.urls().origin().to_owned(), page.urls().start());
        let glass = Glass::listen(&socket, pages, open, kiosk.browser.keyboard)
            .map_err(|error| RunError::Glass(socket, error))?;

        let (orders, waiting) = mpsc::channel(ORDERS_WAITING);
        let (told, from_link) = mpsc::channel(EVENTS_WAITING);
        let mut display = configured.clone();
        let (mut server, mut link_task, mut link_state) = (None, None, None);
        if let Some(settings) = &kiosk.server {
            page.update(|page| page.server = settings.url.to_string());
        }
        // Without its key a display has no link, and its page all the same.
        let key = kiosk.server.as_ref().map(|settings| (settings, identity::load_or_make_key(&state)));
        if let Some((_, Err(error))) = &key {
            let why = link::LinkError::NoKey(error.to_string());
            tracing::error!(cause = http::root_cause(error), "{why}");
            link_state = Some(link::State::BackingOff { until: now, why });
        }
        if let Some((settings, Ok(key))) = key {
            let known = Arc::new(Server::new(settings.url.clone(), key));
            let link =
                LinkSetting { state: state.clone(), display: configured.clone(), code: settings.enrollment.clone() };
            let kept = identity::load_enrollment(&state);
            // People call it what kiosk.toml does, also while the server has still to agree.
            display = identity::known_as(kept, configured.as_ref(), link.code.as_deref()).or(configured.clone());
            link_state = Some(link::State::Connecting { deadline: now });
            link_task = Some(tokio::spawn(link::run(link, known.clone(), waiting, told, fastrand::Rng::new())));
            server = Some(known);
        }
        let setting = Setting {
            display: display.as_ref().map_or_else(String::new, ToString::to_string),
            url: kiosk.display.url.as_ref().map(ToString::to_string),
            urls: page.urls().clone(),
            hang: kiosk.browser.hang,
            allow: kiosk.browser.allow.clone(),
            login: kiosk.browser.login.clone(),
            home_after: kiosk.browser.home_after,
            identify_lines: Vec::new(),
            machine: Machine {
                boot: sensors::boot_id(),
                helper: runtime.join(helper::SOCKET).exists(),
                server: kiosk.server.is_some(),
                configured: Configured::read(&state),
            },
            screen: kiosk.screen,
            zone: clock::zone(kiosk.system.timezone.as_deref()),
            schedule: kiosk.schedule.timetable.clone(),
            sound: kiosk.sound.clone(),
        };
        let (mut supervisor, effects) = Supervisor::new(setting, journal, fastrand::Rng::new(), now);
        let memory = Memory::recall(&state, &mut supervisor, now);
        let media = kept::keeper(&offline);
        let mut shell = Shell {
            supervisor,
            glass,
            control: Control::listen(&runtime.join(drill::wire::SOCKET)),
            page,
            offline,
            journal: Some(file),
            sync_at: None,
            disk_again: None,
            link: server.is_some().then_some(orders),
            from_link,
            link_task,
            media,
            link_state,
            server,
            display,
            firefox: None,
            chores: JoinSet::new(),
            report: Report::new(&runtime, &state, log.clone(), now),
            memory,
            log,
            runtime,
            state,
            sources,
            clock: Clock::new(now),
            health_at: now,
            watchdog_at: now,
        };
        shell.correct_the_clock(shell.report.last_good_clock(), now);
        shell.perform(effects).await;
        Ok(shell)
    }

    /// What others see of us.
    fn report(&mut self, now: Instant) {
        let around = Surroundings {
            display: self.display.as_ref().map(ToString::to_string),
            link: self.link_state.as_ref(),
            firefox: self.firefox.clone(),
            browser_starts: self.glass.starts(),
            clock: self.clock.health(now),
        };
        if self.report.tell(&self.supervisor, &around, (&self.page, &self.offline), now) {
            self.health_at = self.health_at.min(now + HEALTH_AT_MOST_EVERY);
        }
        let lines = self.report.addresses().iter().map(|(name, ip)| format!("{ip}  {name}"));
        self.supervisor.is_reached_at(lines.collect());
    }

    fn deadline(&self, watchdog: Option<Duration>) -> Instant {
        let mut next = self.clock.due().min(self.watchdog_at + watchdog.unwrap_or(WITHOUT_SYSTEMD));
        let is_live = matches!(self.link_state, Some(link::State::Live { .. }));
        let health = is_live.then_some(self.health_at);
        let disk = [self.sync_at, self.disk_again];
        for other in [self.supervisor.deadline(), self.report.refresh_at(), health].into_iter().chain(disk).flatten() {
            next = next.min(other);
        }
        next
    }

    /// What is due by the shell's own clock.
    async fn tick(&mut self, now: Instant, watchdog: Option<Duration>) {
        if watchdog.is_some_and(|every| now >= self.watchdog_at + every) && self.supervisor.is_on_time(now, LATE) {
            notify::watchdog();
            if !self.report.is_ready() {
                notify::extend_start(LATE * 6);
            }
        }
        if now >= self.watchdog_at + watchdog.unwrap_or(WITHOUT_SYSTEMD) {
            self.watchdog_at = now;
        }
        self.sync(now).await;
        if self.report.disk_failed() {
            self.disk_again = self.disk_again.or(Some(now));
        }
        if now >= self.health_at && matches!(self.link_state, Some(link::State::Live { .. })) {
            self.health_at = now + HEALTH_EVERY;
            let health = self.health(now);
            self.say("kiosk.health", serde_json::to_value(health).unwrap_or_default());
        }
    }

    fn health(&self, now: Instant) -> crate::event::health::Health {
        let around = Surroundings {
            display: self.display.as_ref().map(ToString::to_string),
            link: self.link_state.as_ref(),
            firefox: self.firefox.clone(),
            browser_starts: self.glass.starts(),
            clock: self.clock.health(now),
        };
        self.report.health(&self.supervisor, &around, now)
    }

    /// The command by which the supervisor is to end and be started again, if one is.
    async fn perform(&mut self, effects: Vec<Effect>) -> Option<&'static str> {
        let mut forgot = false;
        for effect in effects {
            match effect {
                Effect::Keep(records) => self.keep(records).await,
                Effect::Note(records) => self.note(&records),
                Effect::Send(receipt) => self.say("kiosk.receipt", serde_json::to_value(receipt).unwrap_or_default()),
                Effect::Ask { ask, what, within } => self.glass.ask(ask, what, within),
                Effect::Screen { ask, order, within } => self.glass.screen(ask, order, within),
                Effect::System { ask, request } if forgot => {
                    let result = Err(format!("nobody would remember that it was done: {request:?}"));
                    self.chores.spawn(std::future::ready(Input::Gathered { ask, result }));
                }
                Effect::System { ask, request } => {
                    if let Some(leave) = leave_for(&request, &self.supervisor, Instant::now()) {
                        self.report.leave(leave, Instant::now());
                    }
                    self.chores.spawn(chores::system(ask, request, self.runtime.clone()));
                }
                Effect::Speak { ask, text, voice } => drop(self.chores.spawn(speech::speak(ask, text, voice))),
                Effect::Probe { ask, url } => drop(self.chores.spawn(chores::probe(ask, url))),
                Effect::Gather { ask, what: Gather::Health } => {
                    let health = serde_json::to_value(self.health(Instant::now())).map_err(|error| error.to_string());
                    self.chores.spawn(std::future::ready(Input::Gathered { ask, result: health }));
                }
                Effect::Gather { ask, what: Gather::Picture { url } } => {
                    self.chores.spawn(chores::has_picture(ask, url, self.offline.pictures.clone()));
                }
                Effect::Gather { ask, what: Gather::Copy { url } } => {
                    self.chores.spawn(chores::copy(ask, url, self.offline.media.clone()));
                }
                Effect::Gather { ask, what: Gather::Media { url } } => self.fetch_at_once(ask, url),
                Effect::Gather { ask, what: Gather::Configure { key, text } } => {
                    let result = self.try_settings(key, text);
                    self.chores.spawn(std::future::ready(Input::Gathered { ask, result }));
                }
                Effect::Gather { ask, what: Gather::Logs { event, lines, unit } } => {
                    let (ring, outbox) = (self.log.clone(), self.outbox());
                    self.chores.spawn(chores::logs(ask, event, lines, unit, ring, outbox));
                }
                Effect::Gather { ask, what: Gather::Drill { fault } } => {
                    self.chores.spawn(drilling::drill(ask, fault, self.runtime.clone()));
                }
                Effect::KillContent { why } => {
                    tracing::warn!(why, "killing the processes of the page");
                    self.glass.kill_content(why);
                }
                Effect::ReplaceTab { why } => self.glass.replace_tab(why),
                Effect::RestartBrowser { why, plain } => {
                    tracing::warn!(why, plain, "starting the browser again");
                    self.glass.restart(why, plain);
                }
                Effect::ForgetPictures => self.forget_pictures(),
                Effect::MakeRoom => self.make_room().await,
                Effect::Configured { undo } => self.settle_trial(undo),
                Effect::Remember(text) => forgot = !self.memory.keep(&mut self.supervisor, text).await,
                Effect::Restart { by } => return Some(by),
            }
        }
        None
    }

    fn say(&self, kind: &'static str, data: serde_json::Value) {
        if let Some(link) = &self.link
            && link.try_send(Order::Say { kind, data }).is_err()
        {
            tracing::warn!(kind, "the link takes no more for now");
        }
    }

    fn outbox(&self) -> Option<Outbox> {
        Some(Outbox { server: self.server.clone()?, display: self.display.clone()? })
    }

    /// What is still on its way is sent, and the journal is on disk.
    async fn end(&mut self) {
        notify::stopping();
        self.link = None;
        if let Some(task) = self.link_task.take() {
            // Nobody reads what it tells any more, and it must not wait for that.
            self.from_link.close();
            if timeout(GOODBYE_WITHIN, task).await.is_err() {
                tracing::warn!("the link did not end in time");
            }
        }
        if let Some(Err(error)) = self.journal.as_mut().map(JournalFile::sync) {
            tracing::error!(%error, "the journal is not on disk");
        }
    }
}

/// What the black box is told of a request that takes the machine down.
fn leave_for(request: &helper::Request, supervisor: &Supervisor, now: Instant) -> Option<Leave> {
    if !matches!(request, helper::Request::Reboot | helper::Request::PowerOff) {
        return None;
    }
    let command = supervisor.journal().leaving().next().map(|(taken, _)| taken.name.clone());
    Some(command.map_or_else(|| Leave::Recovery { why: supervisor.sentence(now) }, |name| Leave::Command { name }))
}

/// SIGTERM and SIGINT.
fn signals() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // The loop may have ended by itself.
        let _ = sender.send(()).await;
    });
    Ok(receiver)
}

/// The same for as long as the machine is up, so that a page on the glass outlives a restart of ours.
fn secret(runtime: &std::path::Path) -> Secret {
    let path = runtime.join("page.secret");
    let kept = std::fs::read_to_string(&path).ok().and_then(|text| Secret::from_hex(&text));
    kept.unwrap_or_else(|| {
        let secret = Secret::new(random::bytes());
        if let Err(error) = store::write_atomically(&path, secret.to_hex().as_bytes(), 0o600) {
            tracing::warn!(%error, "the page's secret is not kept");
        }
        secret
    })
}
