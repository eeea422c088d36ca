//! kill -9 of the supervisor at any moment: every command ends in one receipt, state is painted again, and nothing is
//! done twice.
//!
//! `PIKIOSK_KILLS` says how often (5 here, 100 for `make proof-kill-display`); `PIKIOSK_SEED` repeats a run.

#![expect(clippy::print_stdout, reason = "the seed and the counts are this test's report")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{
    kiosk::{COLD, DISPLAY, Kiosk},
    screen::Colour,
    wait::{seconds, until},
};

scenarios![a_display_killed_at_any_moment_resumes_and_does_nothing_twice];

/// A command that was pushed, and what may become of it.
struct Pushed {
    id: String,
    name: &'static str,
    /// For an `event`: what the page reports when it hears it.
    n: u32,
}

fn a_display_killed_at_any_moment_resumes_and_does_nothing_twice(kiosk: &mut Kiosk) {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let kills = number("PIKIOSK_KILLS", 5);
    let seed = number("PIKIOSK_SEED", fastrand::u64(..));
    println!("{kills} kills, PIKIOSK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pushed: Vec<Pushed> = Vec::new();
    let mut interrupted = 0;
    for round in 0..kills {
        let colour: Colour = [random.u8(20..230), random.u8(20..230), random.u8(20..230)];
        let url = kiosk.site.colour(colour, &format!("round-{round}"));
        // Commands take 5 to 100 ms: half of the blows fall among them, half on a display at rest.
        let latest = if random.bool() { 120 } else { 1500 };
        let moment = Duration::from_millis(random.u64(0..latest));
        let began = Instant::now();
        // Some commands before the blow, some while the supervisor is down.
        for (place, name) in ["navigate", "event", "message", "event", "clear_message", "event"].iter().enumerate() {
            let n = u32::try_from(round * 10 + place as u64).expect("few");
            let data = match *name {
                "navigate" => json!({ "url": url }),
                "event" => json!({"name": "did", "data": {"n": n}}),
                "message" => json!({"text": format!("round {round}"), "seconds": 600}),
                _ => json!({}),
            };
            if place == 3 {
                until("the moment of the blow", seconds(5), || (began.elapsed() >= moment).then_some(()));
                kiosk.kill_run();
            }
            pushed.push(Pushed { id: kiosk.push(name, &data), name, n });
        }
        kiosk.start_run();
        if random.bool() {
            // And once more while it finds its way back.
            let (began, moment) = (Instant::now(), Duration::from_millis(random.u64(0..600)));
            until("the moment of the second blow", seconds(5), || (began.elapsed() >= moment).then_some(()));
            kiosk.kill_run();
            kiosk.start_run();
        }
        kiosk.shows(colour, COLD);
        for command in pushed.iter().rev().take(6) {
            let (receipt, _) = kiosk.server.receipt_within(&command.id, DISPLAY, COLD);
            let status = receipt["status"].as_str().unwrap_or_default().to_owned();
            let error = receipt["error"].as_str().unwrap_or_default();
            match command.name {
                "navigate" => assert!(matches!(status.as_str(), "shown" | "superseded"), "{receipt}"),
                _ if status == "failed" => {
                    assert_eq!(error, "interrupted", "{}: {receipt}", command.name);
                    interrupted += 1;
                }
                _ => assert!(matches!(status.as_str(), "shown" | "done"), "{}: {receipt}", command.name),
            }
            if command.name == "event" {
                let times = heard(kiosk, command.n).len();
                assert!(times <= 1, "event {} was given to the page {times} times: {receipt}", command.n);
                if status == "done" {
                    // The page's own report of it may be on its way.
                    until("the page heard what the receipt calls done", seconds(5), || {
                        (!heard(kiosk, command.n).is_empty()).then_some(())
                    });
                }
            }
        }
    }
    // Nothing changes afterwards: no second receipt, no late repetition.
    let statuses: Vec<Value> = pushed.iter().map(|command| kiosk.receipt(&command.id)["status"].clone()).collect();
    kiosk.kill_run();
    kiosk.start_run();
    kiosk.home();
    for (command, status) in pushed.iter().zip(statuses) {
        assert_eq!(kiosk.receipt(&command.id)["status"], status, "{} {}", command.name, command.id);
        assert!(heard(kiosk, command.n).len() <= 1, "event {} repeated late", command.n);
    }
    println!("{} commands, each with one receipt; {interrupted} said `interrupted`", pushed.len());
}

fn heard(kiosk: &Kiosk, n: u32) -> Vec<support::site::Hit> {
    let target = format!("/report/did/{n}");
    kiosk.site.hits(&target).into_iter().filter(|hit| hit.target == target).collect()
}
