//! The files of systemd/ do what they are for: systemd itself reads them without a complaint, finds the services closed,
//! makes the users and the directories, and a session begins with a fresh home.
#![allow(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// The most that `systemd-analyze security` may find, in tenths: 10 is fully exposed, 0 fully closed.
const EXPOSURE: [(&str, u8); 4] = [
    ("pikiosk.service", 15),
    ("pikiosk-server.service", 13),
    ("pikiosk-helper@.service", 15),
    ("pikiosk-unplug.service", 15),
];

const NOBODY: u32 = 65534;

fn systemd() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn text(name: &str) -> String {
    fs::read_to_string(systemd().join(name)).unwrap_or_else(|error| panic!("systemd/{name}: {error}"))
}

fn units() -> Vec<String> {
    let names = fs::read_dir(systemd()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut units: Vec<String> =
        names.filter(|name| [".service", ".socket", ".mount"].iter().any(|kind| name.ends_with(kind))).collect();
    units.sort();
    units
}

/// True if the program is here. A machine without systemd can build this, and cannot judge its units.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("NOT TESTED: there is no {program} on this machine (apt install systemd)");
    }
    found
}

/// A root with the units of this machine's systemd, ours as they are installed, and every program that ours start.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let vendor = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&vendor).unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    for place in ["usr/bin", "usr/sbin"] {
        fs::create_dir_all(root.path().join(place)).unwrap();
        symlink(place, root.path().join(place.trim_start_matches("usr/"))).unwrap();
    }
    symlink("usr/lib", root.path().join("lib")).unwrap();
    let own = ["/usr/lib/systemd/system", "/lib/systemd/system"].map(Path::new);
    let own = own.into_iter().find(|place| place.is_dir()).expect("systemd brings units");
    for entry in fs::read_dir(own).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), vendor.join(entry.file_name())).unwrap();
        }
    }
    for name in units() {
        put(root.path(), &name, &text(&name));
    }
    put(root.path(), "getty@tty1.service.d/pikiosk.conf", &text("getty@tty1.service.d/pikiosk.conf"));
    root
}

/// Writes a unit into the root, and an empty program for each that it starts.
fn put(root: &Path, name: &str, text: &str) {
    let path = root.join("etc/systemd/system").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    for line in text.lines().filter(|line| line.starts_with("Exec")) {
        let command = line.split_once('=').unwrap().1.trim_start_matches(['-', '+', '!', ':', '@']);
        if let Some(program) = command.split_whitespace().next() {
            let program = root.join(program.trim_start_matches('/'));
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

/// What systemd says of one unit; empty when it has nothing to say.
fn complaints(root: &Path, unit: &str) -> String {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=yes"]).arg("--root").arg(root).arg(unit);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { said } else { format!("{}\n{said}", output.status) }
}

#[test]
fn systemd_reads_every_unit_without_a_complaint() {
    if !is_here("systemd-analyze") {
        return;
    }
    let root = root();
    let mut all = units();
    assert!(all.iter().any(|name| name == "pikiosk.service"), "{all:?}");
    all.push("getty@tty1.service".to_owned());
    for unit in all {
        assert_eq!(complaints(root.path(), &unit), "", "{unit}");
    }
    // And it would have complained.
    for (good, bad) in [("Restart=always", "Restrat=always"), ("/usr/bin/pikiosk run", "/usr/bin/no-such run")] {
        put(root.path(), "pikiosk.service", &text("pikiosk.service").replace(good, bad));
        let _ = fs::remove_file(root.path().join("usr/bin/no-such"));
        assert_ne!(complaints(root.path(), "pikiosk.service"), "", "{bad}");
    }
}

#[test]
fn the_services_are_as_closed_as_they_were() {
    if !is_here("systemd-analyze") {
        return;
    }
    let root = root();
    for (unit, most) in EXPOSURE {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager", &format!("--threshold={most}")]);
        let output = command.arg("--root").arg(root.path()).arg(unit).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{unit} is more open than {most} tenths:\n{said}");
    }
}

#[test]
fn nothing_ever_gives_up() {
    let asked = ["pikiosk-helper.socket", "pikiosk-helper@.service", "pikiosk-unplug.service"];
    for name in ["pikiosk.service", "pikiosk-server.service", "getty@tty1.service.d/pikiosk.conf"].iter().chain(&asked)
    {
        assert!(text(name).lines().any(|line| line == "StartLimitIntervalSec=0"), "{name}: five tries, and no more");
    }
    for name in ["pikiosk.service", "pikiosk-server.service"] {
        assert!(text(name).lines().any(|line| line == "Restart=always"), "{name}");
    }
}

#[test]
fn no_unit_keeps_the_screen_waiting_for_a_network_or_for_the_first_page() {
    for name in ["pikiosk.service", "getty@tty1.service.d/pikiosk.conf", "pikiosk-first-boot.service"] {
        for line in text(name).lines() {
            assert!(!line.starts_with("Wants=network") && !line.starts_with("Requires="), "{name}: {line}");
            // The supervisor is up once a page was painted, and that needs the first terminal.
            assert!(!(line.starts_with("After=") && line.contains("pikiosk.service")), "{name}: {line}");
        }
    }
}

#[test]
fn sysusers_makes_the_two_users_of_a_display() {
    if !is_here("systemd-sysusers") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc", "usr/lib/sysusers.d"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::copy(systemd().join("sysusers.d/pikiosk.conf"), root.path().join("usr/lib/sysusers.d/pikiosk.conf")).unwrap();
    let output = Command::new("systemd-sysusers").arg(format!("--root={}", root.path().display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = |name: &str| fs::read_to_string(root.path().join("etc").join(name)).unwrap();
    let passwd = file("passwd");
    let fields = |user: &str| -> Vec<String> {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
        line.split(':').map(str::to_owned).collect()
    };
    assert_eq!(fields("kiosk")[5..], ["/home/kiosk", "/bin/bash"]);
    assert_eq!(fields("pikiosk")[5..], ["/var/lib/pikiosk", "/usr/sbin/nologin"]);
    for user in ["pikiosk", "kiosk"] {
        let shadow = file("shadow");
        assert!(shadow.lines().any(|line| line.starts_with(&format!("{user}:!"))), "{user} has no password:\n{shadow}");
    }
    let groups = file("group");
    let members = |group: &str| groups.lines().find(|line| line.starts_with(&format!("{group}:"))).unwrap().to_owned();
    assert!(members("kiosk").ends_with(":pikiosk"), "{groups}");
    for group in ["video", "input", "render", "tty", "audio"] {
        assert!(members(group).ends_with(":kiosk"), "{groups}");
    }
}

/// The part of the drop-in that a shell runs, with other places in it.
fn restoring(folder: &Path, home: &str, pristine: &str) -> Output {
    let unit = text("getty@tty1.service.d/pikiosk.conf");
    let script = unit.split_once("/bin/sh -c '").unwrap().1.split_once('\'').unwrap().0;
    let script = script.replace("/home/kiosk", folder.join(home).to_str().unwrap());
    let script = script.replace("/opt/pikiosk/home", folder.join(pristine).to_str().unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder.join("around"));
    if nix::unistd::geteuid().is_root() {
        // Not as root, who goes through every closed door.
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}

#[test]
fn every_session_begins_with_the_home_as_it_was_laid_down() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("pristine/.config")).unwrap();
    fs::write(at("pristine/.bash_profile"), "exec startx\n").unwrap();
    fs::write(at("elsewhere"), "somebody else's").unwrap();
    // Where the script is started: on a Pi, the root of everything.
    fs::create_dir(at("around")).unwrap();
    fs::set_permissions(at("around"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(at("around/kept"), "").unwrap();
    fs::create_dir_all(at("home/.cache/deep")).unwrap();
    // What a page that took the browser over could leave behind.
    fs::write(at("home/.bash_profile"), "evil\n").unwrap();
    fs::write(at("home/.cache/deep/file"), "x").unwrap();
    symlink(at("elsewhere"), at("home/.config")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for closed in ["home/.cache/deep/file", "home/.cache/deep", "home/.cache", "home/.bash_profile", "home"] {
        if nix::unistd::geteuid().is_root() {
            chown(at(closed), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(at(closed), fs::Permissions::from_mode(0o500)).unwrap();
    }

    let output = restoring(folder.path(), "home", "pristine");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(at("home/.bash_profile")).unwrap(), "exec startx\n");
    assert!(fs::symlink_metadata(at("home/.config")).unwrap().is_dir());
    assert!(!at("home/.cache").exists());
    assert_eq!(fs::read_to_string(at("elsewhere")).unwrap(), "somebody else's");

    // Without a home to copy, or to copy to, nothing is removed anywhere.
    fs::set_permissions(at("home"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(at("home/kept"), "").unwrap();
    assert!(restoring(folder.path(), "home", "no-such").status.success());
    assert!(restoring(folder.path(), "no-such", "pristine").status.success());
    assert!(at("home/kept").exists() && at("around/kept").exists() && at("pristine/.bash_profile").exists());
}

/// On a Pi the window manager was once a child of the browser loop, and went with the first Firefox that was killed: the
/// next one had a window of nine tenths of the screen.
#[test]
fn the_window_manager_outlives_what_the_browser_loop_ends() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let script = include_str!("../assets/provision/xsessionrc").replace("@CURSOR@", "no");
    fs::write(at("xsessionrc"), script).unwrap();
    let program = |name: &str, text: &str| {
        fs::write(at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    // X is there until the test says that it is gone.
    program("xset", r#"test ! -e "$HERE/gone""#);
    program("xmodmap", "");
    program("matchbox-window-manager", r#"mkfifo "$HERE/managed" && cat "$HERE/managed""#);
    program("systemd-cat", r#"shift; exec "$@""#);
    // As the browser loop does when Firefox ends: it ends all that is below it.
    program(
        "pikiosk",
        r#"until test -p "$HERE/managed"; do sleep 0.01; done
           below() { for child in $(ps -o pid= --ppid "$1"); do below "$child"; kill -9 "$child" 2>/dev/null; done; }
           below $$
           pgrep -f "cat $HERE/managed" >"$HERE/alive"
           touch "$HERE/gone"; if test -s "$HERE/alive"; then : >"$HERE/managed"; fi"#,
    );
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut session = Command::new("sh");
    session.args(["-e", "-c", r#". "$HERE/xsessionrc""#]).env("PATH", path).env("HERE", folder.path());
    let ended = session.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(!fs::read_to_string(at("alive")).unwrap().is_empty(), "the window manager is gone");
}
