//! The screen as a device: what is ordered of it, when again, and what the receipts say.

use super::*;
use crate::display::screen::{Facts, Order, Output, Panel, Picture};

/// 2026-05-04, a Monday, 12:00 UTC.
const NOON: &str = "2026-05-04T12:00:00Z";
const HOURS: &str = r#"{"rules":[{"days":"mon-fri","on":"07:00","off":"18:00"}]}"#;

fn ms(text: &str) -> u64 {
    text.parse::<UtcMillis>().unwrap().0
}

impl World {
    /// Up, with the orders of the beginning carried out, and a clock.
    fn with_screen(clock: Option<&str>) -> Self {
        let mut world = World::up();
        clock.into_iter().for_each(|text| world.clock(text, true));
        world.obey();
        world
    }

    fn clock(&mut self, text: &str, trusted: bool) {
        // The link of these tests shows another time: this one is of a display without a server.
        self.machine.devices.forget_server_clock();
        self.give(Input::ClockRead(WallClock { unix_ms: ms(text), trusted }));
    }

    /// The screen does as it is told, and tells what it reads back.
    fn obey(&mut self) -> Vec<Order> {
        let mut done = Vec::new();
        while !self.orders.is_empty() {
            let (ask, order) = self.orders.remove(0);
            self.give(Input::Answered { ask, answer: Ok(Answer::Result(json!({ "read": "back" }))) });
            done.push(order);
        }
        done
    }

    fn sees(&mut self, panel: Panel, name: &str) {
        let picture = Some(Picture { width: 1920, height: 1080, millihertz: 60_000 });
        let output = Output { name: name.into(), connected: true, picture, ..Output::default() };
        self.give(Input::ScreenSeen(Facts { outputs: vec![output], panel, ..Facts::default() }));
    }

    fn schedule(&mut self, n: u64) {
        self.push(n, "schedule", serde_json::from_str(HOURS).unwrap());
    }

    fn refuse(&mut self, error: AskError) {
        let (ask, _) = self.orders.remove(0);
        self.give(Input::Answered { ask, answer: Err(error) });
    }

    fn panel(&self) -> (bool, Why) {
        let panel = self.machine.panel();
        (panel.on, panel.why)
    }
}

const ON: Order = Order::Power { on: true };
const OFF: Order = Order::Power { on: false };

#[test]
fn a_command_is_done_when_the_screen_says_so_and_the_receipt_tells_what_was_read_back() {
    let mut world = World::with_screen(None);
    world.push(1, "power", json!({ "on": false }));
    world.push(2, "rotate", json!({ "degrees": 90 }));
    world.push(3, "brightness", json!({ "percent": 40 }));
    assert_eq!((world.status(1), world.status(2)), (None, None), "ordered is not done");
    assert_eq!(world.obey(), [OFF, Order::Rotate { degrees: 90 }, Order::Brightness { percent: 40 }]);
    let result = |world: &World, n| world.receipts(n)[0].result.clone().unwrap();
    assert_eq!(result(&world, 1), json!({"on": false, "why": "command", "until": null, "screen": {"read": "back"}}));
    assert_eq!(result(&world, 2), json!({ "read": "back" }));
    assert_eq!([1, 2, 3].map(|n| world.status(n)), [Some(Status::Done); 3]);
    assert_eq!(world.panel(), (false, Why::Command), "off on purpose");
}

#[test]
fn what_the_display_lacks_is_refused_with_the_reason_and_what_fails_has_failed() {
    let mut world = World::with_screen(None);
    world.push(1, "brightness", json!({ "percent": 40 }));
    world.refuse(AskError::Lacking("this screen has no backlight".into()));
    let receipt = &world.receipts(1)[0];
    assert_eq!((receipt.status, receipt.error.as_deref()), (Status::Refused, Some("this screen has no backlight")));
    world.push(2, "rotate", json!({ "degrees": 180 }));
    world.refuse(AskError::Refused("RandR said BadMatch".into()));
    assert_eq!(world.status(2), Some(Status::Failed));
}

#[test]
fn a_screen_that_does_not_answer_is_asked_again_and_the_receipt_does_not_wait_for_ever() {
    let mut world = World::with_screen(None);
    world.push(1, "power", json!({ "on": false }));
    for _ in 0..4 {
        world.refuse(AskError::TimedOut);
        world.pass(6 * S);
    }
    assert_eq!(world.orders.len(), 1, "asked again");
    world.pass(90 * S);
    assert_eq!(world.status(1), Some(Status::Failed));
    world.refuse(AskError::TimedOut);
    world.pass(6 * S);
    assert_eq!(world.obey(), [OFF], "and it is still wanted");
}

#[test]
fn what_is_wanted_is_ordered_of_every_new_session_and_after_every_restart_and_no_receipt_is_given_twice() {
    let mut world = World::with_screen(None);
    world.push(1, "rotate", json!({ "degrees": 90 }));
    world.push(2, "power", json!({ "on": false }));
    world.obey();
    world.give(Input::Detached { why: "X is gone".into() });
    world.give(Input::Attached);
    assert_eq!(world.obey(), [OFF, Order::Rotate { degrees: 90 }]);
    world.die(true);
    world.orders.clear();
    world.give(Input::Attached);
    assert_eq!(world.obey(), [OFF, Order::Rotate { degrees: 90 }]);
    world.link();
    assert!(world.receipts(1).len() <= 2 && world.receipts(1).iter().all(|it| it.status == Status::Done));
}

#[test]
fn a_command_that_a_restart_cut_is_done_and_said_so_when_the_screen_is_there_again() {
    let mut world = World::with_screen(None);
    world.push(1, "power", json!({ "on": false }));
    world.orders.clear();
    world.die(true);
    world.link();
    world.give(Input::Attached);
    assert_eq!(world.status(1), None);
    world.obey();
    assert_eq!(world.status(1), Some(Status::Done));
}

#[test]
fn everything_is_ordered_again_every_ten_minutes_and_when_a_screen_is_plugged_in() {
    let mut world = World::with_screen(None);
    world.push(1, "rotate", json!({ "degrees": 90 }));
    world.obey();
    world.asks.clear();
    world.sees(Panel::Unknown, "HDMI-1");
    world.orders.clear();
    world.sees(Panel::Unknown, "HDMI-2");
    assert_eq!(world.obey(), [ON, Order::Rotate { degrees: 90 }], "plugged in");
    for _ in 0..59 {
        world.pass(10 * S);
        world.answer_all();
    }
    assert_eq!(world.obey(), []);
    world.pass(11 * S);
    assert_eq!(world.obey(), [ON, Order::Rotate { degrees: 90 }]);
}

#[test]
fn a_screen_that_somebody_switched_off_is_put_right_and_not_in_a_tight_loop() {
    let mut world = World::with_screen(None);
    world.sees(Panel::On, "HDMI-1");
    world.pass(31 * S);
    world.sees(Panel::Off, "HDMI-1");
    assert_eq!(world.obey(), [ON]);
    world.sees(Panel::Off, "HDMI-1");
    assert_eq!(world.obey(), [], "it has just been told");
    world.pass(31 * S);
    world.sees(Panel::Off, "HDMI-1");
    assert_eq!(world.obey(), [ON]);
}

#[test]
fn the_schedule_switches_by_the_clock_and_the_receipt_says_when_next() {
    let mut world = World::with_screen(Some(NOON));
    world.schedule(1);
    assert_eq!(world.obey(), [ON]);
    let result = world.receipts(1)[0].result.clone().unwrap();
    assert_eq!((&result["on"], &result["why"]), (&json!(true), &json!("schedule")));
    assert_eq!(result["until"], "2026-05-04T18:00:00.000Z");
    world.attended_pass(6 * 3600 - 1);
    assert_eq!(world.panel(), (true, Why::Schedule));
    world.attended_pass(1);
    assert_eq!(world.panel(), (false, Why::Schedule), "at the second");
    world.attended_pass(13 * 3600);
    assert_eq!(world.panel(), (true, Why::Schedule), "on Tuesday morning");
}

#[test]
fn an_override_goes_over_the_schedule_until_its_end_also_through_a_power_cut() {
    let mut world = World::with_screen(Some(NOON));
    world.schedule(1);
    world.push(2, "power", json!({ "on": false, "until": "2026-05-04T13:00:00Z" }));
    world.obey();
    assert_eq!(world.panel(), (false, Why::Command));
    world.attended_pass(1800);
    world.die(true);
    assert_eq!(world.panel(), (true, Why::NoClock), "nobody knows whether it is over");
    world.clock("2026-05-04T12:30:00Z", true);
    assert_eq!(world.panel(), (false, Why::Command));
    world.attended_pass(1799);
    assert_eq!(world.panel(), (false, Why::Command));
    world.attended_pass(1);
    assert_eq!(world.panel(), (true, Why::Schedule));
    world.link();
    world.push(3, "power", json!({ "on": false, "until": "2026-05-04T12:59:00Z" }));
    world.clock("2026-05-04T13:00:00Z", true);
    assert_eq!(world.panel(), (true, Why::Schedule), "what is over changes nothing");
    world.push(4, "power", json!({ "on": false }));
    world.push(5, "power", json!({ "on": "schedule" }));
    assert_eq!(world.panel(), (true, Why::Schedule), "back to the schedule");
}

#[test]
fn seconds_run_from_the_publishers_time_and_not_from_a_later_delivery() {
    let mut world = World::with_screen(None);
    let mut late = event(1, "power", json!({ "on": false, "seconds": 600 }));
    late.time = Some(UtcMillis(SERVER_MS - 500_000).to_string());
    world.deliver(late);
    let until = world.machine.panel().until_ms.unwrap();
    assert_eq!(until, SERVER_MS + 100_000);
    let mut past = event(2, "power", json!({ "on": false, "seconds": 600 }));
    past.time = Some(UtcMillis(SERVER_MS - 700_000).to_string());
    world.deliver(past);
    assert_eq!(world.status(2), Some(Status::Expired));
    assert_eq!(world.panel(), (true, Why::Always));
    world.push(3, "power", json!({ "on": false, "seconds": 600 }));
    let left = world.machine.panel().until_ms.unwrap() - SERVER_MS;
    assert!((600_000..700_000).contains(&left), "{left}");
}

#[test]
fn without_a_clock_that_can_be_trusted_the_screen_is_on() {
    let mut world = World::with_screen(Some("1970-01-01T00:00:10Z"));
    world.clock("1970-01-01T00:00:10Z", false);
    world.schedule(1);
    assert_eq!(world.panel(), (true, Why::NoClock));
    // A time service comes.
    world.clock("2026-05-04T22:00:00Z", true);
    assert_eq!(world.panel(), (false, Why::Schedule));
    assert!(world.obey().contains(&OFF));
    // Somebody sets the clock by an hour, and back.
    world.clock("2026-05-05T07:30:00Z", true);
    assert_eq!(world.panel(), (true, Why::Schedule));
    world.clock("2026-05-05T06:30:00Z", true);
    assert_eq!(world.panel(), (false, Why::Schedule));
}

#[test]
fn a_clock_that_contradicts_the_server_is_not_believed() {
    let mut world = World::with_screen(None);
    world.schedule(1);
    let from_the_server = world.panel();
    // 2036 by a dead battery; the server's clock is in January 2027, on a Friday morning.
    world.give(Input::ClockRead(WallClock { unix_ms: SERVER_MS + 315_360_000_000, trusted: true }));
    assert_eq!((world.panel(), from_the_server), ((true, Why::Schedule), (true, Why::Schedule)));
    assert_eq!(world.machine.panel().until_ms, Some(ms("2027-01-15T18:00:00Z")));
}

impl World {
    /// Time passes, and the screen does what it is told.
    fn attended_pass(&mut self, seconds: u32) {
        let end = self.now + S * seconds;
        while self.now < end {
            let step = self.machine.devices.deadline().map_or(end, |at| at.clamp(self.now, end));
            self.now = step;
            self.give(Input::Due);
            self.obey();
            self.asks.clear();
        }
    }
}

#[test]
fn a_picture_that_does_not_follow_its_turn_is_no_picture_that_is_right() {
    let mut world = World::with_screen(None);
    world.sees(Panel::On, "HDMI-1");
    world.obey();
    assert!(world.machine.truth(world.now).is_right());
    world.push(1, "rotate", json!({ "degrees": 90 }));
    world.sees(Panel::On, "HDMI-1");
    let truth = world.machine.truth(world.now);
    assert_eq!(truth.name(), "wrong-picture");
    assert_eq!(truth.sentence(), "Showing the start page turned by 0 degrees and not by 90");
    let picture = Some(Picture { width: 1920, height: 1080, millihertz: 60_000 });
    let output = Output { name: "HDMI-1".into(), connected: true, picture, degrees: 90, ..Output::default() };
    world.give(Input::ScreenSeen(Facts { outputs: vec![output], panel: Panel::On, ..Facts::default() }));
    assert!(world.machine.truth(world.now).is_right());
}
