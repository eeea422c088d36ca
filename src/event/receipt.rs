//! What became of a command on one display.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Results larger than this many bytes go by `PUT /v1/displays/{id}/results/{event}`, and the receipt names them.
pub const INLINE_RESULT_MAX: usize = 16 * 1024;
/// The largest result a display may put, in bytes.
pub const RESULT_MAX: usize = 8 * 1024 * 1024;
/// The error of an action that was cut mid-way. It is never done again.
pub const INTERRUPTED: &str = "interrupted";

/// How a command ended. Every one of these is final: a display gives exactly one of them for each command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On the glass, said at paint.
    Shown,
    /// Done, where there is nothing to show.
    Done,
    Failed,
    /// The display is older than the command, or lacks the hardware.
    Refused,
    /// Its time to live passed first.
    Expired,
    /// A newer state command of the same slot came first.
    Superseded,
}

impl Status {
    /// True for what the publisher wanted.
    pub fn is_success(self) -> bool {
        matches!(self, Status::Shown | Status::Done)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Shown => "shown",
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Refused => "refused",
            Status::Expired => "expired",
            Status::Superseded => "superseded",
        }
    }
}

/// The data of `kiosk.receipt`.
///
/// `shown` is sent at paint; the hash of the frame that followed may come within 1 s in an update, which repeats the
/// receipt and adds `frame_sha256`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The `id` of the command's event.
    pub event: String,
    /// The `source` of the command's event: with `event` it names the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub status: Status,
    /// Why, in words, where the status is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From the display's first sight of the command to this status, in milliseconds.
    #[serde(default)]
    pub took_ms: u64,
    /// SHA-256 of the PNG of the frame that followed the paint, as 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

impl Receipt {
    pub fn new(event: impl Into<String>, source: impl Into<String>, status: Status, took_ms: u64) -> Self {
        Receipt {
            event: event.into(),
            source: Some(source.into()),
            status,
            error: None,
            took_ms,
            frame_sha256: None,
            result: None,
        }
    }

    pub fn because(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// True where `other` is this very receipt with the frame's hash filled in.
    pub fn is_completed_by(&self, other: &Receipt) -> bool {
        self.frame_sha256.is_none() && other.frame_sha256.is_some() && self.status == other.status
    }
}
