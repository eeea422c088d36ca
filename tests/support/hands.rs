//! The hands of somebody who stands before the display: keys and buttons, pressed through XTEST as a keyboard would.

use std::collections::HashMap;

use x11rb::{
    connection::Connection,
    protocol::{
        xproto::{self, ConnectionExt as _},
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

/// A keyboard and a mouse on one X display.
pub struct Hands {
    connection: RustConnection,
    root: xproto::Window,
    /// Where each symbol lies, and whether it needs Shift. As the keyboard was before anybody took keys away.
    keys: HashMap<u32, (u8, bool)>,
}

impl Hands {
    /// Remembers the keyboard as it is now.
    #[track_caller]
    pub fn on(display: &str) -> Hands {
        let (connection, screen) = RustConnection::connect(Some(display)).expect("the X server lets us in");
        let setup = connection.setup();
        let root = setup.roots[screen].root;
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping = connection.get_keyboard_mapping(first, last - first + 1).expect("it is asked");
        let mapping = mapping.reply().expect("it answers");
        let mut keys = HashMap::new();
        for (code, symbols) in (first..=last).zip(mapping.keysyms.chunks(mapping.keysyms_per_keycode.into())) {
            for (symbol, shifted) in symbols.iter().take(2).zip([false, true]) {
                if *symbol != 0 {
                    keys.entry(*symbol).or_insert((code, shifted));
                }
            }
        }
        Hands { connection, root, keys }
    }

    /// Presses a combination such as `Ctrl+Shift+T`, and lets go. False if this keyboard has no such key.
    pub fn press(&self, combination: &str) -> bool {
        let codes: Option<Vec<u8>> =
            combination.split('+').map(|name| Some(self.keys.get(&symbol(name)?)?.0)).collect();
        let Some(codes) = codes else { return false };
        codes.iter().for_each(|code| self.key(*code, true));
        codes.iter().rev().for_each(|code| self.key(*code, false));
        self.settle();
        true
    }

    /// Types a text of letters, digits and signs.
    pub fn type_text(&self, text: &str) {
        let shift = self.keys[&symbol("Shift").expect("it has a symbol")].0;
        for letter in text.chars() {
            let letter = if letter == '\n' { symbol("Return").expect("it has a symbol") } else { u32::from(letter) };
            let Some((code, shifted)) = self.keys.get(&letter) else { continue };
            if *shifted {
                self.key(shift, true);
            }
            self.key(*code, true);
            self.key(*code, false);
            if *shifted {
                self.key(shift, false);
            }
        }
        self.settle();
    }

    /// Presses a button where the pointer is put, with keys held.
    pub fn click(&self, button: u8, at: (i16, i16), held: &str) {
        self.move_to(at);
        let codes: Vec<u8> = held
            .split('+')
            .filter(|name| !name.is_empty())
            .map(|name| self.keys[&symbol(name).expect("the keyboard has it")].0)
            .collect();
        codes.iter().for_each(|code| self.key(*code, true));
        self.button(button, true);
        self.button(button, false);
        codes.iter().rev().for_each(|code| self.key(*code, false));
        self.settle();
    }

    /// Presses the first button here, moves, and lets go there.
    pub fn drag(&self, from: (i16, i16), to: (i16, i16)) {
        self.move_to(from);
        self.button(1, true);
        for step in 1..=10 {
            let between = |a: i16, b: i16| a + (b - a) * step / 10;
            self.move_to((between(from.0, to.0), between(from.1, to.1)));
        }
        self.button(1, false);
        self.settle();
    }

    pub fn move_to(&self, (x, y): (i16, i16)) {
        let moved = self.connection.xtest_fake_input(xproto::MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0);
        moved.expect("the X server is there");
        self.settle();
    }

    /// How many windows lie directly on the screen and can be seen.
    pub fn windows(&self) -> usize {
        let tree = self.connection.query_tree(self.root).expect("it is asked").reply().expect("it answers");
        let seen = |window: &&u32| {
            let attributes = self.connection.get_window_attributes(**window).ok().and_then(|asked| asked.reply().ok());
            attributes.is_some_and(|it| {
                it.map_state == xproto::MapState::VIEWABLE && it.class == xproto::WindowClass::INPUT_OUTPUT
            })
        };
        tree.children.iter().filter(seen).count()
    }

    fn key(&self, code: u8, down: bool) {
        let kind = if down { xproto::KEY_PRESS_EVENT } else { xproto::KEY_RELEASE_EVENT };
        self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0).expect("the X server is there");
    }

    fn button(&self, button: u8, down: bool) {
        let kind = if down { xproto::BUTTON_PRESS_EVENT } else { xproto::BUTTON_RELEASE_EVENT };
        self.connection.xtest_fake_input(kind, button, 0, self.root, 0, 0, 0).expect("the X server is there");
    }

    /// The X server has taken all that was sent.
    fn settle(&self) {
        self.connection.get_input_focus().expect("it is asked").reply().expect("the X server answers");
    }
}

/// How many windows Firefox has for pages, below the root or in a frame of the window manager.
#[track_caller]
pub fn pages(display: &str) -> usize {
    let (x, screen) = RustConnection::connect(Some(display)).expect("the X server lets us in");
    let role = x.intern_atom(false, b"WM_WINDOW_ROLE").expect("it is asked").reply().expect("it answers").atom;
    let children = |window| x.query_tree(window).ok().and_then(|asked| asked.reply().ok()).map(|tree| tree.children);
    let is_page = |window: &u32| {
        let asked = x.get_property(false, *window, role, xproto::AtomEnum::STRING, 0, 16).ok();
        asked.and_then(|asked| asked.reply().ok()).is_some_and(|it| it.value == b"browser")
    };
    let top = children(x.setup().roots[screen].root).unwrap_or_default();
    let framed = top.iter().flat_map(|window| children(*window).unwrap_or_default());
    top.iter().copied().chain(framed.collect::<Vec<_>>()).filter(is_page).count()
}

/// The number of a key's name (X11/keysymdef.h, XF86keysym.h).
fn symbol(name: &str) -> Option<u32> {
    Some(match name {
        "Ctrl" => 0xffe3,
        "Shift" => 0xffe1,
        "Alt" => 0xffe9,
        "Super" => 0xffeb,
        "Return" => 0xff0d,
        "Escape" => 0xff1b,
        "Tab" => 0xff09,
        "BackSpace" => 0xff08,
        "Delete" => 0xffff,
        "Insert" => 0xff63,
        "Home" => 0xff50,
        "End" => 0xff57,
        "Left" => 0xff51,
        "Up" => 0xff52,
        "Right" => 0xff53,
        "Down" => 0xff54,
        "PageUp" => 0xff55,
        "PageDown" => 0xff56,
        "Menu" => 0xff67,
        "Print" => 0xff61,
        "Pause" => 0xff13,
        "Space" => 0x20,
        "HomePage" => 0x1008_ff18,
        "Search" => 0x1008_ff1b,
        "Favorites" => 0x1008_ff30,
        "Refresh" => 0x1008_ff73,
        "Back" => 0x1008_ff26,
        "Forward" => 0x1008_ff27,
        "Close" => 0x1008_ff56,
        "WWW" => 0x1008_ff2e,
        "Mail" => 0x1008_ff19,
        "Explorer" => 0x1008_ff5d,
        "New" => 0x1008_ff68,
        "Open" => 0x1008_ff6b,
        "Calculator" => 0x1008_ff1d,
        _ => match name.strip_prefix('F').and_then(|n| n.parse::<u32>().ok()) {
            Some(n @ 1..=12) => 0xffbd + n,
            // Of Latin 1 the symbol is the letter; a keyboard's own are the small ones.
            _ => u32::from(name.chars().next().filter(|_| name.chars().count() == 1)?.to_ascii_lowercase()),
        },
    })
}
