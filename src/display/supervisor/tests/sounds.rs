//! Sounds and speech: one after the other, each to its end, and no tab left behind.

use super::*;

fn sound(world: &mut World, n: u64) {
    world.push(n, "sound", json!({ "url": format!("http://s/{n}.mp3") }));
}

impl World {
    fn aside(&mut self, context: &str) {
        let at = self.find(|what| *what == Ask::OpenAside).expect("a tab is asked for");
        // The browser tells of the tab before it answers.
        self.give(Input::Seen(Seen::Opened { context: context.into() }));
        self.answer(at, Ok(Answer::Opened { context: context.into() }));
    }

    fn plays(&self) -> Vec<String> {
        let url = |(_, what): &(AskId, Ask)| match what {
            Ask::Play { url, .. } => Some(url.clone()),
            _ => None,
        };
        self.asks.iter().filter_map(url).collect()
    }

    fn played(&mut self, answer: Result<Answer, AskError>) {
        let at = self.find(|what| matches!(what, Ask::Play { .. })).expect("something plays");
        self.answer(at, answer);
    }

    fn closes(&self, context: &str) -> bool {
        self.find(|what| *what == Ask::CloseContext { context: context.into() }).is_some()
    }
}

#[test]
fn a_sound_is_done_when_it_has_been_played_to_its_end_and_its_tab_is_closed() {
    let mut world = World::up();
    sound(&mut world, 1);
    world.aside("t1");
    assert!(!world.closes("t1"), "it is the one that was asked for");
    assert_eq!((world.plays(), world.status(1)), (vec!["http://s/1.mp3".to_owned()], None));
    world.played(Ok(Answer::Result(json!({ "seconds": 2.5 }))));
    assert_eq!(world.receipts(1)[0].result, Some(json!({ "seconds": 2.5 })));
    assert_eq!(world.status(1), Some(Status::Done));
    assert!(world.closes("t1"));
    assert_eq!(world.navigated().len(), 1, "the page on the glass stayed: only the start page was ever loaded");
}

#[test]
fn sounds_wait_for_one_another_and_too_many_are_told_so() {
    let mut world = World::up();
    (1..=10).for_each(|n| sound(&mut world, n));
    assert!(world.receipts(10)[0].error.as_deref().unwrap().contains("8 sounds wait"));
    world.aside("t1");
    assert_eq!(world.plays(), ["http://s/1.mp3"]);
    world.played(Err(AskError::Refused("it cannot be decoded".into())));
    assert_eq!(world.receipts(1)[0].error.as_deref(), Some("it cannot be decoded"));
    world.aside("t2");
    assert_eq!(world.plays(), ["http://s/2.mp3"]);
}

#[test]
fn a_window_that_a_page_opens_meanwhile_is_closed_as_ever() {
    let mut world = World::up();
    sound(&mut world, 1);
    world.give(Input::Seen(Seen::Opened { context: "popup".into() }));
    assert!(!world.closes("popup"), "it may be the tab");
    world.aside("t1");
    assert!(world.closes("popup") && !world.closes("t1"));
    world.give(Input::Seen(Seen::Opened { context: "popup2".into() }));
    assert!(world.closes("popup2"));
}

#[test]
fn a_text_is_spoken_and_a_display_that_cannot_speak_says_why() {
    let mut world = World::up();
    world.push(1, "say", json!({ "text": "Table forty-one" }));
    let (ask, text) = world.speeches.pop().unwrap();
    assert_eq!(text, "Table forty-one");
    world.give(Input::Answered { ask, answer: Ok(Answer::Result(json!("data:audio/wav;base64,A"))) });
    world.aside("t1");
    assert_eq!(world.plays(), ["data:audio/wav;base64,A"]);
    world.played(Ok(Answer::Result(json!({ "seconds": 1 }))));
    world.push(2, "say", json!({ "text": "again" }));
    let (ask, _) = world.speeches.pop().unwrap();
    world.give(Input::Answered { ask, answer: Err(AskError::Lacking("no espeak-ng".into())) });
    assert_eq!((world.status(1), world.status(2)), (Some(Status::Done), Some(Status::Refused)));
}

#[test]
fn a_browser_that_dies_or_never_answers_ends_the_sound_and_the_next_one_plays() {
    let mut world = World::up();
    sound(&mut world, 1);
    sound(&mut world, 2);
    world.aside("t1");
    world.played(Err(AskError::Gone));
    assert_eq!(world.status(1), Some(Status::Failed));
    world.asks.clear();
    for _ in 0..12 {
        world.pass(S);
        while let Some(at) = world.find(|what| !matches!(what, Ask::OpenAside)) {
            world.answer(at, Ok(Answer::Done));
        }
    }
    assert_eq!(world.status(2), Some(Status::Failed), "it is given up");
    world.give(Input::Seen(Seen::Opened { context: "late".into() }));
    assert!(world.closes("late"), "and its tab, should it come, is closed");
}
