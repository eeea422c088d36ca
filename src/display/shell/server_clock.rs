//! The clock where no time service gets through: the display's own server knows the time, and is authenticated.
//!
//! ```text
//!   hello's server_time, over TLS or from this machine --> how far are we off? --2 s or more--> the helper: SetClock
//!   what the black box last wrote down under a good clock --> are we before that? -----------'
//! ```
//!
//! A time service counts more: where one has set the clock, only the difference is told.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::{
    display::helper::Request,
    event::health::{self, ClockSource},
};

/// What is less than this off is right: the way from the server takes a part of it.
const RIGHT_MS: u64 = 2_000;
/// A helper that refuses is not asked at every hello.
const ASK_AT_MOST_EVERY: Duration = Duration::from_secs(600);

/// What is known of the server's clock.
#[derive(Debug, Default)]
pub struct ServerClock {
    /// Its clock in ms since 1970 and when it showed that; only from a server that is who it says it is.
    said: Option<(u64, Instant)>,
    asked: Option<Instant>,
}

impl ServerClock {
    /// The server said hello with its time.
    pub fn said(&mut self, unix_ms: u64, from: &Url, now: Instant) {
        if is_authenticated(from) {
            self.said = Some((unix_ms, now));
        }
    }

    /// How far the wall clock is ahead of the server's, in ms.
    pub fn ahead_ms(&self, wall_ms: u64, now: Instant) -> Option<i64> {
        let there = self.now_ms(now)?;
        let off = i64::try_from(wall_ms.abs_diff(there)).unwrap_or(i64::MAX);
        Some(if wall_ms < there { -off } else { off })
    }

    /// Whether the wall clock shows what the server's does.
    pub fn agrees(&self, wall_ms: u64, now: Instant) -> bool {
        self.now_ms(now).is_some_and(|there| there.abs_diff(wall_ms) < RIGHT_MS)
    }

    /// What the helper is to be asked for; nothing while a time service keeps the clock.
    pub fn correction(&mut self, wall_ms: u64, kept_by_service: bool, now: Instant) -> Option<Request> {
        let there = self.now_ms(now)?;
        let asked_lately = self.asked.is_some_and(|asked| now < asked + ASK_AT_MOST_EVERY);
        if kept_by_service || asked_lately || there.abs_diff(wall_ms) < RIGHT_MS {
            return None;
        }
        self.asked = Some(now);
        Some(Request::SetClock { unix_ms: there })
    }

    /// For `kiosk.health`.
    pub fn health(&self, wall_ms: u64, kept_by_service: bool, now: Instant) -> health::Clock {
        let set_by = if kept_by_service {
            ClockSource::Service
        } else if self.agrees(wall_ms, now) {
            ClockSource::Server
        } else {
            ClockSource::Nobody
        };
        health::Clock { set_by, ahead_ms: self.ahead_ms(wall_ms, now) }
    }

    fn now_ms(&self, now: Instant) -> Option<u64> {
        let (unix_ms, at) = self.said?;
        Some(unix_ms + u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX))
    }
}

/// Over a plain line, anybody on it could set our clock.
fn is_authenticated(server: &Url) -> bool {
    let here = match server.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    server.scheme() == "https" || here
}

/// Where the clock is before what was once written down under a good one, it is brought there: a start of the machine
/// never begins in 1970, whatever keeps the time else.
pub fn not_before(saved_ms: Option<u64>, wall_ms: u64, kept_by_service: bool) -> Option<Request> {
    let unix_ms = saved_ms.filter(|saved| !kept_by_service && wall_ms + RIGHT_MS < *saved)?;
    Some(Request::SetClock { unix_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn heard(from: &str, now: Instant) -> ServerClock {
        let mut clock = ServerClock::default();
        clock.said(T, &url(from), now);
        clock
    }

    #[test]
    fn a_clock_in_1970_or_in_2040_is_brought_to_the_servers_once() {
        for wrong in [0, T - HOUR, T + 5 * 365 * 24 * HOUR] {
            let now = Instant::now();
            let mut clock = heard("https://push.example.org", now);
            let later = now + Duration::from_secs(3);
            assert_eq!(clock.correction(wrong, false, later), Some(Request::SetClock { unix_ms: T + 3000 }));
            assert_eq!(clock.correction(wrong, false, later + Duration::from_secs(599)), None, "not again and again");
            assert!(clock.correction(wrong, false, later + Duration::from_secs(600)).is_some());
        }
    }

    #[test]
    fn a_time_service_a_plain_line_and_a_clock_that_is_right_are_left_alone() {
        let now = Instant::now();
        assert_eq!(heard("https://a.example", now).correction(0, true, now), None);
        assert_eq!(heard("http://a.example", now).correction(0, false, now), None);
        assert_eq!(heard("http://192.168.1.20:8400", now).correction(0, false, now), None);
        assert_eq!(heard("https://a.example", now).correction(T + 1999, false, now), None);
        for here in ["http://127.0.0.1:8400", "http://localhost:8400", "http://[::1]:8400"] {
            assert!(heard(here, now).correction(0, false, now).is_some(), "{here}");
        }
    }

    #[test]
    fn health_tells_who_set_the_clock_and_how_far_it_is_off() {
        let now = Instant::now();
        let clock = heard("https://a.example", now);
        let of = |wall, service| clock.health(wall, service, now);
        assert_eq!(of(T, false), health::Clock { set_by: ClockSource::Server, ahead_ms: Some(0) });
        assert_eq!(of(T - HOUR, false), health::Clock { set_by: ClockSource::Nobody, ahead_ms: Some(-3_600_000) });
        assert_eq!(of(T + HOUR, true), health::Clock { set_by: ClockSource::Service, ahead_ms: Some(3_600_000) });
        let alone = ServerClock::default().health(T, false, now);
        assert_eq!(alone, health::Clock { set_by: ClockSource::Nobody, ahead_ms: None });
    }

    #[test]
    fn no_start_begins_before_what_was_once_written_down() {
        assert_eq!(not_before(Some(T), 0, false), Some(Request::SetClock { unix_ms: T }));
        assert_eq!(not_before(Some(T), T - 1000, false), None);
        assert_eq!(not_before(Some(T), 0, true), None);
        assert_eq!(not_before(None, 0, false), None);
    }
}
