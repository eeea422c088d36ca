//! Why a display was started again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::time::UtcMillis;

/// One start of the supervisor after another, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restart {
    /// When it was up again, by the display's own clock.
    pub at: UtcMillis,
    pub of: Restarted,
    pub cause: RestartCause,
    /// One plain sentence.
    pub sentence: String,
    /// For how long nothing was written down, in seconds; only within one start of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_s: Option<u64>,
}

/// What was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restarted {
    Supervisor,
    Machine,
}

/// Why something was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartCause {
    /// A command of the server's.
    Command,
    /// The last rung of recovery.
    Recovery,
    /// Another version of the program.
    Update,
    /// In good order, by somebody at the machine.
    Stopped,
    /// It gave no sign of life, and a watchdog ended it.
    Watchdog,
    OutOfMemory,
    /// A fault of the program.
    Panic,
    /// It was killed, or ended with an error.
    Crash,
    /// A fault of the kernel.
    Kernel,
    /// The power went; or the machine stood still and nothing tells it apart.
    Power,
    Unknown,
}
