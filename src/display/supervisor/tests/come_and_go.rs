//! Browser loops, and Firefoxes, that come and end again: with a page shown in between, and without.

use super::*;
use crate::display::{
    helper::Request,
    supervisor::recovery::{Cause, Rung},
};

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// What was asked of root, and the starts of Firefox without its own preferences, each with its time.
    fn climbs(&mut self, began: Instant) -> Vec<(Duration, &'static str)> {
        let at = self.now - began;
        let climb = |effect: &Effect| match effect {
            Effect::System { request: Request::RestartSession, .. } => Some((at, "session")),
            Effect::System { request: Request::Reboot, .. } => Some((at, "reboot")),
            Effect::RestartBrowser { plain: true, .. } => Some((at, "plain")),
            _ => None,
        };
        self.effects.drain(..).filter_map(|effect| climb(&effect)).collect()
    }

    /// A browser loop that comes, and ends a second later; another one takes its place after `pause`.
    fn loop_for_a_second(&mut self, pause: Duration) {
        self.give(Input::LoopCame);
        self.pass(S);
        self.give(Input::LoopGone);
        self.pass(pause);
    }

    /// A Firefox that gives a session, and ends two seconds later.
    fn firefox_for_two_seconds(&mut self) {
        self.give(Input::Attached);
        self.pass(2 * S);
        self.give(Input::Detached { why: "Firefox ended (signal 11)".into() });
        self.pass(3 * S);
    }
}

fn most_an_hour(climbs: &[(Duration, &str)], what: &str) -> usize {
    let times: Vec<Duration> = climbs.iter().filter(|(_, it)| *it == what).map(|(at, _)| *at).collect();
    forged::most_within(&times, HOUR)
}

#[test]
fn a_browser_loop_that_ends_each_second_gets_a_new_session_then_a_reboot_and_then_the_words() {
    let mut world = World::new();
    let (began, mut climbs, mut said_so) = (world.now, Vec::new(), 0);
    while world.now < began + 10 * HOUR {
        world.loop_for_a_second(S);
        climbs.extend(world.climbs(began));
        said_so += u32::from(world.machine.recovery().incident().is_some_and(|it| it.rung == Rung::SaySo));
    }
    let whats: Vec<&str> = climbs.iter().map(|(_, what)| *what).collect();
    assert_eq!(whats[..2], ["session", "reboot"], "{climbs:?}");
    assert!(climbs[0].0 >= 180 * S && climbs[1].0 <= 370 * S, "{climbs:?}");
    assert_eq!((most_an_hour(&climbs, "session"), most_an_hour(&climbs, "reboot")), (3, 3), "{climbs:?}");
    assert!(climbs.iter().any(|(at, _)| *at > 9 * HOUR), "it is never given up: {climbs:?}");
    assert!(said_so > 0, "{climbs:?}");
    let said = world.machine.sentence(world.now);
    assert!(said.contains("the X session ends again and again before it has shown anything"), "{said}");
    assert_eq!(world.machine.trouble(world.now).map(|it| it.cause), Some("session-ends".to_owned()));
}

#[test]
fn two_browser_loops_that_take_each_others_place_are_found_too() {
    let mut world = World::new();
    for _ in 0..200 {
        world.give(Input::LoopCame);
        world.pass(S);
    }
    let incident = world.machine.recovery().incident().expect("nothing was painted for minutes");
    assert_eq!((incident.cause, incident.rung), (Cause::SessionEnds, Rung::RestartSession));
}

#[test]
fn a_firefox_that_ends_as_it_begins_gets_the_plain_profile_then_a_new_session_and_then_a_reboot() {
    let mut world = World::new();
    world.give(Input::LoopCame);
    let (began, mut climbs) = (world.now, Vec::new());
    while world.now < began + 3 * HOUR {
        world.firefox_for_two_seconds();
        let climbed = world.climbs(began);
        if climbed.iter().any(|(_, what)| *what == "session") {
            world.loop_for_a_second(10 * S);
            world.give(Input::LoopCame);
        }
        climbs.extend(climbed);
    }
    let whats: Vec<&str> = climbs.iter().map(|(_, what)| *what).collect();
    assert_eq!(whats[..3], ["plain", "session", "reboot"], "{climbs:?}");
    assert!(climbs[0].0 <= 130 * S && climbs[2].0 <= 400 * S, "{climbs:?}");
    assert!(most_an_hour(&climbs, "session") <= 3 && most_an_hour(&climbs, "reboot") <= 3, "{climbs:?}");
    assert!(climbs.iter().any(|(at, _)| *at > 2 * HOUR), "it is never given up: {climbs:?}");
    let said = world.machine.sentence(world.now);
    let words = "Firefox ends again and again before it has shown anything (Firefox ended (signal 11))";
    assert!(said.contains(words), "{said}");
}

#[test]
fn what_shows_the_page_each_time_is_started_again_and_no_more_however_often_it_ends() {
    let mut world = World::new();
    let began = world.now;
    for round in 0..1000 {
        if round % 2 == 0 {
            world.give(Input::LoopCame);
        }
        world.give(Input::Attached);
        world.pass(S);
        world.paint();
        world.give(Input::Detached { why: "killed".into() });
        world.pass(3 * S);
        if round % 2 == 1 {
            world.give(Input::LoopGone);
            world.pass(20 * S);
        }
    }
    assert_eq!(world.climbs(began), []);
    assert_eq!(world.machine.recovery().incident(), None);
}

#[test]
fn a_session_that_is_begun_anew_and_is_slow_is_left_to_come() {
    let mut world = World::up();
    let began = world.now;
    world.give(Input::LoopCame);
    world.give(Input::LoopGone);
    world.pass(100 * S);
    world.give(Input::LoopCame);
    world.pass(100 * S);
    assert_eq!(world.climbs(began), [], "two ends are no habit, and Firefox has its two minutes");
}
