//! What may be asked of the helper.

use serde::{Deserialize, Serialize};

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
}
