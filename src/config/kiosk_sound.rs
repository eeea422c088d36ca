//! `[sound]`: how loud the display is, and with which voice it speaks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::Refusals;
use crate::event::command::is_voice;

/// How the display is heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoundSettings {
    /// Percent; `None`: as it is.
    pub volume: Option<u32>,
    /// Of espeak-ng; `None`: an English one, where espeak-ng is there.
    pub voice: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SoundFile {
    /// Percent, until the server says otherwise. Without it, as it is.
    #[schemars(range(min = 0, max = 100), extend("examples" = [60]))]
    volume: Option<u32>,
    /// The voice with which the display speaks: mostly a language, as espeak-ng calls it (espeak-ng --voices). With it,
    /// espeak-ng is installed.
    #[schemars(extend("examples" = ["de"]))]
    voice: Option<String>,
}

pub(super) fn settings(file: SoundFile, refusals: &mut Refusals<'_>) -> SoundSettings {
    if let Some(voice) = file.voice.as_deref().filter(|voice| !is_voice(voice)) {
        refusals.refuse("sound.voice", format!("{voice:?} is no voice"), "write a language, such as en, de or fr-ch");
    }
    SoundSettings { volume: file.volume, voice: file.voice }
}
