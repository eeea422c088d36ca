//! Packages, the program itself, and its settings.

use super::{Lay, PROGRAM, SETTINGS};
use crate::{
    config::KioskSettings,
    io::system::Owner,
    provision::{
        facts::{Facts, Network, Release},
        item::Item,
    },
};

/// The program that this is, for `/usr/bin`. The caller has its bytes: it may be built for another processor.
pub fn program(bytes: Vec<u8>) -> Item {
    let why = "the program: supervisor, browser loop, and this";
    Item::File { path: PROGRAM.into(), content: bytes, mode: 0o755, owner: Owner::ROOT, why, secret: false }
}

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) {
    let mut packages = |names: &[&str], why| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        lay.desired.items.push(Item::Packages { names, why });
    };
    packages(
        &[
            "xserver-xorg-core",
            "xserver-xorg-legacy",
            "xserver-xorg-input-libinput",
            "xserver-xorg-video-fbdev",
            "libgl1-mesa-dri",
            "xinit",
            "x11-xserver-utils",
            "matchbox-window-manager",
        ],
        "X with the drivers of a Pi and a window manager that fills the screen; no desktop",
    );
    packages(&["dbus", "libpam-systemd"], "a session on tty1 that may open the screen and the keyboard");
    packages(&["fonts-dejavu-core"], "letters: without a font, pages show boxes");
    packages(
        &["ca-certificates", "systemd-timesyncd"],
        "a Pi has no clock of its own, and https needs one that is right",
    );
    if settings.browser.command.is_none() {
        if !facts.has("firefox") {
            packages(&["firefox-esr"], "the browser");
        }
        // Firefox only recommends it, and recommendations are not followed.
        let codecs = match facts.release {
            Release::Bookworm => "libavcodec59",
            Release::Trixie => "libavcodec61",
        };
        packages(&[codecs], "plays MP4: Firefox has no H.264 of its own");
    }
    if facts.network == Network::Networkd {
        packages(&["systemd-resolved"], "asks the name servers that the network tells");
    }
    if settings.network.wifi.is_some() {
        if facts.network != Network::NetworkManager {
            packages(&["wpasupplicant"], "opens the Wi-Fi");
        }
        packages(&["wireless-regdb"], "tells which channels the country allows");
        if facts.boot.is_some() {
            packages(&["firmware-brcm80211"], "runs the Pi's Wi-Fi");
        }
    }
    if settings.system.locale.as_deref().is_some_and(|locale| !locale.starts_with("C.")) {
        packages(&["locales"], "makes the locale");
    }
    if settings.system.timezone.is_some() {
        packages(&["tzdata"], "knows the time zones");
    }
    if settings.sound.volume.is_some() {
        packages(&["alsa-utils"], "sets how loud the display is");
    }
    if settings.sound.voice.is_some() {
        packages(&["espeak-ng"], "speaks");
    }
    if !settings.system.ssh_keys.is_empty() {
        packages(&["openssh-server"], "lets those in whose keys kiosk.toml names");
    }
    if settings.system.zram && !facts.has("rpi-swap") {
        packages(&["systemd-zram-generator"], "compresses memory that is not in use");
    }
    if settings.system.read_only_root {
        packages(&["overlayroot"], "keeps what is written in memory, and the card as it is");
    }
    let own: Vec<_> = settings.system.packages.iter().map(String::as_str).collect();
    if !own.is_empty() {
        packages(&own, "named in kiosk.toml");
    }
}

/// `/etc/pikiosk`: both accounts read it, nobody else does; the enrollment code is good for one display.
pub fn lay_settings(lay: &mut Lay, settings: &KioskSettings, facts: &Facts, kiosk: Owner) {
    let owner = Owner { uid: 0, gid: kiosk.gid };
    lay.dir("/etc/pikiosk", 0o750, owner, "the settings of the display");
    lay.secret(
        SETTINGS,
        of_the_display(settings, facts),
        0o640,
        owner,
        "what this display is, and which server it listens to",
    );
}

/// Last of all: it starts with everything that changed. Nothing waits for it, since it is ready only once a page is
/// painted, which may need what comes after this.
pub fn restart(lay: &mut Lay) {
    let watches = [PROGRAM, SETTINGS, "/usr/lib/systemd/system/pikiosk.service"];
    let arguments = ["--no-block", "restart", "pikiosk.service"];
    lay.after(&watches, "systemctl", &arguments, "starts the supervisor with what changed", false);
}

/// A file that says the same already stays as its writer left it, with comments and order.
fn of_the_display(settings: &KioskSettings, facts: &Facts) -> String {
    let text = settings.for_the_display();
    if let Some(had) = facts.text(SETTINGS)
        && KioskSettings::from_text(had).is_ok_and(|had| !had.has_password() && had.for_the_display() == text)
    {
        return had.to_owned();
    }
    format!("# Written by pikiosk provision. Change it here and run `pikiosk provision` again.\n\n{text}")
}
