//! The root helper as systemd starts it: one connection is its standard input. Who may ask, what it does, what it
//! refuses. Needs root, which alone can be several users.
#![cfg(feature = "display")]
#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::libc;
use support::{
    server::BINARY,
    wait::{seconds, until},
};
use tempfile::TempDir;

/// Users by number: this machine's own stay as they are.
const SUPERVISOR: u32 = 61_001;
const BROWSER: u32 = 61_002;

/// A machine whose `systemctl` writes down what it is told.
struct Machine {
    folder: TempDir,
    listener: UnixListener,
}

impl Machine {
    /// None where it cannot be; says why.
    fn set_up() -> Option<Machine> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT TESTED: only root can be several users (sudo -E cargo test --test helper)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder is made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let listener = UnixListener::bind(folder.path().join("helper.sock")).expect("it listens");
        fs::set_permissions(folder.path().join("helper.sock"), fs::Permissions::from_mode(0o666)).expect("it is ours");
        let machine = Machine { folder, listener };
        machine.systemctl("echo \"$@\" >> \"$0.told\"");
        Some(machine)
    }

    fn systemctl(&self, script: &str) {
        let program = self.folder.path().join("systemctl");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("it is written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn told(&self) -> String {
        fs::read_to_string(self.folder.path().join("systemctl.told")).unwrap_or_default()
    }

    /// What this user is answered, and how the helper ended.
    fn ask(&self, uid: u32, text: &str) -> (String, Output) {
        let (socket, text) = (self.folder.path().join("helper.sock"), text.to_owned());
        let client = std::thread::spawn(move || ask_as(uid, &socket, &text));
        let (connection, _) = self.listener.accept().expect("somebody comes");
        let mut helper = Command::new(BINARY);
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        helper.args(["helper", "--user", &SUPERVISOR.to_string()]).env("PATH", path);
        helper.stdin(Stdio::from(OwnedFd::from(connection)));
        let output = helper.output().expect("it starts");
        // Our own copy of the connection is closed with it.
        drop(helper);
        (client.join().expect("it asks"), output)
    }
}

/// The kernel's call changes this thread alone, and the kernel keeps who connected.
#[expect(unsafe_code, reason = "libc's own setresuid changes all threads")]
fn ask_as(uid: u32, socket: &Path, text: &str) -> String {
    // SAFETY: a system call with three numbers.
    let changed = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    assert_eq!(changed, 0, "we are root");
    let mut connection = UnixStream::connect(socket).expect("it is open to all here");
    connection.write_all(text.as_bytes()).expect("somebody reads");
    let _ = connection.shutdown(std::net::Shutdown::Write);
    let mut answer = String::new();
    // Who is cut off has no answer.
    let _ = BufReader::new(connection).read_line(&mut answer);
    answer
}

#[test]
fn the_supervisor_is_helped_and_the_browsers_user_is_not() {
    let Some(machine) = Machine::set_up() else { return };
    for (request, told) in [
        ("reboot", "--no-block reboot\n"),
        ("power_off", "--no-block poweroff\n"),
        ("restart_session", "--no-block restart getty@tty1.service\n"),
        ("unplug", "--no-block start pikiosk-unplug.service\n"),
    ] {
        let line = format!("{{\"do\":\"{request}\"}}\n");
        let before = machine.told();
        let (answer, output) = machine.ask(BROWSER, &line);
        assert!(answer.contains("refused"), "{request}: {answer}");
        assert_eq!((output.status.code(), machine.told()), (Some(20), before.clone()), "{request}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("user 61002 asked"), "the log names who it was");
        for user in [SUPERVISOR, 0] {
            let (answer, output) = machine.ask(user, &line);
            assert_eq!(answer, "\"done\"\n", "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(machine.told(), format!("{before}{told}{told}"));
    }
}

#[test]
fn what_is_no_request_does_nothing() {
    let Some(machine) = Machine::set_up() else { return };
    let long = format!("{{\"do\":\"reboot\",\"x\":\"{}\"}}\n", "a".repeat(5000));
    for text in [
        "",
        "\n",
        "{\"do\":\"reboot\"}",
        "{\"do\":\"sh\",\"arguments\":[\"-c\",\"id\"]}\n",
        "{\"do\":\"set_clock\"}\n",
        "{\"do\":\"set_clock\",\"unix_ms\":-1}\n",
        "{\"do\":\"set_clock\",\"unix_ms\":0}\n",
        "{\"do\":\"set_clock\",\"unix_ms\":18446744073709551615}\n",
        "\0\u{fffd}\n",
        &long,
    ] {
        let (answer, output) = machine.ask(SUPERVISOR, text);
        assert!(!answer.contains("done"), "{text:?}: {answer}");
        assert!(matches!(output.status.code(), Some(0 | 2)), "{text:?}: {output:?}");
    }
    assert_eq!(machine.told(), "");
}

#[test]
fn a_systemd_that_does_not_do_it_is_told_in_its_own_words() {
    let Some(machine) = Machine::set_up() else { return };
    machine.systemctl("echo 'Failed to connect to bus' >&2; exit 1");
    let (answer, _) = machine.ask(SUPERVISOR, "{\"do\":\"reboot\"}\n");
    assert_eq!(answer, "{\"failed\":\"systemctl --no-block reboot: Failed to connect to bus\"}\n");
}

/// The kernel's files as files; its graphics are no test's to switch off.
#[test]
fn a_screen_that_was_taken_away_is_given_back_though_whoever_took_it_is_killed() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let (plug, list) = (folder.path().join("drm/card1-HDMI-A-1"), folder.path().join("taken"));
    for (file, text) in [("status", "connected\n"), ("../card1/uevent", "")] {
        let file = plug.join(file);
        fs::create_dir_all(&plug).and_then(|()| fs::create_dir_all(plug.with_file_name("card1"))).expect("it is ours");
        fs::write(file, text).expect("it is ours");
    }
    let status = || fs::read_to_string(plug.join("status")).expect("it is there");
    let helper = |deed: &str| {
        let mut command = Command::new(BINARY);
        command.args(["helper", deed, "--drm"]).arg(folder.path().join("drm")).arg("--list").arg(&list);
        command
    };
    let mut takes = helper("unplug").spawn().expect("it starts");
    until("the screen is away", seconds(10), || status().starts_with("off").then_some(()));
    takes.kill().expect("it still waits");
    takes.wait().expect("it was killed");
    let gives = helper("plug-in").output().expect("it starts");
    assert!(gives.status.success(), "{}", String::from_utf8_lossy(&gives.stderr));
    // A file keeps what was behind the word, and the kernel's has none.
    assert!(status().starts_with("detect"), "{}", status());
}

#[test]
fn by_hand_it_does_nothing_and_says_whose_it_is() {
    let output = Command::new(BINARY).arg("helper").stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("pikiosk-helper.socket"), "{output:?}");
}
