//! Who this display is: its key, made once, and what enrollment gave it. Two small files in STATE, 0600.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    auth::display_key::{DisplayKey, DisplayKeyError},
    event::DisplayId,
    io::{random, store},
};

const KEY: &str = "display.key";
const ENROLLMENT: &str = "enrollment.json";

/// Why this display does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("reading {0}")]
    Read(String, #[source] io::Error),
    #[error("writing {0}")]
    Write(String, #[source] io::Error),
    #[error("the key in {0} is damaged: remove the file and enroll this display again")]
    Key(String, #[source] DisplayKeyError),
}

/// What enrollment gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    pub display: DisplayId,
    /// SHA-256 of the code it was given for: another code in `kiosk.toml` means to enroll again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_sha256: Option<String>,
    /// What it was called before the server renamed it: where `kiosk.toml` still says one of these, the server is right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<DisplayId>,
}

impl Enrollment {
    /// The same display, as the server calls it now.
    pub fn renamed(mut self, now: DisplayId) -> Self {
        self.once.retain(|old| *old != now);
        let old = std::mem::replace(&mut self.display, now);
        if old != self.display && !self.once.contains(&old) {
            self.once.push(old);
        }
        self
    }
}

/// Reads the display's key, or makes it: fsynced before anybody hears of it.
pub fn load_or_make_key(state: &Path) -> Result<DisplayKey, IdentityError> {
    let path = state.join(KEY);
    let name = || path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(text) => DisplayKey::from_secret_text(&text).map_err(|error| IdentityError::Key(name(), error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = DisplayKey::from_seed(random::bytes());
            store::write_durably(&path, key.secret_text().as_bytes(), 0o600)
                .map_err(|error| IdentityError::Write(name(), error))?;
            Ok(key)
        }
        Err(error) => Err(IdentityError::Read(name(), error)),
    }
}

/// What an earlier enrollment gave. A damaged file counts as none: enrolling again gives the same answer.
pub fn load_enrollment(state: &Path) -> Option<Enrollment> {
    serde_json::from_slice(&fs::read(state.join(ENROLLMENT)).ok()?).ok()
}

pub fn keep_enrollment(state: &Path, enrollment: &Enrollment) -> Result<(), IdentityError> {
    let path = state.join(ENROLLMENT);
    let text = serde_json::to_vec(enrollment).expect("an id and a text always serialise");
    store::write_durably(&path, &text, 0o600).map_err(|error| IdentityError::Write(path.display().to_string(), error))
}

/// SHA-256 of a code, as it is kept.
pub fn hash_of(code: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, code.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who this display is now, without asking anybody: `None` where it must enroll first.
pub fn known_as(kept: Option<Enrollment>, configured: Option<&DisplayId>, code: Option<&str>) -> Option<DisplayId> {
    match (kept, code) {
        (Some(kept), Some(code)) => (kept.code_sha256 == Some(hash_of(code))).then_some(kept.display),
        (Some(kept), None) => Some(configured.filter(|id| !kept.once.contains(id)).cloned().unwrap_or(kept.display)),
        // Its key may be known to the server some other way.
        (None, None) => configured.cloned(),
        (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses_to_read() {
        let state = tempfile::tempdir().unwrap();
        let made = load_or_make_key(state.path()).unwrap();
        assert_eq!(load_or_make_key(state.path()).unwrap().public_text(), made.public_text());
        let mode = fs::metadata(state.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(state.path().join(KEY), "torn").unwrap();
        assert!(matches!(load_or_make_key(state.path()), Err(IdentityError::Key(..))), "never replaced in silence");
    }

    #[test]
    fn a_display_enrolls_once_per_code() {
        let state = tempfile::tempdir().unwrap();
        let lobby: DisplayId = "lobby".parse().unwrap();
        assert_eq!(known_as(load_enrollment(state.path()), None, Some("one")), None);
        let kept = Enrollment { display: lobby.clone(), code_sha256: Some(hash_of("one")), once: Vec::new() };
        keep_enrollment(state.path(), &kept).unwrap();
        let kept = load_enrollment(state.path());
        assert_eq!(known_as(kept.clone(), None, Some("one")), Some(lobby.clone()));
        assert_eq!(known_as(kept.clone(), None, None), Some(lobby.clone()), "the code may be taken out of the file");
        assert_eq!(known_as(kept, None, Some("two")), None);
        assert_eq!(known_as(None, Some(&lobby), None), Some(lobby));
        assert_eq!(known_as(None, None, None), None);
    }

    #[test]
    fn a_display_that_was_renamed_keeps_its_name_until_somebody_configures_another() {
        let id = |text: &str| text.parse::<DisplayId>().unwrap();
        let enrolled = Enrollment { display: id("lobby"), code_sha256: Some(hash_of("one")), once: Vec::new() };
        let renamed = enrolled.renamed(id("foyer")).renamed(id("hall"));
        assert_eq!(renamed.once, [id("lobby"), id("foyer")]);
        for (configured, code, name) in [
            (Some("lobby"), None, "hall"),
            (Some("foyer"), None, "hall"),
            (Some("hall"), None, "hall"),
            (Some("cellar"), None, "cellar"),
            (None, None, "hall"),
            (Some("lobby"), Some("one"), "hall"),
        ] {
            let configured = configured.map(id);
            let known = known_as(Some(renamed.clone()), configured.as_ref(), code);
            assert_eq!(known, Some(id(name)), "{configured:?} {code:?}");
        }
        assert_eq!(renamed.renamed(id("lobby")).once, [id("foyer"), id("hall")], "and back");
    }
}
