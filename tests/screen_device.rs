//! The screen as a device, with real X servers: what the browser loop sees of it and does to it, judged by X itself.

#![cfg(feature = "display")]
#![expect(clippy::print_stdout, reason = "what was measured is for whoever runs this with --nocapture")]

mod support;

use serde_json::{Value, json};
use support::{
    browser::{Browser, Supervisor},
    device::{Device, XServer, sees},
    screen::{Colour, Frame},
    wait::{seconds, until},
};

const GREEN: Colour = [0x22, 0x8b, 0x22];

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
    sees(&mut supervisor, "the beat", 30, |facts| facts["frame"]["beat_still_ms"].is_u64());
    for _ in 0..3 {
        let facts = sees(&mut supervisor, "it goes on", 20, |_| true);
        assert!(facts["frame"]["beat_still_ms"].as_u64().is_some_and(|still| still < 10_000), "{facts}");
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
        sees(&mut supervisor, harm, 20, |facts| facts["frame"]["beat_still_ms"].as_u64().is_some_and(|it| it < 10_000));
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
    sees(&mut supervisor, "the beat", 30, |facts| facts["frame"]["beat_still_ms"].is_u64());
    let all: Vec<i32> = support::process::below(browser.process.pid()).iter().map(|it| it.pid).collect();
    all.iter().for_each(|pid| support::process::send(*pid, nix::sys::signal::Signal::SIGSTOP));
    sees(&mut supervisor, "it stands still", 30, |facts| facts["frame"]["beat_still_ms"].as_u64() > Some(12_000));
    all.iter().for_each(|pid| support::process::send(*pid, nix::sys::signal::Signal::SIGCONT));
    sees(&mut supervisor, "it goes on", 30, |facts| {
        facts["frame"]["beat_still_ms"].as_u64().is_some_and(|it| it < 9500)
    });
}

#[test]
fn power_is_refused_with_the_reason_where_x_cannot_switch_a_screen() {
    let Some(server) = XServer::xvfb() else { return };
    let mut device = Device::start(&server, "");
    let refused = device.order(&json!({ "power": { "on": false } }));
    assert_eq!(refused["Err"]["lacking"], "this X server cannot switch a screen off: it has no DPMS", "{refused}");
    let refused = device.order(&json!({ "rotate": { "degrees": 90 } }));
    let why = "screen cannot be turned by 90 degrees: its driver has no such turn";
    assert_eq!(refused["Err"]["lacking"], why, "{refused}");
}

/// The line of xrandr for what is shown.
fn xrandr(server: &XServer) -> String {
    let said = server.says("xrandr", &["--query"]);
    said.lines().find(|line| line.contains(" connected")).expect("something is connected").to_owned()
}

#[test]
fn a_picture_is_turned_and_turned_back_and_a_new_screen_server_is_turned_as_the_settings_say() {
    let Some(outer) = XServer::xvfb() else { return };
    let Some(server) = XServer::xephyr(&outer) else { return };
    let mut device = Device::start(&server, "");
    for (degrees, word, size) in
        [(90, "right ", "600x800"), (180, "inverted ", "800x600"), (270, "left ", "600x800"), (0, "", "800x600")]
    {
        let turned = device.order(&json!({ "rotate": { "degrees": degrees } }));
        assert_eq!(turned["Ok"]["degrees"], degrees, "{turned}");
        assert!(xrandr(&server).starts_with(&format!("default connected {size}+0+0 {word}(")), "{}", xrandr(&server));
        device.sees("the turn", 10, |facts| facts["outputs"][0]["degrees"] == degrees);
    }
    drop(device);
    let mut device = Device::start(&server, "[screen]\nrotate = 90\n");
    device.sees("the turn of the settings", 10, |facts| facts["outputs"][0]["degrees"] == 90);
    assert!(xrandr(&server).starts_with("default connected 600x800+0+0 right ("), "{}", xrandr(&server));
}

#[test]
fn what_somebody_changed_at_the_picture_is_put_back() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::xorg(folder.path()) else { return };
    let mut device = Device::start(&server, "[screen]\nmode = \"1280x720\"\n");
    let is_wanted = |facts: &Value| facts["outputs"][0]["picture"]["width"] == 1280;
    let facts = device.sees("the wanted picture", 20, is_wanted);
    assert_eq!(facts["outputs"].as_array().map(Vec::len), Some(16), "{facts}");
    assert!(xrandr(&server).starts_with("DUMMY0 connected primary 1280x720+0+0"), "{}", xrandr(&server));
    server.says("xrandr", &["--output", "DUMMY0", "--mode", "800x600"]);
    until("the picture is put back", seconds(10), || xrandr(&server).contains(" 1280x720+0+0").then_some(()));
    assert!(server.says("xset", &["q"]).contains("prefer blanking:  no"), "it never blanks by itself");
}

#[test]
fn fingers_land_where_the_picture_is() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::xorg(folder.path()) else { return };
    let mut device = Device::start(&server, "");
    device.sees("an X server", 20, |facts| !facts["frame"].is_null());
    let matrix = || {
        let said = server.says("xinput", &["list-props", "touch"]);
        let line = said.lines().find(|line| line.contains("Coordinate Transformation Matrix")).expect("it has one");
        line.split_once("):")
            .expect("a value")
            .1
            .split(',')
            .map(|it| it.trim().parse::<f32>().expect("a number"))
            .collect::<Vec<_>>()
    };
    let upright: Vec<f32> = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let astray =
        ["set-prop", "touch", "Coordinate Transformation Matrix", "0", "1", "0", "-1", "0", "1", "0", "0", "1"];
    server.says("xinput", &astray);
    assert_ne!(matrix(), upright);
    let turned = device.order(&json!({ "rotate": { "degrees": 0 } }));
    assert_eq!(turned["Ok"]["touch"], json!(["touch"]), "{turned}");
    assert_eq!(matrix(), upright);
}

#[test]
fn a_screen_server_that_hangs_or_ends_costs_orders_and_never_the_loop() {
    use nix::sys::signal::Signal;
    let Some(server) = XServer::xvfb() else { return };
    let mut device = Device::start(&server, "");
    device.sees("an X server", 20, |facts| !facts["frame"].is_null());
    server.signal(Signal::SIGSTOP);
    device.supervisor.order(&json!({ "screen": { "ask": 77, "order": { "power": { "on": true } } } }));
    device.supervisor.order(&json!({ "kill_content": { "reason": "the loop still takes orders" } }));
    until("the loop obeys", seconds(10), || device.process.log().contains("content processes killed").then_some(()));
    server.signal(Signal::SIGCONT);
    assert_eq!(device.supervisor.heard("screen", seconds(20))["ask"], 77, "answered once it is awake");
    drop(server);
    device.sees("that it is gone", 20, |facts| facts["frame"].is_null() && facts["outputs"] == json!([]));
    let refused = device.order(&json!({ "rotate": { "degrees": 90 } }));
    let why = refused["Err"]["failed"].as_str().unwrap_or_default().to_owned();
    assert!(why.starts_with("the X server "), "{refused}");
    assert!(device.process.ended().is_none());
}

#[test]
fn a_panel_is_switched_off_and_on_and_stays_as_it_was_ordered() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::xorg(folder.path()) else { return };
    if !server.says("xset", &["q"]).contains("DPMS is") {
        println!("SKIPPED: Xorg's dummy driver has no DPMS here (tests/support/device.rs says how it gets it)");
        return;
    }
    let is = |word: &str| server.says("xset", &["q"]).contains(&format!("Monitor is {word}"));
    // As a server that nobody told anything: it would blank after ten minutes.
    server.says("xset", &["+dpms", "dpms", "600", "600", "600", "s", "600"]);
    server.says("xset", &["dpms", "force", "off"]);
    let mut device = Device::start(&server, "");
    device.sees("a panel that is on", 20, |facts| facts["panel"] == "on");
    let said = server.says("xset", &["q"]);
    assert!(said.contains("Standby: 0    Suspend: 0    Off: 0") && said.contains("timeout:  0"), "{said}");

    assert_eq!(device.order(&json!({ "power": { "on": false } }))["Ok"], json!({ "on": false, "by": ["dpms"] }));
    assert!(is("Off"));
    let facts = device.sees("a panel that is off", 5, |facts| facts["panel"] == "off");
    assert_eq!(facts["frame"], Value::Null, "nobody looks at a glass that is dark");
    assert_eq!(device.order(&json!({ "power": { "on": true } }))["Ok"], json!({ "on": true, "by": ["dpms"] }));
    assert!(server.says("xset", &["q"]).contains("DPMS is Disabled"), "nothing switches it off by itself");
    device.sees("a panel that is on again", 5, |facts| facts["panel"] == "on" && !facts["frame"].is_null());
}

#[test]
fn a_picture_is_dimmed_by_its_table_of_colours_and_refused_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::xorg(folder.path()) else { return };
    let mut device = Device::start(&server, "");
    let dimmed = device.order(&json!({ "brightness": { "percent": 40 } }));
    assert_eq!(dimmed["Ok"], json!({ "percent": 40, "by": "gamma" }), "it says that the light stays as it is");
    let said = || server.says("xrandr", &["--verbose"]);
    let is = |percent: &str| said().lines().any(|line| line.trim() == format!("Brightness: {percent}"));
    assert!(is("0.40"), "{}", said());
    server.says("xrandr", &["--output", "DUMMY0", "--mode", "800x600"]);
    until("it is dim again after the picture changed", seconds(10), || is("0.40").then_some(()));

    let Some(outer) = XServer::xvfb() else { return };
    let Some(server) = XServer::xephyr(&outer) else { return };
    let mut device = Device::start(&server, "");
    let refused = device.order(&json!({ "brightness": { "percent": 40 } }));
    let why = "this screen has no light that can be set, and its driver no table of colours";
    assert_eq!(refused["Err"]["lacking"], why, "{refused}");
}

#[test]
fn a_pointer_is_there_while_a_mouse_moves_and_never_without_one() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::with_a_pointer(folder.path()) else { return };
    let frame = || Frame::read(&folder.path().join("Xvfb_screen0"));
    let is_drawn = || frame().is_some_and(|frame| frame.share([0, 0, 0]) < 1.0);
    let draw = || server.says("xsetroot", &["-solid", "black", "-cursor_name", "left_ptr"]);
    draw();
    until("a pointer", seconds(10), || is_drawn().then_some(()));
    let device = Device::start(&server, "");
    until("no pointer", seconds(10), || (!is_drawn()).then_some(()));
    drop(device);
    until("a pointer again, without us", seconds(10), || is_drawn().then_some(()));

    let mut device = Device::start(&server, "[screen]\ncursor = true\n");
    device.sees("a mouse that rests", 20, |facts| facts["idle_ms"].as_u64() > Some(5000));
    until("no pointer", seconds(10), || (!is_drawn()).then_some(()));
    let (x11, _) = x11rb::connect(Some(&server.display)).expect("X is there");
    for place in [100, 200] {
        use x11rb::{connection::Connection as _, protocol::xtest::ConnectionExt as _};
        x11.xtest_fake_input(6, 0, 0, x11.setup().roots[0].root, place, place, 0).expect("it takes it");
        x11.flush().expect("it takes it");
    }
    until("a pointer at once", seconds(2), || is_drawn().then_some(()));
    device.sees("somebody is there", 10, |facts| facts["idle_ms"].as_u64() < Some(5000));
}

#[test]
fn a_picture_is_held_while_everything_below_it_changes_and_ends_by_itself() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let Some(server) = XServer::with_a_pointer(folder.path()) else { return };
    let mut device = Device::start(&server, "");
    device.sees("an X server", 20, |facts| !facts["frame"].is_null());
    server.says("xsetroot", &["-solid", "#228b22"]);
    let glass = || Frame::read(&folder.path().join("Xvfb_screen0"));
    let shows = |colour| glass().is_some_and(|frame| frame.share(colour) > 0.99);
    until("green", seconds(5), || shows(GREEN).then_some(()));
    assert_eq!(device.order(&json!({ "hold": { "seconds": 30 } }))["Ok"], json!({ "held": true }));
    device.sees("that nobody knows what is below", 10, |facts| facts["frame"].is_null());
    let (x11, _) = x11rb::connect(Some(&server.display)).expect("X is there");
    let window = cover(&x11);
    until("the picture above a new window", seconds(5), || shows(GREEN).then_some(()));
    assert_eq!(device.order(&json!("release"))["Ok"], json!({ "held": false }));
    until("what is below", seconds(5), || shows([0xff, 0, 0]).then_some(()));

    assert_eq!(device.order(&json!({ "hold": { "seconds": 2 } }))["Ok"], json!({ "held": true }));
    let () = x11rb::protocol::xproto::destroy_window(&x11, window).map(drop).expect("it goes");
    x11rb::connection::Connection::flush(&x11).expect("it goes");
    assert!(shows([0xff, 0, 0]), "it is held");
    until("nobody released it, and it is over", seconds(10), || (!shows([0xff, 0, 0])).then_some(()));

    assert_eq!(device.order(&json!({ "hold": { "seconds": 60 } }))["Ok"], json!({ "held": true }));
    cover(&x11);
    until("the picture above a new window", seconds(5), || shows(GREEN).then_some(()));
    let _loop = device.without_supervisor();
    until("whoever had it held is gone, and it with them", seconds(10), || shows([0xff, 0, 0]).then_some(()));
}

/// A red window over the whole screen.
fn cover(x11: &x11rb::rust_connection::RustConnection) -> u32 {
    use x11rb::{
        connection::Connection as _,
        protocol::xproto::{ConnectionExt as _, CreateWindowAux, WindowClass},
    };
    let (root, window) = (x11.setup().roots[0].root, x11.generate_id().expect("a number"));
    let red = CreateWindowAux::new().background_pixel(0x00ff_0000);
    let kind = WindowClass::INPUT_OUTPUT;
    x11.create_window(24, window, root, 0, 0, 640, 480, 0, kind, 0, &red).expect("it takes it");
    x11.map_window(window).expect("it takes it");
    x11.flush().expect("it takes it");
    window
}
