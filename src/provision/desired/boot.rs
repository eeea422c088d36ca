//! What the kernel and the firmware are told: in the files that this system's firmware package reads, and in those that
//! it writes from them.

use super::{
    Lay,
    edit::{self, Word},
    memory,
};
use crate::{
    config::{KioskSettings, Mode, Rotation},
    io::system::Owner,
    provision::facts::{Facts, Os},
};

/// The plug of a Pi 3, as the kernel calls it.
const PLUG: &str = "video=HDMI-A-1:";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) {
    let Some(boot) = &facts.boot else { return };
    let words = words(settings, facts);
    let config = config(settings, facts);
    if boot.generated {
        // The hook of Debian's package writes both files of the partition anew at every kernel update, from these.
        let path = "/etc/default/raspi-extra-cmdline";
        let text = edit::command_line(facts.text(path).unwrap_or_default(), &words);
        lay.file(path, text, "what the kernel is told, where Debian's firmware package reads it at each kernel update");
        let path = "/etc/default/raspi-firmware-custom";
        let text = edit::block(facts.text(path).unwrap_or_default(), &config);
        lay.file(
            path,
            text,
            "what the firmware is told, where Debian's firmware package reads it at each kernel update",
        );
    }
    let mut write = |name: &str, text: String, why| {
        lay.owned(boot.dir.join(name), text, 0o755, Owner::ROOT, why);
    };
    if let Some(had) = facts.boot_text("cmdline.txt") {
        write("cmdline.txt", edit::command_line(had, &words), "what the kernel is told at the next start");
    }
    if let Some(had) = facts.boot_text("config.txt") {
        write("config.txt", edit::block(had, &config), "what the firmware is told at the next start");
    }
}

fn words(settings: &KioskSettings, facts: &Facts) -> Vec<Word> {
    let set = |name, word: Option<&str>| Word { name, word: word.map(str::to_owned) };
    let quiet = |name, word| set(name, settings.system.quiet_boot.then_some(word));
    let country = settings.network.wifi.as_ref().map(|wifi| &wifi.country);
    let own = [
        Word { name: PLUG, word: settings.screen.mode.map(video) },
        // The console's text, before X; X turns its own picture.
        Word { name: "fbcon=rotate:", word: console_rotation(settings.screen.rotate).map(str::to_owned) },
        set("consoleblank=", Some("consoleblank=0")),
        Word { name: "cfg80211.ieee80211_regdom=", word: country.map(|at| format!("cfg80211.ieee80211_regdom={at}")) },
        memory::overlay_word(settings),
        quiet("quiet", "quiet"),
        quiet("loglevel=", "loglevel=3"),
        quiet("logo.nologo", "logo.nologo"),
        quiet("vt.global_cursor_default=", "vt.global_cursor_default=0"),
        quiet("systemd.show_status=", "systemd.show_status=false"),
    ];
    own.into_iter().chain(memory::groups_word(facts)).collect()
}

/// With `D` the plug is on also when no screen was there at the start: one that is switched on later has a picture.
fn video(mode: Mode) -> String {
    let refresh = mode.refresh.map(|refresh| format!("@{refresh}")).unwrap_or_default();
    format!("{PLUG}{}x{}{refresh}D", mode.width, mode.height)
}

fn console_rotation(rotate: Rotation) -> Option<&'static str> {
    match rotate {
        Rotation::None => None,
        Rotation::Right => Some("fbcon=rotate:1"),
        Rotation::Half => Some("fbcon=rotate:2"),
        Rotation::Left => Some("fbcon=rotate:3"),
    }
}

/// Lines of config.txt. They hold for every model, whatever section the file ends with.
fn config(settings: &KioskSettings, facts: &Facts) -> String {
    let mut lines = vec!["[all]"];
    if settings.system.quiet_boot {
        lines.push("disable_splash=1");
    }
    // Debian's kernel brings its own device tree, in which the watchdog is on.
    if facts.os == Os::RaspberryPiOs && settings.system.watchdog_seconds > 0 {
        lines.push("dtparam=watchdog=on");
    }
    match lines.len() {
        1 => String::new(),
        _ => lines.join("\n"),
    }
}
