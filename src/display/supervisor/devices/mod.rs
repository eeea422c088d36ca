//! The state of the screen as a device: what is wanted of it, by command and by the clock, and whether it is so. Pure.
//!
//! ```text
//!   power, schedule, [schedule] --+--> power.rs: on or off, why, until when --+
//!   rotate, brightness, volume ---|-------------------------------------------+--> knobs: Order --> browser loop
//!   what the loop sees -----------+--> drift and hot-plug: ordered again      |    answer --> receipt
//! ```
//!
//! Whatever is wanted is ordered when it changes, when the browser loop comes, when a screen is plugged in, when it is
//! seen to be otherwise, and every ten minutes: a screen that somebody switched by its own button is put right.
//!
//! Rejected: the loop remembers what was ordered last. It is started anew with every X session, and then the picture
//! would stand upright again until somebody sends the command once more.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Setting,
    out::{Out, Outcome, earlier},
    port::{Answer, AskError, AskId},
    to_command,
};
use crate::{
    config::ScreenSettings,
    display::{
        journal::{EventKey, Journal},
        screen::{Facts, Order, Panel},
    },
    event::{
        Status,
        command::{Command, Slot},
    },
};

mod picture;
mod power;

use power::Power;
pub use power::{PanelWanted, WallClock, Why};

/// CEC and a change of the picture's mode take seconds.
const ORDER_WITHIN: Duration = Duration::from_secs(15);
/// Without an answer by then the receipt says so; what is wanted stays wanted. A Pi 3 has its X session within a minute.
const GIVE_UP_AFTER: Duration = Duration::from_secs(90);
/// An order that had no answer is given again so soon.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Everything is ordered again so often, seen or not: CEC tells nothing of a screen that its own remote switched.
const ASSERT_EVERY: Duration = Duration::from_secs(600);
/// What is seen to be otherwise is put right at most so often: a screen may need some seconds to follow.
const DRIFT_EVERY: Duration = Duration::from_secs(30);

/// One thing that can be set.
#[derive(Debug, Default)]
struct Knob {
    wanted: Option<Order>,
    /// Whose receipts wait for it.
    keys: Vec<EventKey>,
    give_up: Option<Instant>,
    asked: Option<AskId>,
    /// When it is ordered the next time.
    again: Option<Instant>,
    ordered: Option<Instant>,
    /// The last order was carried out.
    works: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Devices {
    settings: ScreenSettings,
    power: Power,
    /// By [`place`]. The power's is always wanted: a screen is on unless something says otherwise.
    knobs: [Knob; KNOBS],
    /// The browser loop is there.
    there: bool,
    plugged: Vec<(String, bool, Option<String>)>,
}

const KNOBS: usize = 5;
const POWER: usize = 0;
const ROTATE: usize = 1;
const VOLUME: usize = 3;

fn place(order: &Order) -> usize {
    match order {
        Order::Power { .. } => POWER,
        Order::Rotate { .. } => ROTATE,
        Order::Brightness { .. } => 2,
        Order::Volume { .. } => VOLUME,
        // No state of the screen: never wanted here.
        Order::Hold { .. } | Order::Release => 4,
    }
}

impl Devices {
    pub fn new(setting: &Setting) -> Self {
        let mut devices = Devices {
            settings: setting.screen.clone(),
            power: Power::new(setting.zone.clone(), setting.schedule.clone()),
            knobs: Default::default(),
            there: false,
            plugged: Vec::new(),
        };
        devices.knobs[POWER].wanted = Some(Order::Power { on: true });
        let volume = setting.sound.volume.map(|percent| Order::Volume { percent, muted: false });
        devices.knobs[VOLUME].wanted = volume;
        devices
    }

    /// What was wanted before the supervisor was started anew; `owed` tells whose receipt is still to come.
    pub fn restore(&mut self, journal: &Journal, owed: impl Fn(Slot) -> Option<EventKey>, out: &mut Out) {
        for slot in [Slot::Schedule, Slot::Power, Slot::Rotate, Slot::Brightness, Slot::Volume] {
            if let Some(command) = journal.state(slot).and_then(to_command) {
                self.want(command, owed(slot), out);
            }
        }
    }

    /// Whether light should come out of the screen, and why.
    pub fn panel(&self) -> PanelWanted {
        self.power.wanted()
    }

    /// How the picture differs from what is wanted, in words that go after the page's address.
    pub fn picture_differs(&self, facts: &Facts) -> Option<String> {
        let degrees = match self.knobs[ROTATE].wanted {
            Some(Order::Rotate { degrees }) => degrees,
            _ => self.settings.rotate.degrees(),
        };
        picture::differs(&facts.outputs, self.settings.mode, degrees)
    }

    /// A command's value is wanted; `key` is whose receipt waits for it.
    pub fn want(&mut self, command: Command, key: Option<EventKey>, out: &mut Out) {
        let order = match command {
            Command::Rotate(rotate) => Order::Rotate { degrees: rotate.degrees },
            Command::Brightness(brightness) => Order::Brightness { percent: brightness.percent },
            Command::Volume(volume) => Order::Volume { percent: volume.percent, muted: volume.muted },
            Command::Power(power) => match self.power.overridden(&power, out.now) {
                Ok(order) => order,
                Err(why) => {
                    let outcome = Outcome { error: Some(why), ..Outcome::of(Status::Expired) };
                    return key.into_iter().for_each(|key| out.end(key, outcome.clone()));
                }
            },
            Command::Schedule(schedule) => match schedule.timetable() {
                Ok(timetable) => self.power.scheduled(timetable, out.now),
                Err(why) => return key.into_iter().for_each(|key| out.end(key, Outcome::refused(why.clone()))),
            },
            other => return tracing::error!(command = other.name(), "sets nothing of the screen"),
        };
        let at = place(&order);
        let knob = &mut self.knobs[at];
        knob.wanted = Some(order);
        knob.keys.extend(key);
        knob.give_up = (!knob.keys.is_empty()).then_some(out.now + GIVE_UP_AFTER);
        self.order(at, out);
    }

    /// The server's clock showed this.
    pub fn server_clock(&mut self, unix_ms: u64, out: &mut Out) {
        self.power.server_clock(unix_ms, out.now);
        self.power_may_change(out);
    }

    #[cfg(test)]
    pub fn forget_server_clock(&mut self) {
        self.power.forget_server_clock();
    }

    /// This machine's clock shows this.
    pub fn wall_clock(&mut self, wall: WallClock, out: &mut Out) {
        if self.power.wall_clock(wall, out.now) {
            self.power_may_change(out);
        }
    }

    /// A session with the browser is new, and so may be the X session around it.
    pub fn attached(&mut self, out: &mut Out) {
        self.there = true;
        self.order_all(out);
    }

    /// The loop told what it sees.
    pub fn seen(&mut self, facts: &Facts, out: &mut Out) {
        let came = !std::mem::replace(&mut self.there, true);
        let plugged = facts.outputs.iter().map(|it| (it.name.clone(), it.connected, it.screen.clone())).collect();
        let before = std::mem::replace(&mut self.plugged, plugged);
        if came || (before != self.plugged && !before.is_empty()) {
            return self.order_all(out);
        }
        let lights = match facts.panel {
            Panel::On => Some(true),
            Panel::Off => Some(false),
            Panel::Unknown => None,
        };
        if lights.is_some_and(|lights| lights != self.power.wanted().on) {
            self.drifted(POWER, out);
        }
        // One of several outputs is turned, and which one the loop knows.
        let mut shown = facts.outputs.iter().filter(|output| output.picture.is_some()).peekable();
        if let Some(Order::Rotate { degrees }) = self.knobs[ROTATE].wanted
            && shown.peek().is_some()
            && shown.all(|output| output.degrees != degrees)
        {
            self.drifted(ROTATE, out);
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let Some(at) = self.knobs.iter().position(|knob| knob.asked == Some(ask)) else { return false };
        self.knobs[at].asked = None;
        let wait = match answer {
            Err(AskError::Gone) => {
                self.there = false;
                return true;
            }
            Err(AskError::TimedOut) => AGAIN_AFTER,
            Ok(_) | Err(AskError::Lacking(_) | AskError::Refused(_) | AskError::Frameless) => ASSERT_EVERY,
        };
        let told = match answer {
            Ok(Answer::Result(result)) => result.clone(),
            Ok(_) | Err(_) => Value::Null,
        };
        let outcome = match answer {
            Ok(_) => {
                let result = if at == POWER { self.power_result(told) } else { told };
                Outcome { result: Some(result), ..Outcome::of(Status::Done) }
            }
            Err(AskError::Lacking(why)) => Outcome::refused(why),
            Err(error) => Outcome::failed(error.to_string()),
        };
        let knob = &mut self.knobs[at];
        if knob.works && outcome.status != Status::Done {
            tracing::warn!(order = ?knob.wanted, error = outcome.error, "the screen does not do what is wanted");
        }
        knob.works = outcome.status == Status::Done;
        knob.again = Some(out.now + wait);
        if wait == ASSERT_EVERY {
            knob.end(&outcome, out);
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        let knobs = self.knobs.iter().flat_map(|knob| [knob.give_up, knob.again.filter(|_| self.there)]);
        earlier(self.power.deadline(), knobs.flatten().min())
    }

    pub fn due(&mut self, out: &mut Out) {
        let now = out.now;
        if self.power.deadline().is_some_and(|at| at <= now) {
            self.power_may_change(out);
        }
        for at in 0..KNOBS {
            let knob = &mut self.knobs[at];
            if knob.give_up.is_some_and(|at| at <= now) {
                let why = if self.there { "the screen did not follow in time" } else { "there is no X session" };
                knob.end(&Outcome::failed(why), out);
            }
            if self.there && knob.again.is_some_and(|at| at <= now) {
                self.order(at, out);
            }
        }
    }

    fn power_may_change(&mut self, out: &mut Out) {
        let order = self.power.look(out.now);
        if self.knobs[POWER].wanted.as_ref() != Some(&order) {
            self.knobs[POWER].wanted = Some(order);
            self.order(POWER, out);
        }
    }

    fn drifted(&mut self, at: usize, out: &mut Out) {
        let knob = &self.knobs[at];
        let rests = knob.ordered.is_some_and(|ordered| out.now < ordered + DRIFT_EVERY);
        if knob.asked.is_none() && knob.works && !rests {
            tracing::warn!(wanted = ?knob.wanted, "the screen is not as wanted: ordered again");
            self.order(at, out);
        }
    }

    fn order_all(&mut self, out: &mut Out) {
        (0..KNOBS).for_each(|at| self.order(at, out));
    }

    /// Without a loop it waits for one.
    fn order(&mut self, at: usize, out: &mut Out) {
        let knob = &mut self.knobs[at];
        if let Some(order) = knob.wanted.clone().filter(|_| self.there) {
            (knob.asked, knob.again) = (Some(out.screen(order, ORDER_WITHIN)), None);
            knob.ordered = Some(out.now);
        }
    }

    /// What was read back, and what else a person who sent `power` or `schedule` wants to know.
    fn power_result(&self, screen: Value) -> Value {
        let PanelWanted { on, why, until_ms } = self.power.wanted();
        let until = until_ms.map(crate::event::time::UtcMillis);
        json!({ "on": on, "why": why, "until": until, "screen": screen })
    }
}

impl Knob {
    fn end(&mut self, outcome: &Outcome, out: &mut Out) {
        self.keys.drain(..).for_each(|key| out.end(key, outcome.clone()));
        self.give_up = None;
    }
}
