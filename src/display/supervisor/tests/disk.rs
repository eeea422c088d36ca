//! A disk, or a profile, that cannot be written.

use super::*;
use crate::display::supervisor::recovery::{Ledger, Rung};

const HOUR: Duration = Duration::from_secs(3600);

fn failed(fault: DiskFault, why: &str) -> Input {
    Input::DiskFailed(DiskTrouble { fault, why: why.into() })
}

fn requests(world: &World) -> Vec<String> {
    let request = |effect: &Effect| match effect {
        Effect::System { request, .. } => Some(format!("{request:?}")),
        _ => None,
    };
    world.effects.iter().filter_map(request).collect()
}

/// A minute in which the browser answers all it is asked.
fn minute(world: &mut World) {
    for _ in 0..60 {
        world.pass(S);
        world.answer_all();
    }
}

fn rooms(world: &World) -> usize {
    world.effects.iter().filter(|effect| **effect == Effect::MakeRoom).count()
}

#[test]
fn a_full_disk_leaves_the_page_on_the_glass_and_says_what_to_do() {
    let mut world = World::up();
    world.push(1, "navigate", nav("http://a/"));
    world.answer_all();
    world.effects.clear();
    for _ in 0..4 {
        world.give(failed(DiskFault::Full, "0 of 7500 MiB are free; the cache of playlists has 12"));
        minute(&mut world);
    }
    assert_eq!((rooms(&world), requests(&world), world.navigated()), (1, vec![], vec![]));
    assert!(world.machine.truth(world.now).is_right());
    let said = world.machine.sentence(world.now);
    assert!(said.starts_with("Showing http://a/; the disk is full (0 of 7500 MiB are free"), "{said}");
    let trouble = world.machine.trouble(world.now).unwrap();
    assert_eq!((trouble.cause.as_str(), trouble.rung.as_str()), ("disk-full", "say_so"));
    world.push(2, "navigate", nav("http://b/"));
    world.answer_all();
    assert_eq!(world.status(2), Some(Status::Shown), "what is told is done all the same");

    world.give(Input::DiskWorked);
    assert_eq!(
        (world.machine.trouble(world.now), world.machine.sentence(world.now).as_str()),
        (None, "Showing http://b/")
    );
}

#[test]
fn room_is_made_again_now_and_then_while_a_disk_stays_full() {
    let mut world = World::up();
    for _ in 0..60 {
        world.give(failed(DiskFault::Full, "none"));
        minute(&mut world);
    }
    assert!((5..=12).contains(&rooms(&world)), "{} times in an hour", rooms(&world));
}

#[test]
fn a_card_that_can_only_be_read_gets_one_reboot_once_the_machine_was_up_for_six_hours() {
    let mut world = World::up();
    world.machine.recall(Ledger::resume(None, "boot", 2 * HOUR), world.now);
    world.machine.remembers(Some("read-only file system".into()));
    for _ in 0..3 * 60 {
        world.give(failed(DiskFault::ReadOnly, "Read-only file system (os error 30)"));
        minute(&mut world);
    }
    assert_eq!(requests(&world), Vec::<String>::new());
    let said = world.machine.sentence(world.now);
    assert!(said.ends_with("(Read-only file system (os error 30)): it is failing, replace it"), "{said}");
    for _ in 0..=60 {
        world.give(failed(DiskFault::ReadOnly, "Read-only file system (os error 30)"));
        minute(&mut world);
    }
    assert_eq!(requests(&world), ["Reboot"]);
    assert_eq!(world.machine.trouble(world.now).unwrap().rung, Rung::Reboot.name());
    let remembered = world.effects.iter().any(|effect| matches!(effect, Effect::Remember(_)));
    assert!(!remembered, "it would not be done without, and it cannot be written");
}

#[test]
fn a_profile_that_cannot_be_written_is_told_with_its_place_and_gets_a_new_session_after_a_minute() {
    let mut world = World::up();
    world.effects.clear();
    let mut told = 0;
    while requests(&world).is_empty() {
        world.give(Input::NoProfile { why: "/run/pikiosk/profile: No space left on device (os error 28)".into() });
        world.give(Input::Detached { why: "Firefox ended".into() });
        told += 1;
        assert!(told < 100);
        world.pass(2 * S);
    }
    assert_eq!(requests(&world), ["RestartSession"]);
    assert!((30..=32).contains(&told), "after {told} starts");
    let said = world.machine.sentence(world.now);
    assert!(
        said.contains(
            "Firefox's profile cannot be written (/run/pikiosk/profile: No space left on device (os error 28))"
        ),
        "{said}"
    );
    assert_eq!(world.machine.trouble(world.now).unwrap().cause, "profile");
    world.give(Input::Attached);
    minute(&mut world);
    minute(&mut world);
    assert!(world.machine.truth(world.now).is_right(), "{}", world.machine.sentence(world.now));
}
