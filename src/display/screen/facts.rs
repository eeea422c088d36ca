//! What is true of the screen, as the browser loop sees it.

use serde::{Deserialize, Serialize};

/// Everything that is seen at one moment. Told when something of it changes, and at least every ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Every connector of the X screen, connected or not.
    pub outputs: Vec<Output>,
    pub panel: Panel,
    /// None where the glass cannot be read.
    pub frame: Option<Frame>,
    /// For how long, in milliseconds, nobody has touched a key, a mouse or the glass.
    pub idle_ms: Option<u64>,
    /// The output where a second page has its place: none without one, and none where kiosk.toml wants no second page.
    pub second: Option<String>,
}

/// One connector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    /// As RandR calls it, such as `HDMI-1`.
    pub name: String,
    pub connected: bool,
    /// What its EDID calls the screen.
    pub screen: Option<String>,
    /// The picture that is sent to it; none where it is switched off.
    pub picture: Option<Picture>,
    /// The picture it likes best.
    pub preferred: Option<Picture>,
    /// Clockwise: 0, 90, 180 or 270.
    pub degrees: u32,
}

/// A size in pixels, and how often it is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Thousandths of a hertz.
    pub millihertz: u32,
}

/// Whether light comes out of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    On,
    /// In standby, suspended or off (DPMS), or said to be in standby by the screen itself (CEC).
    Off,
    #[default]
    Unknown,
}

/// A thin sample of the glass: some hundred points, never the whole picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Every point of the sample has this colour (red, green, blue); none where they differ.
    pub uniform: Option<[u8; 3]>,
    /// Of the sample: the same number is the same picture, as far as the sample goes.
    pub hash: u64,
    /// For how long, in milliseconds, the sample has been the same.
    pub still_ms: u64,
    /// For how long, in milliseconds, the pixel that our own script in the page changes every eight seconds has stood
    /// still: a glass that is frozen though every process answers. None where no script of ours runs in the page.
    pub beat_still_ms: Option<u64>,
}
