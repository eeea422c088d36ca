//! The pictures and films of playlists on the card, each with a label that says what it is and what its bytes hash to.
//!
//! ```text
//!   STATE/media/NAME-DIGEST     the bytes: written beside it, synced, renamed
//!   STATE/media/NAME.json       the label, written after them. What has no label is swept away at the next start
//! ```

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::name_of;
use crate::io::{
    digest::{Sha256, sha256},
    room::Room,
    store,
};

/// So much of the disk is left to everything else, whatever the setting says, and a twentieth of it.
const LEAVE: u64 = 256 << 20;
/// Labels are some 500 bytes; an address has 4096 at most.
const LABEL_MAX: u64 = 16 * 1024;

/// What one file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub url: String,
    pub bytes: u64,
    pub sha256: String,
    pub content_type: String,
    /// The site's own words for this version, to ask whether there is a newer one.
    pub etag: Option<String>,
    pub modified: Option<String>,
}

impl Label {
    /// Another version of the same address is another file.
    pub fn file(&self) -> String {
        format!("{}-{}", name_of(&self.url), self.sha256.get(..16).unwrap_or_default())
    }
}

/// There is no room for so much, whatever is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} more bytes do not fit beside what the playlist needs ([offline] cache_mb)")]
pub struct Full {
    pub needed: u64,
}

/// The shelf. Its functions read and write the card: not for the loop.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    limit: u64,
    /// What room there is on a folder's disk.
    room: fn(&Path) -> io::Result<Room>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By name.
    labels: HashMap<String, Label>,
    /// When each was wanted last.
    wanted_at: HashMap<String, SystemTime>,
    /// What the playlist needs now: never taken away for something else.
    wanted: HashSet<String>,
    /// Read, and whole, since this start.
    whole: HashSet<String>,
}

impl Shelf {
    /// What is in this folder, as far as its labels tell; the rest is swept away. `limit`: bytes; 0 empties it.
    pub fn open(folder: PathBuf, limit: u64) -> Self {
        Self::open_on(folder, limit, Room::of)
    }

    /// [`open`](Self::open), on a disk of which `room` tells how much is free.
    pub(super) fn open_on(folder: PathBuf, limit: u64, room: fn(&Path) -> io::Result<Room>) -> Self {
        let shelf = Shelf { folder, limit, room, held: Mutex::default() };
        if let Err(error) = shelf.sweep() {
            tracing::error!(%error, path = %shelf.folder.display(), "the cache of playlists cannot be read");
        }
        shelf
    }

    /// Nothing is ever kept.
    pub fn is_closed(&self) -> bool {
        self.limit == 0
    }

    /// What the playlist on the glass needs from now on.
    pub fn want(&self, urls: &[String], now: SystemTime) {
        let mut held = self.held();
        held.wanted = urls.iter().map(|url| name_of(url)).collect();
        for name in held.wanted.clone() {
            if held.labels.contains_key(&name) {
                self.touch(&mut held, name, now);
            }
        }
    }

    /// The label of what is kept of this address; it may not be whole.
    pub fn labelled(&self, url: &str) -> Option<Label> {
        self.held().labels.get(&name_of(url)).cloned()
    }

    /// What is kept of this address, read and found whole since this start. What is not is taken away.
    pub fn find(&self, url: &str) -> Option<Label> {
        let name = name_of(url);
        let label = self.labelled(url)?;
        if self.held().whole.contains(&label.file()) {
            return Some(label);
        }
        match digest_of(&self.folder.join(label.file())) {
            Ok((bytes, sha256)) if (bytes, &sha256) == (label.bytes, &label.sha256) => {
                self.held().whole.insert(label.file());
                Some(label)
            }
            found => {
                let why = found.map_or_else(|error| error.to_string(), |_| "its bytes have changed".to_owned());
                tracing::warn!(url, why, "a file of the playlist is not whole on the card: it is fetched again");
                self.remove(&mut self.held(), &name);
                None
            }
        }
    }

    /// A file that was found by [`find`](Self::find), by the name it is served under.
    pub fn open_file(&self, file: &str) -> Option<(File, Label)> {
        let label = self.held().labels.values().find(|label| label.file() == file)?.clone();
        let opened = File::open(self.folder.join(file)).ok()?;
        let is_whole = opened.metadata().is_ok_and(|found| found.len() == label.bytes);
        is_whole.then_some((opened, label))
    }

    /// Where a download of this address is written.
    pub fn beside(&self, url: &str) -> io::Result<(File, PathBuf)> {
        store::make_dir(&self.folder)?;
        let path = self.folder.join(format!(".{}.new", name_of(url)));
        Ok((File::create(&path)?, path))
    }

    /// Makes room for so many bytes of this address: what was wanted longest ago goes first, and the older version of the
    /// same last.
    pub fn make_room(&self, url: &str, bytes: u64) -> Result<(), Full> {
        let own = name_of(url);
        let mut held = self.held();
        let needed: u64 = held.wanted.iter().filter(|name| **name != own).map(|name| held.bytes(name)).sum();
        // What lies there already counts as free: it can be taken away.
        let kept = held.total();
        let limit = self.limit(kept);
        if needed.saturating_add(bytes) > limit {
            return Err(Full { needed: bytes });
        }
        let mut others: Vec<String> = held.labels.keys().filter(|name| !held.wanted.contains(*name)).cloned().collect();
        others.retain(|name| *name != own);
        others.sort_by_key(|name| std::cmp::Reverse(held.wanted_at.get(name).copied()));
        let mut going = vec![own];
        going.extend(others);
        while held.total().saturating_add(bytes) > limit {
            let Some(name) = going.pop() else { break };
            self.remove(&mut held, &name);
        }
        Ok(())
    }

    /// Somebody else filled the disk: all that is too much goes, at last also what the playlist needs.
    pub fn shrink(&self) {
        let mut held = self.held();
        let limit = self.limit(held.total());
        let mut going: Vec<String> = held.labels.keys().cloned().collect();
        going.sort_by_key(|name| (!held.wanted.contains(name), std::cmp::Reverse(held.wanted_at.get(name).copied())));
        while held.total() > limit {
            let Some(name) = going.pop() else { break };
            tracing::warn!(bytes = held.bytes(&name), "the disk is nearly full: a file of the cache is taken away");
            self.remove(&mut held, &name);
        }
    }

    /// What was downloaded takes its place: on disk when it returns.
    pub fn put(&self, file: &File, from: &Path, label: Label, now: SystemTime) -> io::Result<()> {
        let name = name_of(&label.url);
        store::move_durably(file, from, &self.folder.join(label.file()))?;
        let text = serde_json::to_vec(&label).map_err(io::Error::other)?;
        store::write_durably(&self.label(&name), &text, 0o600)?;
        let mut held = self.held();
        let older = held.labels.insert(name.clone(), label.clone()).filter(|older| older.file() != label.file());
        self.touch(&mut held, name, now);
        held.whole.insert(label.file());
        match older {
            Some(older) => {
                held.whole.remove(&older.file());
                fs::remove_file(self.folder.join(older.file()))
            }
            None => Ok(()),
        }
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> u64 {
        self.held().total()
    }

    /// Nothing that panics holds it.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As configured, or less on a disk that has little room left. `kept`: what can be taken away counts as room.
    fn limit(&self, kept: u64) -> u64 {
        let Ok(disk) = (self.room)(&self.folder) else { return self.limit };
        let room = disk.free.saturating_add(kept).saturating_sub((disk.size / 20).max(LEAVE));
        self.limit.min(room)
    }

    fn label(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// It is wanted now: written down for the next start, in the time of its label.
    fn touch(&self, held: &mut Held, name: String, now: SystemTime) {
        let label = File::options().append(true).open(self.label(&name));
        if let Err(error) = label.and_then(|label| label.set_modified(now)) {
            tracing::debug!(%error, "when a file was wanted last is not written down");
        }
        held.wanted_at.insert(name, now);
    }

    /// The label first: bytes without one are swept away, a label without bytes would be a lie.
    fn remove(&self, held: &mut Held, name: &str) {
        let Some(label) = held.labels.remove(name) else { return };
        held.whole.remove(&label.file());
        for path in [self.label(name), self.folder.join(label.file())] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "a file of the cache cannot be taken away");
                }
                _ => {}
            }
        }
    }

    fn sweep(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        let mut held = self.held();
        for path in paths.iter().filter(|_| self.limit > 0) {
            let Some((name, label)) = read_label(path) else { continue };
            if fs::metadata(self.folder.join(label.file())).is_ok_and(|found| found.len() == label.bytes) {
                let modified = fs::metadata(path).and_then(|found| found.modified());
                held.wanted_at.insert(name.clone(), modified.unwrap_or(SystemTime::UNIX_EPOCH));
                held.labels.insert(name, label);
            }
        }
        let kept: HashSet<PathBuf> =
            held.labels.iter().flat_map(|(name, label)| [self.label(name), self.folder.join(label.file())]).collect();
        paths.iter().filter(|path| !kept.contains(*path)).try_for_each(fs::remove_file)
    }
}

impl Held {
    fn total(&self) -> u64 {
        self.labels.values().map(|label| label.bytes).sum()
    }

    fn bytes(&self, name: &str) -> u64 {
        self.labels.get(name).map_or(0, |label| label.bytes)
    }
}

/// The name and the label, if this file is one, and of that name.
fn read_label(path: &Path) -> Option<(String, Label)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let mut text = Vec::new();
    File::open(path).ok()?.take(LABEL_MAX).read_to_end(&mut text).ok()?;
    let label: Label = serde_json::from_slice(&text).ok()?;
    let is_digest =
        label.sha256.len() == sha256(b"").len() && label.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && name_of(&label.url) == name).then(|| (name.to_owned(), label))
}

fn digest_of(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut digest, mut bytes) = (File::open(path)?, Sha256::default(), 0);
    let mut part = vec![0; 64 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok((bytes, digest.finish())),
            read => {
                digest.update(&part[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
