//! Settings by command: tried, kept when the display is well with them, taken back when it is not.

use super::*;
use crate::display::configured::Fate;

fn configured(fate: Fate) -> Configured {
    let mut configured = Configured::default();
    if fate != Fate::Unknown {
        configured.try_next(key(1), TEXT.into());
    }
    match fate {
        Fate::Kept => configured.keep(),
        Fate::TakenBack(why) => configured.take_back(why),
        Fate::OnTrial | Fate::Unknown => {}
    }
    configured
}

const TEXT: &str = "[display]\nurl = \"http://new/\"\n";

/// The supervisor that starts after the settings were written down.
fn next_life(world: &mut World, fate: Fate) {
    world.configured = configured(fate);
    world.die(false);
    world.link();
}

fn taken(world: &mut World) {
    world.push(1, "configure", json!({ "toml": TEXT }));
    let ask = world.gathers.pop().unwrap();
    world.give(Input::Gathered { ask, result: Ok(json!(null)) });
    assert_eq!(world.effects.last(), Some(&Effect::Restart { by: "configure" }));
    assert_eq!(world.receipts(1), [], "nothing is proved yet");
}

fn verdicts(world: &World) -> Vec<bool> {
    let kept = |effect: &Effect| match effect {
        Effect::Configured { undo } => Some(undo.is_none()),
        _ => None,
    };
    world.effects.iter().filter_map(kept).collect()
}

#[test]
fn settings_are_kept_once_the_display_was_well_with_them_for_a_while() {
    let mut world = World::up();
    taken(&mut world);
    next_life(&mut world, Fate::OnTrial);
    world.give(Input::Attached);
    world.paint();
    world.pass(9 * S);
    assert_eq!((world.receipts(1).len(), verdicts(&world).len()), (0, 0));
    world.pass(2 * S);
    assert_eq!(world.receipts(1)[0].status, Status::Done);
    assert_eq!(verdicts(&world), [true]);
}

#[test]
fn settings_with_which_the_display_does_not_come_back_are_taken_back() {
    let mut world = World::up();
    taken(&mut world);
    next_life(&mut world, Fate::OnTrial);
    world.pass(301 * S);
    let receipt = &world.receipts(1)[0];
    assert_eq!(receipt.status, Status::Failed);
    assert!(receipt.error.as_deref().unwrap().contains("not well again in 300 s"), "{receipt:?}");
    assert_eq!(verdicts(&world), [false]);
    assert_eq!(world.effects.last(), Some(&Effect::Restart { by: "configure" }), "with the settings of before");
}

#[test]
fn a_display_that_cannot_reach_its_server_any_more_takes_them_back() {
    let mut world = World::up();
    taken(&mut world);
    world.configured = configured(Fate::OnTrial);
    world.die(false);
    world.give(Input::Attached);
    world.paint();
    world.pass(301 * S);
    assert_eq!((world.status(1), verdicts(&world)), (Some(Status::Failed), vec![false]));
}

#[test]
fn what_the_configuration_refuses_is_told_in_its_words_and_nothing_is_started() {
    let mut world = World::up();
    world.push(1, "configure", json!({ "toml": "x" }));
    let ask = world.gathers.pop().unwrap();
    world.give(Input::Gathered { ask, result: Ok(json!("configure:1: no such key")) });
    assert_eq!(world.receipts(1)[0].status, Status::Refused);
    assert_eq!(world.receipts(1)[0].error.as_deref(), Some("configure:1: no such key"));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Restart { .. })));
}

#[test]
fn what_became_of_it_while_nobody_looked_is_told_at_the_next_start() {
    for (fate, status, word) in [
        (Fate::Kept, Status::Done, ""),
        (Fate::TakenBack("started 3 times".into()), Status::Failed, "started 3 times"),
        (Fate::Unknown, Status::Failed, INTERRUPTED),
    ] {
        let mut world = World::up();
        taken(&mut world);
        next_life(&mut world, fate);
        let receipt = &world.receipts(1)[0];
        assert_eq!(receipt.status, status);
        assert!(receipt.error.as_deref().unwrap_or_default().contains(word), "{receipt:?}");
    }
}
