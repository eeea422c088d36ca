//! `[screen]`: how the picture lies on the glass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::origin::Refusals;
use crate::event::command::check_url;

/// How the picture lies on the glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenSettings {
    /// `None`: what the screen itself says it likes best.
    pub mode: Option<Mode>,
    pub rotate: Rotation,
    /// A pointer is drawn.
    pub cursor: bool,
    /// The panel is cared for at night, against shadows of what stands still.
    pub care: bool,
    /// What a second screen shows; `None`: the same as the first.
    pub second: Option<Url>,
}

/// A size in pixels, and how often it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pub width: u32,
    pub height: u32,
    /// Hertz; `None`: the best the screen has in this size.
    pub refresh: Option<u32>,
}

/// How far the picture is turned, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    None,
    Right,
    Half,
    Left,
}

impl Rotation {
    /// 0, 90, 180 or 270.
    pub fn degrees(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Right => 90,
            Self::Half => 180,
            Self::Left => 270,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ScreenFile {
    /// The size of the picture, and how often it is drawn. With it, the picture is also there when the screen is
    /// switched on after the Pi. Without it, what the screen itself asks for.
    #[schemars(extend("examples" = ["1920x1080@60"]))]
    mode: Option<String>,
    /// How far the picture is turned, clockwise: 0, 90, 180 or 270.
    #[schemars(range(min = 0, max = 270))]
    rotate: u32,
    /// true: draw a pointer, for a screen with a mouse.
    cursor: bool,
    /// true: once a night, at half past three, coloured bars move over the screen for a minute, so that what stands still
    /// for days leaves no shadow. Not while somebody is there, and not while the screen is off.
    care: bool,
    /// The page of a second screen on the same machine: http or https. Without it, a second screen shows the same as the
    /// first.
    #[schemars(extend("examples" = ["https://example.org/menu"]))]
    second: Option<String>,
}

pub(super) fn settings(file: ScreenFile, refusals: &mut Refusals<'_>) -> Option<ScreenSettings> {
    let mode = match file.mode.as_deref().map(mode) {
        None => None,
        Some(Some(mode)) => Some(mode),
        Some(None) => {
            let says = format!("{:?} is no size of a picture", file.mode.unwrap_or_default());
            refusals.refuse("screen.mode", says, "write width x height @ hertz, such as 1920x1080@60");
            None
        }
    };
    let rotate = match file.rotate {
        0 => Rotation::None,
        90 => Rotation::Right,
        180 => Rotation::Half,
        270 => Rotation::Left,
        other => {
            refusals.refuse("screen.rotate", format!("{other} is no quarter turn"), "write 0, 90, 180 or 270");
            return None;
        }
    };
    // The same rule as for `navigate`: what may be pushed may be written here, and nothing else.
    let second = match file.second.as_deref().map(|text| check_url(text).map(|()| Url::parse(text).ok())) {
        None => None,
        Some(Ok(url)) => url,
        Some(Err(says)) => {
            refusals.refuse("screen.second", says, "write a whole address, such as https://example.org/menu");
            None
        }
    };
    Some(ScreenSettings { mode, rotate, cursor: file.cursor, care: file.care, second })
}

/// `1920x1080` or `1920x1080@60`, in the sizes that HDMI of a Pi has.
fn mode(text: &str) -> Option<Mode> {
    let (size, refresh) = match text.split_once('@') {
        Some((size, refresh)) => (size, Some(number(refresh, 10..=240)?)),
        None => (text, None),
    };
    let (width, height) = size.split_once('x')?;
    Some(Mode { width: number(width, 320..=7680)?, height: number(height, 200..=4320)?, refresh })
}

fn number(text: &str, within: std::ops::RangeInclusive<u32>) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && within.contains(number))
}
