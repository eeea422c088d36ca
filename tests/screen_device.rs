//! The screen as a device, with real X servers: what the browser loop sees of it and does to it, judged by X itself.

#![cfg(feature = "display")]
#![expect(clippy::print_stdout, reason = "what was measured is for whoever runs this with --nocapture")]

mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::{
    browser::{Browser, Supervisor},
    screen::Colour,
    wait::seconds,
};

const GREEN: Colour = [0x22, 0x8b, 0x22];

/// The next facts of which this holds.
#[track_caller]
fn sees(supervisor: &mut Supervisor, what: &str, within: u64, mut holds: impl FnMut(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let facts = supervisor.heard("sees", seconds(30));
        if holds(&facts) {
            println!("{what}: after {:?}", began.elapsed());
            return facts;
        }
        assert!(began.elapsed() < seconds(within), "not within {within} s: {what}; last seen: {facts}");
    }
}

/// As `display/shell/bidi.rs` sends it.
fn beats(supervisor: &mut Supervisor) {
    let script = include_str!("../assets/browser/beat.js");
    let preload = json!({ "functionDeclaration": script, "sandbox": "pikiosk" });
    supervisor.ask("script.addPreloadScript", preload, seconds(10)).expect("the script is taken");
}

/// A page of one colour and nothing else: those of the site have their colour's name on them.
fn plain(browser: &Browser) -> String {
    browser.site.put("/plain", "", "<!doctype html><html><body bgcolor='#228b22'></body></html>");
    browser.site.url("/plain")
}

#[test]
fn the_supervisor_learns_which_screens_there_are_and_what_is_on_the_glass() {
    let browser = Browser::start();
    let mut supervisor = browser.meet();
    let facts = sees(&mut supervisor, "an X server", 20, |facts| !facts["frame"].is_null());
    let picture = json!({ "width": 1280, "height": 720, "millihertz": 0 });
    assert_eq!(facts["outputs"][0]["name"], "screen", "{facts}");
    assert_eq!((&facts["outputs"][0]["connected"], &facts["outputs"][0]["picture"]), (&json!(true), &picture));
    assert_eq!(facts["panel"], "unknown", "Xvfb cannot say");
    drop(supervisor);

    let url = plain(&browser);
    let mut supervisor = browser.supervise(&browser.site.colour(GREEN, "with-a-word"));
    supervisor.attached();
    browser.screen.until("green", seconds(20), |frame| frame.share(GREEN) > 0.8);
    let facts = sees(&mut supervisor, "a picture", 20, |facts| facts["frame"]["still_ms"].as_u64() > Some(1000));
    assert_eq!(facts["frame"]["uniform"], Value::Null, "one word is seen, wherever it stands: {facts}");
    supervisor.navigate(&url, seconds(20)).expect("it loads");
    let facts = sees(&mut supervisor, "one colour", 20, |facts| facts["frame"]["uniform"] == json!(GREEN));
    assert_eq!(facts["frame"]["beat_still_ms"], Value::Null, "this test sent no script: {facts}");
}

#[test]
fn a_glass_that_follows_its_page_beats_and_nobody_sees_it() {
    let browser = Browser::start();
    let mut supervisor = browser.supervise("about:blank");
    supervisor.attached();
    beats(&mut supervisor);
    let strict = "Content-Security-Policy: default-src 'none'\r\n";
    browser.site.put("/plain", strict, "<!doctype html><html><body bgcolor='#228b22'></body></html>");
    supervisor.navigate(&browser.site.url("/plain"), seconds(20)).expect("it loads");
    sees(&mut supervisor, "the beat", 20, |facts| facts["frame"]["beat_still_ms"].is_u64());
    for _ in 0..3 {
        let facts = sees(&mut supervisor, "it goes on", 20, |_| true);
        assert!(facts["frame"]["beat_still_ms"].as_u64().is_some_and(|still| still < 4000), "{facts}");
        assert_eq!(facts["frame"]["uniform"], json!(GREEN), "it is no part of the picture: {facts}");
    }
    let frame = browser.screen.frame();
    let far = |colour: Colour| colour.iter().zip(GREEN).map(|(is, was)| is.abs_diff(was)).max();
    assert!((0..4).all(|x| far(frame.at(x, 0)) <= Some(3)), "three levels of 256 at most");
    assert!((4..1280).all(|x| frame.at(x, 0) == GREEN) && (0..1280).all(|x| frame.at(x, 1) == GREEN));

    for harm in
        ["document.documentElement.replaceChildren()", "document.open(); document.write('new'); document.close()"]
    {
        supervisor.evaluate(harm, seconds(10)).expect("the page does it");
        sees(&mut supervisor, harm, 20, |facts| facts["frame"]["beat_still_ms"].as_u64().is_some_and(|it| it < 4000));
    }
    for (zoom, url) in [("150%", "/plain"), ("33%", "/plain")] {
        supervisor.navigate(&browser.site.url(url), seconds(20)).expect("it loads");
        supervisor.evaluate(&format!("document.documentElement.style.zoom = '{zoom}'"), seconds(10)).expect("it zooms");
        sees(&mut supervisor, zoom, 60, |facts| facts["frame"]["beat_still_ms"].is_u64());
    }
}

#[test]
fn a_glass_that_stands_still_while_its_browser_sleeps_is_told() {
    let browser = Browser::start();
    let mut supervisor = browser.supervise("about:blank");
    supervisor.attached();
    beats(&mut supervisor);
    supervisor.navigate(&plain(&browser), seconds(20)).expect("it loads");
    sees(&mut supervisor, "the beat", 20, |facts| facts["frame"]["beat_still_ms"].is_u64());
    let all: Vec<i32> = support::process::below(browser.process.pid()).iter().map(|it| it.pid).collect();
    all.iter().for_each(|pid| support::process::send(*pid, nix::sys::signal::Signal::SIGSTOP));
    sees(&mut supervisor, "it stands still", 30, |facts| facts["frame"]["beat_still_ms"].as_u64() > Some(6000));
    all.iter().for_each(|pid| support::process::send(*pid, nix::sys::signal::Signal::SIGCONT));
    sees(&mut supervisor, "it goes on", 20, |facts| facts["frame"]["beat_still_ms"].as_u64() < Some(3000));
}
