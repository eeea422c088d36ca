//! The settings that came by the command `configure`, and whether they have proved themselves.
//!
//! ```text
//!   configure --checked--> trial --restart--> the display is well --> good
//!                            `--not well in five minutes, or started again and again--> taken back: good is in force
//! ```
//!
//! One file, replaced as a whole: whatever cuts the power, the settings in force are those of before or those on trial,
//! and a trial ends.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, KioskSettings, Sources},
    display::journal::EventKey,
    io::store,
};

/// In STATE.
const FILE: &str = "configured.json";
/// A supervisor that starts so often with settings on trial does not live with them.
const STARTS_MAX: u32 = 3;

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configured {
    /// The text in force where nothing is on trial.
    good: Option<String>,
    trial: Option<Trial>,
    /// How the last trial ended: its receipt may still be owed.
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trial {
    key: EventKey,
    text: String,
    starts: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ended {
    key: EventKey,
    /// Why it was taken back, if it was.
    undone: Option<String>,
}

/// What a supervisor that starts is told of one command `configure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is being tried.
    OnTrial,
    Kept,
    TakenBack(String),
    /// Nothing is known: the power went before it was written down.
    Unknown,
}

impl Configured {
    /// What stands in this state directory. A file that cannot be read holds nothing.
    pub fn read(state: &Path) -> Self {
        let text = std::fs::read(state.join(FILE)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// On disk when it returns.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        store::write_durably(&state.join(FILE), &serde_json::to_vec(self).map_err(io::Error::other)?, 0o600)
    }

    /// The text in force.
    pub fn text(&self) -> Option<&str> {
        self.trial.as_ref().map(|trial| trial.text.as_str()).or(self.good.as_deref())
    }

    pub fn fate(&self, key: &EventKey) -> Fate {
        match (&self.trial, &self.ended) {
            (Some(trial), _) if trial.key == *key => Fate::OnTrial,
            (_, Some(Ended { key: ended, undone })) if ended == key => {
                undone.clone().map_or(Fate::Kept, Fate::TakenBack)
            }
            _ => Fate::Unknown,
        }
    }

    /// From the next start on, this text is tried. An empty one takes away what was pushed before.
    pub fn try_next(&mut self, key: EventKey, text: String) {
        self.trial = Some(Trial { key, text, starts: 0 });
    }

    pub fn keep(&mut self) {
        if let Some(Trial { key, text, .. }) = self.trial.take() {
            self.good = Some(text).filter(|text| !text.trim().is_empty());
            self.ended = Some(Ended { key, undone: None });
        }
    }

    pub fn take_back(&mut self, why: impl Into<String>) {
        if let Some(Trial { key, .. }) = self.trial.take() {
            self.ended = Some(Ended { key, undone: Some(why.into()) });
        }
    }

    /// The supervisor starts: a trial counts it.
    fn started(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.starts += 1;
            if trial.starts > STARTS_MAX {
                self.take_back(format!("the supervisor was started {STARTS_MAX} times with it and did not stay"));
            }
        }
    }
}

/// The settings of a supervisor that starts: with what was pushed, where that can be used.
pub fn load(sources: &Sources, state: &Path) -> Result<KioskSettings, ConfigError> {
    let mut configured = Configured::read(state);
    let before = configured.clone();
    configured.started();
    let loaded = loop {
        let sources = sources.clone().with_pushed(configured.text().map(str::to_owned));
        match KioskSettings::load(&sources) {
            Err(error) if configured.trial.is_some() => configured.take_back(error.to_string()),
            Err(error) if configured.good.is_some() => {
                tracing::error!(%error, "what was configured by a command does not fit any more, and is left out");
                configured.good = None;
            }
            other => break other?.settings,
        }
    };
    if configured != before
        && let Err(error) = configured.write(state)
    {
        tracing::error!(%error, "what was configured cannot be written down");
    }
    Ok(loaded)
}

/// What is wrong with a text that shall be tried, in the words of the configuration.
pub fn check(sources: &Sources, text: &str) -> Result<(), String> {
    let sources = sources.clone().with_pushed(Some(text.to_owned()));
    KioskSettings::load(&sources).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> EventKey {
        EventKey { source: "/test".into(), id: id.into() }
    }

    const NEW: &str = "[display]\nurl = \"https://new.example/\"\n";

    fn url(state: &Path) -> Option<String> {
        load(&Sources::under("/nowhere"), state).unwrap().display.url.map(|url| url.to_string())
    }

    fn on_trial(state: &Path, text: &str) {
        let mut configured = Configured::read(state);
        configured.try_next(key("a"), text.to_owned());
        configured.write(state).unwrap();
    }

    #[test]
    fn a_text_on_trial_is_in_force_and_stays_once_it_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        on_trial(state, NEW);
        assert_eq!(url(state).as_deref(), Some("https://new.example/"));
        let mut configured = Configured::read(state);
        assert_eq!(configured.fate(&key("a")), Fate::OnTrial);
        configured.keep();
        configured.write(state).unwrap();
        assert_eq!(url(state).as_deref(), Some("https://new.example/"));
        assert_eq!(Configured::read(state).fate(&key("a")), Fate::Kept);
        on_trial(state, "");
        let mut configured = Configured::read(state);
        configured.keep();
        assert_eq!(configured.text(), None, "an empty text takes it away");
    }

    #[test]
    fn a_supervisor_that_does_not_live_with_it_has_the_settings_of_before_at_the_fourth_start() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        on_trial(state, NEW);
        for _ in 0..3 {
            assert!(url(state).is_some());
        }
        assert_eq!(url(state), None);
        assert!(matches!(Configured::read(state).fate(&key("a")), Fate::TakenBack(why) if why.contains("3 times")));
    }

    #[test]
    fn what_fits_no_more_keeps_no_display_from_starting() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        on_trial(state, "[display]\nurl = 7\n");
        assert_eq!(url(state), None);
        assert!(matches!(Configured::read(state).fate(&key("a")), Fate::TakenBack(_)));
        std::fs::write(state.join(FILE), r#"{"good":"[display]\nurl = 7\n"}"#).unwrap();
        assert_eq!(url(state), None);
        std::fs::write(state.join(FILE), "{").unwrap();
        assert_eq!(url(state), None);
    }

    #[test]
    fn a_text_is_checked_in_the_words_of_the_configuration() {
        let sources = Sources::under("/nowhere");
        assert_eq!(check(&sources, NEW), Ok(()));
        assert!(check(&sources, "[display]\nulr = \"x\"\n").unwrap_err().contains("url"));
        assert!(check(&sources, "[browser]\ncommand = \"sh\"\n").unwrap_err().contains("may not be set by a command"));
    }
}
