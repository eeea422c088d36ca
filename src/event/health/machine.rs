//! How the machine under a display is: memory, card, clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Per cent of the last minute in which something waited for memory (`/proc/pressure/memory`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pressure {
    /// Some process did.
    pub some: f64,
    /// All of them did: nothing went on.
    pub full: f64,
}

/// What is known of the card that the machine runs from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Card {
    /// As the card calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Errors that the file systems on it have met since they were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// How much of its life is used up, in per cent, where it tells (most SD cards do not).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worn_percent: Option<u8>,
    /// The kernel has given up writing to the root file system.
    pub read_only: bool,
}

/// One write that was brought to the disk, as it was last tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Disk {
    /// How long it took, in milliseconds; none while it is under way, or where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_ms: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For how long it has been under way, in seconds: the disk does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangs_s: Option<u64>,
}

/// Who set the wall clock since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// A time service.
    Service,
    /// This display's server: no time service got through.
    Server,
    /// Nobody: it shows what it showed when the machine was last on.
    Nobody,
}

/// The wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    pub set_by: ClockSource,
    /// How far it is ahead of the server's (negative: behind), in milliseconds, when the server last told its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_ms: Option<i64>,
}
