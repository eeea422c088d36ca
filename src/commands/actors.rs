//! The processes of a display in memory, for demo and drill: each with its log, each ended and reaped on every way out.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::io::process;

/// How long a process gets to end by itself after SIGTERM: the browser loop ends Firefox in it.
const GRACE: Duration = Duration::from_secs(8);
/// How many lines of its log a failure shows.
const TOLD: usize = 12;

/// Why a process does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    #[error("{what} does not start")]
    Start { what: &'static str, source: io::Error },
    #[error("{what} ended by itself ({how}). Its last lines:\n{log}")]
    Ended { what: &'static str, how: String, log: String },
    #[error("{what} within {} s. The last lines of {whose}:\n{log}", within.as_secs())]
    Late { what: &'static str, within: Duration, whose: &'static str, log: String },
}

/// One process in a group of its own.
#[derive(Debug)]
pub struct Actor {
    pub what: &'static str,
    child: Child,
    log: PathBuf,
}

impl Actor {
    /// Starts it; what it says goes to a file of this folder. The kernel ends it should the demo be killed.
    pub fn start(what: &'static str, folder: &Path, command: &mut Command) -> Result<Self, ActorError> {
        Self::start_piped(what, folder, command, false)
    }

    /// The same; its first line on stdout is for us.
    pub fn start_speaking(what: &'static str, folder: &Path, command: &mut Command) -> Result<Self, ActorError> {
        Self::start_piped(what, folder, command, true)
    }

    fn start_piped(
        what: &'static str,
        folder: &Path,
        command: &mut Command,
        speaking: bool,
    ) -> Result<Self, ActorError> {
        let failed = |source| ActorError::Start { what, source };
        let log = folder.join(format!("{}.log", what.replace(' ', "-")));
        // Added to: an actor that is started again goes on in the same file.
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let stdout = if speaking { Stdio::piped() } else { file.try_clone().map_err(failed)?.into() };
        command.stdin(Stdio::null()).stdout(stdout).stderr(file);
        let child = process::spawn_bound(command).map_err(failed)?;
        Ok(Self { what, child, log })
    }

    /// The stdout of an actor that was started speaking; once.
    pub fn voice(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// An error if it has ended by itself.
    pub fn check(&mut self) -> Result<(), ActorError> {
        let how = match self.child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Err(ActorError::Ended { what: self.what, how, log: self.last_lines() })
    }

    /// True once it has ended with exit code 0, as it does when it is asked to.
    pub fn has_ended_well(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if status.success())
    }

    pub fn late(&self, what: &'static str, within: Duration) -> ActorError {
        ActorError::Late { what, within, whose: self.what, log: self.last_lines() }
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        match lines.len() {
            0 => "  | (it said nothing)".to_owned(),
            count => lines[count.saturating_sub(TOLD)..]
                .iter()
                .map(|line| format!("  | {line}"))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// SIGKILL to it alone; reaped when this returns.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// SIGTERM, then SIGKILL to its whole group; reaped when this returns.
    fn stop(&mut self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        if self.child.try_wait()?.is_none()
            && let Some(process) = process::Identity::of(pid)
        {
            process.signal(Signal::SIGTERM)?;
            let deadline = Instant::now() + GRACE;
            while self.child.try_wait()?.is_none() && Instant::now() < deadline {
                // Not on the runtime: this runs while everything is taken down, a panic included.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // The group outlives its leader where a helper stayed behind.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        self.child.wait().map(|_| ())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(what = self.what, %error, "could not be ended");
        }
    }
}
