//! What systemd runs, what it must not run, and how long it waits.

use super::Lay;
use crate::{
    config::{Journal, KioskSettings, Repair},
    provision::facts::Facts,
};

/// Units exactly as they are in systemd/.
const UNITS: [(&str, &str, &str); 7] = [
    ("pikiosk.service", include_str!("../../../systemd/pikiosk.service"), "keeps the right page on the display"),
    (
        "pikiosk-helper.socket",
        include_str!("../../../systemd/pikiosk-helper.socket"),
        "where the supervisor asks for the few things that only root may do",
    ),
    (
        "pikiosk-helper@.service",
        include_str!("../../../systemd/pikiosk-helper@.service"),
        "starts the machine or the session again, and sets the clock, when the supervisor asks",
    ),
    (
        "pikiosk-unplug.service",
        include_str!("../../../systemd/pikiosk-unplug.service"),
        "takes the screens away at their plugs for a drill, and always gives them back",
    ),
    (
        "run-pikiosk-profile.mount",
        include_str!("../../../systemd/run-pikiosk-profile.mount"),
        "what a page writes fills memory of its own, and not what the system has in /run",
    ),
    (
        "pikiosk-first-boot.service",
        include_str!("../../../systemd/pikiosk-first-boot.service"),
        "finishes at the first start what could not be done on a card",
    ),
    (
        "pikiosk-repair.service",
        include_str!("../../../systemd/pikiosk-repair.service"),
        "puts right at each start what somebody changed by hand",
    ),
];
const GETTY: &str = include_str!("../../../systemd/getty@tty1.service.d/pikiosk.conf");
const SYSUSERS: &str = include_str!("../../../systemd/sysusers.d/pikiosk.conf");
const TMPFILES: &str = include_str!("../../../systemd/tmpfiles.d/pikiosk.conf");

const SYSTEM: &str = "/etc/systemd/system";

/// Nothing of these may start by itself, each with the reason.
const MASKED: [(&str, &str); 8] = [
    ("apt-daily.timer", "no update at a moment that nobody chose"),
    ("apt-daily-upgrade.timer", "no update at a moment that nobody chose"),
    ("man-db.timer", "nobody reads manuals here, and it wears the card"),
    ("e2scrub_all.timer", "there is no LVM to check, and it wears the card"),
    ("dpkg-db-backup.timer", "packages change only when somebody does it, and it wears the card"),
    ("ctrl-alt-del.target", "a keyboard at the screen restarts nothing"),
    ("systemd-networkd-wait-online.service", "the picture never waits for the network"),
    ("NetworkManager-wait-online.service", "the picture never waits for the network"),
];

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) {
    let system = &settings.system;
    for (name, text, why) in UNITS {
        lay.file(format!("/usr/lib/systemd/system/{name}"), text, why);
    }
    let why = "the accounts again, for whoever makes the system anew from its packages";
    lay.file("/usr/lib/sysusers.d/pikiosk.conf", SYSUSERS, why);
    lay.file("/usr/lib/tmpfiles.d/pikiosk.conf", TMPFILES, "where supervisor and browser meet");
    let why = "logs the kiosk in on the screen, with its home as it was laid down";
    lay.file(format!("{SYSTEM}/getty@tty1.service.d/pikiosk.conf"), GETTY, why);

    enable(lay, "pikiosk.service", "multi-user.target");
    enable(lay, "pikiosk-helper.socket", "sockets.target");
    enable(lay, "run-pikiosk-profile.mount", "local-fs.target");
    enable(lay, "pikiosk-first-boot.service", "multi-user.target");
    match system.repair {
        Repair::Boot => enable(lay, "pikiosk-repair.service", "multi-user.target"),
        Repair::Off => {
            let why = "repairs only when asked (system.repair)";
            lay.absent(format!("{SYSTEM}/multi-user.target.wants/pikiosk-repair.service"), why);
        }
    }
    let why = "a screen needs no desktop: one that is installed does not start";
    lay.link(format!("{SYSTEM}/default.target"), "/usr/lib/systemd/system/multi-user.target", why);
    for (unit, why) in MASKED {
        mask(lay, unit, why);
    }
    if facts.present("/usr/lib/systemd/system/userconfig.service") {
        mask(lay, "userconfig.service", "Raspberry Pi OS asks for a user on the screen: nobody is there to answer");
    }
    if facts.present("/usr/bin/cloud-init") {
        let why =
            "Raspberry Pi OS sets up a new card by cloud-init: it is set up already, and the start is seconds shorter";
        lay.plain_dir("/etc/cloud");
        lay.file("/etc/cloud/cloud-init.disabled", "", why);
    }
    conf(lay, settings);
    let units = ["/usr/lib/systemd/system", SYSTEM];
    lay.after(&units, "systemctl", &["daemon-reload"], "lets systemd read what changed", false);
    let mount = "run-pikiosk-profile.mount";
    let path = format!("/usr/lib/systemd/system/{mount}");
    lay.after(&[&path], "systemctl", &["start", mount], "gives the browser's profile its memory", false);
    lay.after(
        &["/usr/lib/tmpfiles.d/pikiosk.conf"],
        "systemd-tmpfiles",
        &["--create", "pikiosk.conf"],
        "makes /run/pikiosk",
        false,
    );
    lay.after(
        &["/usr/lib/systemd/system/pikiosk-helper.socket", "/usr/lib/systemd/system/pikiosk-helper@.service"],
        "systemctl",
        &["restart", "pikiosk-helper.socket"],
        "takes what the supervisor asks of root",
        false,
    );
    lay.after(
        &["/etc/systemd/journald.conf.d"],
        "systemctl",
        &["--no-block", "restart", "systemd-journald.service"],
        "moves the log",
        false,
    );
    lay.after(&["/etc/systemd/system.conf.d"], "systemctl", &["daemon-reexec"], "starts the watchdog", false);
    lay.after(
        &["/etc/sysctl.d/90-pikiosk.conf"],
        "sysctl",
        &["--quiet", "--load=/etc/sysctl.d/90-pikiosk.conf"],
        "sets the kernel",
        false,
    );
}

/// Drop-ins are read in the order of their names, wherever they are, and the last one counts: Raspberry Pi OS has some
/// at 40.
fn conf(lay: &mut Lay, settings: &KioskSettings) {
    let system = &settings.system;
    let watchdog = match system.watchdog_seconds {
        0 => "RuntimeWatchdogSec=off\n".to_owned(),
        seconds => format!("RuntimeWatchdogSec={seconds}s\nRebootWatchdogSec=2min\n"),
    };
    let text = format!(
        "# Written by pikiosk provision.\n[Manager]\n{watchdog}# Ctrl+Alt+Del seven times in two seconds would restart it.\n\
         CtrlAltDelBurstAction=none\nDefaultTimeoutStopSec=20s\n"
    );
    let why = "the Pi starts again when its system stands still; nothing holds a restart up for minutes";
    lay.file("/etc/systemd/system.conf.d/90-pikiosk.conf", text, why);
    let text = match system.journal {
        Journal::Ram => "Storage=volatile\nRuntimeMaxUse=24M\n",
        Journal::Disk => "Storage=persistent\nSystemMaxUse=100M\nSyncIntervalSec=5min\n",
    };
    let text = format!("# Written by pikiosk provision.\n[Journal]\n{text}ForwardToSyslog=no\n");
    // Debian has one that is called syslog.conf.
    lay.file("/etc/systemd/journald.conf.d/zz-pikiosk.conf", text, "where the log is kept, and how much of it");
    let text = "# Written by pikiosk provision.\n[Login]\nNAutoVTs=0\nReserveVT=0\nKillUserProcesses=yes\nKillOnlyUsers=kiosk\n";
    lay.file(
        "/etc/systemd/logind.conf.d/90-pikiosk.conf",
        text,
        "no other console offers a login to who sits at the screen",
    );
    let memory = if system.zram { "vm.swappiness=100\nvm.page-cluster=0\n" } else { "" };
    let text = format!(
        "# Written by pikiosk provision.\nkernel.sysrq=0\nkernel.panic=10\nkernel.panic_on_oops=1\n\
         kernel.printk=3 4 1 3\n{memory}"
    );
    lay.file("/etc/sysctl.d/90-pikiosk.conf", text, "no key reaches the kernel, and it starts again when it fails");
}

fn enable(lay: &mut Lay, unit: &str, target: &str) {
    let path = format!("{SYSTEM}/{target}.wants/{unit}");
    lay.link(path, format!("/usr/lib/systemd/system/{unit}"), "started at each boot");
}

pub(super) fn mask(lay: &mut Lay, unit: &str, why: &'static str) {
    lay.link(format!("{SYSTEM}/{unit}"), "/dev/null", why);
}

pub(super) fn wanted_by(lay: &mut Lay, unit: &str, target: &str, why: &'static str) {
    lay.link(format!("{SYSTEM}/{target}.wants/{unit}"), format!("/usr/lib/systemd/system/{unit}"), why);
}
