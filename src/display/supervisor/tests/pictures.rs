//! Which pictures of the glass are kept as the last good ones of their pages.

use super::*;
use crate::display::screen::{Facts, Frame};

/// A page has been on the glass for a while; the pictures that were asked for since, with their pages.
fn pictures(world: &mut World) -> Vec<Option<String>> {
    world.effects.clear();
    live(world, 70);
    let asked = |effect: &Effect| match effect {
        Effect::Ask { what: Ask::FrameHash { of }, .. } => Some(of.clone()),
        _ => None,
    };
    world.effects.iter().filter_map(asked).collect()
}

/// Time passes in a browser in good health.
fn live(world: &mut World, seconds: u32) {
    for _ in 0..seconds {
        world.pass(S);
        world.answer_all();
        let facts = world.machine.screen().clone();
        if facts.frame.is_some() {
            world.give(Input::ScreenSeen(facts));
        }
    }
}

fn shown(url: &str) -> World {
    let mut world = World::up();
    world.push(1, "navigate", nav(url));
    world.answer_all();
    assert_eq!(world.status(1), Some(Status::Shown));
    world
}

fn of(url: &str) -> Vec<Option<String>> {
    vec![Some(url.to_owned())]
}

#[test]
fn a_page_that_is_shown_for_a_while_has_its_picture_kept_and_the_splash_has_not() {
    assert_eq!(pictures(&mut shown("http://a/")), of("http://a/"));
    assert_eq!(pictures(&mut World::up()), [None]);
}

#[test]
fn a_still_page_costs_one_picture_and_another_page_has_one_of_its_own() {
    let still = |world: &mut World| {
        let frame = Frame { uniform: None, hash: 1, still_ms: 3_600_000, beat_still_ms: None };
        world.give(Input::ScreenSeen(Facts { frame: Some(frame), ..Facts::default() }));
    };
    let mut world = shown("http://a/");
    still(&mut world);
    assert_eq!(pictures(&mut world), of("http://a/"));
    live(&mut world, 600);
    assert_eq!(pictures(&mut world), []);
    world.push(2, "navigate", nav("http://b/"));
    world.answer_all();
    still(&mut world);
    assert_eq!(pictures(&mut world), of("http://b/"), "it looks the same, and is another page");
}

#[test]
fn what_lies_over_a_page_is_not_kept_with_it() {
    let mut world = shown("http://a/");
    world.push(2, "message", json!({ "text": "Leave the building", "seconds": 600 }));
    world.answer_all();
    assert_eq!(pictures(&mut world), [None]);
}

#[test]
fn a_page_that_somebody_touched_is_not_kept_for_it_may_show_what_they_wrote() {
    let idle = |seconds: u64| Input::ScreenSeen(Facts { idle_ms: Some(seconds * 1000), ..Facts::default() });
    let mut world = shown("http://a/");
    live(&mut world, 5);
    world.give(idle(2));
    assert_eq!(pictures(&mut world), [None]);
    let mut world = shown("http://a/");
    live(&mut world, 5);
    world.give(idle(500));
    assert_eq!(pictures(&mut world), of("http://a/"), "that was before the page came");
}

#[test]
fn neither_a_page_that_was_led_to_nor_a_sign_in_is_kept() {
    let mut world = shown("http://a/");
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "http://a/other".into() }));
    assert_eq!(pictures(&mut world), [None]);
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "http://a/#top".into() }));
    live(&mut world, 540);
    assert_eq!(pictures(&mut world), of("http://a/"), "back again");

    for (url, kept) in
        [("http://a/today", true), ("http://www.a/", true), ("http://a/login", false), ("http://sso/", false)]
    {
        let mut world = World::up();
        world.push(1, "navigate", nav("http://a/"));
        let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
        world.answer(at, Ok(Answer::Navigated { navigation: Some("n".into()) }));
        world.give(Input::Seen(Seen::Committed { navigation: Some("n".into()), url: url.into() }));
        world.give(Input::Seen(Seen::Painted(Painted { uri: url.into(), status: Some(200), failed: None })));
        assert_eq!(pictures(&mut world)[0].is_some(), kept, "{url}");
    }
}

#[test]
fn a_page_that_has_gone_by_the_time_its_picture_comes_is_known_to_have() {
    let mut world = shown("http://a/");
    assert_eq!(world.machine.picture_of(world.now), Some("http://a/"));
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "about:neterror?e=netTimeout".into() }));
    assert_eq!(world.machine.picture_of(world.now), None);
}

#[test]
fn clearing_what_pages_left_takes_their_pictures_too() {
    let mut world = shown("http://a/");
    world.effects.clear();
    world.push(2, "clear_data", json!({ "cookies": false }));
    assert!(world.effects.contains(&Effect::ForgetPictures));
}
