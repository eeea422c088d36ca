//! What writes into the box while the supervisor runs, and reads it when it starts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Entry, Flight, Leave, Left, Now, Panic, Ring, ServiceEnd, frames, judge,
    ring::{self, read_bounded},
};
use crate::{
    event::health::{ClockSource, Disk, Health, Restart},
    io::{log_ring::LogRing, store},
};

/// In RUNTIME, for whoever starts in the same boot; and on disk, in the box.
const FLIGHT: &str = "flight.json";
const PANIC: &str = "panic.json";
/// Written by the unit's ExecStopPost.
const SERVICE_END: &str = "service-end";
const FILE_MAX: u64 = 64 * 1024;
/// Log lines before a restart: what a person reads before asking for more.
const LINES: usize = 40;
const LINE_MAX: usize = 300;
/// How often the disk is written when nothing changes: a card bears that for decades.
const DURABLE_EVERY: Duration = Duration::from_secs(600);
/// And when something changes.
const DURABLE_AT_MOST_EVERY: Duration = Duration::from_secs(60);
/// A machine that was to go down and is still up after this did not go.
const LEAVES_WITHIN: Duration = Duration::from_secs(300);
/// A chore that fails again and again does not wear the card.
const PANICS_MAX: u32 = 100;

/// What is on the glass, in one word, and what is wrong. A playlist's next item is no news: a card is not written for each.
type Glass = (String, Option<String>);

/// The open box of a running supervisor.
#[derive(Debug)]
pub struct BlackBox {
    ring: Ring,
    in_memory: PathBuf,
    log: LogRing,
    flight: Flight,
    last: Option<Restart>,
    last_good_clock: Option<u64>,
    /// When the disk was last written, and how the glass was then.
    durable: (Instant, Glass),
    leaving_since: Option<Instant>,
    /// One write at a time, since when: a card that hangs collects none.
    writing: Option<(JoinHandle<Result<Duration, String>>, Instant)>,
    /// How the last write to the disk went.
    disk: Disk,
    /// It failed, and nobody was told.
    untold: bool,
}

impl BlackBox {
    /// Finds out why this start was, writes that down, and begins a flight of its own. What cannot be written is told in
    /// the log: a display with a broken card shows its page all the same.
    pub fn open(runtime: &Path, state: &Path, now: Now, log: LogRing, at: Instant) -> Self {
        let ring = Ring::of(state);
        let in_memory = runtime.join(FLIGHT);
        if let Err(error) = make_private(ring.folder()) {
            tracing::warn!(%error, "there is no place for the black box");
        }
        let left = left(&ring, &in_memory, now.boot.as_deref());
        let mut last = judge(&left, &now);
        let last_good_clock = left.flight.as_ref().filter(|flight| flight.clock_is_good).map(|flight| flight.written.0);
        let of_this_boot = |flight: &&Flight| flight.boot.is_some() && flight.boot == now.boot;
        let under_voltage_seen =
            left.flight.as_ref().filter(of_this_boot).is_some_and(|flight| flight.under_voltage_seen);
        if let (Some(restart), Some(before)) = (&last, left.flight) {
            tracing::warn!(cause = ?restart.cause, "started again: {}", restart.sentence);
            let entry = Entry {
                restart: restart.clone(),
                version: now.version.clone(),
                last_sentence: before.sentence,
                last_written: before.written,
                lines: before.lines,
                frames: Vec::new(),
            };
            if let Err(error) = ring.add(entry, &frames::frames(ring.folder())) {
                tracing::warn!(%error, "the black box could not be written");
            }
        } else {
            last = ring.entries().ok().and_then(|entries| Some(entries.into_iter().next()?.restart));
        }
        for name in [PANIC, SERVICE_END] {
            // Usually there is none.
            let _ = fs::remove_file(ring.folder().join(name));
        }
        let flight = Flight {
            boot: now.boot,
            pid: std::process::id(),
            version: now.version,
            written: now.at,
            machine_uptime_s: now.machine_uptime_s,
            under_voltage_seen,
            ..Flight::default()
        };
        let mut opened = BlackBox {
            ring,
            in_memory,
            log,
            flight,
            last,
            last_good_clock,
            durable: (at, Glass::default()),
            leaving_since: None,
            writing: None,
            disk: Disk::default(),
            untold: false,
        };
        opened.write_now();
        opened
    }

    /// Why there was a restart last.
    pub fn last(&self) -> Option<&Restart> {
        self.last.as_ref()
    }

    /// What the last run wrote down last, where its clock was good; in ms since 1970.
    pub fn last_good_clock(&self) -> Option<u64> {
        self.last_good_clock
    }

    /// Whether the supply was ever too weak in this boot: of Debian's kernel, as far as this supervisor has seen it.
    pub fn under_voltage_seen(&self, health: &Health) -> Option<bool> {
        health.under_voltage_seen.or(health.under_voltage).map(|seen| seen || self.flight.under_voltage_seen)
    }

    /// How the last write to the disk went, or for how long it has been under way.
    pub fn disk(&self, now: Instant) -> Disk {
        match &self.writing {
            Some((_, since)) => Disk { hangs_s: Some((now - *since).as_secs()), ..self.disk.clone() },
            None => self.disk.clone(),
        }
    }

    /// True once for each write to the disk that failed.
    pub fn disk_failed(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }

    /// How the display is: kept in memory each time, and on disk now and then.
    pub fn note(&mut self, health: &Health, written: crate::event::time::UtcMillis, now: Instant) {
        self.flight.sentence.clone_from(&health.status);
        self.flight.written = written;
        self.flight.clock_is_good = health.clock.is_some_and(|clock| clock.set_by != ClockSource::Nobody);
        self.flight.machine_uptime_s = health.machine_uptime_s;
        self.flight.memory_available_kb = health.memory_available_kb;
        self.flight.under_voltage_seen |= health.under_voltage == Some(true) || health.under_voltage_seen == Some(true);
        if self.leaving_since.is_some_and(|since| now > since + LEAVES_WITHIN) {
            (self.leaving_since, self.flight.leave) = (None, None);
        }
        let text = self.text();
        if let Err(error) = store::write_atomically(&self.in_memory, &text, 0o600) {
            tracing::debug!(%error, "the flight is not kept in memory");
        }
        let glass = (health.glass.clone(), health.trouble.as_ref().map(|trouble| trouble.cause.clone()));
        let (at, before) = &self.durable;
        let due = now >= *at + if glass != *before { DURABLE_AT_MOST_EVERY } else { DURABLE_EVERY };
        self.written();
        if due && self.writing.is_none() {
            self.durable = (now, glass);
            let path = self.ring.folder().join(FLIGHT);
            let write = move || {
                let began = std::time::Instant::now();
                let written = store::write_durably(&path, &text, 0o600);
                written.map(|()| began.elapsed()).map_err(|error| error.to_string())
            };
            self.writing = Some((tokio::task::spawn_blocking(write), now));
        }
    }

    /// Takes the result of a write that is through.
    fn written(&mut self) {
        let Some((write, _)) = self.writing.take_if(|(write, _)| write.is_finished()) else { return };
        self.disk = match write.now_or_never() {
            Some(Ok(Ok(took))) => {
                Disk { sync_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)), ..Disk::default() }
            }
            Some(Ok(Err(error))) => {
                tracing::warn!(error, "the black box could not be written");
                Disk { error: Some(error), ..Disk::default() }
            }
            _ => Disk::default(),
        };
        self.untold |= self.disk.error.is_some();
    }

    /// The supervisor or the machine goes, in good order. On disk when it returns. The first word counts.
    pub fn leave(&mut self, leave: Leave, now: Instant) {
        if self.flight.leave.is_none() {
            self.flight.leave = Some(leave);
            self.leaving_since = Some(now);
            self.write_now();
        }
    }

    fn write_now(&mut self) {
        let text = self.text();
        let began = std::time::Instant::now();
        let kept = store::write_atomically(&self.in_memory, &text, 0o600)
            .and_then(|()| store::write_durably(&self.ring.folder().join(FLIGHT), &text, 0o600));
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.disk = match kept {
            Ok(()) => Disk { sync_ms: Some(took), ..Disk::default() },
            Err(error) => {
                tracing::warn!(%error, "the black box could not be written");
                Disk { error: Some(error.to_string()), ..Disk::default() }
            }
        };
        self.untold |= self.disk.error.is_some();
    }

    fn text(&mut self) -> Vec<u8> {
        let short = |line: String| line.chars().take(LINE_MAX).collect();
        self.flight.lines = self.log.last(LINES).into_iter().map(short).collect();
        serde_json::to_vec(&self.flight).unwrap_or_default()
    }
}

/// Only its owner looks in: log lines and pictures are nobody else's.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    store::make_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// What the last run left: of the same boot what it kept in memory, which is newer.
fn left(ring: &Ring, in_memory: &Path, boot: Option<&str>) -> Left {
    fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
        serde_json::from_slice(&read_bounded(path, FILE_MAX).ok()?).ok()
    }
    let here = |name: &str| ring.folder().join(name);
    let newer = json::<Flight>(in_memory).filter(|flight| flight.boot.is_some() && flight.boot.as_deref() == boot);
    let service = read_bounded(&here(SERVICE_END), FILE_MAX).ok().and_then(|line| String::from_utf8(line).ok());
    Left {
        flight: newer.or_else(|| json(&here(FLIGHT))),
        panic: json(&here(PANIC)),
        service: service.as_deref().and_then(ServiceEnd::read),
    }
}

/// From now on a panic of this process is written into the box of this state directory, and then told as before.
pub fn watch_for_panics(state: &Path) {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let path = state.join(ring::FOLDER).join(PANIC);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it says nothing");
        let panic = Panic {
            pid: std::process::id(),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
            message: message.chars().take(LINE_MAX).collect(),
            place: info.location().map(ToString::to_string).unwrap_or_default(),
        };
        if WRITTEN.fetch_add(1, Ordering::Relaxed) < PANICS_MAX {
            // Nothing can be done about it here, and the message follows.
            let _ = store::write_durably(&path, &serde_json::to_vec(&panic).unwrap_or_default(), 0o600);
        }
        before(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{health::RestartCause, time::UtcMillis};

    fn now(boot: &str) -> Now {
        Now {
            at: UtcMillis(1),
            boot: Some(boot.into()),
            machine_uptime_s: Some(50),
            version: "1.0".into(),
            watchdog: None,
            kernel_crashed: false,
        }
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Place(tempfile::tempdir().unwrap());
            fs::create_dir(place.0.path().join("run")).unwrap();
            fs::create_dir(place.0.path().join("state")).unwrap();
            place
        }

        fn open(&self, boot: &str) -> BlackBox {
            let (run, state) = (self.0.path().join("run"), self.0.path().join("state"));
            BlackBox::open(&run, &state, now(boot), LogRing::default(), Instant::now())
        }

        /// A new boot finds nothing in memory.
        fn power_cut(&self) {
            let _ = fs::remove_file(self.0.path().join("run").join(FLIGHT));
        }
    }

    fn health(status: &str) -> Health {
        Health { status: status.into(), glass: status.into(), ..Health::default() }
    }

    #[tokio::test]
    async fn a_kill_tells_the_last_state_from_memory_and_a_power_cut_what_was_on_disk() {
        let place = Place::new();
        let mut first = place.open("one");
        assert_eq!(first.last(), None);
        first.note(&health("Showing a page."), UtcMillis(9), Instant::now());
        drop(first);
        let second = place.open("one");
        assert_eq!(second.last().unwrap().cause, RestartCause::Unknown);
        assert_eq!(second.ring.entries().unwrap()[0].last_sentence, "Showing a page.");
        drop(second);
        place.power_cut();
        let third = place.open("two");
        assert_eq!(third.last().unwrap().cause, RestartCause::Power);
        assert_eq!(third.ring.entries().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_end_in_good_order_survives_a_power_cut_and_the_first_reason_counts() {
        let place = Place::new();
        let mut first = place.open("one");
        first.leave(Leave::Command { name: "reboot".into() }, Instant::now());
        first.leave(Leave::Signal, Instant::now());
        drop(first);
        place.power_cut();
        let second = place.open("two");
        assert_eq!(second.last().unwrap().sentence, "The command reboot asked for it.");
        let folder = fs::metadata(second.ring.folder()).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o777, 0o700);
    }

    #[tokio::test]
    async fn a_machine_that_was_to_go_and_stayed_is_not_taken_for_one_that_went() {
        let place = Place::new();
        let mut first = place.open("one");
        let start = Instant::now();
        first.leave(Leave::Command { name: "reboot".into() }, start);
        first.note(&health("x"), UtcMillis(1), start + LEAVES_WITHIN + Duration::from_secs(1));
        drop(first);
        assert_eq!(place.open("one").last().unwrap().cause, RestartCause::Unknown);
    }

    #[tokio::test]
    async fn what_systemd_saw_counts_once() {
        let place = Place::new();
        drop(place.open("one"));
        fs::write(place.0.path().join("state/blackbox").join(SERVICE_END), "watchdog killed ABRT\n").unwrap();
        assert_eq!(place.open("one").last().unwrap().cause, RestartCause::Watchdog);
        assert_eq!(place.open("one").last().unwrap().cause, RestartCause::Unknown);
    }

    #[tokio::test]
    async fn a_playlist_that_goes_on_to_its_next_item_writes_nothing_to_the_card() {
        let place = Place::new();
        let mut open = place.open("one");
        let start = Instant::now();
        let mut writes = 0;
        for second in (10..3_600).step_by(10) {
            let shows =
                Health { glass: "showing".into(), ..health(&format!("Showing item {second} of the playlist.")) };
            let before = open.durable.0;
            open.note(&shows, UtcMillis(1), start + Duration::from_secs(second));
            writes += u32::from(open.durable.0 != before);
            while open.writing.as_ref().is_some_and(|(write, _)| !write.is_finished()) {
                tokio::task::yield_now().await;
            }
        }
        // How the glass is after the start, and every ten minutes.
        assert_eq!(writes, 6);
    }

    #[tokio::test]
    async fn the_disk_is_written_once_a_minute_at_most_and_a_box_that_cannot_be_written_harms_nothing() {
        let place = Place::new();
        let mut open = place.open("one");
        let start = Instant::now();
        let on_disk = || fs::read_to_string(place.0.path().join("state/blackbox").join(FLIGHT)).unwrap();
        open.note(&health("one"), UtcMillis(1), start + Duration::from_secs(1));
        assert!(open.writing.is_none(), "a minute is not over");
        open.note(&health("two"), UtcMillis(1), start + Duration::from_secs(61));
        assert!(open.disk(start + Duration::from_secs(101)).hangs_s == Some(40), "until it is through");
        while !open.writing.as_ref().unwrap().0.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(on_disk().contains("\"sentence\":\"two\""));
        open.note(&health("two"), UtcMillis(1), start + Duration::from_secs(300));
        assert!(open.writing.is_none(), "nothing is new");
        assert!(open.disk(start).sync_ms.is_some() && open.disk(start).hangs_s.is_none());
        fs::remove_dir_all(place.0.path().join("state/blackbox")).unwrap();
        open.leave(Leave::Signal, start);
        assert!(open.disk(start).error.is_some(), "and is told");
    }
}
