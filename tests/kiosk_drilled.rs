//! A drill of a display that shows somebody's page: it measures, it always ends, and it leaves the page as it was.

mod support;

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{
    kiosk::{COLD, HOME, Kiosk},
    process::Process,
    server::BINARY,
    wait::{seconds, until},
};

scenarios![
    a_drill_measures_and_gives_the_page_back,
    a_drill_that_is_killed_leaves_the_page_as_it_was,
    a_page_that_is_pushed_during_a_drill_ends_it_and_stays,
    a_drill_by_push_says_its_figures_in_the_receipt,
    nobody_drills_a_display_that_somebody_else_drills,
];

fn drill(kiosk: &Kiosk, fault: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["drill", fault, "--json", "--runtime"]).arg(kiosk.runtime()).stdin(Stdio::null());
    command
}

fn told(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn a_drill_measures_and_gives_the_page_back(kiosk: &mut Kiosk) {
    let output = drill(kiosk, "content-stopped").output().expect("the drill starts");
    let told = told(&output);
    assert_eq!(told["faults"][0]["fault"], "content-stopped", "{told}");
    assert!(told["faults"][0]["recovered_ms"].as_u64().is_some_and(|millis| millis > 1000), "{told}");
    kiosk.shows(HOME, seconds(10));
}

fn a_drill_that_is_killed_leaves_the_page_as_it_was(kiosk: &mut Kiosk) {
    let mut drill = Process::start("drill", kiosk.folder(), &mut drill(kiosk, "browser-stopped"));
    kiosk.screen.until("the drill's page", COLD, |frame| frame.share(HOME) < 0.1);
    drill.kill();
    kiosk.shows(HOME, COLD);
}

fn a_page_that_is_pushed_during_a_drill_ends_it_and_stays(kiosk: &mut Kiosk) {
    let mut drill = Process::start("drill", kiosk.folder(), &mut drill(kiosk, "site-back"));
    kiosk.screen.until("the drill's page", COLD, |frame| frame.share(HOME) < 0.1);
    let colour = [0x77, 0x11, 0x99];
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.colour(colour, "pushed") }), "shown");
    let ended = until("the drill ends", COLD, || drill.ended());
    assert_eq!(ended.code(), Some(22), "{}", drill.log());
    assert!(drill.log().contains("another page was pushed"), "{}", drill.log());
    kiosk.shows(colour, seconds(5));
}

fn a_drill_by_push_says_its_figures_in_the_receipt(kiosk: &mut Kiosk) {
    let id = kiosk.push("drill", &json!({ "fault": "content-killed" }));
    let receipt = kiosk.server.receipt_within(&id, support::kiosk::DISPLAY, COLD).0;
    match receipt["status"].as_str() {
        Some("done") => {
            assert_eq!(receipt["result"]["faults"][0]["ok"], true, "{receipt}");
            assert!(receipt["result"]["faults"][0]["recovered_ms"].is_u64(), "{receipt}");
        }
        // On a busy machine it may be late; then the receipt says how late.
        Some("failed") => assert!(receipt["error"].to_string().contains("right again only after"), "{receipt}"),
        _ => panic!("{receipt}"),
    }
    kiosk.shows(HOME, seconds(10));
    for elsewhere in ["no-network", "screen-unplugged"] {
        let error = kiosk.push_is("drill", &json!({ "fault": elsewhere }), "failed")["error"].to_string();
        assert!(error.contains("cannot be made here"), "{error}");
    }
}

fn nobody_drills_a_display_that_somebody_else_drills(kiosk: &mut Kiosk) {
    let _first = Process::start("drill", kiosk.folder(), &mut drill(kiosk, "site-back"));
    kiosk.screen.until("the drill's page", COLD, |frame| frame.share(HOME) < 0.1);
    let second = drill(kiosk, "content-killed").output().expect("the drill starts");
    assert!(!second.status.success());
    assert!(told(&second)["faults"][0]["why"].to_string().contains("another drill is under way"));
}
