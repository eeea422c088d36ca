//! Firefox's profile, made anew from a template before every start: nothing that a page left behind lives on, and no
//! torn file can keep Firefox from starting.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::config::Pref;

/// A directory without this file is not ours, and is never removed.
const MARKER: &str = ".pikiosk-profile";
const USER_JS: &str = include_str!("../../../assets/firefox/user.js");
const USER_CHROME: &str = include_str!("../../../assets/firefox/userChrome.css");
const CUSTOM_KEYS: &str = include_str!("../../../assets/firefox/customKeys.json");

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("{} holds something that pikiosk did not make: name an empty directory with --profile", .0.display())]
    NotOurs(PathBuf),
    #[error("write the profile at {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Removes the old profile and writes a fresh one. `prefs` go over the kiosk's own.
pub fn rebuild<'a>(dir: &Path, prefs: impl IntoIterator<Item = (&'a String, &'a Pref)>) -> Result<(), ProfileError> {
    let write = |source| ProfileError::Write { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(write)?;
    let empty = fs::read_dir(dir).map_err(write)?.next().is_none();
    if !empty && !dir.join(MARKER).exists() {
        return Err(ProfileError::NotOurs(dir.to_owned()));
    }
    // The marker is there from first to last: whatever is cut short is still known as ours.
    fs::write(dir.join(MARKER), "made by pikiosk browser, emptied at its next start\n").map_err(write)?;
    empty_but_the_marker(dir).map_err(write)?;
    fs::create_dir(dir.join("chrome")).map_err(write)?;
    fs::write(dir.join("user.js"), user_js(prefs)).map_err(write)?;
    fs::write(dir.join("customKeys.json"), CUSTOM_KEYS).map_err(write)?;
    fs::write(dir.join("chrome/userChrome.css"), USER_CHROME).map_err(write)
}

/// The directory itself stays: it may be a mount, or in a parent where we may not write.
fn empty_but_the_marker(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A link is removed and never followed.
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == MARKER => {}
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn user_js<'a>(prefs: impl IntoIterator<Item = (&'a String, &'a Pref)>) -> String {
    let mut text = USER_JS.to_owned();
    for (name, value) in prefs {
        // JSON texts, numbers and booleans are JavaScript.
        let name = serde_json::Value::from(name.as_str());
        let value = match value {
            Pref::Boolean(value) => serde_json::Value::from(*value),
            Pref::Integer(value) => serde_json::Value::from(*value),
            Pref::Text(value) => serde_json::Value::from(value.as_str()),
        };
        text.push_str(&format!("user_pref({name}, {value});\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_fresh_profile_with_the_kiosks_and_the_technicians_preferences() {
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("profile");
        let prefs = [("a.\"b".to_owned(), Pref::Text("x\ny".into())), ("c".to_owned(), Pref::Boolean(true))];
        rebuild(&profile, prefs.iter().map(|(name, value)| (name, value))).unwrap();
        fs::write(profile.join("cookies.sqlite"), "left behind").unwrap();

        rebuild(&profile, prefs.iter().map(|(name, value)| (name, value))).unwrap();
        assert!(!profile.join("cookies.sqlite").exists());
        let user_js = fs::read_to_string(profile.join("user.js")).unwrap();
        assert!(user_js.contains(r#"user_pref("remote.prefs.recommended", false);"#));
        assert!(user_js.ends_with("user_pref(\"a.\\\"b\", \"x\\ny\");\nuser_pref(\"c\", true);\n"), "{user_js}");
        assert!(!user_js.contains("DisableDeveloperTools"));
    }

    #[test]
    fn what_links_lead_to_is_never_removed_and_a_cut_short_profile_is_still_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (profile, elsewhere) = (dir.path().join("profile"), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("thesis.odt"), "years of work").unwrap();
        rebuild(&profile, []).unwrap();
        std::os::unix::fs::symlink(&elsewhere, profile.join("storage")).unwrap();
        fs::remove_file(profile.join("user.js")).unwrap();

        rebuild(&profile, []).unwrap();
        assert!(elsewhere.join("thesis.odt").exists());
        assert!(profile.join("user.js").exists() && !profile.join("storage").exists());
    }

    /// DisableDeveloperTools locks Firefox's remote control without a word; a blocked site would block our own page.
    #[test]
    fn the_policies_never_switch_off_remote_control_or_the_local_page() {
        let policies: serde_json::Value =
            serde_json::from_str(include_str!("../../../assets/firefox/policies.json")).unwrap();
        for name in ["DisableDeveloperTools", "WebsiteFilter"] {
            assert!(policies["policies"].get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_directory_that_is_not_ours_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "years of work").unwrap();
        let error = rebuild(dir.path(), []).unwrap_err();
        assert!(matches!(error, ProfileError::NotOurs(_)), "{error}");
        assert!(dir.path().join("thesis.odt").exists());
    }
}
