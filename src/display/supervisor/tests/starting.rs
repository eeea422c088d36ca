//! Before there is a session: where a browser that starts is led, and what it is told then.

use super::*;

/// A display that was told what to show, whose browser is not up yet; the site has been asked.
fn before_a_session(answers: bool) -> World {
    let mut world = World::up();
    world.push(1, "navigate", json!({ "url": "http://site.example/" }));
    world.answer_all();
    world.give(Input::Detached { why: "Firefox ended".into() });
    world.pass(Duration::ZERO);
    let ask = world.probes.pop().expect("the site is asked while there is no browser");
    let result = if answers { Ok(()) } else { Err(SiteFault::Refused) };
    world.give(Input::Probed { ask, result });
    world
}

#[test]
fn a_browser_that_starts_is_led_to_the_site_and_not_told_to_load_it_again() {
    let mut world = before_a_session(true);
    assert_eq!(world.machine.content().leads_to(), Some("http://site.example/"));
    world.give(Input::Attached);
    assert_eq!(world.machine.content().leads_to(), None);
    let at = world.find(|what| matches!(what, Ask::Adopt { .. })).expect("it is asked what it shows");
    let uri = "http://site.example/#".to_owned();
    world.give(Input::Seen(Seen::Painted(Painted { uri: uri.clone(), status: Some(200), failed: None })));
    world.answer(at, Ok(Answer::Document { uri }));
    assert!(world.machine.content().is_showing());
    assert!(world.find(|what| matches!(what, Ask::Navigate { .. })).is_none(), "{:?}", world.asks);
}

#[test]
fn a_browser_that_shows_something_else_or_does_not_say_is_told_what_to_show() {
    let error = "about:neterror?e=connectionFailure&u=http%3A//site.example/";
    for answer in [
        Ok(Answer::Document { uri: urls().splash() }),
        Ok(Answer::Document { uri: error.to_owned() }),
        Err(AskError::TimedOut),
        Err(AskError::Refused("no such frame".into())),
    ] {
        let mut world = before_a_session(true);
        world.give(Input::Attached);
        let at = world.find(|what| matches!(what, Ask::Adopt { .. })).expect("it is asked what it shows");
        world.answer(at, answer.clone());
        assert!(!world.machine.content().is_showing(), "{answer:?}");
        world.paint();
        assert!(world.machine.content().is_showing(), "{answer:?}");
    }
}

#[test]
fn a_browser_is_led_nowhere_while_the_site_is_away_or_no_longer_wanted() {
    let mut world = before_a_session(false);
    assert_eq!(world.machine.content().leads_to(), None);
    world.give(Input::Attached);
    assert!(world.find(|what| matches!(what, Ask::Navigate { .. })).is_some());

    let mut world = before_a_session(true);
    world.push(2, "navigate", json!({ "url": "http://other.example/" }));
    assert_eq!(world.machine.content().leads_to(), None);
    world.give(Input::Attached);
    assert!(world.find(|what| matches!(what, Ask::Adopt { .. })).is_none());
}
