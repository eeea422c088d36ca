//! A drill has the glass for a while.

use super::*;

const DRILL: &str = "http://127.0.0.1:4000/round-1";

fn held() -> World {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.answer_all();
    world.give(Input::Held { url: DRILL.into() });
    world.answer_all();
    world
}

#[test]
fn a_drill_has_the_glass_and_gives_it_back() {
    let mut world = held();
    assert_eq!(world.machine.content().url(), DRILL);
    assert!(world.machine.is_showing() && world.machine.is_held());
    let sentence = world.machine.sentence(world.now);
    assert!(sentence.starts_with("A drill is under way: Showing"), "{sentence}");
    world.give(Input::Released);
    assert_eq!(world.navigated().last(), Some(&"http://a/".to_owned()));
    world.answer_all();
    assert!(world.machine.is_showing() && !world.machine.is_held());
    assert_eq!(world.receipts(1).iter().filter(|receipt| receipt.frame_sha256.is_none()).count(), 1);
}

#[test]
fn what_is_pushed_during_a_drill_comes_before_it_and_stays() {
    let mut world = held();
    world.push(2, "navigate", nav("http://b/"));
    world.answer_all();
    assert!(!world.machine.is_held());
    assert_eq!(world.status(2), Some(Status::Shown));
    let before = world.navigated().len();
    world.give(Input::Released);
    assert_eq!(world.navigated().len(), before, "the drill that ends changes nothing any more");
    assert_eq!(world.machine.content().url(), "http://b/");
}

#[test]
fn no_drill_takes_the_glass_from_a_page_that_a_publisher_waits_for() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    assert!(world.machine.may_not_be_held().is_some());
    world.answer_all();
    assert_eq!(world.machine.may_not_be_held(), None);
}

#[test]
fn a_supervisor_that_is_started_again_knows_of_no_drill() {
    let mut world = held();
    world.die(true);
    world.link();
    world.give(Input::Attached);
    world.answer_all();
    assert_eq!(world.machine.content().url(), "http://a/");
}

#[test]
fn a_list_of_sites_lets_the_drills_own_page_be_and_no_other() {
    let mut world = World::new();
    let allow = crate::config::KioskSettings::from_text("[browser]\nallow = [\"http://good.example\"]\n");
    let (machine, effects) = World::open_with(allow.unwrap().browser.allow, &[], world.now);
    world.machine = machine;
    world.take(effects);
    world.link();
    world.give(Input::Attached);
    world.answer_all();
    world.give(Input::Held { url: DRILL.into() });
    world.answer_all();
    assert!(world.machine.is_showing());
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "http://127.0.0.1:9/".into() }));
    assert!(!world.machine.is_showing(), "another port is another site");
}
