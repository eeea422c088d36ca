//! The supervisor and the browser as two users, in directories that systemd itself makes from systemd/: together they
//! show a page, and neither comes at what is the other's. Needs root, which alone can be two users.
#![cfg(feature = "display")]
#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use support::{
    kiosk::COLD,
    process::Process,
    screen::{Colour, Screen},
    server::{BINARY, free_port, pikiosk_of},
    site::Site,
    wait::{seconds, until},
};
use tempfile::TempDir;

const GREEN: Colour = [0x0a, 0x5c, 0x36];

/// Somebody by number: this machine's own users stay as they are.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
    also: Option<u32>,
}

const NOBODY: User = User { uid: 65534, gid: 65534, also: None };

impl User {
    /// Runs as this user, with no way back and a service's umask.
    fn of(self, command: &Command, umask: &str) -> Command {
        let mut own = Command::new("setpriv");
        own.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
        match self.also {
            Some(group) => own.arg(format!("--groups={group}")),
            None => own.arg("--clear-groups"),
        };
        own.args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "sh", "-c"]);
        own.arg(format!("umask {umask}; exec \"$@\"")).arg("sh").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        own
    }

    /// Whether a shell of this user can do it.
    fn can(self, what: &str) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", what]);
        self.of(&command, "022").output().expect("setpriv starts").status.success()
    }
}

/// A root with our sysusers.d and tmpfiles.d carried out.
struct Pi {
    root: TempDir,
    supervisor: User,
    kiosk: User,
}

impl Pi {
    /// None where it cannot be done; says why.
    fn set_up() -> Option<Pi> {
        let lacks = ["setpriv", "systemd-sysusers", "systemd-tmpfiles"]
            .into_iter()
            .find(|program| !Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success()));
        if let Some(program) = lacks {
            eprintln!("NOT TESTED: there is no {program} on this machine");
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT TESTED: only root can be two users (sudo -E cargo test --test two_users)");
            return None;
        }
        let root = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
        let at = |path: &str| root.path().join(path);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for folder in ["etc/pikiosk", "usr/lib", "usr/bin", "home/kiosk"] {
            fs::create_dir_all(at(folder)).expect("a folder is made");
        }
        for (program, kind) in [("systemd-sysusers", "sysusers.d"), ("systemd-tmpfiles", "tmpfiles.d")] {
            let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(kind).join("pikiosk.conf");
            let place = at("usr/lib").join(kind);
            fs::create_dir_all(&place).expect("a folder is made");
            fs::copy(own, place.join("pikiosk.conf")).expect("it is copied");
            let mut command = Command::new(program);
            command.arg(format!("--root={}", root.path().display()));
            command.args((kind == "tmpfiles.d").then_some("--create"));
            let output = command.output().expect("it starts");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // The build's own folder may be closed to others.
        let binary = at("usr/bin/pikiosk");
        if fs::hard_link(BINARY, &binary).is_err() {
            fs::copy(BINARY, &binary).expect("the binary is copied");
        }
        let (supervisor, kiosk) = (number(root.path(), "passwd", "pikiosk"), number(root.path(), "passwd", "kiosk"));
        let group = number(root.path(), "group", "kiosk");
        chown(at("home/kiosk"), Some(kiosk), Some(group)).expect("we are root");
        // What provisioning keeps.
        fs::create_dir(at("var/lib/pikiosk/provision")).expect("a folder is made");
        fs::write(at("var/lib/pikiosk/provision/receipt.json"), "{}").expect("a file is written");
        Some(Pi {
            supervisor: User { uid: supervisor, gid: number(root.path(), "group", "pikiosk"), also: Some(group) },
            kiosk: User { uid: kiosk, gid: group, also: None },
            root,
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// As the installed unit starts it.
    fn run(&self) -> Process {
        let mut command = self.pikiosk(&["run", "--state"]);
        command.arg(self.at("var/lib/pikiosk"));
        Process::start("run", self.root.path(), &mut self.supervisor.of(&command, "077"))
    }

    /// As the session starts it.
    fn browser(&self, screen: &Screen) -> Process {
        let mut command = self.pikiosk(&["browser"]);
        command.env("DISPLAY", &screen.display).env("HOME", self.at("home/kiosk"));
        Process::start("browser", self.root.path(), &mut self.kiosk.of(&command, "022"))
    }

    fn pikiosk(&self, arguments: &[&str]) -> Command {
        let mut command = pikiosk_of(&self.at("usr/bin/pikiosk"), &arguments[..1]);
        command.arg("--config").arg(self.at("etc/pikiosk/kiosk.toml")).arg("--runtime").arg(self.at("run/pikiosk"));
        command.args(&arguments[1..]);
        command
    }

    /// What anybody on the machine is told.
    fn status(&self) -> Option<Value> {
        let mut command = Command::new(self.at("usr/bin/pikiosk"));
        command.args(["status", "--json", "--runtime"]).arg(self.at("run/pikiosk"));
        let output = NOBODY.of(&command, "022").output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }
}

/// The uid in passwd or the gid in group.
fn number(root: &Path, file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(root.join("etc").join(file)).expect("systemd-sysusers wrote it");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).expect("it made the user");
    line.split(':').nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn two_users_show_a_page_together_and_neither_comes_at_what_is_the_others() {
    let Some(pi) = Pi::set_up() else { return };
    let site = Site::start();
    let config = pi.at("etc/pikiosk/kiosk.toml");
    let text = format!(
        "[display]\nid = \"two\"\nurl = \"{}\"\n[page]\nlisten = \"127.0.0.1:{}\"\n",
        site.colour(GREEN, "first"),
        free_port()
    );
    fs::write(&config, text).expect("the config is written");
    chown(&config, Some(0), Some(pi.kiosk.gid)).expect("we are root");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("it is ours");

    let x_folder = pi.at("x");
    fs::create_dir(&x_folder).expect("a folder is made");
    let screen = Screen::start(&x_folder);
    let mut run = pi.run();
    let browser = pi.browser(&screen);
    let shows = |run: &Process| {
        let logs = || format!("{}\n{}", run.log(), browser.log());
        let shown =
            || screen.frame().share(GREEN) > 0.8 && pi.status().is_some_and(|it| it["health"]["showing"] == true);
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("the page is on the glass, and anybody may know", COLD * 3, || shown().then_some(()));
        }));
        assert!(shown.is_ok(), "{}", logs());
    };
    shows(&run);

    // A page that took the browser over is this user.
    let (run_dir, state) = (pi.at("run/pikiosk"), pi.at("var/lib/pikiosk"));
    let (run_dir, state) = (run_dir.display(), state.display());
    assert!(pi.kiosk.can(&format!("test -w {run_dir}/browser.sock && ls {run_dir}")), "it reaches what it may");
    for closed in [
        format!("cat {run_dir}/page.secret"),
        format!("rm -f {run_dir}/browser.sock"),
        format!("mv {run_dir}/status.json {run_dir}/old"),
        format!("echo '{{}}' > {run_dir}/status.json"),
        format!("ls {state}"),
        format!("touch {state}/new"),
    ] {
        assert!(!pi.kiosk.can(&closed), "the browser's user can: {closed}");
    }
    // A supervisor that was taken over is this one.
    let profile = format!("{run_dir}/profile-{}", pi.kiosk.uid);
    assert!(pi.kiosk.can(&format!("cat {profile}/user.js")) && pi.supervisor.can(&format!("ls {run_dir}")));
    for closed in [
        format!("ls {profile}"),
        format!("mv {state}/provision {state}/old"),
        format!("rm -rf {state}/provision/receipt.json && test ! -e {state}/provision/receipt.json"),
        format!("echo >> {}", config.display()),
    ] {
        assert!(!pi.supervisor.can(&closed), "the supervisor's user can: {closed}");
    }
    // And anybody else.
    for closed in [
        format!("ls {run_dir}"),
        format!("test -w {run_dir}/browser.sock"),
        format!("cat {run_dir}/page.secret"),
        format!("ls {profile}"),
        format!("ls {state}"),
        format!("cat {}", config.display()),
    ] {
        assert!(!NOBODY.can(&closed), "anybody can: {closed}");
    }

    // The next supervisor finds what the last one left, and the same browser.
    run.kill();
    let mut run = pi.run();
    let pid = run.pid();
    until("the next supervisor tells", seconds(20), || pi.status().filter(|it| it["pid"] == pid));
    shows(&run);
    assert_eq!(pi.status().expect("a status")["health"]["browser_starts"], 1, "the browser lived on");
    assert!(run.stop(seconds(15)).success());
}
