//! How a display is: the data of `kiosk.health` and the result of the `health` command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod machine;
mod restart;
mod troubles;

pub use machine::{Card, Clock, ClockSource, Disk, Pressure};
pub use restart::{Restart, RestartCause, Restarted};
pub use troubles::troubles;

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
    /// What is on the glass, in one word: `showing`, `loading`, `away`, `no-browser`, `recovering`, `empty`, `frozen`,
    /// `wrong-picture`, `off-on-purpose`, `panel-off`, `unplugged`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub glass: String,
    /// What is wrong, and what was done about it last; none while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What is known of the screen; none where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<Screen>,
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
    pub disk_total_kb: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// The supply gives too little: a weak adapter or a thin cable, behind most faults that nothing explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_voltage: Option<bool>,
    /// It did since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_voltage_seen: Option<bool>,
    /// The processor is slowed down, by heat or by the voltage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Wifi>,
    /// SHA-256 of the PNG of the frame that followed what was shown last, as in its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_sha256: Option<String>,
    /// The board, such as `Raspberry Pi 3 Model B Rev 1.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The operating system, such as `Debian GNU/Linux 13 (trixie)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// How often Firefox was started since the supervisor was.
    pub browser_starts: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How long processes wait for memory, where the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// The SD card, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// Whether the display's state can be written, as it was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Who keeps the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Why the supervisor was last started again, or the machine with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<Restart>,
}

/// A wireless network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Wifi {
    /// Such as `wlan0`.
    pub interface: String,
    /// The network it is in, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssid: Option<String>,
    /// Below -75 pages load slowly, below -85 not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i32>,
}

/// Something is wrong on the display.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trouble {
    /// Such as `site`, `network`, `page-hung`, `browser-lost`, `profile`, `disk-full`.
    pub cause: String,
    /// What was done last: `navigate`, `make_room`, `replace_content`, `restart_browser`, `plain_profile`, `restart_session`, `reboot`,
    /// `say_so`.
    pub rung: String,
    pub since_s: u64,
    pub sentence: String,
}

/// The screen, as the display sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Screen {
    /// Light comes out of it, as far as it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lit: Option<bool>,
    /// It is dark because it was told to be.
    pub off_on_purpose: bool,
    /// What its EDID calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Such as `1920x1080 60 Hz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// The picture on it stands still though the page answers.
    pub frozen: bool,
    /// All of it has one colour, such as `#000000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_colour: Option<String>,
}
