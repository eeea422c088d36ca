//! This machine's own clock, looked at now and then: it is set late on a Pi without a battery, and by people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::{
    Shell, chores, sensors,
    server_clock::{self, ServerClock},
};
use crate::{
    display::{
        helper::Request,
        supervisor::{Input, WallClock},
    },
    event::health,
};

/// A clock that was set is found out so late, where nothing else happens.
const EVERY: Duration = Duration::from_secs(30);
/// A clock that is slewed by a time service moves by at most 15 ms in that time.
const JUMP: Duration = Duration::from_millis(200);

/// 2026-01-01, older than every version of this program: a clock that shows less was never set, whoever keeps it.
const FLOOR_MS: u64 = 1_767_225_600_000;

/// When it was looked at last, and what it showed.
#[derive(Debug)]
pub struct Clock {
    told: Option<(WallClock, Instant)>,
    started: Instant,
    /// A time service has set it, when it was last looked at.
    by_service: bool,
    pub server: ServerClock,
}

impl Clock {
    pub fn new(now: Instant) -> Self {
        Clock { told: None, started: now, by_service: sensors::clock_is_trusted(), server: ServerClock::default() }
    }

    /// For `kiosk.health`.
    pub fn health(&self, now: Instant) -> health::Clock {
        self.server.health(wall_ms(), self.by_service, now)
    }

    /// What the helper is to be asked for, if the clock is wrong and the server's is known; or what was once written down
    /// under a good clock.
    pub fn correction(&mut self, saved_ms: Option<u64>, now: Instant) -> Option<Request> {
        let (wall_ms, by_service) = (wall_ms(), sensors::clock_is_trusted());
        let of_the_server = self.server.correction(wall_ms, by_service, now);
        of_the_server.or_else(|| server_clock::not_before(saved_ms, wall_ms, by_service))
    }

    /// When it is to be looked at.
    pub fn due(&self) -> Instant {
        self.told.map_or(self.started, |(_, at)| at + EVERY)
    }

    /// What the supervisor is to know: now and then, and as soon as it was set.
    pub fn look(&mut self, now: Instant) -> Option<Input> {
        let unix_ms = wall_ms();
        let jumped = self.told.is_some_and(|(told, at)| {
            let expected = Duration::from_millis(told.unix_ms) + (now - at);
            expected.abs_diff(Duration::from_millis(unix_ms)) > JUMP
        });
        if now < self.due() && !jumped {
            return None;
        }
        self.by_service = unix_ms >= FLOOR_MS && sensors::clock_is_trusted();
        // Set by a time service since the machine started, or as the server's is.
        let wall = WallClock { unix_ms, trusted: self.by_service || self.server.agrees(unix_ms, now) };
        self.told = Some((wall, now));
        Some(Input::ClockRead(wall))
    }
}

/// What this machine's clock shows, in ms since 1970.
pub fn wall_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or_default()
}

/// Where the display is: as configured, or as the machine says.
pub fn zone(name: Option<&str>) -> TimeZone {
    let named = name.and_then(|name| {
        let zone = TimeZone::get(name);
        zone.inspect_err(|error| tracing::error!(name, %error, "the machine does not know this time zone")).ok()
    });
    named.unwrap_or_else(TimeZone::system)
}

impl Shell {
    /// The server's clock; ours is set by it where no time service has.
    pub(super) fn hear_the_time(&mut self, unix_ms: u64) {
        let Some(server) = &self.server else { return };
        let now = Instant::now();
        self.clock.server.said(unix_ms, server.base(), now);
        self.correct_the_clock(None, now);
    }

    pub(super) fn correct_the_clock(&mut self, saved_ms: Option<u64>, now: Instant) {
        if let Some(request) = self.clock.correction(saved_ms, now) {
            // Nobody waits for it: the next look at the clock tells.
            self.chores.spawn(chores::system(0, request, self.runtime.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_told_at_once_then_now_and_then_and_as_soon_as_it_was_set() {
        let now = Instant::now();
        let mut clock = Clock::new(now);
        assert_eq!(clock.due(), now);
        assert!(clock.look(now).is_some());
        assert!(clock.look(now).is_none());
        assert!(clock.look(now + EVERY).is_some());
        clock.told = clock.told.map(|(told, at)| (WallClock { unix_ms: told.unix_ms - 3_600_000, ..told }, at));
        assert!(clock.look(now + EVERY).is_some(), "an hour ahead");
    }
}
