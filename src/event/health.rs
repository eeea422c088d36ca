//! How a display is: the data of `kiosk.health` and the result of the `health` command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a display can tell of itself. What it cannot read is left out; unknown members are kept out of the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Health {
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firefox: Option<String>,
    /// What should be on the glass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// One plain sentence: what the supervisor is doing.
    pub status: String,
    /// True while the intended page is painted.
    pub showing: bool,
    /// Of the supervisor, in seconds.
    pub uptime_s: u64,
    /// Of the machine, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_uptime_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_1m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_kb: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available_kb: Option<u64>,
    /// Free space where the display keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_kb: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// How often Firefox was started since the supervisor was.
    pub browser_starts: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}
