//! `RUNTIME/status.json`: what the supervisor says of itself to people on its own machine.
//!
//! The supervisor replaces the file in one step whenever its status changes, and at least every [`REFRESH`]; a reader
//! takes one that is older than [`STALE`] for the word of a supervisor that hangs or is gone.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{health::Health, time::UtcMillis};

pub const FILE: &str = "status.json";
/// How often the supervisor writes the file when nothing changes.
pub const REFRESH: Duration = Duration::from_secs(10);
/// Three refreshes: a busy machine may be late with two.
pub const STALE: Duration = Duration::from_secs(30);

/// What the file holds. `health.status` is the one plain sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusFile {
    /// `None` until the display has an id.
    pub display: Option<String>,
    pub pid: u32,
    pub written: UtcMillis,
    pub health: Health,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error("no supervisor runs here")]
    Absent,
    #[error("its status cannot be read")]
    Unreadable { source: std::io::Error },
    #[error("its status is of another version")]
    Strange { source: serde_json::Error },
}

impl StatusFile {
    pub fn read(runtime: &Path) -> Result<Self, StatusError> {
        let bytes = std::fs::read(runtime.join(FILE)).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StatusError::Absent,
            _ => StatusError::Unreadable { source },
        })?;
        serde_json::from_slice(&bytes).map_err(|source| StatusError::Strange { source })
    }

    /// How long ago it was written. By the machine's uptime, where both sides know it: the wall clock may have been set
    /// since, by a lifetime on a machine that began in 1970.
    pub fn age(&self, now: UtcMillis, uptime: Option<Duration>) -> Duration {
        match (self.health.machine_uptime_s, uptime) {
            (Some(then), Some(uptime)) => uptime.saturating_sub(Duration::from_secs(then)),
            _ => Duration::from_millis(now.0.saturating_sub(self.written.0)),
        }
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_makes_no_supervisor_look_gone() {
        let health = Health { machine_uptime_s: Some(40), ..Health::default() };
        let mut file = StatusFile { display: None, pid: 1, written: UtcMillis(30_000), health };
        let today = UtcMillis(1_800_000_000_000);
        assert_eq!(file.age(today, Some(Duration::from_secs(42))), Duration::from_secs(2));
        assert_eq!(file.age(today, None), Duration::from_millis(today.0 - 30_000));
        file.health.machine_uptime_s = None;
        assert_eq!(file.age(UtcMillis(31_000), Some(Duration::from_secs(42))), Duration::from_secs(1));
    }
}
