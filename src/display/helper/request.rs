//! What may be asked of the helper, and what it answers.

use serde::{Deserialize, Serialize};

/// The longest request or answer, in bytes: the longest reason is a sentence.
pub(super) const LINE_MAX: usize = 1024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Request {
    /// Start the machine again.
    Reboot,
    /// Switch the machine off.
    PowerOff,
    /// End the X session: tty1 logs in again and begins a new one.
    RestartSession,
    /// Set the wall clock, in ms since 1970: only where no time service has set it since the machine started.
    SetClock { unix_ms: u64 },
    /// Take the screens away at their plugs for some seconds, as if they had been pulled out.
    Unplug,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done or, of what takes the machine down, begun.
    Done,
    /// Not done, and it would not be next time.
    Refused(String),
    /// It was tried.
    Failed(String),
}
