//! The two users of a display, in directories that systemd itself makes from systemd/. Needs root, which alone can be two
//! users.

#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    process::Process,
    screen::Screen,
    server::{BINARY, pikiosk_of},
};

/// Somebody by number: this machine's own users stay as they are.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    also: Option<u32>,
}

pub const NOBODY: User = User { uid: 65534, gid: 65534, also: None };

impl User {
    /// Runs as this user, with no way back and a service's umask.
    pub fn of(self, command: &Command, umask: &str) -> Command {
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
    pub fn can(self, what: &str) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", what]);
        self.of(&command, "022").output().expect("setpriv starts").status.success()
    }
}

/// A root with our sysusers.d and tmpfiles.d carried out.
pub struct Pi {
    root: TempDir,
    pub supervisor: User,
    pub kiosk: User,
}

impl Pi {
    /// None where it cannot be done; says why.
    pub fn set_up() -> Option<Pi> {
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

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Lays down kiosk.toml as provisioning does.
    pub fn configure(&self, text: &str) {
        let config = self.at("etc/pikiosk/kiosk.toml");
        fs::write(&config, text).expect("the config is written");
        chown(&config, Some(0), Some(self.kiosk.gid)).expect("we are root");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("it is ours");
    }

    /// As the installed unit starts it.
    pub fn run(&self) -> Process {
        let mut command = self.pikiosk(&["run", "--state"]);
        command.arg(self.at("var/lib/pikiosk"));
        Process::start("run", self.root.path(), &mut self.supervisor.of(&command, "077"))
    }

    /// As the session starts it.
    pub fn browser(&self, screen: &Screen) -> Process {
        let mut command = self.pikiosk(&["browser"]);
        command.env("DISPLAY", &screen.display).env("HOME", self.at("home/kiosk"));
        Process::start("browser", self.root.path(), &mut self.kiosk.of(&command, "022"))
    }

    pub fn pikiosk(&self, arguments: &[&str]) -> Command {
        let mut command = pikiosk_of(&self.at("usr/bin/pikiosk"), &arguments[..1]);
        command.arg("--config").arg(self.at("etc/pikiosk/kiosk.toml")).arg("--runtime").arg(self.at("run/pikiosk"));
        command.args(&arguments[1..]);
        command
    }

    /// What anybody on the machine is told.
    pub fn status(&self) -> Option<Value> {
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
