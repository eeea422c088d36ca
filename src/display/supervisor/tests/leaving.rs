//! What takes the machine down: asked for once, and told when it is back.

use super::*;
use crate::display::helper::Request;

fn asked(world: &World) -> Vec<Request> {
    let request = |effect: &Effect| match effect {
        Effect::System { request, .. } => Some(request.clone()),
        _ => None,
    };
    world.effects.iter().filter_map(request).collect()
}

fn helper_says(world: &mut World, result: Result<(), &str>) {
    let ask = world.gathers.pop().unwrap();
    world.give(Input::Gathered { ask, result: result.map(|()| json!(null)).map_err(str::to_owned) });
}

#[test]
fn a_reboot_is_done_once_the_machine_is_back_and_is_asked_for_once() {
    let mut world = World::up();
    world.push(1, "reboot", json!({}));
    let kept = world.effects.iter().rposition(|effect| matches!(effect, Effect::Keep(_))).unwrap();
    let ordered = world.effects.iter().position(|effect| matches!(effect, Effect::System { .. })).unwrap();
    assert!(kept < ordered, "a machine that is down at once has it on disk");
    helper_says(&mut world, Ok(()));
    world.pass(60 * S);
    assert_eq!(world.receipts(1), [], "it is not back yet");
    world.die(true);
    world.link();
    let receipts = world.receipts(1);
    assert_eq!(receipts[0].status, Status::Done);
    let result = receipts[0].result.clone().unwrap();
    assert_eq!((result["boot_before"].as_str(), result["boot"].as_str()), (Some("boot-0"), Some("boot-1")));
    world.push(1, "reboot", json!({}));
    assert_eq!(asked(&world), [Request::Reboot]);
}

#[test]
fn a_power_cut_before_the_helper_was_asked_is_a_restart_as_well_and_not_repeated() {
    let mut world = World::up();
    world.push(1, "reboot", json!({}));
    world.die(true);
    world.link();
    world.give(Input::Attached);
    for _ in 0..400 {
        world.pass(S);
        world.answer_all();
    }
    assert_eq!(world.status(1), Some(Status::Done));
    assert_eq!(asked(&world), [Request::Reboot], "not by the second life");
}

#[test]
fn a_supervisor_that_comes_back_before_the_machine_goes_waits_and_asks_no_more() {
    let mut world = World::up();
    world.push(1, "reboot", json!({}));
    world.die(false);
    world.link();
    world.pass(299 * S);
    assert_eq!(world.receipts(1), []);
    world.pass(2 * S);
    assert_eq!(world.receipts(1)[0].error.as_deref(), Some("the machine did not go down"));
    assert_eq!(asked(&world), [Request::Reboot]);
}

#[test]
fn what_the_helper_refuses_is_told_in_its_words() {
    let mut world = World::up();
    world.push(1, "reboot", json!({}));
    helper_says(&mut world, Err("systemctl --no-block reboot: no such thing"));
    assert_eq!(world.receipts(1)[0].status, Status::Failed);
    assert_eq!(world.receipts(1)[0].error.as_deref(), Some("systemctl --no-block reboot: no such thing"));
    world.die(true);
    assert_eq!(world.status(1), Some(Status::Failed), "the first word counts");
}

#[test]
fn a_shutdown_is_told_while_it_can_be() {
    let mut world = World::up();
    world.push(1, "shutdown", json!({}));
    assert_eq!(world.receipts(1), []);
    helper_says(&mut world, Ok(()));
    assert_eq!(world.receipts(1)[0].status, Status::Done);
    assert_eq!(asked(&world), [Request::PowerOff]);
}

#[test]
fn a_machine_without_the_helper_refuses_with_the_cure() {
    let mut world = World::up();
    world.machine.leaving = Leaving::new(Machine { boot: Some("boot-0".into()), ..Machine::default() });
    world.push(1, "reboot", json!({}));
    assert_eq!(world.receipts(1)[0].status, Status::Refused);
    assert!(world.receipts(1)[0].error.as_deref().unwrap().contains("pikiosk provision"));
    assert_eq!(asked(&world), []);
}
