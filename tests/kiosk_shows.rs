//! What is pushed is on the glass: a real Firefox on a real screen, and its pixels.

#![expect(clippy::print_stderr, reason = "what cannot be tried on this machine is said, and loudly")]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use pikiosk::event::command::REGISTRY;
use serde_json::{Value, json};
use support::{
    http,
    kiosk::{COLD, DISPLAY, HOME, Kiosk},
    screen::{Colour, Frame},
    site::turn_colour,
    wait::{seconds, until},
};

scenarios![
    a_pushed_page_is_on_the_glass_before_its_receipt_says_shown,
    the_receipt_proves_the_frame_and_equal_frames_have_equal_hashes,
    a_message_shows_over_a_page_that_forbids_everything,
    a_message_goes_by_itself_and_can_be_taken_away,
    the_display_names_itself_in_large_letters,
    a_page_hears_the_events_that_are_sent_to_it,
    reload_loads_again_and_zoom_enlarges,
    a_page_that_was_sent_a_form_and_loads_itself_again_is_seen,
    a_playlist_shows_its_items_in_turn_until_a_page_is_pushed,
    a_screenshot_is_a_picture_of_the_glass,
    a_sound_and_a_voice_are_heard_to_their_end_and_the_page_stays,
    how_loud_it_is_is_set_and_the_receipt_tells_what_was_read_back,
    every_command_of_the_registry_ends_in_one_receipt,
    a_page_with_an_error_status_or_no_answer_is_not_said_to_be_shown,
    a_site_that_is_away_is_explained_on_the_glass_and_comes_back_by_itself,
    with_the_server_gone_the_page_stays_and_with_the_server_back_pushes_work,
    a_display_that_starts_without_network_shows_its_last_page,
];

const BLUE: Colour = [0x12, 0x34, 0x9c];
const RED: Colour = [0xb0, 0x22, 0x1e];

fn navigate(url: &str) -> Value {
    json!({ "url": url })
}

fn a_pushed_page_is_on_the_glass_before_its_receipt_says_shown(kiosk: &mut Kiosk) {
    for round in 0..5 {
        let colour = [10 + 40 * round, 90, 200];
        let url = kiosk.site.colour(colour, "pushed");
        let receipt = kiosk.push_is("navigate", &navigate(&url), "shown");
        assert!(receipt["took_ms"].as_u64().is_some(), "{receipt}");
        // Firefox says that it painted when it handed the frame on; the X server has it a frame or two later.
        kiosk.shows(colour, seconds(1));
    }
    // A page that is loaded long before it can be painted: `shown` is said at paint.
    for colour in ["12349c", "b0221e"] {
        let receipt = kiosk.push_is("navigate", &navigate(&kiosk.site.url(&format!("/late/{colour}"))), "shown");
        kiosk.shows(if colour == "12349c" { BLUE } else { RED }, Duration::from_millis(300));
        assert!(receipt["took_ms"].as_u64() > Some(600), "it took the time of its style sheet: {receipt}");
    }
}

fn the_receipt_proves_the_frame_and_equal_frames_have_equal_hashes(kiosk: &mut Kiosk) {
    let hash = |colour: Colour, tag: &str| {
        let url = kiosk.site.colour(colour, tag);
        let id = kiosk.push("navigate", &navigate(&url));
        let hash = until("a receipt with the frame's hash", seconds(10), || {
            kiosk.receipt(&id)["frame_sha256"].as_str().map(str::to_owned)
        });
        assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
        hash
    };
    let (first, other, again) = (hash(BLUE, "one"), hash(RED, "two"), hash(BLUE, "three"));
    assert_eq!(first, again, "the same pixels");
    assert_ne!(first, other, "other pixels");
}

/// How much of a part of the glass differs between two looks, 0 to 1. In the uppermost line some pixels of our own show
/// that the glass is alive: they always differ.
fn changed(before: &Frame, after: &Frame, x: std::ops::Range<usize>, y: std::ops::Range<usize>) -> f64 {
    let places: Vec<(usize, usize)> = y.filter(|y| *y > 0).flat_map(|y| x.clone().map(move |x| (x, y))).collect();
    let differ = places.iter().filter(|(x, y)| before.at(*x, *y) != after.at(*x, *y)).count();
    differ as f64 / places.len() as f64
}

fn a_message_shows_over_a_page_that_forbids_everything(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/strict/b0221e");
    kiosk.push_is("navigate", &navigate(&url), "shown");
    kiosk.shows(RED, seconds(2));
    let before = kiosk.frame();
    let text = "Please leave the building by the stairs";
    kiosk.push_is("message", &json!({"text": text, "level": "alert", "position": "center", "seconds": 600}), "shown");
    let centre = (before.width * 2 / 5..before.width * 3 / 5, before.height * 2 / 5..before.height * 3 / 5);
    kiosk.screen.until("the message in the middle of the glass", seconds(2), |frame| {
        changed(&before, frame, centre.0.clone(), centre.1.clone()) > 0.2
    });
    let with_message = kiosk.frame();
    assert!(colours(&with_message) > colours(&before) + 2, "letters have edges: more colours than a plain card");
    assert_eq!(with_message.at(4, before.height - 4), RED, "the page is still there around it");
    let shot = screenshot(kiosk);
    let differs = pixels_that_differ(&shot, &with_message);
    assert!(differs < 0.02, "the screenshot shows the message too: {differs} of it differs from the glass");
    kiosk.push_is("clear_message", &json!({}), "shown");
    kiosk.screen.until("the page without the message", seconds(2), |frame| {
        changed(&before, frame, 0..before.width, 0..before.height) == 0.0
    });
}

fn colours(frame: &Frame) -> usize {
    let all: BTreeSet<Colour> =
        (0..frame.height).step_by(2).flat_map(|y| (0..frame.width).map(move |x| frame.at(x, y))).collect();
    all.len()
}

fn a_message_goes_by_itself_and_can_be_taken_away(kiosk: &mut Kiosk) {
    let before = kiosk.frame();
    let is_home = |frame: &Frame| changed(&before, frame, 0..before.width, 0..before.height) == 0.0;
    for position in ["top", "center", "bottom", "full"] {
        kiosk.push_is("message", &json!({"text": "Soon gone", "seconds": 1, "position": position}), "shown");
        kiosk.screen.until("a message", seconds(1), |frame| !is_home(frame));
        kiosk.screen.until("the message gone by itself", seconds(5), is_home);
    }
    // A newer message takes the place of the older.
    kiosk.push_is("message", &json!({"text": "older", "seconds": 600, "position": "top"}), "shown");
    kiosk.push_is("message", &json!({"text": "newer", "seconds": 600, "position": "bottom"}), "shown");
    kiosk.screen.until("only the newer message", seconds(2), |frame| {
        changed(&before, frame, 0..before.width, 0..before.height / 3) == 0.0 && !is_home(frame)
    });
    kiosk.push_is("clear_message", &json!({}), "shown");
    kiosk.screen.until("no message", seconds(2), is_home);
    kiosk.push_is("clear_message", &json!({}), "shown");
}

fn the_display_names_itself_in_large_letters(kiosk: &mut Kiosk) {
    let before = kiosk.frame();
    kiosk.push_is("identify", &json!({"seconds": 1}), "shown");
    kiosk.screen.until("the id", seconds(1), |frame| changed(&before, frame, 0..before.width, 0..before.height) > 0.05);
    kiosk.screen.until("the id gone by itself", seconds(5), |frame| {
        changed(&before, frame, 0..before.width, 0..before.height) == 0.0
    });
}

fn a_page_hears_the_events_that_are_sent_to_it(kiosk: &mut Kiosk) {
    kiosk.push_is("event", &json!({"name": "paint-me", "data": {"colour": "#12349c"}}), "done");
    kiosk.shows(BLUE, seconds(2));
    // An event of the publisher's own type reaches the page as well.
    let event =
        support::server::event(&format!("display/{DISPLAY}"), "org.example.order", &json!({"colour": "#b0221e"}));
    assert_eq!(kiosk.server.post("/v1/events", &event).status, 202);
    until("the page heard it", seconds(5), || {
        kiosk.site.hits("/report/heard").iter().any(|hit| hit.body.contains("org.example.order")).then_some(())
    });
}

/// As a sign-in that a page makes by itself, and the page behind it, which is loaded anew every minute.
fn a_page_that_was_sent_a_form_and_loads_itself_again_is_seen(kiosk: &mut Kiosk) {
    let form = "<!doctype html><html><body><form method=\"post\" action=\"/signed-in\"><input type=\"hidden\" name=\"a\">\
                </form><script>setTimeout(() => document.forms[0].submit(), 300)</script></body></html>";
    let page = "<!doctype html><html><body bgcolor=\"#0a5c36\"><script>fetch('/report/loaded');\
                setTimeout(() => location.reload(), 300)</script></body></html>";
    kiosk.site.put("/sign-in", "", form);
    kiosk.site.put("/signed-in", "", page);
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/sign-in") }), "shown");
    until("it is loaded three times", seconds(15), || (kiosk.site.hits("/report/loaded").len() >= 3).then_some(()));
    kiosk.shows([0x0a, 0x5c, 0x36], seconds(5));
    kiosk.home();
}

fn reload_loads_again_and_zoom_enlarges(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/turn/reload");
    kiosk.push_is("navigate", &navigate(&url), "shown");
    let before = kiosk.site.turns("reload");
    kiosk.push_is("reload", &json!({}), "shown");
    assert_eq!(kiosk.site.turns("reload"), before + 1);
    kiosk.shows(turn_colour(before + 1), seconds(2));
    kiosk.push_is("reload", &json!({"ignore_cache": true}), "shown");
    kiosk.shows(turn_colour(before + 2), seconds(2));
    let letters = |frame: &Frame| {
        let ground = turn_colour(before + 2);
        (0..frame.height)
            .flat_map(|y| (0..frame.width).map(move |x| (x, y)))
            .filter(|(x, y)| frame.at(*x, *y) != ground)
            .count()
    };
    let small = letters(&kiosk.frame());
    assert!(small > 0);
    let zoomed = kiosk.push_and_wait("zoom", &json!({"percent": 300}));
    assert!(matches!(zoomed["status"].as_str(), Some("shown" | "done")), "{zoomed}");
    kiosk.screen.until("larger letters", seconds(3), |frame| letters(frame) > small * 3);
    assert_eq!(kiosk.site.turns("reload"), before + 2, "zoom does not load the page again");
    kiosk.push_and_wait("zoom", &json!({"percent": 100}));
    kiosk.screen.until("the old size", seconds(3), |frame| letters(frame) == small);
}

fn a_playlist_shows_its_items_in_turn_until_a_page_is_pushed(kiosk: &mut Kiosk) {
    let items = json!([
        {"url": kiosk.site.colour(BLUE, "first"), "seconds": 1},
        {"image": kiosk.site.url("/picture/b0221e"), "seconds": 1},
    ]);
    kiosk.push_is("playlist", &json!({"items": items, "loop": true}), "shown");
    for _ in 0..2 {
        kiosk.shows(BLUE, seconds(10));
        kiosk.shows(RED, seconds(10));
    }
    kiosk.home();
    let hits = kiosk.site.hits("/colour/12349c/first").len();
    kiosk.push_is("health", &json!({}), "done");
    until("two seconds of the old playlist's time are over", seconds(5), {
        let began = std::time::Instant::now();
        move || (began.elapsed() > seconds(2)).then_some(())
    });
    assert_eq!(kiosk.site.hits("/colour/12349c/first").len(), hits, "the playlist has ended");
    assert!(kiosk.frame().share(HOME) > 0.8);
}

/// The picture that `screenshot` left at the server.
fn screenshot(kiosk: &Kiosk) -> image::RgbImage {
    kiosk.push_is("screenshot", &json!({}), "done");
    let reply = kiosk.server.get(&format!("/v1/displays/{DISPLAY}/screenshot"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/png")), "{}", reply.text());
    image::load_from_memory(&reply.body).expect("a PNG").to_rgb8()
}

fn pixels_that_differ(picture: &image::RgbImage, frame: &Frame) -> f64 {
    assert_eq!((picture.width() as usize, picture.height() as usize), (frame.width, frame.height));
    let differ = picture.enumerate_pixels().filter(|(x, y, pixel)| pixel.0 != frame.at(*x as usize, *y as usize));
    differ.count() as f64 / (frame.width * frame.height) as f64
}

fn a_screenshot_is_a_picture_of_the_glass(kiosk: &mut Kiosk) {
    let picture = screenshot(kiosk);
    assert!(pixels_that_differ(&picture, &kiosk.frame()) < 0.001);
    kiosk.push_is("screenshot", &json!({"format": "jpeg", "width": 320}), "done");
    let reply = kiosk.server.get(&format!("/v1/displays/{DISPLAY}/screenshot"));
    assert_eq!(reply.header("content-type"), Some("image/jpeg"));
    let small = image::load_from_memory(&reply.body).expect("a JPEG").to_rgb8();
    assert_eq!((small.width(), small.height()), (320, 180));
    let near = small.get_pixel(300, 170).0.iter().zip(HOME).all(|(have, want)| have.abs_diff(want) < 12);
    assert!(near, "{:?}", small.get_pixel(300, 170));
}

fn a_sound_and_a_voice_are_heard_to_their_end_and_the_page_stays(kiosk: &mut Kiosk) {
    // ALSA itself, with a file in place of a loudspeaker. It is read when Firefox plays for the first time.
    let heard = kiosk.folder().join("heard.raw");
    let asoundrc =
        format!("pcm.!default {{ type file slave.pcm \"null\" file \"{}\" format \"raw\" }}\n", heard.display());
    fs::write(kiosk.folder().join(".asoundrc"), asoundrc).expect("ALSA's settings are written");
    let loudest = || fs::read(&heard).unwrap_or_default().iter().filter(|byte| **byte != 0).count();

    kiosk.site.put("/gong.wav", "", gong());
    kiosk.push_is("navigate", &navigate(&kiosk.site.url("/turn/heard")), "shown");
    let receipt = kiosk.push_is("sound", &json!({"url": kiosk.site.url("/gong.wav")}), "done");
    assert_eq!(receipt["result"]["seconds"], 1.028, "{receipt}");
    assert!(loudest() > 1000, "the loudspeaker had {} bytes that are not silent", loudest());
    kiosk.site.put("/no-sound.wav", "", "RIFFRAFF");
    for path in ["/no-sound.wav", "/nothing-here"] {
        let id = kiosk.push("sound", &json!({"url": kiosk.site.url(path)}));
        let receipt = kiosk.server.receipt_within(&id, DISPLAY, COLD).0;
        assert_eq!(receipt["status"], "failed", "{path}: {receipt}");
        assert!(receipt["error"].as_str().is_some_and(|why| why.contains("no sound")), "{path}: {receipt}");
    }

    // It is another user's matter whether the machine can speak: one that cannot says what it lacks.
    let id = kiosk.push("say", &json!({"text": "Table forty-one, please"}));
    let receipt = kiosk.server.receipt_within(&id, DISPLAY, COLD).0;
    match receipt["status"].as_str() {
        Some("done") => {
            assert!(
                receipt["result"]["seconds"].as_f64().is_some_and(|seconds| (0.5..6.0).contains(&seconds)),
                "{receipt}"
            );
            assert!(loudest() > 1000);
        }
        _ => assert!(receipt["error"].as_str().is_some_and(|why| why.contains("no espeak-ng")), "{receipt}"),
    }
    if !has_a_sound_card() {
        let receipt = kiosk.server.receipt_within(&kiosk.push("volume", &json!({"percent": 30})), DISPLAY, COLD).0;
        let why = receipt["error"].as_str().unwrap_or_default();
        assert!(receipt["status"] == "refused" && (why.contains("card") || why.contains("amixer")), "{receipt}");
    }
    assert_eq!(kiosk.site.turns("heard"), 1, "the page was never loaded again");
    kiosk.shows(turn_colour(1), seconds(2));
    kiosk.home();
}

fn how_loud_it_is_is_set_and_the_receipt_tells_what_was_read_back(kiosk: &mut Kiosk) {
    // ALSA's plugin for a sound server is a mixer as that of a card is, in a machine that has none.
    let plugin = "find /usr/lib -name libasound_module_ctl_pulse.so | grep -q . && command -v pulseaudio amixer";
    let has_plugin = Command::new("sh").args(["-c", plugin]).stdout(Stdio::null()).status();
    if has_a_sound_card() || !has_plugin.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: needs pulseaudio, libasound2-plugins and alsa-utils, and a machine without a sound card");
        return;
    }
    let socket = kiosk.folder().join("pulse.sock");
    let protocol = format!("module-native-protocol-unix socket={} auth-anonymous=1", socket.display());
    let mut server = Command::new("pulseaudio");
    server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "-L", "module-null-sink", "-L", &protocol]);
    server
        .env("HOME", kiosk.folder())
        .env("XDG_RUNTIME_DIR", kiosk.folder())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = server.spawn().expect("pulseaudio starts");
    until("the sound server listens", seconds(20), || socket.exists().then_some(()));
    let before = fs::read_to_string(kiosk.folder().join(".asoundrc")).unwrap_or_default();
    let mixer = format!("ctl.!default {{ type pulse server \"unix:{}\" }}\n", socket.display());
    fs::write(kiosk.folder().join(".asoundrc"), before.clone() + &mixer).expect("ALSA's settings are written");

    for (percent, muted) in [(30, false), (75, true), (100, false)] {
        let receipt = kiosk.push_is("volume", &json!({"percent": percent, "muted": muted}), "done");
        let result = &receipt["result"];
        assert_eq!((&result["percent"], &result["muted"]), (&json!(percent), &json!(muted)), "{receipt}");
        let judge = Command::new("amixer").args(["sget", "Master"]).env("HOME", kiosk.folder()).output();
        let words = String::from_utf8(judge.expect("amixer runs").stdout).expect("amixer speaks text");
        let mark = format!("[{percent}%] [{}]", if muted { "off" } else { "on" });
        assert!(words.contains(&mark), "{words}");
    }
    fs::write(kiosk.folder().join(".asoundrc"), before).expect("ALSA's settings are written");
    let _ = server.kill();
    let _ = server.wait();
}

/// Then `volume` would set that of whoever runs the tests.
fn has_a_sound_card() -> bool {
    fs::read_to_string("/proc/asound/cards").is_ok_and(|cards| cards.contains('['))
}

/// A second of a square wave: 8 kHz, one channel, 8 bits, and no byte of it above 127.
fn gong() -> String {
    let mut wav = b"RIFF".to_vec();
    let samples: u32 = 0x2020;
    for part in [&(samples + 36).to_le_bytes()[..], b"WAVEfmt ", &16u32.to_le_bytes(), &[1, 0, 1, 0]] {
        wav.extend(part);
    }
    for part in [&8000u32.to_le_bytes()[..], &8000u32.to_le_bytes(), &[1, 0, 8, 0], b"data", &samples.to_le_bytes()] {
        wav.extend(part);
    }
    wav.extend((0..samples).map(|n| if n / 10 % 2 == 0 { 20 } else { 120 }));
    String::from_utf8(wav).expect("no byte is above 127")
}

fn every_command_of_the_registry_ends_in_one_receipt(kiosk: &mut Kiosk) {
    // `restart_browser` and `restart` are last: what follows them would wait for them.
    let mut names: Vec<&str> = REGISTRY.iter().map(|spec| spec.name).collect();
    names.sort_by_key(|name| name.starts_with("restart"));
    names.retain(|name| *name != "volume" || !has_a_sound_card());
    let mut ids = Vec::new();
    for name in names {
        let data = match name {
            "navigate" => navigate(&kiosk.site.colour(BLUE, "each")),
            "playlist" => json!({"items": [{"url": kiosk.site.colour(BLUE, "each-item"), "seconds": 60}]}),
            "zoom" => json!({"percent": 100}),
            "message" => json!({"text": "each", "seconds": 1}),
            "event" => json!({"name": "each", "data": [1, null, {"deep": "ünï"}]}),
            "logs" => json!({"lines": 5}),
            "configure" => json!({"toml": "[browser]\nhang_seconds = 9\n"}),
            "power" => json!({"on": true}),
            "schedule" => json!({"rules": []}),
            "rotate" => json!({"degrees": 0}),
            "brightness" => json!({"percent": 100}),
            "volume" => json!({"percent": 50}),
            "sound" => json!({"url": kiosk.site.url("/gong.wav")}),
            "say" => json!({"text": "each"}),
            "drill" => json!({"fault": "content-killed"}),
            _ => json!({}),
        };
        let id = kiosk.push(name, &data);
        if matches!(name, "restart" | "configure") {
            // It ends, and whoever keeps it (systemd, on a display) starts it again.
            let code = until("the supervisor ends", seconds(10), || kiosk.run().ended());
            assert!(code.success(), "{code}");
            kiosk.start_run();
        }
        let (receipt, _) = kiosk.server.receipt_within(&id, DISPLAY, COLD);
        // Xvfb has no panel to switch and no light to dim, the machine has no sound card and perhaps no espeak-ng; and
        // nobody here may take it down.
        let of_the_screen = ["power", "schedule", "rotate", "brightness"];
        let lacks = of_the_screen.contains(&name) || ["volume", "say", "reboot", "shutdown"].contains(&name);
        match receipt["status"].as_str() {
            Some("shown" | "done") => {}
            // A busy machine may need longer than a drill allows, and the receipt says how long.
            Some("failed") if name == "drill" => {
                assert!(receipt["error"].to_string().contains("right again only after"))
            }
            Some("refused") if lacks => assert!(receipt["error"].as_str().is_some_and(|why| why.len() > 10)),
            _ => panic!("{name}: {receipt}"),
        }
        ids.push((name, id, receipt["status"].clone()));
    }
    // As systemd does after `restart`.
    kiosk.start_run();
    kiosk.home();
    for (name, id, status) in ids {
        assert_eq!(kiosk.receipt(&id)["status"], status, "{name}: a final receipt stays");
    }
}

fn a_page_with_an_error_status_or_no_answer_is_not_said_to_be_shown(kiosk: &mut Kiosk) {
    for path in ["/broken", "/nothing-here", "/never"] {
        let id = kiosk.push("navigate", &navigate(&kiosk.site.url(path)));
        let (receipt, _) = kiosk.server.receipt_within(&id, DISPLAY, COLD);
        assert_eq!(receipt["status"], "failed", "{path}: {receipt}");
        assert!(receipt["error"].as_str().is_some_and(|words| words.len() > 5), "{path}: {receipt}");
        kiosk.home();
    }
}

fn a_site_that_is_away_is_explained_on_the_glass_and_comes_back_by_itself(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/turn/away");
    kiosk.push_is("navigate", &navigate(&url), "shown");
    kiosk.shows(turn_colour(kiosk.site.turns("away")), seconds(2));
    kiosk.site.go_away();
    let receipt = kiosk.push_and_wait("reload", &json!({}));
    assert_eq!(receipt["status"], "failed", "{receipt}");
    let gone = turn_colour(kiosk.site.turns("away"));
    kiosk.screen.until("the offline page", seconds(10), |frame| frame.share(gone) < 0.1 && colours(frame) > 8);
    // The offline page is our own and is neither Firefox's error page nor a blank one: it answers to the screenshot.
    let words = kiosk.push_is("health", &json!({}), "done");
    assert!(words["result"].to_string().contains("/turn/away"), "health says what should be on the glass: {words}");
    let before = kiosk.site.turns("away");
    kiosk.site.come_back();
    kiosk.screen.until("the site, back by itself", seconds(60), |frame| {
        let turns = kiosk.site.turns("away");
        turns > before && frame.share(turn_colour(turns)) > 0.8
    });
    // A page that was never reachable says so in its receipt, and is shown when it can be.
    kiosk.site.go_away();
    let id = kiosk.push("navigate", &navigate(&kiosk.site.url("/turn/later")));
    let (receipt, _) = kiosk.server.receipt_within(&id, DISPLAY, COLD);
    assert_eq!(receipt["status"], "failed", "{receipt}");
    kiosk.site.come_back();
    kiosk.screen.until("the page, by itself", seconds(60), |frame| {
        let turns = kiosk.site.turns("later");
        turns > 0 && frame.share(turn_colour(turns)) > 0.8
    });
}

fn with_the_server_gone_the_page_stays_and_with_the_server_back_pushes_work(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/turn/stays");
    kiosk.push_is("navigate", &navigate(&url), "shown");
    let turns = kiosk.site.turns("stays");
    kiosk.shows(turn_colour(turns), seconds(2));
    kiosk.server.kill();
    until("the server is gone", seconds(5), || {
        http::request(kiosk.server.address, "GET", "/healthz", &[], b"", seconds(1)).err()
    });
    // Content crashes while nobody can push: the page comes back all the same.
    for pid in kiosk.content() {
        support::process::send(pid, nix::sys::signal::Signal::SIGKILL);
    }
    kiosk.screen.until("the page, again", seconds(15), |frame| {
        let now = kiosk.site.turns("stays");
        now > turns && frame.share(turn_colour(now)) > 0.8
    });
    kiosk.server.start_again();
    let receipt = kiosk.push_and_wait("navigate", &navigate(&kiosk.site.colour(BLUE, "back")));
    assert_eq!(receipt["status"], "shown", "{receipt}");
}

fn a_display_that_starts_without_network_shows_its_last_page(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/turn/kept");
    kiosk.push_is("navigate", &navigate(&url), "shown");
    kiosk.server.kill();
    kiosk.stop_display();
    let before = kiosk.site.turns("kept");
    kiosk.start_run();
    kiosk.start_browser();
    kiosk.screen.until("the last page", COLD, |frame| {
        let turns = kiosk.site.turns("kept");
        turns > before && frame.share(turn_colour(turns)) > 0.8
    });
    kiosk.server.start_again();
    kiosk.push_is("navigate", &navigate(&kiosk.site.colour(BLUE, "after")), "shown");
}
