//! People come to the screen, do something to the page, and go.

use super::*;
use crate::display::screen::Facts;

impl World {
    /// The loop tells every five seconds since when nobody has touched anything; for so many seconds.
    fn told_that_nobody_touches(&mut self, idle: u64, seconds: u64) {
        for told in (0..seconds).step_by(5) {
            let idle_ms = Some((idle + told) * 1000);
            self.give(Input::ScreenSeen(Facts { idle_ms, ..Facts::default() }));
            self.pass(5 * S);
        }
    }

    fn showing(url: &str) -> Self {
        let mut world = World::up();
        world.push(1, "navigate", nav(url));
        world.paint();
        world.pass(10 * S);
        world.effects.clear();
        world
    }

    /// Somebody follows a link, which stays on the glass.
    fn follow(&mut self, url: &str) {
        self.give(Input::Seen(Seen::Committed { navigation: Some("link".into()), url: url.into() }));
        self.give(Input::Seen(Seen::Painted(Painted { uri: url.into(), status: Some(200), failed: None })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_people_left_is_there_again_as_it_was_for_those_who_come_next() {
    let mut world = World::showing("http://a/");
    world.follow("http://a/deep/inside");
    world.told_that_nobody_touches(1, 55);
    assert_eq!(world.navigated(), [""; 0], "they may only be reading");
    world.told_that_nobody_touches(60, 5);
    assert_eq!(world.navigated(), ["http://a/"]);
    world.paint();
    world.told_that_nobody_touches(65, 3600);
    assert_eq!(world.navigated().len(), 1, "once is enough: nobody came");
    world.told_that_nobody_touches(0, 65);
    assert_eq!(world.navigated(), ["http://a/", "http://a/"], "somebody came and went");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_nobody_touched_is_left_alone_whatever_it_does_by_itself() {
    let mut world = World::showing("http://a/");
    world.follow("http://a/next");
    world.told_that_nobody_touches(7200, 600);
    assert_eq!(world.navigated(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_place_within_the_page_is_come_to_by_a_new_document_and_not_by_a_jump() {
    let mut world = World::showing("http://a/#/start");
    world.told_that_nobody_touches(0, 65);
    assert_eq!(world.navigated(), ["http://a/#/start"]);
    let (ask, _) = world.asks.pop().unwrap();
    let navigation = Some("jump".to_owned());
    world.give(Input::Answered { ask, answer: Ok(Answer::Navigated { navigation: navigation.clone() }) });
    world.give(Input::Seen(Seen::Jumped { navigation, url: "http://a/#/start".into() }));
    assert!(world.find(|what| *what == Ask::Reload { ignore_cache: false }).is_some(), "{:?}", world.asks);
    world.paint();
    assert!(world.machine.is_showing());
}

#[tokio::test(start_paused = true)]
async fn a_playlist_a_drill_and_a_page_that_is_away_go_on_as_they_are() {
    let mut playing = World::up();
    playing.push(1, "playlist", json!({ "items": [{ "url": "http://a/", "seconds": 86400 }], "loop": true }));
    playing.paint();
    playing.pass(10 * S);
    playing.effects.clear();
    playing.told_that_nobody_touches(0, 120);
    assert_eq!(playing.navigated(), [""; 0]);

    let mut drilled = World::showing("http://a/");
    drilled.give(Input::Held { url: "http://127.0.0.1:9/".into() });
    drilled.paint();
    drilled.pass(10 * S);
    drilled.effects.clear();
    drilled.told_that_nobody_touches(0, 120);
    assert_eq!(drilled.navigated(), [""; 0]);
}
