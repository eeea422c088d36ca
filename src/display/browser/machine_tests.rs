use proptest::prelude::*;

use super::*;

fn machine() -> (Machine, Instant) {
    (Machine::new(fastrand::Rng::with_seed(7)), Instant::now())
}

fn exited() -> Input {
    Input::Exited { how: "it was ended by SIGKILL".into() }
}

/// Up, with a supervisor and an open session.
fn up() -> (Machine, Instant) {
    let (mut machine, now) = machine();
    machine.step(Input::SupervisorCame, now);
    assert_eq!(machine.step(Input::UrlKnown, now), [Effect::Start { generation: 1 }]);
    let told = machine.step(Input::Listening, now);
    assert_eq!(told, [Effect::TellStarted { generation: 1 }, Effect::OpenSession]);
    assert_eq!(machine.step(Input::SessionOpened, now), [Effect::TellAttached { generation: 1 }]);
    (machine, now)
}

#[test]
fn firefox_is_not_started_before_it_is_known_what_to_open() {
    let (mut machine, now) = machine();
    assert!(machine.step(Input::SupervisorCame, now).is_empty());
    assert_eq!(machine.deadline(), None);
}

#[test]
fn a_firefox_that_ends_is_back_once_everything_of_it_is_gone() {
    let (mut machine, now) = up();
    assert_eq!(machine.step(exited(), now), [Effect::CloseSession, Effect::KillTree]);
    assert!(machine.step(Input::Due, now).is_empty(), "nothing starts while something is left");
    let told = machine.step(Input::TreeGone, now);
    assert!(matches!(&told[..], [Effect::TellExited { generation: 1, pause, .. }] if *pause == FIRST_PAUSE));
    assert_eq!(machine.step(Input::Due, now + FIRST_PAUSE), [Effect::Start { generation: 2 }]);
}

/// The pause after each of so many ends; `up` says how far each start comes.
fn pauses(machine: &mut Machine, now: &mut Instant, times: usize, up: &[Input]) -> Vec<Duration> {
    let mut pauses = Vec::new();
    for _ in 0..times {
        machine.step(exited(), *now);
        let told = machine.step(Input::TreeGone, *now);
        let [Effect::TellExited { pause, .. }] = told[..] else { panic!("{told:?}") };
        pauses.push(pause);
        *now += pause;
        machine.step(Input::Due, *now);
        for input in up {
            machine.step(input.clone(), *now);
        }
    }
    pauses
}

#[test]
fn a_firefox_that_is_killed_again_and_again_is_back_at_once_each_time() {
    let (mut machine, mut now) = up();
    let pauses = pauses(&mut machine, &mut now, 1000, &[Input::Listening, Input::SessionOpened]);
    assert!(pauses.iter().all(|pause| *pause == FIRST_PAUSE), "{pauses:?}");
}

#[test]
fn one_that_gives_no_session_is_started_less_and_less_often_and_at_once_after_it_gave_one() {
    let (mut machine, mut now) = up();
    let slower = pauses(&mut machine, &mut now, 12, &[Input::Listening]);
    assert!(slower[..8].is_sorted() && slower[2] == FIRST_PAUSE && slower[3] > FIRST_PAUSE, "{slower:?}");
    let longest = LONGEST_PAUSE.mul_f64(0.8)..=LONGEST_PAUSE;
    assert!(slower[9..].iter().all(|pause| longest.contains(pause)), "{slower:?}");
    machine.step(Input::SessionOpened, now);
    machine.step(exited(), now);
    assert!(matches!(machine.step(Input::TreeGone, now)[..], [Effect::TellExited { pause: FIRST_PAUSE, .. }]));
}

#[test]
fn a_supervisor_that_goes_gives_its_session_back_and_the_next_one_gets_its_own() {
    let (mut machine, now) = up();
    assert_eq!(machine.step(Input::SupervisorGone, now), [Effect::CloseSession]);
    assert!(machine.step(Input::SupervisorCame, now).is_empty(), "the old one is still closing");
    assert_eq!(machine.step(Input::SessionClosed, now), [Effect::OpenSession]);
    assert_eq!(machine.step(Input::SessionOpened, now), [Effect::TellAttached { generation: 1 }]);
}

#[test]
fn a_supervisor_that_goes_while_its_session_opens_leaves_none_behind() {
    let (mut machine, now) = machine();
    machine.step(Input::UrlKnown, now);
    machine.step(Input::SupervisorCame, now);
    machine.step(Input::Listening, now);
    assert!(machine.step(Input::SupervisorGone, now).is_empty());
    assert_eq!(machine.step(Input::SessionOpened, now), [Effect::CloseSession]);
}

#[test]
fn a_restart_that_was_wanted_waits_for_nothing() {
    let (mut machine, now) = up();
    machine.step(Input::RestartWanted { reason: "asked".into() }, now);
    assert!(matches!(machine.step(Input::TreeGone, now)[..], [Effect::TellExited { pause: Duration::ZERO, .. }]));
    assert_eq!(machine.step(Input::Due, now), [Effect::Start { generation: 2 }]);
}

#[test]
fn a_start_that_hangs_is_ended_and_a_tree_that_will_not_go_is_killed_again() {
    let (mut machine, now) = machine();
    machine.step(Input::UrlKnown, now);
    let now = now + LISTENING_WITHIN;
    assert_eq!(machine.step(Input::Due, now), [Effect::CloseSession, Effect::KillTree]);
    assert_eq!(machine.step(Input::Due, now + GONE_WITHIN), [Effect::KillTree]);
}

#[test]
fn a_stop_leaves_nothing_running() {
    let (mut machine, now) = up();
    assert_eq!(machine.step(Input::StopWanted, now), [Effect::CloseSession, Effect::KillTree]);
    assert_eq!(machine.step(Input::TreeGone, now), [Effect::Quit]);
    let (mut waiting, now) = self::machine();
    assert_eq!(waiting.step(Input::StopWanted, now), [Effect::Quit]);
}

proptest! {
    /// Whatever happens in whatever order: one Firefox at a time, nothing without a deadline while it is not up.
    #[test]
    fn there_is_never_a_second_firefox_and_never_a_standstill(inputs in proptest::collection::vec((0..10u8, 0..100u64), 1..80)) {
        let (mut machine, mut now) = machine();
        machine.step(Input::UrlKnown, now);
        let mut running = true;
        for (input, seconds) in inputs {
            now += Duration::from_secs(seconds);
            let input = match input {
                0 => Input::SupervisorCame,
                1 => Input::SupervisorGone,
                2 => Input::RestartWanted { reason: String::new() },
                3 => Input::Listening,
                4 => Input::SessionOpened,
                5 => Input::SessionFailed { why: String::new() },
                6 => Input::SessionClosed,
                7 => exited(),
                8 => { running = false; Input::TreeGone }
                _ => Input::Due,
            };
            for effect in machine.step(input, now) {
                if let Effect::Start { .. } = effect {
                    prop_assert!(!running, "a second Firefox");
                    running = true;
                }
            }
            if !matches!(machine.state, State::Up { .. }) {
                prop_assert!(machine.deadline().is_some(), "stands still in {:?}", machine.state);
            }
            // TreeGone is only told in answer to a kill.
            running |= matches!(machine.state, State::Up { .. } | State::Starting { .. });
        }
    }
}
