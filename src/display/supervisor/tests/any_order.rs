//! Whatever happens in whatever order, and whatever dies: one receipt each, nothing twice.

use proptest::prelude::*;

use super::*;

/// Anything that can happen.
#[derive(Debug, Clone)]
enum Happening {
    Deliver { n: u64, what: usize },
    Attach,
    Detach,
    Link,
    Unlink,
    Answer { which: usize, how: u8 },
    Obey { how: u8 },
    ClockSet { ms: u64, trusted: bool },
    Paint { status: u16 },
    Crash,
    Hang,
    Pass { ms: u64 },
    Die { power_cut: bool },
}

const COMMANDS: [(&str, &str); 26] = [
    ("playlist", r#"{"items":[{"url":"http://c/","seconds":3},{"image":"http://d/","seconds":3}]}"#),
    ("navigate", r#"{"url":"http://a/"}"#),
    ("navigate", r#"{"url":"http://b/"}"#),
    ("zoom", r#"{"percent":150}"#),
    ("power", r#"{"on":false}"#),
    ("power", r#"{"on":false,"seconds":30}"#),
    ("schedule", r#"{"rules":[{"on":"07:00","off":"08:00"}]}"#),
    ("schedule", r#"{"rules":[],"holidays":["01-01..12-31"]}"#),
    ("rotate", r#"{"degrees":90}"#),
    ("brightness", r#"{"percent":50}"#),
    ("volume", r#"{"percent":50}"#),
    ("sound", r#"{"url":"http://s/gong.mp3"}"#),
    ("say", r#"{"text":"hello"}"#),
    ("reload", r#"{"ignore_cache":true}"#),
    ("reload", "{}"),
    ("message", r#"{"text":"hi"}"#),
    ("clear_message", "{}"),
    ("identify", "{}"),
    ("screenshot", "{}"),
    ("clear_data", r#"{"storage":false}"#),
    ("restart_browser", "{}"),
    ("health", "{}"),
    ("event", r#"{"name":"x"}"#),
    ("fly", "{}"),
    ("reboot", "{}"),
    ("shutdown", "{}"),
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1..12u64, 0..COMMANDS.len()).prop_map(|(n, what)| Happening::Deliver { n, what }),
        2 => Just(Happening::Attach),
        1 => Just(Happening::Detach),
        2 => Just(Happening::Link),
        1 => Just(Happening::Unlink),
        5 => (0..6usize, 0..4u8).prop_map(|(which, how)| Happening::Answer { which, how }),
        3 => (0..5u8).prop_map(|how| Happening::Obey { how }),
        1 => (any::<u32>(), any::<bool>()).prop_map(|(s, trusted)| Happening::ClockSet { ms: u64::from(s) * 1000, trusted }),
        3 => prop::sample::select(vec![200u16, 200, 503]).prop_map(|status| Happening::Paint { status }),
        1 => Just(Happening::Crash),
        1 => Just(Happening::Hang),
        3 => (0..40_000u64).prop_map(|ms| Happening::Pass { ms }),
        2 => any::<bool>().prop_map(|power_cut| Happening::Die { power_cut }),
    ]
}

/// What was delivered: the n-th event is always the same one.
type Delivered = BTreeMap<u64, usize>;

fn nth(n: u64, what: usize) -> Event {
    let (name, data) = COMMANDS[what];
    event(n, name, serde_json::from_str(data).unwrap())
}

fn happens(world: &mut World, delivered: &mut Delivered, happening: Happening) {
    match happening {
        Happening::Deliver { n, what } if world.linked => {
            let what = *delivered.entry(n).or_insert(what);
            world.deliver(nth(n, what));
        }
        Happening::Attach if !world.machine.is_attached() => world.give(Input::Attached),
        Happening::Detach if world.machine.is_attached() => {
            while !world.asks.is_empty() {
                world.answer(0, Err(AskError::Gone));
            }
            world.give(Input::Detached { why: "x".into() });
        }
        Happening::Link if !world.linked => redeliver(world, delivered),
        Happening::Unlink if world.linked => world.unlink(),
        Happening::Answer { which, how } if which < world.asks.len() => {
            let answer = match how {
                0 => Ok(Answer::Done),
                1 => Ok(Answer::FrameHash("cd".repeat(32))),
                2 => Err(AskError::TimedOut),
                _ => Err(AskError::Refused("Error: NS_ERROR_CONNECTION_REFUSED".into())),
            };
            world.answer(which, answer);
        }
        Happening::Obey { how } if !world.orders.is_empty() => {
            let (ask, _) = world.orders.remove(0);
            let answer = match how {
                0 => Err(AskError::TimedOut),
                1 => Err(AskError::Gone),
                2 => Err(AskError::Lacking("no such thing".into())),
                3 => Err(AskError::Refused("BadMatch".into())),
                _ => Ok(Answer::Result(json!({}))),
            };
            world.give(Input::Answered { ask, answer });
        }
        Happening::ClockSet { ms, trusted } => {
            world.give(Input::ClockRead(WallClock { unix_ms: ms, trusted }));
        }
        Happening::Paint { status } => world.paint_with(status),
        Happening::Crash if world.machine.is_attached() => {
            world.give(Input::Seen(Seen::Committed { navigation: None, url: "about:tabcrashed?e=x".into() }));
        }
        Happening::Hang => world.pass(11 * S),
        Happening::Pass { ms } => world.pass(Duration::from_millis(ms)),
        Happening::Die { power_cut } => world.die(power_cut),
        _ => {}
    }
}

/// The server gives again what has no receipt there: what it was never sent, or what was lost on the way.
fn redeliver(world: &mut World, delivered: &Delivered) {
    world.link();
    for (n, what) in delivered {
        if world.receipts(*n).is_empty() {
            world.deliver(nth(*n, *what));
        }
    }
}

/// From whatever happened: a good link, a good browser, and time.
fn settle(world: &mut World, delivered: &Delivered) {
    if !world.machine.is_attached() {
        world.give(Input::Attached);
    }
    if !world.linked {
        redeliver(world, delivered);
    }
    // What takes the machine down waits for five minutes until it is gone.
    for _ in 0..700 {
        let restarts = world.effects.iter().filter(|effect| matches!(effect, Effect::RestartBrowser { .. })).count();
        world.answer_all();
        let waits = delivered.keys().any(|n| world.receipts(*n).is_empty());
        if !waits && world.machine.is_showing() {
            return;
        }
        world.pass(S);
        let again = world.effects.iter().filter(|effect| matches!(effect, Effect::RestartBrowser { .. })).count();
        if again > restarts || (waits && world.navigations.is_multiple_of(7)) {
            world.give(Input::Detached { why: "started again".into() });
            world.give(Input::Attached);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_command_ends_in_exactly_one_receipt_whatever_happens(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = World::new();
        let mut delivered = Delivered::new();
        let cut_power = happenings.iter().any(|happening| matches!(happening, Happening::Die { power_cut: true }));
        for happening in happenings {
            happens(&mut world, &mut delivered, happening);
        }
        settle(&mut world, &delivered);
        for (n, what) in &delivered {
            let receipts = world.receipts(*n);
            prop_assert!(!receipts.is_empty(), "{:?} ({n}) has no receipt", COMMANDS[*what]);
            // A power cut may take a receipt that was sent: the server keeps the first.
            let one = receipts.iter().all(|receipt| receipt.status == receipts[0].status);
            prop_assert!(one || cut_power, "{:?} ({n}): {:?}", COMMANDS[*what], receipts);
        }
        prop_assert!(world.machine.is_showing(), "{}", world.machine.sentence(world.now));
        // At most once on the glass: acting began at most once for each, over all lives.
        for n in delivered.keys() {
            let begins = world.journal.iter().flatten().filter(|record| match record {
                Record::Taken(taken) => taken.started && taken.key == key(*n),
                Record::Started(started) => *started == key(*n),
                _ => false,
            });
            prop_assert!(begins.count() <= 1);
        }
    }
}
