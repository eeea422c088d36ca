//! Firefox's profile, made anew from a template before every start: nothing that a page left behind lives on, and no
//! torn file can keep Firefox from starting.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::Pref;

/// A directory without this file is not ours, and is never removed.
const MARKER: &str = ".pikiosk-profile";
const USER_JS: &str = include_str!("../../../assets/firefox/user.js");
const USER_CHROME: &str = include_str!("../../../assets/firefox/userChrome.css");
const CUSTOM_KEYS: &str = include_str!("../../../assets/firefox/customKeys.json");

/// What Firefox writes into a fresh profile while it starts, in bytes: with less room it may not come up.
const ROOM: usize = 1 << 20;

/// A loop that is ending gives the profile up within this time.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("another `pikiosk browser` keeps Firefox running with {}", .0.display())]
    InUse(PathBuf),
    #[error("{} holds something that pikiosk did not make: name an empty directory with --profile", .0.display())]
    NotOurs(PathBuf),
    #[error("write the profile at {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl ProfileError {
    /// Where and why, for whoever knows already that it is about the profile.
    pub fn place(&self) -> String {
        match self {
            ProfileError::Write { path, source } => format!("{}: {source}", path.display()),
            error => error.to_string(),
        }
    }
}

/// A profile directory that is ours alone for as long as this lives: the kernel gives it up with the process.
#[derive(Debug)]
pub struct Profile {
    dir: PathBuf,
    /// Locked (flock(2)), and not inherited by Firefox.
    _marker: File,
}

impl Profile {
    /// Makes the directory ours. Waits a little for a loop that is ending.
    pub async fn claim(dir: &Path) -> Result<Self, ProfileError> {
        let give_up = Instant::now() + FREE_WITHIN;
        loop {
            match Self::claim_now(dir) {
                // There is no lock that waits with a deadline.
                Err(ProfileError::InUse(_)) if Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                claimed => return claimed,
            }
        }
    }

    /// The same without waiting.
    pub fn claim_now(dir: &Path) -> Result<Self, ProfileError> {
        let marker = marker_of(dir)?;
        match marker.try_lock() {
            Ok(()) => Ok(Profile { dir: dir.to_owned(), _marker: marker }),
            Err(TryLockError::WouldBlock) => Err(ProfileError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(ProfileError::Write { path: dir.to_owned(), source }),
        }
    }

    /// Removes what is there and writes it afresh. `prefs` go over the kiosk's own.
    pub fn rebuild<'a>(&self, prefs: impl IntoIterator<Item = (&'a String, &'a Pref)>) -> Result<(), ProfileError> {
        let dir = &self.dir;
        let write = |source| ProfileError::Write { path: dir.clone(), source };
        empty_but_the_marker(dir).map_err(write)?;
        fs::create_dir(dir.join("chrome")).map_err(write)?;
        fs::write(dir.join("user.js"), user_js(prefs)).map_err(write)?;
        fs::write(dir.join("customKeys.json"), CUSTOM_KEYS).map_err(write)?;
        fs::write(dir.join("chrome/userChrome.css"), USER_CHROME).map_err(write)
    }

    /// Whether Firefox could write as much into it as it does when it starts.
    pub fn check(&self) -> Result<(), ProfileError> {
        let path = self.dir.join("room");
        let written = fs::write(&path, vec![0; ROOM]);
        // What could not be made is not there.
        let _ = fs::remove_file(&path);
        written.map_err(|source| ProfileError::Write { path: self.dir.clone(), source })
    }
}

/// The marker is there from first to last: whatever is cut short is still known as ours.
fn marker_of(dir: &Path) -> Result<File, ProfileError> {
    let write = |source| ProfileError::Write { path: dir.to_owned(), source };
    // What pages keep in it is for nobody else, whatever the umask: the directory above is shared with the supervisor.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(write)?;
    let marker = dir.join(MARKER);
    let empty = fs::read_dir(dir).map_err(write)?.next().is_none();
    if !empty && !marker.exists() {
        return Err(ProfileError::NotOurs(dir.to_owned()));
    }
    File::options().create(true).append(true).open(marker).map_err(write)
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

    async fn rebuild<'a>(
        dir: &Path,
        prefs: impl IntoIterator<Item = (&'a String, &'a Pref)>,
    ) -> Result<(), ProfileError> {
        Profile::claim(dir).await?.rebuild(prefs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_profile_belongs_to_one_loop_at_a_time_and_to_the_next_once_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("profile");
        let first = Profile::claim(&profile).await.unwrap();
        let second = Profile::claim(&profile).await.unwrap_err();
        assert!(matches!(&second, ProfileError::InUse(dir) if *dir == profile), "{second}");
        first.rebuild([]).unwrap();
        let waiting = tokio::spawn(async move { Profile::claim(&profile).await });
        drop(first);
        waiting.await.unwrap().unwrap().rebuild([]).unwrap();
    }

    #[tokio::test]
    async fn every_start_has_a_fresh_profile_with_the_kiosks_and_the_technicians_preferences() {
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("profile");
        let prefs = [("a.\"b".to_owned(), Pref::Text("x\ny".into())), ("c".to_owned(), Pref::Boolean(true))];
        rebuild(&profile, prefs.iter().map(|(name, value)| (name, value))).await.unwrap();
        fs::write(profile.join("cookies.sqlite"), "left behind").unwrap();

        rebuild(&profile, prefs.iter().map(|(name, value)| (name, value))).await.unwrap();
        assert!(!profile.join("cookies.sqlite").exists());
        let user_js = fs::read_to_string(profile.join("user.js")).unwrap();
        assert!(user_js.contains(r#"user_pref("remote.prefs.recommended", false);"#));
        assert!(user_js.ends_with("user_pref(\"a.\\\"b\", \"x\\ny\");\nuser_pref(\"c\", true);\n"), "{user_js}");
        assert!(!user_js.contains("DisableDeveloperTools"));
    }

    #[tokio::test]
    async fn what_links_lead_to_is_never_removed_and_a_cut_short_profile_is_still_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (profile, elsewhere) = (dir.path().join("profile"), dir.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("thesis.odt"), "years of work").unwrap();
        rebuild(&profile, []).await.unwrap();
        std::os::unix::fs::symlink(&elsewhere, profile.join("storage")).unwrap();
        fs::remove_file(profile.join("user.js")).unwrap();

        rebuild(&profile, []).await.unwrap();
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

    #[tokio::test]
    async fn a_directory_that_is_not_ours_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "years of work").unwrap();
        let error = rebuild(dir.path(), []).await.unwrap_err();
        assert!(matches!(error, ProfileError::NotOurs(_)), "{error}");
        assert!(dir.path().join("thesis.odt").exists());
    }
}
