//! Somebody with a keyboard and a mouse before a display tries to leave the page. Real Firefox, keys through XTEST.
//!
//! After each attempt the text of an address is typed and Return is pressed: whoever got into an address bar, a console
//! or a new window, hidden or not, would go there, and the site would know. Then the page is asked to change its colour,
//! and that colour must fill the screen: nothing lies over it, nothing took its place.

#![expect(clippy::print_stdout, reason = "how many attempts were made is this test's report")]

mod support;

use std::{collections::BTreeSet, process::Command};

use serde_json::json;
use support::{
    hands::Hands,
    kiosk::{COLD, Kiosk},
    process,
    wait::{seconds, until},
};

scenarios![nobody_leaves_the_page_by_keys_or_gestures];

/// Combinations that open, close or lead somewhere in some browser, window manager or X server.
const KEYS: &[&str] = &[
    "Ctrl+T",
    "Ctrl+N",
    "Ctrl+Shift+N",
    "Ctrl+Shift+P",
    "Ctrl+Shift+T",
    "Ctrl+W",
    "Ctrl+Shift+W",
    "Ctrl+F4",
    "Alt+F4",
    "Ctrl+Q",
    "Ctrl+Shift+Q",
    "Ctrl+L",
    "Alt+D",
    "F6",
    "Shift+F6",
    "Ctrl+F6",
    "Ctrl+K",
    "Ctrl+J",
    "Ctrl+E",
    "Ctrl+O",
    "Ctrl+S",
    "Ctrl+P",
    "Ctrl+U",
    "Ctrl+I",
    "Ctrl+D",
    "Ctrl+Shift+D",
    "Ctrl+B",
    "Ctrl+H",
    "Ctrl+Shift+H",
    "Ctrl+Shift+B",
    "Ctrl+Shift+O",
    "Ctrl+Shift+Y",
    "Ctrl+Shift+A",
    "Ctrl+F",
    "Ctrl+G",
    "F3",
    "/",
    "'",
    "F7",
    "F1",
    "F2",
    "F4",
    "F9",
    "F10",
    "F11",
    "Alt+Return",
    "F12",
    "Shift+F12",
    "Ctrl+Shift+I",
    "Ctrl+Shift+J",
    "Ctrl+Shift+K",
    "Ctrl+Shift+C",
    "Ctrl+Shift+E",
    "Ctrl+Shift+M",
    "Ctrl+Shift+S",
    "Ctrl+Shift+X",
    "Ctrl+Shift+Z",
    "Shift+F2",
    "Shift+F4",
    "Shift+F5",
    "Shift+F7",
    "Shift+F8",
    "Shift+F9",
    "Shift+Escape",
    "Ctrl+Shift+Delete",
    "Ctrl+Tab",
    "Ctrl+Shift+Tab",
    "Ctrl+PageUp",
    "Ctrl+PageDown",
    "Ctrl+1",
    "Ctrl+2",
    "Ctrl+9",
    "Alt+1",
    "Alt+9",
    "Alt+Left",
    "Alt+Right",
    "Alt+Home",
    "Alt+Up",
    "BackSpace",
    "Shift+BackSpace",
    "Ctrl+[",
    "Ctrl+]",
    "Alt",
    "Alt+F",
    "Alt+E",
    "Alt+V",
    "Alt+Space",
    "Menu",
    "Shift+F10",
    "Super",
    "Super+D",
    "Super+L",
    "Super+Tab",
    "Super+R",
    "Alt+Tab",
    "Alt+Shift+Tab",
    "Alt+Escape",
    "Ctrl+Escape",
    "Ctrl+Alt+T",
    "Ctrl+Alt+Delete",
    "Ctrl+Alt+X",
    "Ctrl+Alt+R",
    "Ctrl+Alt+F1",
    "Ctrl+Alt+F2",
    "Ctrl+Alt+BackSpace",
    "Alt+N",
    "Alt+P",
    "Alt+C",
    "Alt+M",
    "Alt+F1",
    "Alt+F2",
    "Alt+F8",
    "Print",
    "Alt+Print",
    "Ctrl+M",
    "Ctrl+Shift+R",
    "Ctrl+R",
    "F5",
    "Ctrl+F5",
    "Ctrl+Shift+V",
    "Escape",
    "Tab",
    "Shift+Tab",
    "Ctrl+Insert",
    "Shift+Insert",
    "Insert",
    "Pause",
    "HomePage",
    "Search",
    "Favorites",
    "Refresh",
    "Back",
    "Forward",
    "Close",
    "WWW",
    "Mail",
    "Explorer",
    "New",
    "Open",
    "Calculator",
];

/// What a mouse can do. The page has a link at (100, 100), a picture at (300, 100), a text field at (500, 100).
type Gesture = (&'static str, fn(&Hands));
const GESTURES: &[Gesture] = &[
    ("a right click", |hands| hands.click(3, (640, 400), "")),
    ("a right click with Shift", |hands| hands.click(3, (640, 400), "Shift")),
    ("a right click on a link", |hands| hands.click(3, (100, 100), "")),
    ("a right click on a picture", |hands| hands.click(3, (300, 100), "Shift")),
    ("a right click in a text field", |hands| hands.click(3, (500, 100), "")),
    ("the first entry of a menu that may be there", |hands| {
        hands.click(3, (100, 100), "");
        hands.press("Down");
        hands.press("Return");
    }),
    ("a middle click", |hands| hands.click(2, (640, 400), "")),
    ("a middle click on a link", |hands| hands.click(2, (100, 100), "")),
    ("a click with Ctrl on a link", |hands| hands.click(1, (100, 100), "Ctrl")),
    ("a click with Shift on a link", |hands| hands.click(1, (100, 100), "Shift")),
    ("a click with Ctrl and Shift on a link", |hands| hands.click(1, (100, 100), "Ctrl+Shift")),
    ("a click with Alt on a link", |hands| hands.click(1, (100, 100), "Alt")),
    ("a link dragged to the upper edge", |hands| hands.drag((100, 100), (640, 0))),
    ("a picture dragged to the upper edge", |hands| hands.drag((300, 100), (640, 1))),
    ("the pointer at the upper edge", |hands| hands.move_to((640, 0))),
    ("a click in the upper left corner", |hands| hands.click(1, (0, 0), "")),
    ("a click in the upper right corner", |hands| hands.click(1, (1279, 0), "")),
    ("the mouse's button for back", |hands| hands.click(8, (640, 400), "")),
    ("the mouse's button for forward", |hands| hands.click(9, (640, 400), "")),
    ("the wheel with Ctrl", |hands| hands.click(4, (640, 400), "Ctrl")),
    ("the wheel with Shift", |hands| hands.click(5, (640, 400), "Shift")),
    ("the wheel with Alt", |hands| hands.click(5, (640, 400), "Alt")),
    ("the wheel to the side", |hands| hands.click(6, (640, 400), "")),
    ("a window dragged with Alt", |hands| {
        hands.move_to((640, 400));
        hands.press("Alt");
        hands.drag((640, 400), (100, 600));
    }),
    ("three clicks and a drag of the text", |hands| {
        (0..3).for_each(|_| hands.click(1, (500, 100), ""));
        hands.drag((500, 100), (640, 0));
    }),
];

/// All of one colour, with things to click that cannot be seen, and a text field that has the focus.
const PAGE: &str = r##"<!doctype html><html><head><title>home</title><style>
a, img, input { position: absolute; top: 80px; width: 40px; height: 40px; opacity: 0; border: 0; outline: 0; caret-color: transparent }
</style></head><body bgcolor="#0a5c36"><a href="/keys" style="left: 80px">link</a>
<img src="/picture/0000ff/x" alt="" style="left: 280px"><input style="left: 480px" value="http://escaped.example/">
<script>
const field = document.querySelector("input");
addEventListener("paint-me", event => { document.body.bgColor = event.detail.colour; field.value = ""; field.focus(); }, true);
field.focus();
</script></body></html>"##;

/// Nothing else can be seen: not a menu, not a bar, not a line.
const WHOLE: f64 = 0.999;

/// Has the page paint itself, and returns how much of the screen that colour then fills.
fn coloured(kiosk: &Kiosk, hex: &str, colour: support::screen::Colour) -> f64 {
    kiosk.push_is("event", &json!({ "name": "paint-me", "data": { "colour": hex } }), "done");
    let began = std::time::Instant::now();
    let mut share = 0.0;
    while share < WHOLE && began.elapsed() < seconds(2) {
        share = kiosk.frame().share(colour);
    }
    share
}

fn nobody_leaves_the_page_by_keys_or_gestures(kiosk: &mut Kiosk) {
    let hands = Hands::on(&kiosk.screen.display);
    // As the X session of a display does (assets/provision/xsessionrc).
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/provision/keys.xmodmap");
    let done = Command::new("xmodmap").arg(keys).env("DISPLAY", &kiosk.screen.display).status();
    assert!(done.expect("xmodmap runs (apt install x11-xserver-utils)").success());

    // Something to go back to.
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/colour/ff00ff/before") }), "shown");
    kiosk.site.put("/keys", "", PAGE);
    kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/keys") }), "shown");
    until("the page is on the glass", COLD, || (kiosk.frame().share([0x0a, 0x5c, 0x36]) > 0.999).then_some(()));
    let (firefox, windows) = (kiosk.firefox(), hands.windows());
    let loads = kiosk.site.hits("/keys").len();
    let mut left = BTreeSet::new();
    let mut missing = Vec::new();
    let mut tried = 0;

    let combinations = KEYS.iter().map(|keys| (format!("{keys} pressed"), None, Some(*keys)));
    let gestures = GESTURES.iter().map(|(name, gesture)| ((*name).to_owned(), Some(*gesture), None));
    for (n, (name, gesture, keys)) in combinations.chain(gestures).enumerate() {
        match (gesture, keys) {
            (Some(gesture), _) => gesture(&hands),
            (None, Some(keys)) if !hands.press(keys) => {
                missing.push(name);
                continue;
            }
            _ => {}
        }
        tried += 1;
        // Whoever has an address bar or a new window before him goes there.
        hands.type_text(&format!("{}/escaped/{n}\n", kiosk.site.address));
        // The page hears us, and is the only thing that can be seen.
        let shade = u8::try_from(n % 200 + 20).expect("at most 219");
        let colour = [shade, 0x80, 0xc0];
        let hex = format!("#{shade:02x}80c0");
        // A page that was just led to itself by its own link may miss it once.
        let share = (0..3).map(|_| coloured(kiosk, &hex, colour)).find(|share| *share >= WHOLE);
        let whole = share.is_some();
        let went = !kiosk.site.hits(&format!("/escaped/{n}")).is_empty();
        let alone = hands.windows() == windows && process::seen(firefox).is_some_and(|seen| seen.state != 'Z');
        if !(whole && alone) || went {
            println!("    {name}: page whole {whole}, no other window {alone}, typed address opened {went}");
            let picture = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("left-{n}.png"));
            kiosk.frame().save(&picture);
            left.insert(name);
            kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/colour/ff00ff/before") }), "shown");
            kiosk.push_is("navigate", &json!({ "url": kiosk.site.url("/keys") }), "shown");
        }
    }
    println!("    {tried} combinations and gestures tried, {} left the page: {left:?}", left.len());
    println!("    not on this keyboard: {missing:?}");
    println!("    the page itself was loaded again {} times", kiosk.site.hits("/keys").len() - loads);
    assert!(tried >= 60, "only {tried} were tried");
    assert!(left.is_empty(), "{left:#?}");
    let downloads = std::fs::read_dir(kiosk.folder().join("Downloads")).into_iter().flatten().flatten();
    let names: Vec<_> = downloads.map(|entry| entry.file_name()).collect();
    assert!(names.is_empty(), "something was downloaded: {names:?}");
}
