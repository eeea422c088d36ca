//! What is said on the control socket: one JSON object a line, each request answered by one line.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The socket's name in RUNTIME.
pub const SOCKET: &str = "control.sock";
/// The longest line, in bytes. The longest there is, a status, has under 4 KiB.
pub const LINE_MAX: usize = 64 * 1024;
/// A caller that says nothing for so long is gone: the display it held is released. A drill says something every 50 ms.
pub const LEASE: Duration = Duration::from_secs(20);

/// What a caller may want.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the display is, in full: the data of `kiosk.health`.
    Status {},
    /// What is on the glass.
    Glass {},
    /// Show this page instead of what should be there, as long as this connection lasts.
    Hold { url: String },
    /// Show what should be there again.
    Release {},
    /// Do this to Firefox.
    Harm(Harm),
    /// The colour that most of the glass has, as the X server tells the browser loop.
    Look {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status(Value),
    Glass(Glass),
    Look(Look),
    Done(String),
    Refused(String),
}

/// What the supervisor knows of the glass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Glass {
    /// The page that is wanted is painted.
    pub showing: bool,
    /// The offline page is painted in its place.
    pub offline: bool,
    /// This connection's hold still stands: nothing was pushed meanwhile.
    pub held: bool,
    pub sentence: String,
    /// What is on the glass, as one word: [`Truth::name`](crate::display::supervisor::Truth::name).
    pub truth: String,
    /// Such as `1920x1080 60 Hz`; none where no screen is lit, or nothing is known of it.
    pub picture: Option<String>,
    /// The X display of the browser loop, such as `:0`; empty without one.
    pub display: String,
}

/// One look at the glass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The colour (red, green, blue) that most of the sample has, and its share of it, 0 to 1.
    pub colour: [u8; 3],
    pub share: f64,
}

/// What the browser loop can do to its Firefox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    KillBrowser,
    StopBrowser,
    KillContent,
    StopContent,
    /// The browser loop kills itself, and Firefox with it, as an X session that ends does.
    KillSession,
}
