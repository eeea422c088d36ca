//! Somebody stands before a display with a touch screen: writes without a keyboard, opens something, and goes. Real
//! Firefox; the finger is XTEST's.

mod support;

use std::{fs, io::Write};

use serde_json::json;
use support::{
    hands::Hands,
    kiosk::{HOME, Kiosk},
    screen::Colour,
    wait::{seconds, until},
};

scenarios![
    somebody_without_a_keyboard_writes_into_a_page,
    a_page_that_somebody_left_open_is_there_as_it_was_for_the_next_one,
    what_a_field_opens_when_it_is_touched_goes_with_its_page,
];

const FORM: Colour = [0xee, 0xf2, 0xf7];
const START: Colour = [0x1e, 0x3a, 0x8a];
const DEEP: Colour = [0x8a, 0x1e, 0x3a];
/// assets/browser/keyboard.js
const KEYBOARD: Colour = [0x0d, 0x13, 0x21];

/// Its field lies where the keyboard comes, and its script watches the value as frameworks do: what was set behind its
/// back and told by no event of `input` is not there for it.
const PAGE: &str = r##"<!doctype html><html><body bgcolor="#eef2f7" style="margin:0;height:720px;position:relative">@READY@
<form action="/sent"><input id="a" name="a" style="position:absolute;left:400px;top:640px;width:480px;font-size:30px"></form><script>
const own = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
let known = "";
Object.defineProperty(a, "value", { get() { return own.get.call(this); }, set(v) { known = v; own.set.call(this, v); } });
a.addEventListener("input", () => {
  const now = own.get.call(a);
  if (now === known) return;
  known = now;
  fetch("/report/typed", { method: "POST", body: now });
});
addEventListener("pointerdown", event => fetch("/report/touched", { method: "POST", body: event.target.localName }));
</script></body></html>"##;

/// Firefox takes no click in the first moments of a page, so that nobody hits what was not there yet.
const READY: &str = r#"<script>setTimeout(() => fetch("/report/ready" + location.pathname), 600)</script>"#;

/// Waits until the page on the glass takes clicks.
fn ready(kiosk: &Kiosk, path: &str) {
    until("the page takes clicks", seconds(10), || {
        (!kiosk.site.hits(&format!("/report/ready{path}")).is_empty()).then_some(())
    });
}

/// Once for all scenarios: these settings are the owner's to make, and a server cannot.
fn set_up(kiosk: &mut Kiosk) {
    let config = kiosk.folder().join("kiosk.toml");
    if fs::read_to_string(&config).expect("it is there").contains("keyboard") {
        return;
    }
    let mut file = fs::File::options().append(true).open(&config).expect("it is ours");
    file.write_all(b"[browser]\nkeyboard = true\nhome_after = 10\n").expect("it is written");
    kiosk.kill_run();
    kiosk.start_run();
    kiosk.home();
}

/// Where a key is on a glass of 1280x720, by its row and its place of ten in it.
fn key(row: u8, place: f32) -> (i16, i16) {
    let size = 720.0 * 0.092;
    let (wide, top) = (size * 16.0, 720.0 - 4.0 * size - 0.18 * size - 2.0);
    let at = ((1280.0 - wide) / 2.0 + wide * place / 10.0, top + 2.0 + 0.09 * size + size * (f32::from(row) + 0.5));
    (at.0 as i16, at.1 as i16)
}

fn somebody_without_a_keyboard_writes_into_a_page(kiosk: &mut Kiosk) {
    set_up(kiosk);
    kiosk.site.put("/sent", "", "<!doctype html><html><body bgcolor=\"#1e3a8a\"></body></html>");
    kiosk.site.put("/form", "", PAGE.replace("@READY@", READY));
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/form") }), "shown");
    kiosk.shows(FORM, seconds(5));
    let hands = Hands::on(&kiosk.screen.display);
    let typed = |kiosk: &Kiosk, text: &str| {
        until(&format!("the page has {text:?}"), seconds(10), || {
            kiosk.site.hits("/report/typed").last().is_some_and(|hit| hit.body == text).then_some(())
        });
    };
    ready(kiosk, "/form");
    hands.click(1, (640, 660), "");
    kiosk.screen.until("the keyboard is there", seconds(5), |frame| frame.at(20, 600) == KEYBOARD);
    // h, i, and a capital letter; then one of them is taken back.
    for (at, text) in [(key(1, 6.0), "h"), (key(0, 7.5), "hi")] {
        hands.click(1, at, "");
        typed(kiosk, text);
    }
    hands.click(1, key(2, 0.5), "");
    hands.click(1, key(0, 0.5), "");
    typed(kiosk, "hiQ");
    hands.click(1, key(2, 9.5), "");
    typed(kiosk, "hi");
    let touched = kiosk.site.hits("/report/touched");
    assert_eq!(touched.len(), 1, "the page hears of its own field, and of no key: {touched:?}");
    hands.click(1, key(3, 7.5), "");
    kiosk.shows(START, seconds(10));
    assert_eq!(kiosk.site.hits("/sent?a=hi").len(), 1, "what was written is sent, once");
}

fn a_page_that_somebody_left_open_is_there_as_it_was_for_the_next_one(kiosk: &mut Kiosk) {
    set_up(kiosk);
    let page = |colour: &str| {
        format!(
            "<!doctype html><html><body bgcolor=\"#{colour}\"><a href=\"/deep\" \
             style=\"position:fixed;inset:0\"></a>{READY}</body></html>"
        )
    };
    kiosk.site.put("/start", "", page("1e3a8a"));
    kiosk.site.put("/deep", "", page("8a1e3a"));
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/start") }), "shown");
    kiosk.shows(START, seconds(5));
    ready(kiosk, "/start");
    Hands::on(&kiosk.screen.display).click(1, (640, 300), "");
    kiosk.shows(DEEP, seconds(5));
    // Ten seconds, and at most five until the loop tells that they are over.
    let took = kiosk.shows(START, seconds(25));
    assert!(took >= seconds(8), "they may only have been reading: {took:?}");
    assert_eq!(kiosk.site.hits("/start").len(), 2);
}

/// A dialog of the toolkit is a window of its own: it would stay over every page to come, and no session hears of it.
fn what_a_field_opens_when_it_is_touched_goes_with_its_page(kiosk: &mut Kiosk) {
    let hands = Hands::on(&kiosk.screen.display);
    kiosk.home();
    let alone = hands.windows();
    for kind in ["color", "file", "date", "time", "month"] {
        let path = format!("/field/{kind}");
        let field = format!(
            "<!doctype html><html><body bgcolor=\"#eef2f7\">{READY}<input type=\"{kind}\" \
             style=\"position:fixed;left:40%;top:40%;width:20%;height:20%\" \
             onclick=\"fetch('/report/clicked/{kind}')\"></body></html>"
        );
        kiosk.site.put(&path, "", &field);
        kiosk.push_is("navigate", &json!({ "url": kiosk.site.url(&path) }), "shown");
        ready(kiosk, &path);
        hands.click(1, (640, 360), "");
        until("it is touched", seconds(10), || {
            (!kiosk.site.hits(&format!("/report/clicked/{kind}")).is_empty()).then_some(())
        });
        kiosk.home();
        until(&format!("nothing of a field of {kind} lies over the next page"), seconds(5), || {
            (hands.windows() == alone && kiosk.frame().share(HOME) > 0.95).then_some(())
        });
    }
}
