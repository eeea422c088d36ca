//! What is pushed comes onto the glass, whatever comes in between, and each has its receipt.

use super::*;

#[test]
fn shown_is_said_at_the_paint_and_not_before_and_the_hash_follows() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Ok(Answer::Navigated { navigation: Some("n".into()) }));
    world.give(Input::Seen(Seen::Committed { navigation: Some("n".into()), url: "http://a/".into() }));
    assert_eq!(world.receipts(1), []);
    world.give(Input::Seen(Seen::Painted(Painted { uri: "http://a/".into(), status: Some(200), failed: None })));
    assert_eq!(world.receipts(1)[0].status, Status::Shown);
    world.answer_all();
    assert_eq!(world.receipts(1)[1].frame_sha256, Some("ab".repeat(32)));
    assert_eq!(world.receipts(1).len(), 2);
}

#[test]
fn a_command_is_on_disk_before_anything_is_done_about_it() {
    let mut world = World::up();
    world.effects.clear();
    world.push(1, "message", json!({ "text": "hi" }));
    let kept = world.effects.iter().position(|effect| matches!(effect, Effect::Keep(_))).unwrap();
    let asked = world.effects.iter().position(|effect| matches!(effect, Effect::Ask { .. })).unwrap();
    assert!(kept < asked);
    assert_eq!(world.effects.iter().filter(|effect| matches!(effect, Effect::Keep(_))).count(), 1, "one fsync");
}

#[test]
fn a_newer_page_supersedes_one_that_is_still_loading() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.push(2, "navigate", nav("http://b/"));
    assert_eq!(world.status(1), Some(Status::Superseded));
    world.paint();
    assert_eq!(world.status(2), Some(Status::Shown));
    assert_eq!(world.machine.content().url(), "http://b/");
}

#[test]
fn a_site_that_fails_is_told_at_once_kept_and_shown_when_it_answers() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Err(AskError::Refused("unknown error: Error: NS_ERROR_CONNECTION_REFUSED".into())));
    let receipt = &world.receipts(1)[0];
    assert_eq!(receipt.status, Status::Failed);
    assert!(receipt.error.as_deref().unwrap().contains("(connection-refused)"), "{receipt:?}");
    assert_eq!(world.navigated().last(), Some(&urls().offline()));
    world.paint();
    world.pass(5 * S);
    let probe = world.probes.pop().unwrap();
    world.give(Input::Probed { ask: probe, result: Err(SiteFault::Refused) });
    world.pass(9 * S);
    let probe = world.probes.pop().unwrap();
    world.give(Input::Probed { ask: probe, result: Ok(()) });
    assert_eq!(world.navigated().last(), Some(&"http://a/".to_owned()));
    world.paint();
    assert!(world.machine.is_showing());
    let finals = world.receipts(1).len();
    assert_eq!(finals, 1, "the receipt said failed, once");
}

#[test]
fn an_order_that_the_page_before_puts_aside_is_given_again_and_not_for_ever() {
    let aborted = || Err(AskError::Refused("unknown error: Error: NS_BINDING_ABORTED".into()));
    let is_navigate = |what: &Ask| matches!(what, Ask::Navigate { .. });
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.answer(world.find(is_navigate).unwrap(), aborted());
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "http://old/again".into() }));
    world.paint();
    assert_eq!(world.status(1), Some(Status::Shown), "after the second order");

    world.push(2, "navigate", nav("http://a/report.zip"));
    let killed = |world: &World| world.effects.iter().filter(|it| matches!(it, Effect::KillContent { .. })).count();
    for time in 0..8 {
        assert_eq!((world.status(2), killed(&world)), (None, usize::from(time >= 4)), "{time}");
        world.answer(world.find(is_navigate).unwrap(), aborted());
        if time == 3 {
            // It was no fault of the page before, as is seen once that is gone.
            let url = "about:tabcrashed?e=x".into();
            world.give(Input::Seen(Seen::Committed { navigation: None, url }));
        }
    }
    assert!(world.receipts(2)[0].error.as_deref().unwrap().contains("(empty-answer)"));
}

#[test]
fn a_page_that_leads_on_at_once_is_shown_when_what_it_led_to_paints() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.give(Input::Seen(Seen::Committed { navigation: Some("n".into()), url: "http://a/".into() }));
    world.answer(at, Err(AskError::Refused("unknown error: Error: Address rejected".into())));
    world.give(Input::Seen(Seen::Committed { navigation: Some("m".into()), url: "http://a/login".into() }));
    assert_eq!(world.status(1), None);
    let painted = Painted { uri: "http://a/login".into(), status: Some(200), failed: None };
    world.give(Input::Seen(Seen::Painted(painted)));
    assert_eq!(world.status(1), Some(Status::Shown));
}

#[test]
fn a_page_that_leaves_by_itself_at_the_same_moment_does_not_fail_the_next_one() {
    let rejected = || Err(AskError::Refused("unknown error: Error: Address rejected".into()));
    let is_navigate = |what: &Ask| matches!(what, Ask::Navigate { .. });
    let left = || Input::Seen(Seen::Committed { navigation: Some("x".into()), url: "http://old/gone".into() });
    let gone = || Painted { uri: "http://old/gone".into(), status: Some(404), failed: None };
    for told_first in [true, false] {
        let mut world = World::up();
        world.push(1, "navigate", nav("http://a/"));
        let at = world.find(is_navigate).unwrap();
        if told_first {
            world.give(left());
        }
        world.answer(at, rejected());
        if !told_first {
            world.give(left());
        }
        world.give(Input::Seen(Seen::Painted(gone())));
        assert_eq!(world.status(1), None, "the order is given again");
        world.paint();
        assert_eq!(world.status(1), Some(Status::Shown));
    }
}

#[test]
fn a_page_that_is_answered_with_another_one_which_leads_on_at_once_is_shown_in_the_end() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    let mut orders = 0;
    while let Some(at) = world.find(|what| matches!(what, Ask::Navigate { .. })) {
        world.answer(at, Err(AskError::Refused("unknown error: Error: Address rejected".into())));
        orders += 1;
        if orders == 4 {
            let url = "about:tabcrashed?e=x".into();
            world.give(Input::Seen(Seen::Committed { navigation: None, url }));
        }
        assert!(orders < 10, "again and again");
    }
    world.give(Input::Seen(Seen::Committed { navigation: Some("m".into()), url: "http://b/home".into() }));
    world.give(Input::Seen(Seen::Painted(Painted { uri: "http://b/home".into(), status: Some(200), failed: None })));
    world.pass(4 * S);
    assert_eq!((world.status(1), orders), (Some(Status::Shown), 8));
}

#[test]
fn a_page_that_answers_404_is_not_shown() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.paint_with(404);
    assert_eq!(world.status(1), Some(Status::Failed));
    assert_eq!(world.navigated().last(), Some(&urls().offline()));
}

#[test]
fn a_playlist_is_shown_at_its_first_paint_passes_over_what_fails_and_goes_on() {
    let mut world = World::up();
    let items = json!([{ "url": "http://a/", "seconds": 5 }, { "url": "http://b/", "seconds": 5 }]);
    world.push(1, "playlist", json!({ "items": items }));
    world.paint_with(404);
    assert_eq!(world.status(1), None, "the next one may show");
    assert_eq!(world.navigated().last(), Some(&urls().blank()));
    world.paint();
    world.pass(3 * S);
    assert_eq!(world.navigated().last(), Some(&"http://b/".to_owned()));
    world.paint();
    assert_eq!(world.status(1), Some(Status::Shown));
    world.pass(S);
    world.answer_all();
    world.pass(5 * S);
    assert_eq!(world.navigated().last(), Some(&"http://a/".to_owned()));
    world.die(false);
    world.give(Input::Attached);
    assert_eq!(world.navigated().last(), Some(&"http://a/".to_owned()), "from the beginning after a restart");
}

#[test]
fn a_film_that_breaks_off_is_passed_over_and_an_item_is_shown_when_the_player_says_so() {
    let mut world = World::up();
    let items = json!([{ "video": "http://a/1.webm", "seconds": 600 }, { "image": "http://a/2.png", "seconds": 5 }]);
    world.push(1, "playlist", json!({ "items": items }));
    world.paint();
    assert_eq!(world.status(1), Some(Status::Shown));
    let film = world.machine.content().url();
    let broken = Painted { uri: film.clone(), status: Some(200), failed: Some("it is damaged".into()) };
    world.give(Input::Seen(Seen::Painted(broken)));
    let picture = world.machine.content().url();
    assert!(
        film.contains("kind=video") && picture.contains("kind=image") && world.navigated().last() == Some(&picture)
    );

    // The player is there already: the order is a jump within it.
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Ok(Answer::Navigated { navigation: Some("j".into()) }));
    world.give(Input::Seen(Seen::Jumped { navigation: Some("j".into()), url: picture.clone() }));
    assert!(!world.machine.is_showing(), "it is only being loaded");
    world.give(Input::Seen(Seen::Painted(Painted { uri: picture, status: Some(200), failed: None })));
    assert!(world.machine.is_showing());
}

#[test]
fn a_playlist_of_dead_links_says_so_and_goes_on_trying() {
    let mut world = World::up();
    world.push(1, "playlist", json!({ "items": [{ "url": "http://a/" }, { "url": "http://b/" }] }));
    world.paint_with(503);
    world.paint();
    world.pass(3 * S);
    world.paint_with(503);
    assert_eq!(world.status(1), Some(Status::Failed));
    assert_eq!(world.navigated().last(), Some(&urls().offline()));
    world.paint();
    world.pass(6 * S);
    world.paint();
    assert!(world.machine.is_showing());
}

#[test]
fn a_hung_page_is_killed_and_loaded_again_and_then_the_browser_is_started_again() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.paint();
    world.effects.clear();
    for _ in 0..8 {
        world.pass(S);
        // The browser itself answers; the page does not.
        while let Some(at) = world.find(|what| *what == Ask::BrowserPulse) {
            world.answer(at, Ok(Answer::Done));
        }
    }
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::KillContent { .. })));
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "about:tabcrashed?e=x".into() }));
    assert_eq!(world.navigated().last(), Some(&"http://a/".to_owned()));
    for _ in 0..13 {
        world.pass(S);
        while let Some(at) = world.find(|what| *what == Ask::BrowserPulse) {
            world.answer(at, Ok(Answer::Done));
        }
    }
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })));
}

#[test]
fn a_browser_that_answers_nothing_is_started_again() {
    let mut world = World::up();
    world.effects.clear();
    world.pass(14 * S);
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })));
}

#[test]
fn a_browser_that_answers_and_paints_not_even_the_local_page_is_started_again() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.effects.clear();
    let is_restart =
        |effect: &Effect| matches!(effect, Effect::RestartBrowser { why, .. } if why.contains("local page"));
    let mut seconds = 0;
    while !world.effects.iter().any(is_restart) {
        world.pass(S);
        // Whatever is asked for is taken and answered; nothing is ever painted, as behind a dialog of Firefox's own.
        while let Some(at) = world.find(|what| matches!(what, Ask::BrowserPulse | Ask::Pulse)) {
            world.answer(at, Ok(Answer::Done));
        }
        seconds += 1;
        assert!(seconds < 120, "it never gives up on this browser");
    }
    assert_eq!(world.status(1), Some(Status::Failed));
    assert!(world.navigated().contains(&urls().offline()));
}

#[test]
fn a_picture_that_takes_a_minute_over_a_slow_line_is_done_and_has_not_failed() {
    let mut world = World::up();
    world.push(1, "screenshot", json!({}));
    let at = world.find(|what| matches!(what, Ask::Screenshot { .. })).unwrap();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.status(1), None, "it is on its way to the server");
    world.answer(at, Ok(Answer::Result(json!({ "url": "/v1/x" }))));
    assert_eq!(world.status(1), Some(Status::Done));
}

#[test]
fn a_display_tells_the_address_it_has_now_and_not_the_one_that_it_had_when_it_started() {
    let mut world = World::up();
    world.machine.is_reached_at(vec!["192.0.2.99  eth0".into()]);
    world.push(1, "identify", json!({}));
    let lines = world.asks.iter().find_map(|(_, what)| match what {
        Ask::Overlay { argument, .. } => Some(argument["lines"].clone()),
        _ => None,
    });
    assert_eq!(lines, Some(json!(["192.0.2.99  eth0"])));
}

#[test]
fn a_message_still_due_is_laid_again_over_the_next_page() {
    let mut world = World::up();
    world.push(1, "message", json!({ "text": "hi", "seconds": 60 }));
    world.answer_all();
    assert_eq!(world.status(1), Some(Status::Shown));
    world.pass(Duration::from_millis(500));
    world.asks.clear();
    world.push(2, "navigate", nav("http://a/"));
    world.paint();
    let laid = |what: &Ask| matches!(what, Ask::Overlay { argument, .. } if argument["text"] == "hi");
    let at = world.find(laid).expect("laid again");
    let Ask::Overlay { argument, .. } = &world.asks[at].1 else { panic!() };
    assert!(argument["seconds"].as_f64().unwrap() < 60.0, "for the time that is left");
    world.push(3, "clear_message", json!({}));
    world.answer_all();
    world.push(4, "navigate", nav("http://b/"));
    world.paint();
    assert!(world.find(laid).is_none(), "cleared is cleared");
}

#[test]
fn an_action_waits_for_the_browser_and_expires_if_it_does_not_come() {
    let mut world = World::new();
    world.link();
    let mut message = event(1, "message", json!({ "text": "hi" }));
    message.expirytime = Some(UtcMillis(SERVER_MS + 30_000));
    world.deliver(message);
    assert_eq!(world.receipts(1), []);
    world.pass(31 * S);
    assert_eq!(world.status(1), Some(Status::Expired));
    world.push(2, "message", json!({ "text": "ho" }));
    world.give(Input::Attached);
    world.answer_all();
    assert_eq!(world.status(2), Some(Status::Shown));
}

#[test]
fn an_action_that_waits_keeps_its_time_when_the_servers_clock_is_set_meanwhile() {
    for (by_ms, restarted) in [(3_600_000, false), (-3_600_000, false), (3_600_000, true), (-3_600_000, true)] {
        let mut world = World::new();
        world.link();
        let mut message = event(1, "message", json!({ "text": "hi" }));
        message.expirytime = Some(UtcMillis(SERVER_MS + 30_000));
        world.deliver(message);
        world.pass(10 * S);
        world.unlink();
        let server_ms = SERVER_MS.saturating_add_signed(by_ms) + 10_000;
        world.linked = true;
        world.give(Input::Linked { server_ms, heads: BTreeMap::new() });
        if restarted {
            world.die(false);
            world.linked = true;
            world.give(Input::Linked { server_ms, heads: BTreeMap::new() });
        }
        world.pass(19 * S);
        assert_eq!(world.receipts(1), [], "{by_ms}: a second is left");
        world.pass(2 * S);
        assert_eq!(world.status(1), Some(Status::Expired), "{by_ms}");
    }
}

#[test]
fn a_restart_says_interrupted_for_what_was_cut_and_done_for_itself() {
    let mut world = World::up();
    world.push(1, "message", json!({ "text": "hi" }));
    world.push(2, "navigate", nav("http://a/"));
    world.die(false);
    world.link();
    let receipt = &world.receipts(1)[0];
    assert_eq!((receipt.status, receipt.error.as_deref()), (Status::Failed, Some(INTERRUPTED)));
    world.give(Input::Attached);
    world.answer_all();
    assert_eq!(world.status(2), Some(Status::Shown), "state is painted again, and its receipt sent");
    world.push(3, "restart", json!({}));
    assert_eq!(world.effects.last(), Some(&Effect::Restart { by: "restart" }));
    world.die(true);
    world.link();
    assert_eq!(world.status(3), Some(Status::Done));
    assert_eq!(world.machine.content().url(), "http://a/", "what is on the glass stays");
}

#[test]
fn a_duplicate_gets_its_receipt_again_and_nothing_else_happens() {
    let mut world = World::up();
    world.push(1, "message", json!({ "text": "hi" }));
    world.push(1, "message", json!({ "text": "hi" }));
    world.answer_all();
    let asked = |world: &World| {
        world.effects.iter().filter(|effect| matches!(effect, Effect::Ask { what: Ask::Overlay { .. }, .. })).count()
    };
    let before = asked(&world);
    world.push(1, "message", json!({ "text": "hi" }));
    assert_eq!(asked(&world), before);
    assert_eq!(world.receipts(1).len(), 3, "shown, with its hash, and again");
}

#[test]
fn what_is_not_known_is_refused_and_the_pages_own_events_are_given_to_the_page_once() {
    let mut world = World::up();
    world.push(1, "fly", json!({}));
    world.push(2, "navigate", json!({ "url": "file:///etc/passwd" }));
    assert_eq!((world.status(1), world.status(2)), (Some(Status::Refused), Some(Status::Refused)));
    let mut own = Event::new("x", "/test", "org.example.order").to(Address::All).with_data(&json!({ "n": 1 }));
    own.position = Some(Position { epoch: "k".into(), offset: 9 });
    for _ in 0..2 {
        world.deliver(own.clone());
    }
    let given = world.asks.iter().filter(|(_, what)| matches!(what, Ask::PageEvent { .. })).count();
    assert_eq!(given, 1);
    world.die(true);
    world.link();
}

#[test]
fn a_value_that_is_given_again_is_back_on_the_glass() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.answer_all();
    world.push(2, "navigate", nav("http://b/"));
    world.answer_all();
    world.push(1, "navigate", nav("http://a/"));
    world.paint();
    assert_eq!(world.machine.content().url(), "http://a/");
    assert_eq!(world.machine.journal().state(Slot::Content).unwrap().key, key(1));
    world.die(true);
    assert_eq!(world.machine.content().url(), "http://a/");
}

#[test]
fn receipts_made_without_a_link_are_sent_when_it_is_back() {
    let mut world = World::up();
    world.push(1, "message", json!({ "text": "hi" }));
    world.unlink();
    world.answer_all();
    assert_eq!(world.receipts(1), []);
    world.link();
    assert_eq!(world.receipts(1).len(), 1);
    world.unlink();
    world.link();
    assert_eq!(world.receipts(1).len(), 1, "told is told");
}

#[test]
fn a_new_browser_is_done_when_it_shows_the_page_again() {
    let mut world = World::up();
    world.push(1, "restart_browser", json!({}));
    world.give(Input::Detached { why: "asked".into() });
    assert_eq!(world.status(1), None);
    world.give(Input::Attached);
    world.answer_all();
    assert_eq!(world.status(1), Some(Status::Done));
}

/// Found by hand: `restart`, and a second later `restart_browser`. The order went to a loop that was not there yet, and its
/// sender heard after 151 s that the browser did not end in time.
#[test]
fn a_new_browser_that_is_asked_for_before_there_is_a_browser_loop_is_started_when_there_is_one() {
    let restarts = |world: &World| world.effects.iter().any(|it| matches!(it, Effect::RestartBrowser { .. }));
    let mut world = World::new();
    world.link();
    world.push(1, "restart_browser", json!({}));
    assert!(!restarts(&world), "nobody is there to do it");
    world.give(Input::LoopCame);
    assert!(restarts(&world));
    world.give(Input::Attached);
    world.answer_all();
    world.paint();
    assert_eq!(world.status(1), Some(Status::Done));
}

#[test]
fn what_strangers_open_is_closed_and_dialogs_are_dismissed() {
    let mut world = World::up();
    world.give(Input::Seen(Seen::Opened { context: "popup".into() }));
    world.give(Input::Seen(Seen::Prompted { context: "page".into() }));
    assert!(world.find(|what| *what == Ask::CloseContext { context: "popup".into() }).is_some());
    assert!(world.find(|what| *what == Ask::DismissPrompt { context: "page".into() }).is_some());
}

/// The browser's page about the crash has the same address: a mere jump would leave it there.
#[test]
fn a_page_with_a_fragment_in_its_address_is_really_loaded_again_after_a_crash() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/#menu"));
    world.answer_all();
    world.pass(2 * S);
    world.give(Input::Seen(Seen::Committed { navigation: None, url: "about:tabcrashed?u=x".into() }));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).expect("it is loaded again");
    let navigation = Some("jump".to_owned());
    world.give(Input::Seen(Seen::Jumped { navigation: navigation.clone(), url: "http://a/#menu".into() }));
    world.answer(at, Ok(Answer::Navigated { navigation }));
    assert!(!world.machine.is_showing(), "nothing was loaded");
    assert!(world.find(|what| matches!(what, Ask::Reload { .. })).is_some());
    world.paint();
    assert!(world.machine.is_showing());
}
