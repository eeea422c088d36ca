//! Processes of ours: their logs in a file, ended and reaped on every way out; and what /proc says of any process.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::wait::{LOOK, seconds, until};

/// One process, in its own process group, with its output in a file.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; output is added to `FOLDER/NAME.log`.
    #[track_caller]
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Process {
        let log = folder.join(format!("{name}.log"));
        let file = || -> File { OpenOptions::new().create(true).append(true).open(&log).expect("the log opens") };
        let child = command
            .stdin(Stdio::null())
            .stdout(file())
            .stderr(file())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        Process { name: name.to_owned(), child, log }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is small")
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// kill -9, and waits for it to be gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; returns how it ended. Panics after `limit`.
    #[track_caller]
    pub fn stop(&mut self, limit: Duration) -> ExitStatus {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
        }
        let name = self.name.clone();
        until(&format!("{name} ends after SIGTERM"), limit, || self.ended())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// How much of a log is told of a process whose test failed.
const LINES_TOLD: usize = 60;

#[expect(clippy::print_stderr, reason = "a test that fails on another machine leaves nothing else behind")]
impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(LINES_TOLD);
            eprintln!("--- {}, the end of its log:\n{}", self.name, lines[last..].join("\n"));
        }
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
            let begun = Instant::now();
            while self.ended().is_none() && begun.elapsed() < seconds(5) {
                std::thread::park_timeout(LOOK);
            }
            self.kill();
        }
    }
}

/// Sends a signal; a process that is gone already is no error.
pub fn send(pid: i32, signal: Signal) {
    let _ = signal::kill(Pid::from_raw(pid), signal);
}

/// What /proc says of one process.
#[derive(Debug, Clone)]
pub struct Seen {
    pub pid: i32,
    pub parent: i32,
    pub name: String,
    pub state: char,
}

/// Every process below `root`, itself not among them, parents first.
pub fn below(root: i32) -> Vec<Seen> {
    let all: Vec<Seen> = fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(seen)
        .collect();
    let mut found: Vec<Seen> = Vec::new();
    let mut from = vec![root];
    while let Some(parent) = from.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            from.insert(0, process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// One process, unless it is gone.
pub fn seen(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut rest = stat[close + 1..].split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some(Seen { pid, parent: rest.next()?.parse().ok()?, name: stat[open + 1..close].to_owned(), state })
}

/// User and system time that a process used, all its threads, in seconds.
pub fn cpu_seconds(pid: i32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0) // USER_HZ is 100 on every Linux that this runs on.
}

/// A field of /proc/PID/status in its own unit (`VmRSS`: KiB).
pub fn status_field(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with(':')))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How often the threads of a process left the processor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches {
    /// Each with a waking to come.
    pub slept: u64,
    /// By others: on a busy machine this says more about them.
    pub pushed_off: u64,
}

/// Of all threads that it has now.
pub fn switches(pid: i32) -> Switches {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse::<i32>().ok());
    ids.fold(Switches::default(), |sum, id| {
        let field = |name: &str| status_field(id, name).unwrap_or(0);
        Switches {
            slept: sum.slept + field("voluntary_ctxt_switches"),
            pushed_off: sum.pushed_off + field("nonvoluntary_ctxt_switches"),
        }
    })
}
