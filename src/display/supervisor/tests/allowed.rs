//! A display that may show only some sites.

use super::*;
use crate::config::KioskSettings;

fn only(site: &str) -> Allowed {
    KioskSettings::from_text(&format!("[browser]\nallow = [\"{site}\"]\n")).unwrap().browser.allow
}

/// With link, browser and page, as [`World::up`].
fn up(allow: Allowed) -> World {
    let mut world = World::new();
    let (machine, effects) = World::open_with(allow, &[], world.now);
    world.machine = machine;
    world.take(effects);
    world.link();
    world.give(Input::Attached);
    world.answer_all();
    world
}

fn led_to(world: &mut World, url: &str) {
    world.give(Input::Seen(Seen::Committed { navigation: None, url: url.to_owned() }));
}

#[test]
fn a_site_that_is_not_on_the_list_is_refused_with_the_reason() {
    let mut world = up(only("http://good.example"));
    world.push(1, "navigate", json!({ "url": "http://good.example/a" }));
    world.answer_all();
    world.push(2, "navigate", json!({ "url": "http://evil.example/" }));
    world.push(
        3,
        "playlist",
        json!({ "items": [{ "url": "http://good.example/" }, { "image": "http://evil.example/i" }] }),
    );
    world.answer_all();
    let receipts: Vec<_> = world.sent.iter().filter(|receipt| receipt.frame_sha256.is_none()).collect();
    assert_eq!(receipts.len(), 3);
    assert_eq!(receipts[0].status, Status::Shown);
    for receipt in &receipts[1..] {
        assert_eq!(receipt.status, Status::Refused);
        assert!(receipt.error.as_ref().unwrap().contains("http://evil.example/"), "{receipt:?}");
    }
    assert_eq!(world.machine.content().url(), "http://good.example/a");
}

#[test]
fn a_page_that_leads_elsewhere_is_brought_back_and_given_up_if_it_does_so_again_and_again() {
    let mut world = up(only("http://good.example"));
    world.push(1, "navigate", json!({ "url": "http://good.example/" }));
    world.answer_all();
    for _ in 0..3 {
        assert!(world.machine.is_showing());
        led_to(&mut world, "http://evil.example/");
        assert!(!world.machine.is_showing());
        world.answer_all();
    }
    assert!(world.machine.is_showing());
    led_to(&mut world, "http://evil.example/");
    world.answer_all();
    let trouble = world.machine.content().trouble().expect("it is away");
    assert_eq!((&trouble.fault, trouble.url.as_str()), (&SiteFault::NotAllowed, "http://good.example/"));
    // And it is tried again.
    for _ in 0..90 {
        world.pass(S);
        world.answer_all();
    }
    assert!(world.machine.is_showing());
}

#[test]
fn our_own_pages_and_sites_on_the_list_come_and_go_freely() {
    let mut world = up(only("http://*.good.example"));
    world.push(1, "navigate", json!({ "url": "http://good.example/" }));
    world.answer_all();
    for url in ["http://a.good.example/", urls().offline().as_str(), "about:blank"] {
        led_to(&mut world, url);
        assert!(world.machine.is_showing(), "{url}");
    }
}

#[test]
fn what_was_shown_before_the_list_became_shorter_is_shown_no_more() {
    let mut world = up(Allowed::default());
    world.push(1, "navigate", json!({ "url": "http://evil.example/" }));
    world.answer_all();
    let journal = world.journal.clone();
    let (machine, _) = World::open_with(only("http://good.example"), &journal, world.now);
    assert_eq!(machine.content().show(), &Show::Splash);
}
