//! Pages whose process ended, as Firefox tells it and as it does not.

use super::{recovering::FULL, *};

/// The page is asked, Firefox has none to ask, and it is loaded again.
fn found_gone_and_loaded_again(world: &mut World) {
    world.pass(S / 4);
    let at = world.find(|what| *what == Ask::Pulse).unwrap();
    world.answer(at, Ok(Answer::Pageless));
    assert_eq!(world.navigated(), ["http://a/"]);
    world.paint();
    assert!(world.machine.truth(world.now).is_right());
}

/// As it is with the page that Firefox was started with.
#[test]
fn a_page_whose_end_firefox_does_not_tell_is_loaded_again_within_the_second() {
    let mut world = World::at("http://a/");
    world.live(5, FULL);
    world.asks.clear();
    world.effects.clear();
    world.give(Input::ContentEnded);
    // Firefox has not found out yet: the question goes to a process that is gone.
    world.pass(S / 4);
    assert!(world.find(|what| *what == Ask::Pulse).is_some());
    found_gone_and_loaded_again(&mut world);
}

#[test]
fn a_page_that_dies_between_its_beginning_and_its_first_paint_is_loaded_again_without_a_wait_for_its_paint() {
    let mut world = World::at("http://a/");
    world.live(5, FULL);
    world.crash();
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Ok(Answer::Navigated { navigation: Some("n".into()) }));
    world.give(Input::Seen(Seen::Committed { navigation: Some("n".into()), url: "http://a/".into() }));
    world.effects.clear();
    world.give(Input::ContentEnded);
    found_gone_and_loaded_again(&mut world);
}

#[test]
fn a_process_that_ends_behind_a_page_that_is_well_costs_a_question_and_no_load() {
    let mut world = World::at("http://a/");
    world.live(5, FULL);
    world.effects.clear();
    world.give(Input::ContentEnded);
    world.pass(S / 4);
    let at = world.find(|what| *what == Ask::Pulse).unwrap();
    world.answer(at, Ok(Answer::Looked(FULL)));
    world.live(10, FULL);
    assert_eq!(world.navigated(), Vec::<String>::new());
    let asked = world.effects.iter().filter(|it| matches!(it, Effect::Ask { what: Ask::Pulse, .. })).count();
    assert!((3..=5).contains(&asked), "{asked} questions in ten seconds");
}

#[test]
fn what_firefox_shows_while_the_page_is_on_its_way_is_not_taken_for_the_page() {
    let mut world = World::at("http://a/");
    world.live(5, FULL);
    world.effects.clear();
    world.crash();
    for _ in 0..3 {
        world.give(Input::ContentEnded);
        world.pass(S);
        while let Some(at) = world.find(|what| *what == Ask::Pulse) {
            world.answer(at, Ok(Answer::Pageless));
        }
    }
    assert_eq!(world.navigated(), ["http://a/"], "a site may be slow");
}

/// Firefox refuses every order for a tab whose process was killed before it had a document.
#[test]
fn a_tab_that_has_no_document_at_all_is_left_for_another_one_within_seconds_and_blames_no_site() {
    let mut world = World::at("http://a/");
    world.push(2, "navigate", nav("http://b/"));
    let mut waited = 0;
    let replaced = |world: &World| world.effects.iter().filter(|it| matches!(it, Effect::ReplaceTab { .. })).count();
    while replaced(&world) == 0 {
        while let Some(at) = world.find(|what| matches!(what, Ask::Pulse | Ask::Navigate { .. })) {
            world.answer(at, Err(AskError::Frameless));
        }
        assert_eq!(world.machine.content().trouble(), None, "it is not the site's fault");
        world.pass(S / 4);
        waited += 1;
        assert!(waited <= 4 * 6, "six seconds");
    }
    assert!(world.receipts(2).is_empty(), "what was ordered is not given up: {:?}", world.receipts(2));
    assert_eq!(world.restarts(), 0);
    // The other one ends the same way, twice: then it is Firefox.
    for _ in 0..2 {
        world.asks.clear();
        world.give(Input::Detached { why: "its page gets another tab".into() });
        world.give(Input::Attached);
        for _ in 0..16 {
            while let Some(at) = world.find(|what| matches!(what, Ask::Pulse | Ask::Navigate { .. })) {
                world.answer(at, Err(AskError::Frameless));
            }
            world.pass(S / 4);
        }
    }
    assert_eq!((replaced(&world), world.restarts()), (2, 1));
}

#[test]
fn a_moment_without_a_document_is_none_to_start_firefox_again_for() {
    let mut world = World::at("http://a/");
    world.push(2, "navigate", nav("http://b/"));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Err(AskError::Frameless));
    world.give(Input::ContentEnded);
    world.effects.clear();
    for _ in 0..6 {
        world.pass(S / 4);
        while let Some(at) = world.find(|what| *what == Ask::Pulse) {
            world.answer(at, Err(AskError::Frameless));
        }
    }
    world.asks.retain(|(_, what)| *what != Ask::Pulse);
    world.live(3, FULL);
    assert_eq!(world.navigated(), ["http://b/"], "it is ordered again");
    world.paint();
    world.live(20, FULL);
    assert_eq!(world.restarts(), 0);
    assert!(world.machine.truth(world.now).is_right());
}
