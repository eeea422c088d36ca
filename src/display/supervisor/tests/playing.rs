//! A playlist of web pages whose sites come and go: what a viewer sees, and what is told of it.

use super::*;
use crate::display::screen::Order;

/// What is pushed: pages of so many seconds each.
fn pages(pages: &[(&str, u32)]) -> serde_json::Value {
    let item = |(url, seconds): &(&str, u32)| json!({ "url": url, "seconds": seconds });
    json!({ "items": pages.iter().map(item).collect::<Vec<_>>() })
}

const A: &str = "http://a/";
const B: &str = "http://b/";
const C: &str = "http://c/";

/// The sites that do not answer, and the pages of which there is a picture on the card.
#[derive(Default)]
struct Around {
    silent: Vec<&'static str>,
    pictures: Vec<&'static str>,
}

impl Around {
    /// Answers the questions of the last effects: probes, looks onto the card, and what Firefox is asked.
    fn answer(&self, world: &mut World) {
        for _ in 0..20 {
            let effects = std::mem::take(&mut world.effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Probe { ask, url } => {
                        world.probes.clear();
                        let silent = self.silent.iter().any(|site| *site == url);
                        let result = if silent { Err(SiteFault::Refused) } else { Ok(()) };
                        world.give(Input::Probed { ask, result });
                    }
                    Effect::Gather { ask, what: Gather::Picture { url } } => {
                        world.gathers.clear();
                        let there = self.pictures.iter().any(|page| *page == url);
                        world.give(Input::Gathered { ask, result: Ok(json!(there)) });
                    }
                    Effect::Ask { ask, what: Ask::Navigate { url }, .. } => self.load(world, ask, url),
                    _ => {}
                }
            }
        }
        world.answer_all();
    }

    fn load(&self, world: &mut World, ask: AskId, url: String) {
        let Some(at) = world.asks.iter().position(|(asked, _)| *asked == ask) else { return };
        if self.silent.iter().any(|site| *site == url) {
            let why = "Error: NS_ERROR_CONNECTION_REFUSED".to_owned();
            return world.answer(at, Err(AskError::Refused(why)));
        }
        let navigation = Some(format!("n{ask}"));
        world.answer(at, Ok(Answer::Navigated { navigation: navigation.clone() }));
        if world.glass == url {
            return world.give(Input::Seen(Seen::Jumped { navigation, url }));
        }
        world.glass.clone_from(&url);
        world.give(Input::Seen(Seen::Committed { navigation, url: url.clone() }));
        world.give(Input::Seen(Seen::Painted(Painted { uri: url, status: Some(200), failed: None })));
    }

    /// What is on the glass in the next seconds, each change once.
    fn watch(&self, world: &mut World, seconds: u32) -> Vec<String> {
        let mut seen = vec![world.glass.clone()];
        for _ in 0..seconds * 2 {
            world.pass(S / 2);
            self.answer(world);
            if seen.last() != Some(&world.glass) {
                seen.push(world.glass.clone());
            }
        }
        seen
    }
}

/// The playlist is on the glass and has gone round once.
fn playing(list: &serde_json::Value, around: &Around) -> World {
    let mut world = World::up();
    world.effects.clear();
    world.push(1, "playlist", list.clone());
    around.answer(&mut world);
    around.watch(&mut world, 40);
    world
}

#[test]
fn an_item_whose_site_is_away_stands_as_its_last_picture_for_its_seconds_and_comes_back_in_its_turn() {
    let list = pages(&[(A, 10), (B, 10)]);
    let mut world = playing(&list, &Around::default());
    let away = Around { silent: vec![B], pictures: vec![A, B] };
    let seen = away.watch(&mut world, 60);
    assert!(seen.len() >= 6 && seen.iter().all(|url| *url == A || *url == B || *url == urls().offline()), "{seen:?}");
    assert!(!seen[2..].iter().any(|url| url == B), "{seen:?}");
    while world.glass != urls().offline() {
        away.watch(&mut world, 1);
    }
    let trouble = world.machine.content().trouble().unwrap().clone();
    assert_eq!((trouble.url.as_str(), &trouble.fault, trouble.in_turn), (B, &SiteFault::Refused, true));
    assert!(trouble.tries >= 2 && world.now - trouble.since > 30 * S, "since the first time: {trouble:?}");
    let truth = world.machine.truth(world.now);
    assert!(!truth.is_right() && truth.sentence().contains("item 2 of the playlist, http://b/ is not on the glass"));
    assert_eq!(away.watch(&mut world, 8), [urls().offline()], "for its own seconds");

    let back = Around { pictures: vec![A, B], ..Around::default() };
    let seen = back.watch(&mut world, 25);
    assert_eq!(seen[..3], [&urls().offline(), A, B]);
    assert!(world.machine.truth(world.now).is_right());
}

#[test]
fn an_item_without_a_picture_is_passed_over_and_a_viewer_sees_nothing_of_it() {
    let list = pages(&[(A, 10), (B, 10), (C, 10)]);
    let mut world = playing(&list, &Around::default());
    let away = Around { silent: vec![B], ..Around::default() };
    let seen = away.watch(&mut world, 65);
    let after_b = seen.iter().skip_while(|url| *url == B);
    assert!(after_b.clone().count() >= 5 && after_b.clone().all(|url| url == A || url == C), "{seen:?}");
}

#[test]
fn with_all_sites_away_each_item_stands_as_its_picture_on_one_page_of_ours() {
    let list = pages(&[(A, 10), (B, 10)]);
    let mut world = playing(&list, &Around::default());
    let away = Around { silent: vec![A, B], pictures: vec![A, B] };
    away.watch(&mut world, 30);
    let mut told = Vec::new();
    for _ in 0..60 {
        assert_eq!(away.watch(&mut world, 1), [urls().offline()]);
        let url = world.machine.content().trouble().unwrap().url.clone();
        if told.last() != Some(&url) {
            told.push(url);
        }
    }
    assert!(told.len() >= 5, "each in its turn: {told:?}");
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })));
}

#[test]
fn a_list_that_is_pushed_begins_with_what_is_there_and_not_with_an_old_picture() {
    let away = Around { silent: vec![A], pictures: vec![A] };
    let mut world = World::up();
    world.effects.clear();
    world.push(1, "playlist", pages(&[(A, 10), (B, 10)]));
    away.answer(&mut world);
    assert_eq!(world.status(1), None);
    away.watch(&mut world, 3);
    assert_eq!((world.status(1), world.glass.as_str()), (Some(Status::Shown), B));
}

#[test]
fn what_the_probe_never_reached_is_loaded_all_the_same_for_firefox_may_see_another_network() {
    let list = pages(&[(A, 10), (B, 10)]);
    let mut world = World::up();
    world.effects.clear();
    world.push(1, "playlist", list);
    // Through Firefox's own proxy both are there.
    for _ in 0..80 {
        for ask in std::mem::take(&mut world.probes) {
            world.give(Input::Probed { ask, result: Err(SiteFault::TimedOut) });
        }
        world.paint();
        world.pass(S);
    }
    let loads = world.navigated().into_iter().filter(|url| url == B).count();
    assert!(loads >= 3, "{loads}");
}

#[test]
fn firefox_itself_tries_now_and_then_what_the_probe_cannot_reach_any_more() {
    let list = pages(&[(A, 10), (B, 10)]);
    let mut world = playing(&list, &Around::default());
    let mut tried = 0;
    let away = Around { silent: vec![B], pictures: vec![B] };
    for _ in 0..200 {
        world.pass(S);
        tried += world.navigated().iter().filter(|url| *url == B).count();
        away.answer(&mut world);
    }
    assert!((1..=4).contains(&tried), "{tried} times in ten turns");
}

#[test]
fn a_site_that_says_no_is_passed_over_and_its_old_picture_is_not_shown() {
    let list = pages(&[(A, 5), (B, 5)]);
    let all = Around { pictures: vec![A, B], ..Around::default() };
    let mut world = playing(&list, &all);
    while world.glass != A {
        all.watch(&mut world, 1);
    }
    world.give(Input::Seen(Seen::Painted(Painted { uri: A.into(), status: Some(404), failed: None })));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Gather { .. })));
    assert_eq!(world.navigated().last(), Some(&urls().blank()));
}

#[test]
fn the_last_item_is_seen_until_the_next_one_is_painted_and_no_longer_than_three_seconds() {
    let list = pages(&[(A, 10), (B, 10)]);
    let mut world = playing(&list, &Around::default());
    let orders = |world: &mut World| -> Vec<Order> { world.orders.drain(..).map(|(_, order)| order).collect() };
    while world.navigated().is_empty() {
        orders(&mut world);
        world.effects.clear();
        world.pass(S / 2);
        for ask in std::mem::take(&mut world.probes) {
            world.give(Input::Probed { ask, result: Ok(()) });
        }
    }
    assert_eq!(orders(&mut world), [Order::Hold { seconds: 3 }]);
    world.paint();
    assert_eq!(orders(&mut world), [], "the rest of it is still coming");
    world.pass(S);
    assert_eq!(orders(&mut world), [Order::Release]);

    // A message is to be seen at once.
    let mut message = playing(&list, &Around::default());
    while message.navigated().is_empty() {
        orders(&mut message);
        message.effects.clear();
        message.pass(S / 2);
        for ask in std::mem::take(&mut message.probes) {
            message.give(Input::Probed { ask, result: Ok(()) });
        }
    }
    message.push(2, "message", json!({ "text": "Fire" }));
    assert_eq!(orders(&mut message), [Order::Hold { seconds: 3 }, Order::Release]);
}

#[test]
fn a_film_that_follows_a_picture_is_changed_by_the_player_and_nothing_is_held_over_it() {
    let mut world = World::up();
    let items = json!([{ "image": "http://a/1.png", "seconds": 5 }, { "video": "http://a/2.webm", "seconds": 5 }]);
    world.push(1, "playlist", json!({ "items": items }));
    world.paint();
    world.orders.clear();
    for _ in 0..20 {
        world.pass(S);
        world.paint();
    }
    assert!(world.orders.iter().all(|(_, order)| !matches!(order, Order::Hold { .. })), "{:?}", world.orders);
}

#[test]
fn a_browser_that_is_started_again_in_good_order_is_replaced_behind_its_last_picture() {
    let mut world = World::up();
    world.push(1, "navigate", nav(A));
    world.answer_all();
    world.push(2, "restart_browser", json!({}));
    let restarts = |world: &World| world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. }));
    let (hold, order) = world.orders.pop().unwrap();
    assert_eq!(order, Order::Hold { seconds: 15 });
    assert!(!restarts(&world), "not before the picture is held");
    world.give(Input::Answered { ask: hold, answer: Ok(Answer::Result(json!({ "held": true }))) });
    assert!(restarts(&world));
    world.give(Input::Detached { why: "asked".into() });
    world.pass(4 * S);
    assert!(world.orders.is_empty());
    world.give(Input::Attached);
    world.paint();
    world.pass(S);
    assert!(world.orders.iter().any(|(_, order)| *order == Order::Release));
    assert_eq!(world.status(2), Some(Status::Done));

    // So is one that has grown too large.
    let mut grown = World::up();
    grown.give(Input::Overgrown(Overgrown { content: false, killed: false, megabytes: 900, limit: 800 }));
    assert_eq!(grown.orders.pop().unwrap().1, Order::Hold { seconds: 15 });

    // One that does not come back is not hidden for long.
    let mut lost = World::up();
    lost.push(2, "restart_browser", json!({}));
    let (hold, _) = lost.orders.pop().unwrap();
    lost.give(Input::Answered { ask: hold, answer: Ok(Answer::Result(json!({ "held": true }))) });
    lost.give(Input::Detached { why: "asked".into() });
    lost.pass(14 * S);
    assert!(lost.orders.is_empty());
    lost.pass(2 * S);
    assert_eq!(lost.orders.pop().unwrap().1, Order::Release);
}

#[test]
fn a_picture_of_data_that_is_cleared_is_not_held() {
    let mut world = World::up();
    world.push(2, "clear_data", json!({}));
    assert!(world.orders.is_empty());
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })));
}

#[test]
fn a_picture_whose_copy_is_to_be_made_anew_is_loaded_again_once_it_is_there_and_says_if_it_cannot_be_had() {
    let url = "http://a/1.png";
    let mut world = World::up();
    world.push(1, "playlist", json!({ "items": [{ "image": url, "seconds": 600 }] }));
    world.answer_all();
    let asked = |world: &World| {
        let media = |effect: &Effect| match effect {
            Effect::Gather { ask, what: Gather::Media { url: of } } if of == url => Some(*ask),
            _ => None,
        };
        world.effects.iter().filter_map(media).next_back().unwrap()
    };
    world.push(2, "reload", json!({ "ignore_cache": true }));
    let ask = asked(&world);
    assert!(world.machine.is_showing() && world.status(2).is_none(), "the old one stays meanwhile");
    world.give(Input::Gathered { ask, result: Ok(json!(null)) });
    assert!(world.find(|what| *what == Ask::Reload { ignore_cache: true }).is_some());
    world.answer_all();
    assert_eq!(world.status(2), Some(Status::Shown));

    world.push(3, "reload", json!({ "ignore_cache": true }));
    let ask = asked(&world);
    world.give(Input::Gathered { ask, result: Err("the site answered 503".into()) });
    assert_eq!(world.status(3), Some(Status::Failed));
    assert!(world.receipts(3)[0].error.as_deref().unwrap().contains("the site answered 503"));
    assert!(world.machine.is_showing());

    world.push(4, "reload", json!({ "ignore_cache": true }));
    world.push(5, "navigate", nav(A));
    assert_eq!(world.status(4), Some(Status::Superseded));
}

#[test]
fn a_page_of_ours_that_is_there_already_is_taken_for_painted_however_long_a_site_is_away() {
    let mut world = World::up();
    world.push(1, "navigate", nav(A));
    world.effects.clear();
    let mut on_glass = String::new();
    for _ in 0..3000 {
        world.live(1, Looked::default());
        for ask in std::mem::take(&mut world.probes) {
            world.give(Input::Probed { ask, result: Err(SiteFault::TimedOut) });
        }
        while let Some(at) = world.find(|what| matches!(what, Ask::Navigate { .. })) {
            let (ask, what) = world.asks[at].clone();
            let Ask::Navigate { url } = what else { return };
            // Nothing comes of the site, and Firefox stays where it is.
            if url == A {
                world.answer(at, Err(AskError::TimedOut));
            } else if on_glass == url {
                let navigation = Some(format!("n{ask}"));
                world.answer(at, Ok(Answer::Navigated { navigation: navigation.clone() }));
                world.give(Input::Seen(Seen::Jumped { navigation, url }));
            } else {
                on_glass = url;
                world.paint();
            }
        }
    }
    assert!(world.navigated().iter().filter(|url| *url == A).count() > 5, "Firefox itself tried");
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::RestartBrowser { .. })));
}

#[test]
fn a_list_of_pictures_that_cannot_be_had_names_their_site_and_not_our_own_player() {
    let mut world = World::up();
    world.push(1, "playlist", json!({ "items": [{ "image": "http://pictures.example/1.png" }] }));
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    let url = world.machine.content().url();
    world.answer(at, Ok(Answer::Navigated { navigation: Some("n".into()) }));
    world.give(Input::Seen(Seen::Committed { navigation: Some("n".into()), url: url.clone() }));
    let failed = Some("it did not load".to_owned());
    world.give(Input::Seen(Seen::Painted(Painted { uri: url, status: Some(200), failed })));
    assert_eq!(world.machine.content().trouble().unwrap().url, "http://pictures.example/1.png");
}

#[test]
fn an_item_that_nothing_comes_of_leaves_the_one_before_on_the_glass_until_the_next_is_there() {
    let list = pages(&[(A, 10), (B, 10), (C, 10)]);
    let mut world = World::up();
    world.push(1, "playlist", list);
    world.answer_all();
    let to = |world: &mut World, url: &str| {
        world.effects.clear();
        for _ in 0..60 {
            if world.find(|what| *what == (Ask::Navigate { url: url.to_owned() })).is_some() {
                return world.navigated();
            }
            world.live(1, Looked::default());
            for ask in std::mem::take(&mut world.probes) {
                world.give(Input::Probed { ask, result: Ok(()) });
            }
            for ask in std::mem::take(&mut world.gathers) {
                world.give(Input::Gathered { ask, result: Ok(json!(false)) });
            }
        }
        panic!("{:?}", world.navigated());
    };
    to(&mut world, B);
    world.asks.retain(|(_, what)| !matches!(what, Ask::Navigate { .. }));
    assert_eq!(to(&mut world, C), [C], "nothing dark in between");
    world.paint();

    // The same, and Firefox's own error comes a moment after its answer.
    to(&mut world, A);
    let at = world.find(|what| matches!(what, Ask::Navigate { .. })).unwrap();
    world.answer(at, Err(AskError::Refused("Error: NS_ERROR_CONNECTION_REFUSED".into())));
    for ask in std::mem::take(&mut world.gathers) {
        world.give(Input::Gathered { ask, result: Ok(json!(false)) });
    }
    world.give(Input::Seen(Seen::Committed {
        navigation: None,
        url: "about:neterror?e=connectionFailure&u=http%3A//a/".into(),
    }));
    assert_eq!(world.navigated().last(), Some(&urls().blank()));
}
