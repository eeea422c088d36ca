//! Why a display was started again, and the commands that start it again: a real supervisor with a real server, and the
//! real helper. The test plays systemd (the socket that starts the helper, ExecStopPost, a kill) and the power: another
//! boot is another boot id. Needs root for that.
#![cfg(all(feature = "display", feature = "server"))]
#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

mod support;

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use support::{
    process::Process,
    server::{BINARY, Server, free_port, pikiosk},
    wait::{seconds, until},
};
use tempfile::TempDir;

const DISPLAY: &str = "wall";

/// A display without a glass: what is tested here is for when the glass is the trouble.
struct Display {
    run: Process,
    boots: u32,
    server: Server,
    folder: TempDir,
}

impl Display {
    /// None where there cannot be another boot id; says why.
    fn start(helper: bool) -> Option<Display> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT TESTED: only root can play another boot (sudo -E cargo test --test restarts)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let server = Server::start(folder.path(), "");
        let text = format!(
            "[display]\nid = \"{DISPLAY}\"\n[server]\nurl = \"{}\"\nenrollment = \"{}\"\n[page]\nlisten = \"127.0.0.1:{}\"\n",
            server.url(),
            server.enrollment(DISPLAY),
            free_port()
        );
        fs::write(folder.path().join("kiosk.toml"), text).expect("it is written");
        fs::create_dir(folder.path().join("run")).expect("a folder is made");
        if helper {
            helper_socket(folder.path());
        }
        let run = start_run(folder.path(), 0);
        let display = Display { run, boots: 0, server, folder };
        display.is_live();
        Some(display)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn is_live(&self) {
        until("the display is live", seconds(20), || {
            let health = self.server.get(&format!("/v1/displays/{DISPLAY}")).json()["health"].clone();
            (self.status()?["pid"] == self.run.pid() && health.is_object()).then_some(())
        });
    }

    fn status(&self) -> Option<Value> {
        let mut command = pikiosk(&["status", "--json", "--runtime"]);
        serde_json::from_slice(&command.arg(self.at("run")).output().ok()?.stdout).ok()
    }

    /// The entries of the black box, newest first.
    fn last(&self) -> Vec<Value> {
        let mut command = pikiosk(&["status", "--last", "--json", "--state"]);
        let output = command.arg(self.at("state")).output().expect("it starts");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["entries"].as_array().expect("a list").clone()
    }

    fn push(&self, command: &str) -> String {
        self.server.publish(&format!("display/{DISPLAY}"), command, &json!({}), None).0
    }

    fn told(&self) -> String {
        fs::read_to_string(self.at("systemctl.told")).unwrap_or_default()
    }

    /// As systemd does when the service ends, by the unit's own line.
    fn service_ended(&self, result: &str, code: &str, status: &str) {
        let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/pikiosk.service"));
        let unit = unit.expect("the unit is there");
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStopPost=-/bin/sh -c '")).expect("it says so");
        let script = line.trim_end_matches('\'').replace("$$", "$");
        let script = script.replace("/var/lib/pikiosk", self.at("state").to_str().expect("text"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("SERVICE_RESULT", result).env("EXIT_CODE", code).env("EXIT_STATUS", status);
        assert!(shell.status().expect("it starts").success());
    }

    fn again(&mut self) {
        self.run = start_run(self.folder.path(), self.boots);
        self.is_live();
    }

    /// The power is cut, and comes back: nothing in memory is left.
    fn another_boot(&mut self) {
        self.run.kill();
        for file in ["flight.json", "status.json"] {
            fs::remove_file(self.at("run").join(file)).expect("it was there");
        }
        self.boots += 1;
        self.again();
    }
}

/// With a boot id of its own, in a mount namespace of its own.
fn start_run(folder: &Path, boot: u32) -> Process {
    let id = folder.join(format!("boot-{boot}"));
    fs::write(&id, format!("00000000-0000-4000-8000-{boot:012}\n")).expect("it is written");
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(id);
    let own = pikiosk(&["run", "--config"]);
    command.arg(own.get_program()).args(own.get_args()).arg(folder.join("kiosk.toml"));
    for (name, value) in own.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.arg("--runtime").arg(folder.join("run")).arg("--state").arg(folder.join("state"));
    Process::start("run", folder, &mut command)
}

/// `pikiosk-helper.socket`: each connection is a helper's standard input. Its `systemctl` writes down what it is told.
fn helper_socket(folder: &Path) {
    let program = folder.join("systemctl");
    fs::write(&program, "#!/bin/sh\necho \"$@\" >> \"$0.told\"\n").expect("it is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let listener = UnixListener::bind(folder.join("run/helper.sock")).expect("it listens");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let mut helper = Command::new(BINARY);
            helper.args(["helper", "--user", "0"]).env("PATH", &path);
            let _ = helper.stdin(Stdio::from(OwnedFd::from(connection))).status();
        }
    });
}

#[test]
fn a_reboot_is_told_once_the_machine_is_back_and_happens_once() {
    let Some(mut display) = Display::start(true) else { return };
    let id = display.push("reboot");
    until("systemd is told", seconds(10), || (display.told() == "--no-block reboot\n").then_some(()));
    assert_eq!(display.server.receipt(&id, DISPLAY), None, "it is not back yet");
    display.another_boot();
    let (receipt, _) = display.server.receipt_within(&id, DISPLAY, seconds(20));
    assert_eq!(receipt["status"], "done", "{receipt}");
    assert_ne!(receipt["result"]["boot"], receipt["result"]["boot_before"]);
    assert_eq!(display.last()[0]["restart"]["cause"], "command");
    // Power cuts on top of it: nobody asks for another one.
    display.another_boot();
    assert_eq!(display.last()[0]["restart"]["cause"], "power");
    assert_eq!(display.told(), "--no-block reboot\n");
    let server = display.server.get(&format!("/v1/displays/{DISPLAY}")).json();
    assert_eq!(server["health"]["last_restart"]["of"], "machine", "{server}");
}

#[test]
fn a_power_cut_right_after_the_command_is_a_reboot_and_not_two() {
    let Some(mut display) = Display::start(true) else { return };
    let id = display.push("reboot");
    until("it is taken", seconds(10), || {
        let journal = fs::read_to_string(display.at("state/journal")).ok()?;
        journal.contains("leaving").then_some(())
    });
    display.another_boot();
    let (receipt, _) = display.server.receipt_within(&id, DISPLAY, seconds(20));
    assert_eq!(receipt["status"], "done", "{receipt}");
    assert!(display.told().lines().count() <= 1);
}

#[test]
fn a_shutdown_is_told_before_the_machine_is_off() {
    let Some(display) = Display::start(true) else { return };
    let id = display.push("shutdown");
    let (receipt, _) = display.server.receipt_within(&id, DISPLAY, seconds(20));
    assert_eq!((receipt["status"].as_str(), display.told().as_str()), (Some("done"), "--no-block poweroff\n"));
}

#[test]
fn a_display_without_the_helper_says_what_it_lacks() {
    let Some(display) = Display::start(false) else { return };
    for command in ["reboot", "shutdown"] {
        let (receipt, _) = display.server.receipt_within(&display.push(command), DISPLAY, seconds(20));
        assert_eq!(receipt["status"], "refused", "{receipt}");
        assert!(receipt["error"].as_str().is_some_and(|why| why.contains("pikiosk provision")), "{receipt}");
    }
}

#[test]
fn the_black_box_tells_a_kill_a_watchdog_a_stop_and_a_power_cut_apart() {
    let Some(mut display) = Display::start(false) else { return };
    assert!(display.last().is_empty(), "the first start has no cause");
    display.run.kill();
    display.service_ended("signal", "killed", "KILL");
    display.again();
    display.run.kill();
    display.service_ended("watchdog", "killed", "ABRT");
    display.again();
    assert!(display.run.stop(seconds(15)).success());
    display.service_ended("success", "exited", "0");
    display.again();
    let id = display.push("restart");
    until("it ends by itself", seconds(10), || display.run.ended());
    display.again();
    let (receipt, _) = display.server.receipt_within(&id, DISPLAY, seconds(20));
    assert_eq!(receipt["status"], "done");
    display.another_boot();

    let entries = display.last();
    let causes: Vec<&str> = entries.iter().filter_map(|entry| entry["restart"]["cause"].as_str()).collect();
    assert_eq!(causes, ["power", "command", "stopped", "watchdog", "crash"]);
    let of: Vec<&str> = entries.iter().filter_map(|entry| entry["restart"]["of"].as_str()).collect();
    assert_eq!(of, ["machine", "supervisor", "supervisor", "supervisor", "supervisor"]);
    let killed = &entries[4];
    assert!(killed["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "its last log lines: {killed}");
    assert!(killed["last_sentence"].as_str().is_some_and(|sentence| sentence.contains("Waiting for the browser")));

    // In words, and for whoever may not look into the box.
    let mut command = pikiosk(&["status", "--last", "--state"]);
    let output = command.arg(display.at("state")).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().next().is_some_and(|line| line.contains("The power went")), "{text}");
    assert!(text.contains("The command restart asked for it.") && text.contains("(signal KILL)"), "{text}");
    fs::set_permissions(display.folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut anybody = Command::new("setpriv");
    anybody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    let binary = display.at("pikiosk");
    if fs::hard_link(BINARY, &binary).is_err() {
        fs::copy(BINARY, &binary).expect("the binary is copied");
    }
    anybody.arg(binary).args(["status", "--last", "--runtime"]).arg(display.at("run"));
    let output = anybody.arg("--state").arg(display.at("state")).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("The power went") && text.contains("sudo"), "{text}{:?}", output.stderr);
}

#[test]
fn settings_with_which_the_supervisor_does_not_live_are_taken_back() {
    let Some(mut display) = Display::start(false) else { return };
    let configure = |display: &Display, toml: &str| {
        display.server.publish(&format!("display/{DISPLAY}"), "configure", &json!({ "toml": toml }), None).0
    };
    let refused = configure(&display, "[browser]\ncommand = \"/bin/sh\"\n");
    let (receipt, _) = display.server.receipt_within(&refused, DISPLAY, seconds(20));
    assert_eq!(receipt["status"], "refused", "{receipt}");
    assert!(receipt["error"].as_str().is_some_and(|why| why.contains("configure:2: browser.command")), "{receipt}");

    let id = configure(&display, "[display]\nurl = \"http://127.0.0.1:9/new\"\n");
    until("it ends by itself, to start with them", seconds(10), || display.run.ended());
    for _ in 0..3 {
        display.again();
        let url = display.status().map(|status| status["health"]["url"].clone());
        assert_eq!(url, Some(json!("http://127.0.0.1:9/new")), "they are in force");
        assert_eq!(display.server.receipt(&id, DISPLAY), None);
        display.run.kill();
    }
    display.again();
    let (receipt, _) = display.server.receipt_within(&id, DISPLAY, seconds(20));
    assert_eq!(receipt["status"], "failed", "{receipt}");
    assert!(receipt["error"].as_str().is_some_and(|why| why.contains("3 times")), "{receipt}");
    assert_eq!(display.status().map(|status| status["health"]["url"].clone()), Some(Value::Null));
}
