//! On or off: an override by command over the schedule over "on". Pure.
//!
//! Without a clock that can be trusted the screen is on: one that is lit at night is a nuisance, one that is dark by day
//! is a fault.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    display::{schedule, screen::Order},
    event::command::{self, PowerState, Timetable},
};

/// A machine's own clock that is further than this from the server's is the wrong one of the two: a server is looked
/// after, and a Pi that starts without a network shows when it was switched off.
const CONTRADICTS_MS: u64 = 5 * 60 * 1000;
/// What a clock may be off from one look to the next without anybody having set it.
const JUMP_MS: u64 = 500;

/// What this machine's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    pub unix_ms: u64,
    /// It was set since the machine started, or has a battery.
    pub trusted: bool,
}

/// Whether light should come out of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelWanted {
    pub on: bool,
    pub why: Why,
    /// When that changes, as far as anybody knows, in ms since 1970.
    pub until_ms: Option<u64>,
}

/// Why it is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nothing says otherwise.
    Always,
    Command,
    Schedule,
    /// There is a schedule, and nobody knows what time it is.
    NoClock,
}

/// The machine.
#[derive(Debug)]
pub struct Power {
    zone: TimeZone,
    configured: Option<Timetable>,
    /// The server's goes over the display's own.
    commanded: Option<Timetable>,
    over: Option<Override>,
    server: Option<(u64, Instant)>,
    wall: Option<(WallClock, Instant)>,
    wanted: PanelWanted,
    look_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Override {
    on: bool,
    until_ms: Option<u64>,
}

impl Power {
    pub fn new(zone: TimeZone, configured: Option<Timetable>) -> Self {
        Power {
            zone,
            configured,
            commanded: None,
            over: None,
            server: None,
            wall: None,
            wanted: PanelWanted { on: true, why: Why::Always, until_ms: None },
            look_at: None,
        }
    }

    pub fn wanted(&self) -> PanelWanted {
        self.wanted
    }

    /// When something may change.
    pub fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// The error says that it is over already.
    pub fn overridden(&mut self, power: &command::Power, now: Instant) -> Result<Order, String> {
        let until_ms = power.until.map(|until| until.0);
        let is_over = until_ms.zip(self.clock(now)).is_some_and(|(until, now)| until <= now);
        self.over = match power.on {
            PowerState::Set(on) if !is_over => Some(Override { on, until_ms }),
            PowerState::Set(_) | PowerState::Follow(_) => None,
        };
        let order = self.look(now);
        match power.until.filter(|_| is_over) {
            Some(until) => Err(format!("it was to last until {until}")),
            None => Ok(order),
        }
    }

    pub fn scheduled(&mut self, timetable: Timetable, now: Instant) -> Order {
        self.commanded = Some(timetable);
        self.look(now)
    }

    pub fn server_clock(&mut self, unix_ms: u64, now: Instant) {
        self.server = Some((unix_ms, now));
    }

    #[cfg(test)]
    pub fn forget_server_clock(&mut self) {
        self.server = None;
    }

    /// True if it is not what it was expected to show.
    pub fn wall_clock(&mut self, wall: WallClock, now: Instant) -> bool {
        let before = self.wall.replace((wall, now));
        before.is_none_or(|(before, seen)| {
            before.trusted != wall.trusted || on_at(before.unix_ms, seen, now).abs_diff(wall.unix_ms) > JUMP_MS
        })
    }

    /// Decides anew.
    pub fn look(&mut self, now: Instant) -> Order {
        let clock = self.clock(now);
        self.wanted = self.decide(clock);
        let until = self.wanted.until_ms.zip(clock);
        self.look_at = until.map(|(until, clock)| now + Duration::from_millis(until.saturating_sub(clock)));
        Order::Power { on: self.wanted.on }
    }

    fn decide(&self, clock: Option<u64>) -> PanelWanted {
        if let Some(Override { on, until_ms }) = self.over {
            match (until_ms, clock) {
                (Some(until), Some(now)) if until <= now => {}
                (Some(_), None) if !on => return PanelWanted { on: true, why: Why::NoClock, until_ms: None },
                _ => return PanelWanted { on, why: Why::Command, until_ms },
            }
        }
        let Some(timetable) = self.commanded.as_ref().or(self.configured.as_ref()) else {
            return PanelWanted { on: true, why: Why::Always, until_ms: None };
        };
        let moment = clock.and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
        let Some(moment) = moment else {
            return PanelWanted { on: true, why: Why::NoClock, until_ms: None };
        };
        let schedule::Wanted { on, until } = schedule::wanted(timetable, &self.zone, moment);
        let until_ms = until.and_then(|until| u64::try_from(until.as_millisecond()).ok());
        PanelWanted { on, why: Why::Schedule, until_ms }
    }

    /// Milliseconds since 1970, where anybody knows.
    fn clock(&self, now: Instant) -> Option<u64> {
        let wall = self.wall.filter(|(wall, _)| wall.trusted).map(|(wall, seen)| on_at(wall.unix_ms, seen, now));
        let server = self.server.map(|(unix_ms, seen)| on_at(unix_ms, seen, now));
        match (wall, server) {
            // A time service keeps it right between two greetings of the server.
            (Some(wall), Some(server)) if wall.abs_diff(server) <= CONTRADICTS_MS => Some(wall),
            (wall, server) => server.or(wall),
        }
    }
}

fn on_at(unix_ms: u64, seen: Instant, now: Instant) -> u64 {
    unix_ms + u64::try_from((now - seen).as_millis()).unwrap_or(u64::MAX / 2)
}
