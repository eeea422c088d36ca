//! This machine's own clock, looked at now and then: it is set late on a Pi without a battery, and by people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::sensors;
use crate::display::supervisor::{Input, WallClock};

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
}

impl Clock {
    pub fn new(now: Instant) -> Self {
        Clock { told: None, started: now }
    }

    /// When it is to be looked at.
    pub fn due(&self) -> Instant {
        self.told.map_or(self.started, |(_, at)| at + EVERY)
    }

    /// What the supervisor is to know: now and then, and as soon as it was set.
    pub fn look(&mut self, now: Instant) -> Option<Input> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or_default();
        let jumped = self.told.is_some_and(|(told, at)| {
            let expected = Duration::from_millis(told.unix_ms) + (now - at);
            expected.abs_diff(unix) > JUMP
        });
        if now < self.due() && !jumped {
            return None;
        }
        let wall = WallClock { unix_ms, trusted: unix_ms >= FLOOR_MS && sensors::clock_is_trusted() };
        self.told = Some((wall, now));
        Some(Input::ClockRead(wall))
    }
}

/// Where the display is: as configured, or as the machine says.
pub fn zone(name: Option<&str>) -> TimeZone {
    let named = name.and_then(|name| {
        let zone = TimeZone::get(name);
        zone.inspect_err(|error| tracing::error!(name, %error, "the machine does not know this time zone")).ok()
    });
    named.unwrap_or_else(TimeZone::system)
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
