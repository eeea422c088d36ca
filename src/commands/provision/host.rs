//! `--host`: the same on a Pi that is reached by the system's ssh: keys, agents and ~/.ssh/config are the person's own.
//!
//! One connection for all (ControlMaster), so that a password is asked for once. The program and the settings go into a
//! directory of their own there, which is removed at the end.

use std::fs::{self, DirBuilder, File};
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Args, ProvisionError, program, target::failed};
use crate::commands::{Exit, Failure, output};
use crate::config::{KioskSettings, Sources};
use crate::io::random;

/// What is asked first: processor, user, and a directory to work in.
const HELLO: &str = "(dpkg --print-architecture 2>/dev/null || uname -m) && id -u && mktemp -d /tmp/pikiosk.XXXXXXXX";

pub(super) fn provision(host: &str, args: &Args) -> Result<Exit, Failure> {
    let failed = |source| failed(host, source);
    if host.is_empty() || host.starts_with('-') {
        return Err(Failure::Usage {
            doing: "provision",
            says: format!("{host:?} is no host"),
            hint: "write it as ssh takes it: pi@lobby.local".to_owned(),
        });
    }
    if let Some(file) = &args.config {
        // Its mistakes are told here, before anything is copied.
        KioskSettings::load(&Sources::only(file.clone())).map_err(|source| Failure::Config { source })?;
    }
    output::remark(&format!("{host}: asking what it is"));
    let there = There::reach(host).map_err(failed)?;
    let build = program::find(args.binary.as_deref(), &there.architecture).map_err(failed)?;
    let size = fs::metadata(&build).map_or(0, |metadata| metadata.len());
    output::remark(&format!("{host}: copying pikiosk for {} ({} MB)", there.architecture, size.div_ceil(1_000_000)));
    there.copy(&build, "pikiosk", 0o755).map_err(failed)?;
    if let Some(config) = &args.config {
        there.copy(config, "kiosk.toml", 0o600).map_err(failed)?;
    }
    there.provision(args).map_err(failed)
}

/// A host that answered, and our directory on it.
struct There {
    ssh: Ssh,
    architecture: String,
    is_root: bool,
    directory: String,
}

impl There {
    fn reach(host: &str) -> Result<Self, ProvisionError> {
        let ssh = Ssh::new(host)?;
        let said = ssh.ask(HELLO)?;
        let mut lines = said.lines();
        let (machine, user, directory) = (lines.next(), lines.next(), lines.next());
        match (machine, user, directory) {
            (Some(machine), Some(user), Some(directory)) if is_plain(directory) => Ok(Self {
                architecture: debian(machine).to_owned(),
                is_root: user == "0",
                directory: directory.to_owned(),
                ssh,
            }),
            _ => Err(ProvisionError::There { doing: "find out what it is and make a directory in /tmp" }),
        }
    }

    fn copy(&self, from: &Path, name: &str, mode: u32) -> Result<(), ProvisionError> {
        let file = File::open(from).map_err(|source| ProvisionError::Program { path: from.to_owned(), source })?;
        let to = format!("{}/{name}", self.directory);
        let status = self.ssh.command(&format!("umask 077 && cat > {to} && chmod {mode:o} {to}")).stdin(file).status();
        match status.map_err(no_ssh)?.success() {
            true => Ok(()),
            false => Err(ProvisionError::There { doing: "write the program and its settings into /tmp" }),
        }
    }

    /// Runs the program as root; what it says is what we say, its exit code is ours.
    fn provision(&self, args: &Args) -> Result<Exit, ProvisionError> {
        let mut words = vec![format!("{}/pikiosk provision", self.directory)];
        let flags = [
            (args.check, "--check"),
            (args.undo, "--undo"),
            (args.packages, "--packages"),
            (args.repair, "--repair"),
            (args.yes, "--yes"),
            (args.json.json, "--json"),
        ];
        words.extend(flags.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned()));
        if args.config.is_some() {
            words.push(format!("--config {}/kiosk.toml", self.directory));
        }
        let asks = !(args.yes || args.check || args.repair);
        let mut terminal = asks && io::stdin().is_terminal();
        if !self.is_root {
            let silent = self.ssh.command("sudo -n true").stdin(Stdio::null()).stderr(Stdio::null()).status();
            let needs_password = !silent.map_err(no_ssh)?.success();
            terminal |= needs_password && io::stdin().is_terminal();
            words.insert(0, if needs_password && terminal { "sudo" } else { "sudo -n" }.to_owned());
        }
        let mut command = self.ssh.command_with(&words.join(" "), terminal);
        let status = command.stdin(if terminal { Stdio::inherit() } else { Stdio::null() }).status().map_err(no_ssh)?;
        match status.code() {
            // What ssh itself ends with, and no pikiosk.
            Some(255) | None => Err(ProvisionError::SshFailed),
            Some(code) => {
                let exit = Exit::ALL.into_iter().find(|exit| i32::from(*exit as u8) == code);
                exit.ok_or(ProvisionError::There { doing: "run pikiosk as root" })
            }
        }
    }
}

impl Drop for There {
    fn drop(&mut self) {
        // If this fails, what is left is in /tmp.
        let _ = self.ssh.command(&format!("rm -rf {}", self.directory)).stdin(Stdio::null()).status();
    }
}

/// One connection, shared by every command.
struct Ssh {
    host: String,
    /// Holds the socket of the connection; ours alone.
    directory: PathBuf,
}

impl Ssh {
    fn new(host: &str) -> Result<Self, ProvisionError> {
        // Short: the path of a socket has 108 bytes at most, and ssh appends to it.
        let name = random::bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let directory = Path::new("/tmp").join(format!("pikiosk-{name}"));
        DirBuilder::new().mode(0o700).create(&directory).map_err(|source| ProvisionError::Open { source })?;
        Ok(Self { host: host.to_owned(), directory })
    }

    fn command(&self, line: &str) -> Command {
        self.command_with(line, false)
    }

    fn command_with(&self, line: &str, terminal: bool) -> Command {
        let mut command = self.base();
        command.args(["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ConnectTimeout=20"]);
        command.arg(if terminal { "-t" } else { "-T" }).args(["--", &self.host, line]);
        command
    }

    fn base(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-o").arg(format!("ControlPath={}/s", self.directory.display()));
        command
    }

    fn ask(&self, line: &str) -> Result<String, ProvisionError> {
        // A password or a host key is asked for on the terminal, not on these.
        let output = self.command(line).stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(no_ssh)?;
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(255) | None => Err(ProvisionError::SshFailed),
            Some(_) => Err(ProvisionError::There { doing: "find out what it is and make a directory in /tmp" }),
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let mut end = self.base();
        end.args(["-O", "exit", "--", &self.host]);
        let _ = end.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn no_ssh(source: io::Error) -> ProvisionError {
    ProvisionError::Ssh { program: "ssh", source }
}

/// Debian's name of what `uname -m` says; Debian's own names stay.
fn debian(machine: &str) -> &str {
    match machine {
        "aarch64" => "arm64",
        "armv6l" | "armv7l" => "armhf",
        "x86_64" => "amd64",
        other => other,
    }
}

/// It goes into a shell's command line.
fn is_plain(path: &str) -> bool {
    path.starts_with("/tmp/pikiosk.") && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.".contains(&byte))
}
