//! What others are told of the supervisor: the local page, `status.json`, systemd, and the server's `kiosk.health`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use tokio::time::Instant;

use crate::{
    display::{
        blackbox::{BlackBox, Leave},
        link,
        offline::Offline,
        page::{Outage, Page, Phase},
        status::{FILE, StatusFile},
        supervisor::{Show, Supervisor, Trouble},
    },
    event::{
        frame::CloseCode,
        health::{self, ClockSource, Health},
        time::UtcMillis,
    },
    io::{log_ring::LogRing, notify, store},
};

use super::sensors;

/// What was told last, so that nothing is told twice.
#[derive(Debug)]
pub struct Report {
    runtime: PathBuf,
    state: PathBuf,
    started: Instant,
    told: Option<Gist>,
    written: Option<Instant>,
    ready: bool,
    blackbox: BlackBox,
    /// Of this machine, as they were when the file was written.
    addresses: Vec<(String, IpAddr)>,
}

/// What is worth telling as soon as it changes.
#[derive(Debug, Clone, PartialEq)]
struct Gist {
    sentence: String,
    showing: bool,
    display: Option<String>,
}

/// What the shell knows beside the supervisor.
#[derive(Debug)]
pub struct Surroundings<'a> {
    pub display: Option<String>,
    pub link: Option<&'a link::State>,
    pub firefox: Option<String>,
    pub browser_starts: u64,
    pub clock: health::Clock,
}

impl Report {
    pub fn new(runtime: &Path, state: &Path, log: LogRing, started: Instant) -> Self {
        let blackbox = BlackBox::open(runtime, state, sensors::of_this_start(wall()), log, started);
        let (runtime, state) = (runtime.to_owned(), state.to_owned());
        Report { runtime, state, started, told: None, written: None, ready: false, blackbox, addresses: Vec::new() }
    }

    /// The supervisor ends, or the machine goes down: the next start shall know why.
    pub fn leave(&mut self, leave: Leave, now: Instant) {
        self.blackbox.leave(leave, now);
    }

    /// True once for each time that the black box could not be written to the disk.
    pub fn disk_failed(&mut self) -> bool {
        self.blackbox.disk_failed()
    }

    /// What was last written down before this start, where the clock was good then; in ms since 1970.
    pub fn last_good_clock(&self) -> Option<u64> {
        self.blackbox.last_good_clock()
    }

    /// How the display is, in full.
    pub fn health(&self, supervisor: &Supervisor, around: &Surroundings<'_>, now: Instant) -> Health {
        let mut health = Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            firefox: around.firefox.clone(),
            url: match supervisor.content().show() {
                Show::Splash => None,
                Show::Url(url) => Some(url.clone()),
                Show::Playlist(_) => supervisor.content().item().map(|(_, url)| url.to_owned()),
            },
            status: sentence(supervisor, around, now),
            showing: supervisor.truth(now).is_right(),
            glass: supervisor.truth(now).name().to_owned(),
            trouble: supervisor.trouble(now),
            screen: supervisor.screen_health(now),
            uptime_s: (now - self.started).as_secs(),
            browser_starts: around.browser_starts,
            frame_sha256: supervisor.frame_sha256().map(str::to_owned),
            last_restart: self.blackbox.last().cloned(),
            ..Health::default()
        };
        sensors::read_machine(&mut health, &self.state);
        health.clock = Some(around.clock);
        health.disk = Some(self.blackbox.disk(now));
        health.under_voltage_seen = self.blackbox.under_voltage_seen(&health);
        health
    }

    /// Tells page, file and systemd. True if something changed that the server would want to know.
    pub fn tell(
        &mut self,
        supervisor: &Supervisor,
        around: &Surroundings<'_>,
        page: (&Page, &Offline),
        now: Instant,
    ) -> bool {
        if !self.ready && supervisor.has_painted() {
            self.ready = true;
            notify::ready();
        }
        let gist = Gist {
            sentence: sentence(supervisor, around, now),
            showing: supervisor.truth(now).is_right(),
            display: around.display.clone(),
        };
        let is_old = self.written.is_none_or(|at| now >= at + crate::display::status::REFRESH);
        let is_new = self.told.as_ref() != Some(&gist);
        if is_new || is_old {
            self.addresses = sensors::addresses();
        }
        tell_page(supervisor, around, page, &self.addresses);
        if !is_new && !is_old {
            return false;
        }
        if is_new {
            notify::status(&gist.sentence);
            tracing::info!("{}", gist.sentence);
        }
        self.write(supervisor, around, now);
        self.written = Some(now);
        self.told = Some(gist);
        is_new
    }

    /// Where this machine is reached, by interface.
    pub fn addresses(&self) -> &[(String, IpAddr)] {
        &self.addresses
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// When the file is to be written again though nothing changed.
    pub fn refresh_at(&self) -> Option<Instant> {
        self.written.map(|at| at + crate::display::status::REFRESH)
    }

    fn write(&mut self, supervisor: &Supervisor, around: &Surroundings<'_>, now: Instant) {
        let health = self.health(supervisor, around, now);
        let written = wall();
        self.blackbox.note(&health, written, now);
        let display = around.display.clone();
        let file = StatusFile { display, pid: std::process::id(), written, health };
        if let Err(error) = store::write_atomically(&self.runtime.join(FILE), file.to_json().as_bytes(), 0o644) {
            tracing::warn!(%error, "the status file could not be written");
        }
    }
}

/// This machine's clock, right or wrong.
fn wall() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default())
}

fn tell_page(
    supervisor: &Supervisor,
    around: &Surroundings<'_>,
    (page, offline): (&Page, &Offline),
    addresses: &[(String, IpAddr)],
) {
    let phase = phase(around.link);
    page.update(|state| {
        state.display = around.display.clone().unwrap_or_default();
        state.addresses = addresses.to_vec();
        state.clock_trusted = around.clock.set_by != ClockSource::Nobody;
        state.phase = phase;
        state.leads_to = supervisor.content().leads_to().map(str::to_owned);
        // The card is asked once for each outage: none is taken while it lasts.
        let kept = |asked: Option<Outage>, url: &str| match asked.filter(|asked| asked.url == url) {
            Some(asked) => asked.picture,
            None => offline.pictures.find(url).map(|kept| page.urls().picture(&kept)),
        };
        let outage = |trouble: &Trouble, asked, clock| Outage {
            picture: kept(asked, &trouble.url),
            url: trouble.url.clone(),
            fault: trouble.fault.clone(),
            since: trouble.since,
            tries: trouble.tries,
            retry_at: trouble.retry_at,
            in_turn: trouble.in_turn,
            clock,
        };
        let (first, second) = (state.outage.take(), state.second.take());
        state.outage = supervisor.content().trouble().map(|trouble| outage(trouble, first, supervisor.wrong_clock()));
        let trouble = supervisor.second().and_then(|second| second.content().trouble());
        state.second = trouble.map(|trouble| outage(trouble, second, None));
    });
}

fn phase(link: Option<&link::State>) -> Phase {
    match link {
        None => Phase::NotConfigured,
        Some(link::State::Enrolling { .. } | link::State::Connecting { .. } | link::State::AwaitingHello { .. }) => {
            Phase::Connecting
        }
        Some(link::State::Live { .. }) => Phase::Ready,
        Some(link::State::BackingOff { why, .. }) => match why {
            link::LinkError::NoCode => Phase::WaitingForEnrollment,
            link::LinkError::Closed { code, .. } if *code == CloseCode::DisplayRemoved.code() => Phase::Removed,
            link::LinkError::Refused(why) | link::LinkError::NoKey(why) => Phase::Refused { why: why.clone() },
            why => Phase::ServerUnreachable { why: why.to_string() },
        },
    }
}

fn sentence(supervisor: &Supervisor, around: &Surroundings<'_>, now: Instant) -> String {
    let glass = supervisor.sentence(now);
    let link = match around.link {
        None => "no server is configured".to_owned(),
        Some(link::State::Live { .. }) => "connected to the server".to_owned(),
        Some(link::State::Enrolling { .. }) => "enrolling".to_owned(),
        Some(link::State::Connecting { .. } | link::State::AwaitingHello { .. }) => {
            "connecting to the server".to_owned()
        }
        Some(link::State::BackingOff { why, .. }) => why.to_string(),
    };
    // One line: it goes to systemd and into a table.
    format!("{glass}; {link}.").replace(['\n', '\r'], " ")
}
