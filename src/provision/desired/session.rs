//! From the login on tty1 to Firefox on the glass.

use super::{Lay, edit};
use crate::{
    config::{KioskSettings, Rotation},
    io::system::Owner,
    provision::facts::Facts,
};

const BASH_PROFILE: &str = include_str!("../../../assets/provision/bash_profile");
const XSESSIONRC: &str = include_str!("../../../assets/provision/xsessionrc");
const XSERVERRC: &str = include_str!("../../../assets/provision/xserverrc");
const XORG: &str = include_str!("../../../assets/provision/xorg.conf");
const BACKLIGHT: &str = include_str!("../../../assets/provision/backlight.rules");
const XMODMAP: &str = include_str!("../../../assets/provision/keys.xmodmap");
const POLICIES: &str = include_str!("../../../assets/firefox/policies.json");

/// The home as every session begins with it.
const PRISTINE: &str = "/opt/pikiosk/home";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts, kiosk: Owner) {
    lay.plain_dir("/opt/pikiosk");
    let why = "the kiosk's home as every session begins with it; what a session leaves behind is gone with it";
    // The copy takes its mode along.
    lay.dir(PRISTINE, 0o750, Owner { uid: 0, gid: kiosk.gid }, why);
    let path = format!("{PRISTINE}/.bash_profile");
    // What the home held before the first time is taken over; from then on, what the pristine home holds.
    let had = facts.text(&path).or(facts.text("/home/kiosk/.bash_profile")).unwrap_or_default();
    lay.file(&path, edit::block(had, BASH_PROFILE), "the login on tty1 starts X, and no other login does");
    let cursor = settings.screen.cursor;
    let xsessionrc = XSESSIONRC.replace("@CURSOR@", if cursor { "yes" } else { "no" });
    let why = "X: no screen saver, nothing switched off, windows over the whole screen, Firefox kept running";
    lay.file(format!("{PRISTINE}/.xsessionrc"), xsessionrc, why);
    let xserverrc = XSERVERRC.replace(" @NOCURSOR@", if cursor { "" } else { " -nocursor" });
    lay.file(format!("{PRISTINE}/.xserverrc"), xserverrc, "the X server: on this screen only, not over the network");
    lay.file(format!("{PRISTINE}/.hushlogin"), "", "no greeting on the glass while X starts");
    lay.dir("/home/kiosk", 0o750, kiosk, "the kiosk's home");

    lay.file(
        "/opt/pikiosk/matchbox-keys",
        "",
        "the window manager takes no keys: none of its own closes or changes anything",
    );
    lay.file("/opt/pikiosk/keys.xmodmap", XMODMAP, "keys that keyboards have for browsers and mail do nothing");
    // Of two sections of flags, X takes the last one alone.
    lay.file(
        "/etc/X11/xorg.conf.d/90-pikiosk.conf",
        xorg(settings.screen.rotate),
        "X cannot be left or ended by keys, never blanks, and is turned as the screen hangs",
    );
    lay.file("/etc/udev/rules.d/90-pikiosk.rules", BACKLIGHT, "the kiosk sets how bright a panel with a backlight is");
    lay.file(
        "/etc/X11/Xwrapper.config",
        "# Written by pikiosk provision.\nallowed_users=console\nneeds_root_rights=auto\n",
        "only who sits at the screen starts X, and as root only where its driver needs that",
    );
    lay.file(
        "/etc/firefox/policies/policies.json",
        POLICIES,
        "Firefox: no update, no questions, no settings, nothing sent home",
    );
}

pub fn restart(lay: &mut Lay) {
    let why = "lets udev take the rule for what is there already";
    lay.after(&["/etc/udev/rules.d/90-pikiosk.rules"], "udevadm", &["control", "--reload"], why, false);
    let again = ["trigger", "--subsystem-match=backlight", "--action=add"];
    lay.after(&["/etc/udev/rules.d/90-pikiosk.rules"], "udevadm", &again, why, false);
    let watches = ["/opt/pikiosk", "/etc/X11", "/etc/firefox", "/etc/systemd/system/getty@tty1.service.d"];
    let arguments = ["--no-block", "restart", "getty@tty1.service"];
    lay.after(&watches, "systemctl", &arguments, "starts the session on the screen anew", false);
}

/// The rotation is written here and not asked of xrandr: the first picture is right already.
fn xorg(rotate: Rotation) -> String {
    let (word, matrix) = match rotate {
        Rotation::None => return XORG.to_owned(),
        Rotation::Right => ("right", "0 1 0 -1 0 1 0 0 1"),
        Rotation::Half => ("inverted", "-1 0 1 0 -1 1 0 0 1"),
        Rotation::Left => ("left", "0 -1 1 1 0 0 0 0 1"),
    };
    format!(
        "{XORG}
Section \"Monitor\"
    Identifier \"HDMI-1\"
    Option \"Rotate\" \"{word}\"
EndSection

# Fingers land where the picture is.
Section \"InputClass\"
    Identifier \"pikiosk touch\"
    MatchIsTouchscreen \"on\"
    Option \"TransformationMatrix\" \"{matrix}\"
EndSection
"
    )
}
