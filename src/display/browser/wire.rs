//! What the supervisor and the browser loop say to one another: one JSON object per line.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::display::{
    drill::wire::{Harm, Look},
    screen,
    supervisor::Overgrown,
};

/// The longest line, in bytes: a screenshot of a large glass travels in one.
pub const LINE_MAX: usize = 32 * 1024 * 1024;
/// The socket's name in RUNTIME.
pub const SOCKET: &str = "browser.sock";

/// What the browser loop tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromLoop {
    Hello {
        version: String,
        pid: u32,
        display: String,
    },
    /// Firefox's process is there.
    Started {
        pid: u32,
        generation: u64,
        firefox: String,
    },
    /// A BiDi session is ready for this supervisor.
    Attached {
        generation: u64,
    },
    /// A message of BiDi, as it came.
    Bidi(Box<RawValue>),
    Exited {
        generation: u64,
        status: String,
        uptime_ms: u64,
        next_start_ms: u64,
    },
    /// Firefox was not started: its profile cannot be written, and where and why not. What ended is told beside it.
    NoProfile {
        why: String,
    },
    /// A process took more memory than it may. What runs pages is killed at once; Firefox itself is left to the
    /// supervisor.
    Overgrown(Overgrown),
    /// A process that ran pages ended.
    ContentEnded {},
    /// What the loop sees of the screen.
    Sees(screen::Facts),
    /// What came of an order to the screen.
    Screen {
        ask: u64,
        result: Result<Value, screen::Refusal>,
    },
    /// The glass, as the X server tells it.
    Looked {
        ask: u64,
        result: Result<Look, String>,
    },
    /// What came of a drill's fault: what was done, in words.
    Harmed {
        ask: u64,
        result: Result<String, String>,
    },
}

/// What the supervisor orders.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToLoop {
    /// Give this supervisor a session, now and after every start.
    Attach {},
    /// A command of BiDi.
    Bidi(Box<RawValue>),
    /// What Firefox is to be started with.
    Open { url: String },
    Restart {
        reason: String,
        /// Without the preferences that kiosk.toml lays over the kiosk's own: this once.
        #[serde(default)]
        plain: bool,
    },
    /// Kill the processes that run pages; Firefox itself stays.
    KillContent { reason: String },
    /// An order to the screen; `ask` comes back with the answer.
    Screen { ask: u64, order: screen::Order },
    /// What colour is the glass? `ask` comes back with the answer.
    Look { ask: u64 },
    /// A drill's fault; `ask` comes back with the answer.
    Harm { ask: u64, harm: Harm },
}
