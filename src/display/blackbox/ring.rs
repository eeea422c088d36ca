//! The entries on disk: a bounded number, each whole or not there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    event::{health::Restart, time::UtcMillis},
    io::store,
};

/// In STATE.
pub const FOLDER: &str = "blackbox";
/// A display that restarts every day tells of a month.
const ENTRIES_MAX: usize = 32;
/// Of one entry: forty lines of a log, and some words.
const ENTRY_MAX: u64 = 64 * 1024;

/// One restart, and what was last seen before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub restart: Restart,
    /// The version that came up.
    pub version: String,
    /// What stood in `pikiosk status` before.
    pub last_sentence: String,
    /// When that was, by the display's own clock.
    pub last_written: UtcMillis,
    /// The last log lines before it, oldest first.
    pub lines: Vec<String>,
    /// Pictures of the glass before it, oldest first: files beside this one.
    #[serde(default)]
    pub frames: Vec<String>,
}

/// The folder of the entries.
#[derive(Debug, Clone)]
pub struct Ring {
    folder: PathBuf,
}

impl Ring {
    /// The ring of this state directory; it need not be there.
    pub fn of(state: &Path) -> Self {
        Ring { folder: state.join(FOLDER) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every entry that can be read, newest first.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut numbers = self.numbers()?;
        numbers.reverse();
        let read = |number| serde_json::from_slice(&read_bounded(&self.entry(number), ENTRY_MAX).ok()?).ok();
        Ok(numbers.into_iter().filter_map(read).collect())
    }

    /// Adds one, with the pictures that it takes along, and drops the oldest. On disk when it returns.
    pub fn add(&self, mut entry: Entry, frames: &[PathBuf]) -> io::Result<()> {
        let numbers = self.numbers()?;
        let number = numbers.last().map_or(1, |last| last + 1);
        for (index, frame) in frames.iter().enumerate() {
            let name = format!("{number:08}-{index}.jpg");
            store::move_durably(&fs::File::open(frame)?, frame, &self.folder.join(&name))?;
            entry.frames.push(name);
        }
        let text = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        store::write_durably(&self.entry(number), &text, 0o600)?;
        let kept_from = number.saturating_sub(ENTRIES_MAX as u64 - 1);
        self.drop_before(kept_from)
    }

    fn entry(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:08}.json"))
    }

    /// Of the entries, oldest first.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let number = stem.and_then(|stem| stem.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Pictures are named by their entry.
    fn drop_before(&self, kept_from: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.get(..8).and_then(|number| number.parse::<u64>().ok());
            if number.is_some_and(|number| number < kept_from) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// A file of ours: what another user has put in its place, or what is far too long, is not read.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::{io::Read, os::unix::fs::MetadataExt};
    let file = fs::File::open(path)?;
    let about = file.metadata()?;
    let ours = about.uid() == nix::unistd::geteuid().as_raw() || nix::unistd::geteuid().is_root();
    if !about.is_file() || !ours {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a file of ours"));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::health::{RestartCause, Restarted};

    fn entry(n: u64) -> Entry {
        let restart = Restart {
            at: UtcMillis(n),
            of: Restarted::Machine,
            cause: RestartCause::Power,
            sentence: "The power went.".into(),
            down_s: None,
        };
        let (version, last_sentence) = ("1.0".into(), "Showing a page.".into());
        Entry {
            restart,
            version,
            last_sentence,
            last_written: UtcMillis(n),
            lines: vec!["a line".into()],
            frames: vec![],
        }
    }

    fn ring() -> (tempfile::TempDir, Ring) {
        let state = tempfile::tempdir().unwrap();
        let ring = Ring::of(state.path());
        fs::create_dir(ring.folder()).unwrap();
        (state, ring)
    }

    #[test]
    fn the_newest_entry_comes_first_and_the_oldest_goes_with_its_pictures() {
        let (_state, ring) = ring();
        for n in 0..40 {
            let frame = ring.folder().join("frame-0.jpg");
            fs::write(&frame, "a picture").unwrap();
            ring.add(entry(n), &[frame]).unwrap();
        }
        let entries = ring.entries().unwrap();
        assert_eq!((entries.len(), entries[0].restart.at, entries[31].restart.at), (32, UtcMillis(39), UtcMillis(8)));
        assert_eq!(fs::read_dir(ring.folder()).unwrap().count(), 64, "an entry and its picture each");
        assert!(entries.iter().all(|entry| ring.folder().join(&entry.frames[0]).exists()));
    }

    #[test]
    fn an_entry_that_is_damaged_hides_no_other() {
        let (_state, ring) = ring();
        for n in 0..3 {
            ring.add(entry(n), &[]).unwrap();
        }
        fs::write(ring.entry(2), "{").unwrap();
        ring.add(entry(3), &[]).unwrap();
        let at: Vec<u64> = ring.entries().unwrap().iter().map(|entry| entry.restart.at.0).collect();
        assert_eq!(at, [3, 2, 0]);
    }
}
