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

#[test]
fn each_page_of_a_playlist_has_its_picture_taken_before_it_goes_and_not_in_each_round() {
    let mut world = World::up();
    let item = |url: &str, seconds: u32| json!({ "url": url, "seconds": seconds });
    let items = json!([item("http://a/", 5), item("http://b/", 30), item("http://c/", 2)]);
    world.push(1, "playlist", json!({ "items": items }));
    world.answer_all();
    let mut taken: Vec<(String, u64)> = Vec::new();
    for _ in 0..1200 {
        world.effects.clear();
        world.pass(S / 2);
        for effect in &world.effects {
            if let Effect::Ask { what: Ask::FrameHash { of: Some(of) }, .. } = effect {
                let shown = world.machine.content().shown_for(world.now).unwrap();
                taken.push((of.clone(), shown.as_secs()));
            }
        }
        world.answer_all();
    }
    assert_eq!(taken, [("http://a/".to_owned(), 3), ("http://b/".to_owned(), 15)], "in ten minutes");
}

#[test]
fn of_a_long_playlist_the_pictures_of_the_first_pages_are_kept() {
    let mut world = World::up();
    let items: Vec<_> = (0..30).map(|n| json!({ "url": format!("http://a/{}", n % 20), "seconds": 5 })).collect();
    world.push(1, "playlist", json!({ "items": items }));
    let pages = world.machine.content().pages();
    assert_eq!((pages.len(), pages[15].as_str()), (16, "http://a/15"));
}
