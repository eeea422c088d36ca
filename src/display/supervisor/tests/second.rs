//! A second screen with a page of its own.

use super::*;
use crate::display::screen::{Facts, Output};

const PAGE: &str = "http://menu.example/";

/// With link, browser and the first page, where kiosk.toml wants a second one; only this site may be shown.
fn up(site: Option<&str>) -> World {
    let mut world = World::new();
    let allow = site.map(|site| format!("[browser]\nallow = [\"{site}\"]\n")).unwrap_or_default();
    let text = format!("[screen]\nsecond = \"{PAGE}\"\n{allow}");
    let settings = crate::config::KioskSettings::from_text(&text).unwrap();
    let setting = World::setting(World::machine(0, Configured::default()), settings.browser.allow);
    let setting = Setting { screen: settings.screen, ..setting };
    let (machine, effects) = Supervisor::new(setting, Journal::default(), fastrand::Rng::with_seed(7), world.now);
    world.machine = machine;
    world.take(effects);
    world.link();
    world.give(Input::Attached);
    world.paint();
    world.answer_all();
    world.pass(S);
    world
}

fn plug(world: &mut World, output: Option<&str>) {
    world.give(Input::ScreenSeen(Facts { second: output.map(str::to_owned), ..Facts::default() }));
}

/// Answers the window that is asked for.
fn open(world: &mut World, context: &str) {
    let at = world.find(|what| *what == Ask::OpenBeside).expect("a window is asked for");
    world.give(Input::Seen(Seen::Opened { context: context.into() }));
    world.answer(at, Ok(Answer::Opened { context: context.into() }));
}

/// What the second window is told to show, if it is; then it is there, with this answer of its site.
fn paint(world: &mut World, context: &str, status: u16) -> String {
    let in_it = |what: &Ask| matches!(what, Ask::Beside { context: it, .. } if it == context);
    let at = world.find(in_it).expect("the second window is told something");
    let Ask::Beside { what, .. } = world.asks[at].1.clone() else { unreachable!() };
    let Ask::Navigate { url } = *what else { panic!("{what:?}") };
    world.answer(at, Ok(Answer::Navigated { navigation: Some(url.clone()) }));
    elsewhere(world, context, Seen::Committed { navigation: Some(url.clone()), url: url.clone() });
    let uri = url.clone();
    elsewhere(world, context, Seen::Painted(Painted { uri, status: Some(status), failed: None }));
    url
}

fn elsewhere(world: &mut World, context: &str, seen: Seen) {
    world.give(Input::Seen(Seen::Elsewhere { context: context.into(), seen: Box::new(seen) }));
}

fn shown() -> World {
    let mut world = up(None);
    plug(&mut world, Some("HDMI-2"));
    open(&mut world, "two");
    assert_eq!(paint(&mut world, "two", 200), PAGE);
    world
}

#[test]
fn a_second_screen_shows_its_page_from_when_it_is_plugged_in_until_it_is_pulled_out() {
    let mut world = up(None);
    assert!(world.machine.sentence(world.now).ends_with("; no second screen is connected"));
    assert_eq!(world.find(|what| *what == Ask::OpenBeside), None);
    plug(&mut world, Some("HDMI-2"));
    open(&mut world, "two");
    assert_eq!(paint(&mut world, "two", 200), PAGE);
    assert_eq!(world.find(|what| matches!(what, Ask::CloseContext { .. })), None, "it is no stranger");
    let sentence = world.machine.sentence(world.now);
    assert_eq!(sentence, "Showing the start page; HDMI-2 shows http://menu.example/");
    plug(&mut world, None);
    // The browser loop closes what has no output.
    elsewhere(&mut world, "two", Seen::Closed);
    world.pass(60 * S);
    assert_eq!(world.find(|what| *what == Ask::OpenBeside), None);
    plug(&mut world, Some("HDMI-2"));
    open(&mut world, "three");
    assert_eq!(paint(&mut world, "three", 200), PAGE);
}

#[test]
fn a_second_page_that_is_away_says_so_on_its_own_screen_and_comes_back_by_itself() {
    let mut world = up(None);
    plug(&mut world, Some("HDMI-2"));
    open(&mut world, "two");
    let first = world.navigated();
    paint(&mut world, "two", 503);
    assert_eq!(paint(&mut world, "two", 200), urls().of_second().offline());
    assert!(
        world.machine.sentence(world.now).ends_with("; http://menu.example/ is not on HDMI-2 (http-503), tried once")
    );
    assert!(world.machine.is_showing(), "the first page has nothing to do with it");
    world.pass(5 * S);
    let ask = world.probes.pop().expect("its site is asked");
    world.give(Input::Probed { ask, result: Ok(()) });
    assert_eq!(paint(&mut world, "two", 200), PAGE);
    assert!(world.machine.sentence(world.now).ends_with("HDMI-2 shows http://menu.example/"));
    assert_eq!(world.navigated(), first);
}

#[test]
fn a_second_page_that_is_led_to_a_site_that_is_not_allowed_is_brought_back() {
    let mut world = up(Some("http://menu.example"));
    plug(&mut world, Some("HDMI-2"));
    open(&mut world, "two");
    paint(&mut world, "two", 200);
    elsewhere(
        &mut world,
        "a frame of some page",
        Seen::Committed { navigation: None, url: "http://evil.example/".into() },
    );
    assert_eq!(world.find(|what| matches!(what, Ask::Beside { .. })), None);
    elsewhere(&mut world, "two", Seen::Committed { navigation: None, url: "http://evil.example/".into() });
    assert_eq!(paint(&mut world, "two", 200), PAGE);
}

#[test]
fn a_second_page_whose_process_died_is_loaded_again_and_less_often_if_it_dies_of_it() {
    let mut world = shown();
    let crash = |world: &mut World| {
        elsewhere(world, "two", Seen::Committed { navigation: None, url: "about:tabcrashed?u=x".into() });
    };
    world.pass(2 * S);
    crash(&mut world);
    assert_eq!(paint(&mut world, "two", 200), PAGE, "at once");
    crash(&mut world);
    assert_eq!(paint(&mut world, "two", 200), urls().of_second().offline(), "it did not live a second");
    assert!(world.machine.recovery().incident().is_none(), "the browser is not at fault");
    world.pass(3 * S);
    assert_eq!(paint(&mut world, "two", 200), PAGE);
}

#[test]
fn a_second_window_that_is_gone_comes_again() {
    let mut world = shown();
    elsewhere(&mut world, "two", Seen::Closed);
    assert_eq!(world.find(|what| *what == Ask::OpenBeside), None);
    world.pass(5 * S);
    open(&mut world, "three");
    elsewhere(&mut world, "three", Seen::Closed);
    world.give(Input::Detached { why: "a test".into() });
    world.pass(60 * S);
    world.give(Input::Attached);
    world.pass(S);
    open(&mut world, "three");
    assert_eq!(paint(&mut world, "three", 200), PAGE);
}

#[test]
fn the_second_window_of_the_last_supervisor_is_taken_over() {
    let mut world = shown();
    world.give(Input::Detached { why: "a test".into() });
    world.asks.clear();
    world.give(Input::Attached);
    world.give(Input::Seen(Seen::Left { context: "two".into() }));
    world.pass(S);
    assert_eq!(world.find(|what| matches!(what, Ask::OpenBeside | Ask::CloseContext { .. })), None);
    assert_eq!(paint(&mut world, "two", 200), PAGE);
}

#[test]
fn a_window_that_opened_without_a_word_is_ours_all_the_same() {
    let mut world = up(None);
    plug(&mut world, Some("HDMI-2"));
    let at = world.find(|what| *what == Ask::OpenBeside).expect("a window is asked for");
    world.give(Input::Seen(Seen::Opened { context: "two".into() }));
    world.answer(at, Err(AskError::TimedOut));
    assert_eq!(paint(&mut world, "two", 200), PAGE);
}

#[test]
fn a_second_screen_for_which_there_is_no_room_is_told_as_that_and_not_as_none() {
    let mut world = up(None);
    let output = |name: &str, connected| Output { name: name.into(), connected, ..Output::default() };
    let one = vec![output("HDMI-1", true), output("HDMI-2", false)];
    world.give(Input::ScreenSeen(Facts { outputs: one, ..Facts::default() }));
    assert!(world.machine.sentence(world.now).ends_with("; no second screen is connected"));
    let two = vec![output("HDMI-1", true), output("HDMI-2", true)];
    world.give(Input::ScreenSeen(Facts { outputs: two.clone(), ..Facts::default() }));
    let said = world.machine.sentence(world.now);
    assert!(said.contains("; the second screen shows no page of its own: the X screen has no room"), "{said}");
    world.give(Input::ScreenSeen(Facts { outputs: two, second: Some("HDMI-2".into()), ..Facts::default() }));
    assert!(world.machine.sentence(world.now).contains("; HDMI-2 is loading"));
}
