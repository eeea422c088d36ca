//! The data of the commands that set the screen and the loudspeaker.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    Command,
    data::{CommandData, check_url, within},
};
use crate::event::time::UtcMillis;

/// The longest that an override of the schedule lasts, in seconds: a year.
const OVERRIDE_MAX: u32 = 366 * 86_400;

/// The longest text that is spoken, in characters: some 40 s, and 2 MB of sound.
pub const SAY_MAX: usize = 500;

/// Whether the screen is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`on` is true, false or \"schedule\"")]
pub enum PowerState {
    /// Whatever the schedule says.
    Set(bool),
    Follow(Follow),
}

/// What the screen follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    Schedule,
}

impl JsonSchema for PowerState {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PowerState".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [true, false, "schedule"] })
    }
}

/// The data of `power`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// true or false, whatever the schedule says; schedule: as that says again.
    pub on: PowerState,
    /// For so long, then as the schedule says. Counted from the `time` of the event, or else from its arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_622_400))]
    pub seconds: Option<u32>,
    /// Until then, such as 2026-05-04T18:00:00+02:00; then as the schedule says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UtcMillis>,
}
impl CommandData for Power {
    fn check(&self) -> Result<(), String> {
        if self.seconds.is_some() && self.until.is_some() {
            return Err("seconds and until exclude one another".into());
        }
        if matches!(self.on, PowerState::Follow(_)) && (self.seconds.is_some() || self.until.is_some()) {
            return Err("the schedule has no end: leave seconds and until out".into());
        }
        self.seconds.map_or(Ok(()), |seconds| within("seconds", seconds, 1, OVERRIDE_MAX))
    }
}

impl Command {
    /// As it is kept: what lasts for so long lasts until a moment. `from_ms` is since 1970.
    #[must_use]
    pub fn begun_at(self, from_ms: u64) -> Self {
        match self {
            Command::Power(power) => Command::Power(power.begun_at(from_ms)),
            other => other,
        }
    }
}

impl Power {
    /// With its end as a moment, which a restart does not move.
    fn begun_at(self, from_ms: u64) -> Self {
        let end = self.seconds.map(|seconds| UtcMillis(from_ms.saturating_add(u64::from(seconds) * 1000)));
        Power { on: self.on, seconds: None, until: end.or(self.until) }
    }
}

/// The data of `rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Clockwise: 0, 90, 180 or 270. Touch turns with the picture.
    #[schemars(range(min = 0, max = 270))]
    pub degrees: u32,
}
impl CommandData for Rotate {
    fn check(&self) -> Result<(), String> {
        match self.degrees {
            0 | 90 | 180 | 270 => Ok(()),
            other => Err(format!("degrees must be 0, 90, 180 or 270, and is {other}")),
        }
    }
}

/// The data of `brightness`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brightness {
    #[schemars(range(min = 0, max = 100))]
    pub percent: u32,
}
impl CommandData for Brightness {
    fn check(&self) -> Result<(), String> {
        within("percent", self.percent, 0, 100)
    }
}

/// The data of `volume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    #[schemars(range(min = 0, max = 100))]
    pub percent: u32,
    #[serde(default)]
    pub muted: bool,
}
impl CommandData for Volume {
    fn check(&self) -> Result<(), String> {
        within("percent", self.percent, 0, 100)
    }
}

/// The data of `sound`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sound {
    /// A sound file that Firefox can play (MP3, Ogg, FLAC, WAV), of at most five minutes.
    pub url: String,
}
impl CommandData for Sound {
    fn check(&self) -> Result<(), String> {
        check_url(&self.url)
    }
}

/// The data of `say`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Say {
    #[schemars(length(min = 1, max = 500))]
    pub text: String,
    /// A voice of espeak-ng, mostly a language: `en`, `de`, `fr-ch`. Else the display's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
}
impl CommandData for Say {
    fn check(&self) -> Result<(), String> {
        if self.text.trim().is_empty() || self.text.chars().count() > SAY_MAX {
            return Err(format!("text has 1 to {SAY_MAX} characters"));
        }
        match self.voice.as_deref() {
            Some(voice) if !is_voice(voice) => {
                Err("voice is the name of a voice of espeak-ng, such as en or de".into())
            }
            _ => Ok(()),
        }
    }
}

/// The form of a name; whether there is such a voice, espeak-ng knows.
pub fn is_voice(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'_');
    (1..=32).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with(['-', '+'])
}
