//! A playlist whose pictures, films and pages cannot all be had, or read: what a viewer sees, and what is told of it.

use super::*;

const RED: &str = "http://a/red.png";
const GREEN: &str = "http://a/green.png";
const BAD: &str = "http://b/bad.png";
const PAGE: &str = "http://c/";
const DARK: &str = "dark";

/// Each of five seconds; a page where the address ends as one.
fn list(urls: &[&str]) -> serde_json::Value {
    let kind = |url: &str| if url.ends_with('/') { "url" } else { "image" };
    json!({ "items": urls.iter().map(|url| json!({ kind(url): url, "seconds": 5 })).collect::<Vec<_>>() })
}

/// The sites as they are now, and what was seen of them.
#[derive(Default)]
struct Sites {
    silent: Vec<&'static str>,
    /// Not there, says the site.
    gone: Vec<&'static str>,
    /// There, and no picture.
    torn: Vec<&'static str>,
    /// Of which there is a copy on the card, and its name there.
    copies: Vec<(&'static str, &'static str)>,
    /// What Firefox was sent to.
    tried: Vec<String>,
    /// What was on the glass, each change once.
    seen: Vec<String>,
}

impl Sites {
    fn live(&mut self, world: &mut World, seconds: u32) {
        for _ in 0..seconds * 2 {
            world.pass(S / 2);
            for effect in std::mem::take(&mut world.effects) {
                match effect {
                    Effect::Probe { ask, url } => world.give(Input::Probed { ask, result: self.answer(&url) }),
                    Effect::Gather { ask, what: Gather::Copy { url } } => {
                        let copy = self.copies.iter().find(|(of, _)| *of == url).map(|(_, name)| *name);
                        world.give(Input::Gathered { ask, result: Ok(json!(copy)) });
                    }
                    Effect::Gather { ask, what: Gather::Picture { .. } } => {
                        world.give(Input::Gathered { ask, result: Ok(json!(false)) });
                    }
                    Effect::Ask { ask, what: Ask::Navigate { url }, .. } => self.load(world, ask, url),
                    _ => {}
                }
            }
        }
    }

    fn answer(&self, url: &str) -> Result<(), SiteFault> {
        match url {
            url if self.silent.contains(&url) => Err(SiteFault::TimedOut),
            url if self.gone.contains(&url) => Err(SiteFault::Status(404)),
            _ => Ok(()),
        }
    }

    fn load(&mut self, world: &mut World, ask: AskId, url: String) {
        let Some(at) = world.asks.iter().position(|(asked, _)| *asked == ask) else { return };
        let source = url.split_once("src=").map(|(_, source)| source.replace("%3A", ":").replace("%2F", "/"));
        let source = source.unwrap_or_else(|| url.clone());
        self.tried.push(source.clone());
        if source == url && self.answer(&url).is_err() {
            return world.answer(at, Err(AskError::Refused("Error: NS_ERROR_CONNECTION_REFUSED".to_owned())));
        }
        let navigation = Some(format!("n{ask}"));
        world.answer(at, Ok(Answer::Navigated { navigation: navigation.clone() }));
        let is_jump = source != url && urls().is_media(&world.glass);
        world.glass.clone_from(&url);
        let has_copy = self.copies.iter().any(|(of, _)| *of == source);
        let is_there = (has_copy || self.answer(&source).is_ok()) && !self.torn.contains(&source.as_str());
        let seen = match url.as_str() {
            url if url == urls().blank() => Some(DARK),
            url if url == urls().offline() => Some("offline"),
            _ if is_there => Some(source.as_str()),
            // The player leaves what was there before.
            _ => (!is_jump).then_some(DARK),
        };
        if seen.is_some() && self.seen.last().map(String::as_str) != seen {
            self.seen.extend(seen.map(str::to_owned));
        }
        world.give(Input::Seen(match is_jump {
            true => Seen::Jumped { navigation, url: url.clone() },
            false => Seen::Committed { navigation, url: url.clone() },
        }));
        let failed = (!is_there).then(|| "it did not load".to_owned());
        world.give(Input::Seen(Seen::Painted(Painted { uri: url, status: Some(200), failed })));
    }

    /// What was on the glass since this was asked last.
    fn glass(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    fn tries(&mut self, url: &str) -> usize {
        std::mem::take(&mut self.tried).iter().filter(|tried| *tried == url).count()
    }
}

fn pushed(urls: &[&str]) -> World {
    let mut world = World::up();
    world.effects.clear();
    world.push(1, "playlist", list(urls));
    world
}

/// The last picture was held over each new document.
fn held_over(world: &World) -> bool {
    use crate::display::screen::Order;
    world.orders.iter().any(|(_, order)| matches!(order, Order::Hold { .. }))
}

fn has_only(seen: &[String], wanted: &[&str]) -> bool {
    seen.iter().all(|seen| wanted.contains(&seen.as_str()))
        && wanted.iter().all(|it| seen.iter().any(|seen| seen == it))
}

#[test]
fn a_picture_that_is_nowhere_is_known_before_its_turn_and_never_tried() {
    for (sites, why) in [
        (Sites { gone: vec![BAD], ..Sites::default() }, "http-404"),
        (Sites { silent: vec![BAD], ..Sites::default() }, "timed-out"),
    ] {
        let mut sites = sites;
        let mut world = pushed(&[RED, BAD, PAGE, BAD]);
        // Before its fifth turn.
        sites.live(&mut world, 20);
        assert!(has_only(&sites.glass(), &[RED, PAGE]), "{why}: {:?}", sites.tried);
        assert_eq!(sites.tries(BAD), 0, "{why}");
        let said = world.machine.sentence(world.now);
        let told = format!("; item 2 is passed over ({why}), item 4 is passed over ({why})");
        assert!(said.starts_with("Showing item") && said.ends_with(&told), "{said}");
        assert!(world.machine.truth(world.now).is_right());
    }
}

#[test]
fn a_picture_that_comes_back_is_shown_in_its_next_turn_and_told_of_no_more() {
    let mut sites = Sites { gone: vec![BAD], ..Sites::default() };
    let mut world = pushed(&[RED, BAD]);
    sites.live(&mut world, 12);
    sites.gone.clear();
    sites.live(&mut world, 15);
    assert!(has_only(&sites.glass(), &[RED, BAD]));
    assert!(!world.machine.sentence(world.now).contains("passed over"));
}

#[test]
fn what_firefox_cannot_read_is_tried_again_only_once_it_is_another_and_every_fifth_turn() {
    let copy = |name| Sites { torn: vec![BAD], copies: vec![(BAD, name)], ..Sites::default() };
    let mut sites = copy("first");
    let mut world = pushed(&[PAGE, BAD, RED]);
    sites.live(&mut world, 11);
    assert_eq!(sites.tries(BAD), 1);
    // Of a page before it nothing is left once the player is there; the last picture is held over that, and the next
    // comes at once.
    assert!(has_only(&sites.glass(), &[PAGE, DARK, RED]));
    assert!(held_over(&world));
    sites.live(&mut world, 20);
    assert!(has_only(&sites.glass(), &[PAGE, RED]));
    assert_eq!(sites.tries(BAD), 0);
    assert!(world.machine.sentence(world.now).contains("item 2 is passed over (it did not load)"));
    sites.live(&mut world, 60);
    assert!((1..=2).contains(&sites.tries(BAD)));

    sites.torn.clear();
    sites.copies = vec![(BAD, "second")];
    sites.live(&mut world, 15);
    assert_eq!(sites.tries(BAD), 1, "the site has mended it");
}

#[test]
fn a_picture_that_fails_in_the_player_leaves_the_one_before_on_the_glass() {
    let mut sites = Sites { torn: vec![BAD], ..Sites::default() };
    let mut world = pushed(&[RED, BAD, GREEN]);
    sites.live(&mut world, 60);
    assert!(has_only(&sites.glass(), &[RED, GREEN]));
    assert!(sites.tries(BAD) >= 1, "it was tried");
}

#[test]
fn what_firefox_can_reach_and_the_probe_cannot_is_shown_in_each_turn_once_that_is_known() {
    let mut world = pushed(&[RED, BAD]);
    // Through Firefox's own proxy both are there.
    let mut sites = Sites { copies: Vec::new(), ..Sites::default() };
    for second in 0..=100 {
        world.pass(S);
        for effect in std::mem::take(&mut world.effects) {
            match effect {
                Effect::Probe { ask, .. } => world.give(Input::Probed { ask, result: Err(SiteFault::TimedOut) }),
                Effect::Gather { ask, .. } => world.give(Input::Gathered { ask, result: Ok(json!(null)) }),
                Effect::Ask { ask, what: Ask::Navigate { url }, .. } => sites.load(&mut world, ask, url),
                _ => {}
            }
        }
        if second == 50 {
            assert!(sites.tries(BAD) >= 1);
        }
    }
    assert!(sites.tries(BAD) >= 4, "in five rounds");
}

#[test]
fn a_receipt_tells_which_items_are_passed_over() {
    let mut sites = Sites { gone: vec![BAD], ..Sites::default() };
    let mut world = pushed(&[BAD, RED]);
    sites.live(&mut world, 10);
    let receipt = world.receipts(1).pop().unwrap();
    assert_eq!(receipt.status, Status::Shown);
    assert_eq!(receipt.result, Some(json!({ "passed_over": [{ "item": 1, "why": "it did not load" }] })));
}

#[test]
fn with_nothing_to_show_our_page_says_so_and_the_first_that_is_back_is_shown_within_five_seconds() {
    for urls in [&[PAGE, BAD, RED][..], &[BAD, RED], &[PAGE]] {
        let back = *urls.last().unwrap();
        let mut sites = Sites { silent: vec![PAGE, BAD, RED], ..Sites::default() };
        let mut world = pushed(urls);
        sites.live(&mut world, 200);
        assert_eq!(sites.glass().last().map(String::as_str), Some("offline"), "{urls:?}");
        let said = world.machine.sentence(world.now);
        assert!(said.contains("is not on the glass ("), "{said}");
        assert!(!said.contains("did not load"), "the reason, and not what the player saw of it: {said}");
        sites.silent.retain(|site| *site != back);
        sites.live(&mut world, 5);
        assert_eq!(sites.glass(), [back], "{urls:?}");
    }
}

#[test]
fn a_list_of_which_nothing_can_be_read_is_not_tried_every_few_seconds_for_its_site_answers() {
    let mut sites = Sites { torn: vec![BAD, RED], ..Sites::default() };
    let mut world = pushed(&[BAD, RED]);
    sites.live(&mut world, 600);
    assert!((5..=15).contains(&sites.tries(BAD)));
}
