//! The data of every command: typed, with its limits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{CommandError, Fault};

/// The longest text of a message, in characters.
pub const MESSAGE_MAX: usize = 2000;
/// The most items of a playlist.
pub const PLAYLIST_MAX: usize = 200;
/// The longest text of settings, in bytes.
pub const CONFIGURE_MAX: usize = 16 * 1024;
/// The longest URL, in bytes.
pub const URL_MAX: usize = 4096;

/// Data of a command: read from JSON, then checked for what types cannot say.
pub(super) trait CommandData: for<'de> Deserialize<'de> {
    /// The error is a fragment that fits after "the data of `x`: ".
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn read<T: CommandData>(name: &'static str, data: &RawValue) -> Result<T, CommandError> {
    let json = if data.get() == "null" { "{}" } else { data.get() };
    let problem = |problem: String| CommandError::Data { name, problem };
    let value: T = serde_json::from_str(json).map_err(|error| problem(error.to_string()))?;
    value.check().map_err(problem)?;
    Ok(value)
}

pub(super) fn within(name: &str, value: u32, min: u32, max: u32) -> Result<(), String> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(format!("{name} must be {min} to {max}, and is {value}")) }
}

/// Only `http` and `https` with a host: `file:`, `javascript:`, `data:` and the browser's own pages stay closed.
pub fn check_url(text: &str) -> Result<(), String> {
    if text.len() > URL_MAX {
        return Err(format!("a URL has at most {URL_MAX} bytes"));
    }
    let short: String = text.chars().take(100).collect();
    let url =
        url::Url::parse(text).map_err(|_| format!("`{short}` is no whole address: write https://… or http://…"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("`{short}` cannot be shown: only http:// and https:// addresses can"));
    }
    Ok(())
}

/// The data of `navigate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Navigate {
    /// The page to show: `http://` or `https://`.
    pub url: String,
}
impl CommandData for Navigate {
    fn check(&self) -> Result<(), String> {
        check_url(&self.url)
    }
}

/// One item of a playlist: exactly one of `url`, `image`, `video`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaylistItem {
    /// A web page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A picture, shown as large as fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A video, shown as large as fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// How long it stays, in seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: u32,
}

/// How one picture or film of a playlist gives way to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    #[default]
    Cut,
    Fade,
}

/// The data of `playlist`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Playlist {
    /// 1 to 200 items, shown in this order.
    #[schemars(length(min = 1, max = 200))]
    pub items: Vec<PlaylistItem>,
    /// Begin again after the last item; otherwise the last one stays.
    #[serde(rename = "loop", default = "yes")]
    pub repeat: bool,
    /// How one picture or video gives way to the next. A web page always comes with a cut.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transition: Transition,
    /// How long a fade takes, in milliseconds; 600 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 3000))]
    pub transition_ms: Option<u32>,
}

impl Playlist {
    /// How long one picture or film fades into the next.
    pub fn fade(&self) -> Duration {
        match self.transition {
            Transition::Cut => Duration::ZERO,
            Transition::Fade => Duration::from_millis(self.transition_ms.unwrap_or(600).into()),
        }
    }
}

impl CommandData for Playlist {
    fn check(&self) -> Result<(), String> {
        if !(1..=PLAYLIST_MAX).contains(&self.items.len()) {
            return Err(format!("a playlist has 1 to {PLAYLIST_MAX} items"));
        }
        for (index, item) in self.items.iter().enumerate() {
            let sources: Vec<&String> = [&item.url, &item.image, &item.video].into_iter().flatten().collect();
            let [source] = sources[..] else {
                return Err(format!("items[{index}] needs exactly one of url, image, video"));
            };
            check_url(source).map_err(|problem| format!("items[{index}]: {problem}"))?;
            within(&format!("items[{index}].seconds"), item.seconds, 1, 86_400)?;
        }
        self.transition_ms.map_or(Ok(()), |ms| within("transition_ms", ms, 100, 3000))
    }
}

/// The data of `zoom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zoom {
    /// 100 is the page's own size.
    #[schemars(range(min = 25, max = 500))]
    pub percent: u32,
}
impl CommandData for Zoom {
    fn check(&self) -> Result<(), String> {
        within("percent", self.percent, 25, 500)
    }
}

/// The data of `reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// Fetch everything again, whatever the cache holds.
    #[serde(default)]
    pub ignore_cache: bool,
}
impl CommandData for Reload {}

/// How urgent a message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Info,
    Success,
    Warning,
    Alert,
}

/// Where on the glass a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Top,
    #[default]
    Center,
    Bottom,
    /// The whole glass.
    Full,
}

/// The data of `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Plain text; line breaks are kept.
    #[schemars(length(min = 1, max = 2000))]
    pub text: String,
    #[serde(default)]
    pub level: Level,
    /// How long it stays, in seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: u32,
    #[serde(default)]
    pub position: Place,
}
impl CommandData for Message {
    fn check(&self) -> Result<(), String> {
        if self.text.trim().is_empty() || self.text.chars().count() > MESSAGE_MAX {
            return Err(format!("text has 1 to {MESSAGE_MAX} characters"));
        }
        within("seconds", self.seconds, 1, 86_400)
    }
}

/// The data of `clear_message`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearMessage {}
impl CommandData for ClearMessage {}

/// The file format of a screenshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    #[default]
    Png,
    Jpeg,
}

/// The data of `screenshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Screenshot {
    #[serde(default)]
    pub format: PictureFormat,
    /// Scale down to this width, in pixels; the glass's own width if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 7680))]
    pub width: Option<u32>,
}
impl CommandData for Screenshot {
    fn check(&self) -> Result<(), String> {
        self.width.map_or(Ok(()), |width| within("width", width, 16, 7680))
    }
}

/// The data of `identify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identify {
    /// How long it stays, in seconds.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 3600))]
    pub seconds: u32,
}
impl CommandData for Identify {
    fn check(&self) -> Result<(), String> {
        within("seconds", self.seconds, 1, 3600)
    }
}

/// The data of `drill`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// What is done to the display.
    pub fault: Fault,
}
impl CommandData for Drill {}

/// The data of `clear_data`: what is not named is cleared too; turn a part off with `false`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearData {
    #[serde(default = "yes")]
    pub cookies: bool,
    /// Local storage, databases, service workers.
    #[serde(default = "yes")]
    pub storage: bool,
    #[serde(default = "yes")]
    pub cache: bool,
}
impl CommandData for ClearData {
    fn check(&self) -> Result<(), String> {
        if self.cookies || self.storage || self.cache { Ok(()) } else { Err("all parts are off".into()) }
    }
}

/// The data of `restart_browser`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartBrowser {}
impl CommandData for RestartBrowser {}

/// The data of `restart`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {}
impl CommandData for Restart {}

/// The data of `reboot`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reboot {}
impl CommandData for Reboot {}

/// The data of `shutdown`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {}
impl CommandData for Shutdown {}

/// The data of `configure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// Lines of kiosk.toml, over those of the display: they take the place of all that was configured by a command before.
    #[schemars(length(max = 16384))]
    pub toml: String,
}
impl CommandData for Configure {
    fn check(&self) -> Result<(), String> {
        if self.toml.len() > CONFIGURE_MAX {
            return Err(format!("toml has at most {CONFIGURE_MAX} bytes"));
        }
        Ok(())
    }
}

/// The data of `health`: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {}
impl CommandData for Health {}

/// The data of `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// How many of the last lines.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 5000))]
    pub lines: u32,
    /// A systemd unit; the supervisor's own lines if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}
impl CommandData for Logs {
    fn check(&self) -> Result<(), String> {
        within("lines", self.lines, 1, 5000)?;
        match &self.unit {
            Some(unit) if !is_unit_name(unit) => Err("unit must be the name of a systemd unit".into()),
            _ => Ok(()),
        }
    }
}

/// The data of `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageEvent {
    /// The DOM event's name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Any JSON: the DOM event's `detail`.
    #[serde(default)]
    pub data: Value,
}
impl CommandData for PageEvent {
    fn check(&self) -> Result<(), String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        if (1..=64).contains(&self.name.len()) && self.name.bytes().all(plain) {
            Ok(())
        } else {
            Err("name has 1 to 64 letters, digits and _ - . :".into())
        }
    }
}

fn is_unit_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b':');
    (1..=128).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn ten() -> u32 {
    10
}

fn hundred() -> u32 {
    100
}

fn yes() -> bool {
    true
}
