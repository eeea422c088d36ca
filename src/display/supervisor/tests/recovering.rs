//! What is found wrong, and how far it goes.

use super::*;
use crate::display::{
    screen::{Facts, Frame, Order, Panel},
    supervisor::recovery::{Cause, Rung},
};

impl World {
    pub(super) fn crash(&mut self) {
        let url = "about:tabcrashed?e=tabcrashed".into();
        self.give(Input::Seen(Seen::Committed { navigation: None, url }));
    }

    pub(super) fn restarts(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::RestartBrowser { .. })).count()
    }

    /// Lets time pass in which the browser answers, and the page says this of itself.
    pub(super) fn live(&mut self, seconds: u32, looked: Looked) {
        for _ in 0..seconds {
            self.pass(S);
            while let Some(at) = self.find(|what| matches!(what, Ask::BrowserPulse | Ask::Pulse)) {
                let answer = if self.asks[at].1 == Ask::Pulse { Answer::Looked(looked) } else { Answer::Done };
                self.answer(at, Ok(answer));
            }
        }
    }

    pub(super) fn at(url: &str) -> Self {
        let mut world = World::up();
        world.push(1, "navigate", nav(url));
        world.paint();
        world.answer_all();
        world.effects.clear();
        world
    }

    fn facts(&mut self, beat_still_ms: u64, panel: Panel) {
        let frame = Frame { uniform: None, hash: 1, still_ms: beat_still_ms, beat_still_ms: Some(beat_still_ms) };
        self.give(Input::ScreenSeen(Facts { frame: Some(frame), panel, ..Facts::default() }));
    }
}

pub(super) const FULL: Looked = Looked { empty: false, may_fill: true, beats: None };
const EMPTY: Looked = Looked { empty: true, may_fill: false, beats: None };

#[test]
fn a_page_that_is_killed_again_and_again_is_loaded_again_at_once_each_time() {
    let mut world = World::at("http://a/");
    for _ in 0..1000 {
        world.live(2, FULL);
        world.crash();
        assert_eq!(world.navigated().pop().as_deref(), Some("http://a/"));
        world.effects.clear();
        world.paint();
    }
    assert_eq!(world.restarts(), 0);
    assert!(world.machine.truth(world.now).is_right());
}

#[test]
fn a_page_that_dies_as_it_begins_is_not_loaded_for_ever() {
    let mut world = World::at("http://a/");
    let mut loads = 0;
    while world.restarts() == 0 {
        world.crash();
        loads += 1;
        assert!(loads <= 30, "it is loaded again and again");
        world.pass(S / 5);
    }
    for _ in 0..2 {
        world.give(Input::Detached { why: "asked".into() });
        world.give(Input::Attached);
        world.crash();
    }
    assert_eq!(world.navigated().last(), Some(&urls().offline()));
    assert_eq!(world.restarts(), 2);
    let said = world.machine.sentence(world.now);
    assert!(said.contains("page-crashed"), "{said}");
    world.paint();
    world.live(5, FULL);
    assert_eq!(world.navigated().last().map(String::as_str), Some("http://a/"), "tries go on");
}

#[test]
fn a_page_that_hangs_each_time_ends_in_words_and_never_in_a_new_session() {
    let mut world = World::at("http://a/");
    for _ in 0..600 {
        world.pass(S);
        while let Some(at) = world.find(|what| *what == Ask::BrowserPulse) {
            world.answer(at, Ok(Answer::Done));
        }
        if world.effects.iter().any(|effect| matches!(effect, Effect::KillContent { .. })) {
            world.effects.retain(|effect| !matches!(effect, Effect::KillContent { .. }));
            world.asks.retain(|(_, what)| *what != Ask::Pulse);
            world.crash();
        }
        if world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })) {
            world.effects.retain(|effect| !matches!(effect, Effect::RestartBrowser { .. }));
            world.asks.clear();
            world.give(Input::Detached { why: "asked".into() });
            world.give(Input::Attached);
        }
        // It paints, and hangs.
        world.paint();
    }
    let requests = world.effects.iter().filter(|effect| matches!(effect, Effect::System { .. })).count();
    assert_eq!(requests, 0);
    assert!(world.navigated().contains(&urls().offline()));
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::Remember(_))));
}

#[test]
fn a_page_that_lost_everything_in_it_is_loaded_again_within_ten_seconds() {
    let mut world = World::at("http://a/");
    world.live(6, FULL);
    world.effects.clear();
    world.live(3, EMPTY);
    assert_eq!(world.navigated(), Vec::<String>::new(), "it may be changing what it shows");
    assert_eq!(world.machine.truth(world.now).name(), "empty");
    world.live(7, EMPTY);
    assert_eq!(world.navigated().first().map(String::as_str), Some("http://a/"));
    world.paint();
    world.live(3, FULL);
    assert!(world.machine.truth(world.now).is_right());
}

#[test]
fn a_page_that_is_white_on_purpose_stays_and_the_browser_with_it() {
    let mut world = World::at("http://a/");
    for _ in 0..1200 {
        world.live(1, EMPTY);
        world.paint();
    }
    assert_eq!(world.restarts(), 0);
    assert!(!world.navigated().contains(&urls().offline()));
    let loads = world.navigated().len();
    assert!((3..15).contains(&loads), "{loads} loads in twenty minutes");
}

#[test]
fn our_own_dark_page_is_no_empty_page() {
    let mut world = World::up();
    world.effects.clear();
    world.live(120, EMPTY);
    assert_eq!(world.navigated(), Vec::<String>::new());
    assert!(world.machine.truth(world.now).is_right());
}

#[test]
fn a_glass_that_stands_still_though_the_page_answers_is_found_and_told() {
    let mut world = World::at("http://a/");
    world.live(3, FULL);
    world.facts(14_000, Panel::Unknown);
    assert!(world.machine.truth(world.now).is_right());
    world.facts(15_000, Panel::Unknown);
    let said = world.machine.sentence(world.now);
    assert!(said.contains("stands still; loading the page again"), "{said}");
    assert_eq!(world.navigated(), ["http://a/"]);
    world.paint();
    world.facts(200, Panel::Unknown);
    assert!(world.machine.truth(world.now).is_right());
}

#[test]
fn a_glass_that_stands_still_whatever_is_done_ends_in_a_new_session_only_when_our_own_page_stands_still_too() {
    let mut world = World::at("http://a/");
    let mut seconds = 0;
    let asked = |world: &World| world.effects.iter().any(|effect| matches!(effect, Effect::System { .. }));
    while !asked(&world) {
        world.live(1, FULL);
        world.facts(60_000, Panel::On);
        if world.restarts() > 0 {
            world.effects.retain(|effect| !matches!(effect, Effect::RestartBrowser { .. }));
            world.give(Input::Detached { why: "asked".into() });
            world.give(Input::Attached);
        }
        if world.effects.iter().any(|effect| matches!(effect, Effect::KillContent { .. })) {
            world.effects.retain(|effect| !matches!(effect, Effect::KillContent { .. }));
            world.crash();
        }
        world.paint();
        seconds += 1;
        assert!(seconds < 1000, "{:?}", world.machine.recovery().incident());
    }
    assert!(world.navigated().contains(&urls().offline()), "our own page was tried first");
    let incident = world.machine.recovery().incident().unwrap();
    assert_eq!((incident.cause, incident.rung), (Cause::NothingPaints, Rung::RestartSession));
}

#[test]
fn a_page_that_stopped_every_timer_is_no_frozen_glass() {
    let mut world = World::at("http://a/");
    let beats = |count| Looked { empty: false, may_fill: false, beats: Some(count) };
    world.live(3, beats(7));
    world.live(30, beats(7));
    world.facts(60_000, Panel::On);
    assert!(world.machine.truth(world.now).is_right());
    world.live(3, beats(9));
    world.facts(60_000, Panel::On);
    assert_eq!(world.navigated(), ["http://a/"], "the page beats, and the glass does not follow");
}

#[test]
fn a_panel_that_is_off_is_no_frozen_glass_and_no_lie() {
    let mut world = World::at("http://a/");
    world.live(3, FULL);
    world.facts(600_000, Panel::Off);
    assert_eq!(world.navigated(), Vec::<String>::new());
    let truth = world.machine.truth(world.now);
    assert_eq!(truth.sentence(), "The screen is off though it should show http://a/");
}

#[test]
fn what_is_painted_behind_a_dark_panel_is_not_called_shown() {
    let mut world = World::up();
    world.facts(1000, Panel::Off);
    world.push(1, "navigate", nav("http://a/"));
    world.answer_all();
    let receipt = &world.receipts(1)[0];
    assert_eq!(receipt.status, Status::Failed);
    assert_eq!(receipt.error.as_deref(), Some("the screen is off though it should show http://a/"));
    world.facts(1000, Panel::On);
    world.push(2, "navigate", nav("http://b/"));
    world.answer_all();
    assert_eq!(world.status(2), Some(Status::Shown));
}

#[test]
fn a_display_without_a_browser_loop_asks_for_a_new_session_and_then_for_a_reboot_and_not_for_ever() {
    let mut world = World::new();
    world.pass(10 * 60 * 60 * S);
    let asked: Vec<String> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::System { request, .. } => Some(format!("{request:?}")),
            _ => None,
        })
        .collect();
    assert_eq!(asked[..2], ["RestartSession".to_owned(), "Reboot".to_owned()]);
    assert!((4..=60).contains(&asked.len()), "{}", asked.len());
    let remembered = world.effects.iter().filter(|effect| matches!(effect, Effect::Remember(_))).count();
    assert!(remembered >= asked.len(), "each is on disk before it is done");
}

#[test]
fn a_page_that_took_too_much_memory_is_loaded_again_and_then_told_in_words() {
    let mut world = World::at("http://a/");
    let overgrown = || Input::Overgrown(Overgrown { content: true, killed: true, megabytes: 900, limit: 500 });
    for _ in 0..2 {
        world.live(3, FULL);
        world.give(overgrown());
        world.crash();
        assert_eq!(world.navigated().last().map(String::as_str), Some("http://a/"));
        world.paint();
    }
    for _ in 0..3 {
        world.live(3, FULL);
        world.give(overgrown());
        world.crash();
        if world.restarts() > 0 {
            world.give(Input::Detached { why: "asked".into() });
            world.give(Input::Attached);
        }
        world.paint();
    }
    assert!(world.navigated().contains(&urls().offline()));
    assert_eq!(world.restarts(), 2);
}

#[test]
fn a_page_that_leads_to_a_sign_in_is_not_left_on_the_glass_and_is_tried_again() {
    let mut world = World::at("https://menu.example/");
    let url = "https://sso.example/login?next=menu".to_owned();
    world.give(Input::Seen(Seen::Committed { navigation: None, url }));
    assert_eq!(world.navigated().last(), Some(&urls().offline()));
    let said = world.machine.sentence(world.now);
    assert!(said.contains("(login)"), "{said}");
    assert_eq!(world.machine.trouble(world.now).unwrap().cause, "login");
    world.paint();
    world.live(75, FULL);
    assert_eq!(world.navigated().last().map(String::as_str), Some("https://menu.example/"));
}

#[test]
fn a_clock_that_is_set_brings_the_site_back_at_once_and_till_then_the_clock_is_named() {
    let mut world = World::at("https://menu.example/");
    let wall = |unix_ms, trusted| Input::ClockRead(WallClock { unix_ms, trusted });
    world.give(wall(1000, false));
    world.push(2, "navigate", nav("https://a/"));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    let error = "Error: NS_ERROR_GENERATE_FAILURE(NS_ERROR_MODULE_SECURITY, SEC_ERROR_EXPIRED_CERTIFICATE)";
    world.answer(at, Err(AskError::Refused(error.into())));
    world.paint();
    assert_eq!(world.machine.wrong_clock().as_deref(), Some("1970-01-01"));
    assert_eq!(world.machine.trouble(world.now).unwrap().cause, "clock");
    assert!(world.machine.sentence(world.now).contains("the clock of this display says 1970-01-01"));
    world.effects.clear();
    world.give(wall(SERVER_MS, true));
    assert_eq!(world.navigated(), ["https://a/"]);
    assert_eq!(world.machine.wrong_clock(), None);
}

#[test]
fn a_screen_of_which_nothing_is_seen_any_more_gets_a_new_session_and_a_supervisor_that_stood_still_gets_none() {
    let asked = |world: &World| world.effects.iter().filter(|it| matches!(it, Effect::System { .. })).count();
    let mut world = World::up();
    world.give(Input::LoopCame);
    world.give(Input::Attached);
    world.facts(100, Panel::On);
    world.live(10, FULL);
    world.now += 600 * S;
    world.give(Input::Due);
    // Everything waited for it, the browser's answers among it.
    world.give(Input::Detached { why: "it was taken for hung".into() });
    world.give(Input::Attached);
    world.paint();
    world.facts(100, Panel::On);
    world.live(30, FULL);
    assert_eq!(asked(&world), 0);
    world.live(100, FULL);
    assert_eq!(asked(&world), 1);
    assert_eq!(world.machine.recovery().incident().unwrap().cause, Cause::ScreenHung);
}

#[test]
fn a_machine_too_busy_for_its_page_gives_each_new_one_more_time_and_ends_with_the_page_on_the_glass() {
    let mut world = World::at("http://a/");
    // Every new process needs twenty seconds for its first answer, and then a page is well.
    let mut born = world.now;
    for _ in 0..400 {
        world.pass(S);
        while let Some(at) = world.find(|what| *what == Ask::BrowserPulse) {
            world.answer(at, Ok(Answer::Done));
        }
        if world.effects.iter().any(|it| matches!(it, Effect::KillContent { .. } | Effect::RestartBrowser { .. })) {
            let restarted = world.restarts() > 0;
            world.effects.retain(|it| !matches!(it, Effect::KillContent { .. } | Effect::RestartBrowser { .. }));
            born = world.now;
            world.asks.clear();
            if restarted {
                world.give(Input::Detached { why: "asked".into() });
                world.give(Input::Attached);
            } else {
                world.crash();
            }
        }
        if world.now > born + 20 * S {
            world.answer_all();
        }
    }
    assert!(world.machine.truth(world.now).is_right(), "{}", world.machine.sentence(world.now));
    assert_eq!(world.machine.content().url(), "http://a/");
}

#[test]
fn pages_that_hang_one_after_the_other_are_each_found_as_soon_as_the_first() {
    let mut world = World::at("http://a/");
    let replaced = |it: &Effect| matches!(it, Effect::KillContent { .. } | Effect::RestartBrowser { .. });
    for round in 0..6 {
        let mut seconds = 0;
        world.effects.clear();
        while !world.effects.iter().any(replaced) {
            world.pass(S);
            while let Some(at) = world.find(|what| *what == Ask::BrowserPulse) {
                world.answer(at, Ok(Answer::Done));
            }
            seconds += 1;
            assert!(seconds <= 10, "the hang of round {round}: {}", world.machine.sentence(world.now));
        }
        world.asks.clear();
        match world.restarts() {
            0 => world.crash(),
            _ => {
                world.give(Input::Detached { why: "asked".into() });
                world.give(Input::Attached);
            }
        }
        // It is well for as long as a drill lets it rest, and that was no busy machine.
        world.paint();
        world.live(2, FULL);
    }
}

#[test]
fn a_page_that_has_grown_large_is_loaded_anew_behind_its_own_last_picture() {
    let mut world = World::at("http://a/");
    let quiet = |world: &mut World| {
        let frame = Frame { uniform: None, hash: 1, still_ms: 60_000, beat_still_ms: Some(100) };
        world.give(Input::ScreenSeen(Facts { frame: Some(frame), idle_ms: Some(90_000), ..Facts::default() }));
    };
    let killed = |world: &World| world.effects.iter().any(|effect| matches!(effect, Effect::KillContent { .. }));
    quiet(&mut world);
    world.orders.clear();
    world.give(Input::Overgrown(Overgrown { content: true, killed: false, megabytes: 400, limit: 500 }));
    quiet(&mut world);
    let (hold, order) = world.orders.pop().unwrap();
    assert_eq!(order, Order::Hold { seconds: 10 });
    assert!(!killed(&world), "not before the picture is held");
    world.give(Input::Answered { ask: hold, answer: Ok(Answer::Result(json!({ "held": true }))) });
    assert!(killed(&world));
    world.crash();
    world.pass(S / 2);
    assert!(world.orders.is_empty());
    world.paint();
    assert!(world.orders.is_empty(), "the rest of it is still coming");
    world.pass(S);
    assert_eq!(world.orders.pop().unwrap().1, Order::Release);
}
