//! What a running supervisor writes down, and what is written about its end.

use serde::{Deserialize, Serialize};

use crate::event::time::UtcMillis;

/// The last state of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flight {
    /// Of the machine; none where the kernel names none.
    pub boot: Option<String>,
    pub pid: u32,
    pub version: String,
    /// By this display's own clock, right or wrong.
    pub written: UtcMillis,
    /// Somebody had set that clock since the machine started.
    pub clock_is_good: bool,
    /// Seconds since the machine started: unlike the clock it never jumps.
    pub machine_uptime_s: Option<u64>,
    /// What stood in `pikiosk status`.
    pub sentence: String,
    /// The supply was too weak since the machine started.
    pub under_voltage_seen: bool,
    pub memory_available_kb: Option<u64>,
    /// The last log lines, oldest first.
    pub lines: Vec<String>,
    /// An end in good order.
    pub leave: Option<Leave>,
}

/// Why a run ended in good order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Leave {
    /// A command of the server's, by its name.
    Command { name: String },
    /// The machine was to be started again to cure this.
    Recovery { why: String },
    /// A signal: systemd's, or somebody's.
    Signal,
}

/// A fault of the program, as it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    pub pid: u32,
    /// `main`, or another one: a chore may fail without taking the supervisor along.
    pub thread: String,
    pub message: String,
    /// File and line.
    pub place: String,
}

/// systemd's words for how a service ended (`systemd.exec(5)`: SERVICE_RESULT, EXIT_CODE, EXIT_STATUS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEnd {
    /// Such as `watchdog`, `oom-kill`, `signal`.
    pub result: String,
    /// Such as `killed`, `exited`.
    pub code: String,
    /// Such as `ABRT`, `101`.
    pub status: String,
}

impl ServiceEnd {
    /// Of the line that the unit's ExecStopPost writes.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (result, code, status) =
            (words.next()?, words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Some(ServiceEnd { result, code, status })
    }
}
