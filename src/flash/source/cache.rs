//! What was fetched before: complete files by their SHA-256, and the beginnings of others by their address.
//!
//! ```text
//!   sha256/HASH       a complete file; its name is its hash, checked again before each use
//!   url/HASH.json     which file an address gave, and how to ask whether it still does
//!   list/HASH         a list of images, for when nobody answers
//!   part/HASH         the beginning of a file, and HASH.json: what it is the beginning of
//! ```
//!
//! Files and parts that were not used for longest go first when they are larger together than the limit.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Cancel, Hasher, Sha256, SourceError};
use crate::io::store;

/// Bytes of all complete files together, unless somebody says otherwise: about 20 images.
pub const LIMIT: u64 = 16 << 30;

/// A folder of fetched files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
    limit: u64,
}

/// How a server names one version of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// What an address gave, or began to give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub url: String,
    pub version: Version,
    /// Bytes of the whole file.
    pub length: Option<u64>,
    /// Of the whole file, once it is complete.
    pub sha256: Option<Sha256>,
}

impl Version {
    /// What the server takes to go on in the middle of the same version: a strong tag, or a date.
    pub fn for_range(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/")).or(self.last_modified.as_deref())
    }
}

impl Cache {
    pub fn new(dir: PathBuf, limit: u64) -> Self {
        Self { dir, limit }
    }

    /// `$XDG_CACHE_HOME/pikiosk/images`, or `~/.cache/pikiosk/images`; none for a user without a home.
    pub fn of_this_user() -> Option<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(Self::new(base.join("pikiosk/images"), LIMIT))
    }

    /// The complete file with this hash. It is read and hashed once more, and removed if it is no longer what it was.
    pub fn complete(&self, sha256: Sha256, cancel: &Cancel) -> Option<PathBuf> {
        let path = self.blob(sha256);
        let file = File::open(&path).ok()?;
        if hash_of(&file, cancel).ok()? != sha256 {
            tracing::warn!(path = %path.display(), "a kept file has changed on the disk: it is fetched again");
            let _ = fs::remove_file(&path);
            return None;
        }
        // Only the order in which files go depends on it.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// What this address gave last.
    pub fn remembered(&self, url: &Url) -> Option<Remembered> {
        read_json(&self.dir.join("url").join(format!("{}.json", key(url))))
            .filter(|found: &Remembered| found.url == url.as_str())
    }

    /// The beginning of what this address gives, for this process alone; `None` if another process fetches it.
    pub fn part(&self, url: &Url) -> Result<Option<Part>, SourceError> {
        let dir = self.dir.join("part");
        let path = dir.join(key(url).to_string());
        let failed = |source| SourceError::Cache { path: path.clone(), source };
        store::make_dir(&dir).map_err(failed)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let beside = path.with_extension("json");
        let of = read_json(&beside).filter(|found: &Remembered| found.url == url.as_str());
        Ok(Some(Part { cache: self.clone(), file, path, beside, of }))
    }

    /// A list as it was when it was last fetched.
    pub fn list(&self, url: &Url) -> Option<Vec<u8>> {
        fs::read(self.dir.join("list").join(key(url).to_string())).ok()
    }

    /// Keeps a list for when nobody answers.
    pub fn keep_list(&self, url: &Url, bytes: &[u8]) -> io::Result<()> {
        store::make_dir(&self.dir.join("list"))?;
        store::write_atomically(&self.dir.join("list").join(key(url).to_string()), bytes, 0o600)
    }

    fn blob(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("sha256").join(sha256.to_string())
    }

    /// Removes what was not used for longest, down to the limit. `keep` stays whatever its size.
    fn make_room(&self, keep: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for folder in ["sha256", "part"] {
            for entry in fs::read_dir(self.dir.join(folder))?.flatten() {
                let metadata = entry.metadata()?;
                // What another process is fetching just now stays.
                let free = folder == "sha256" || File::open(entry.path())?.try_lock().is_ok();
                if free {
                    files.push((metadata.modified()?, metadata.len(), entry.path()));
                }
            }
        }
        files.sort();
        let mut sum: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if sum > self.limit && path != keep {
                fs::remove_file(path)?;
                sum -= len;
            }
        }
        Ok(())
    }
}

/// The beginning of a file, locked for this process.
#[derive(Debug)]
pub struct Part {
    cache: Cache,
    file: File,
    path: PathBuf,
    beside: PathBuf,
    of: Option<Remembered>,
}

impl Part {
    /// What this is the beginning of, and its bytes so far; `None` if it cannot be gone on with.
    pub fn begun(&self) -> Option<(&Remembered, u64)> {
        let of = self.of.as_ref().filter(|of| of.version.for_range().is_some())?;
        let len = self.file.metadata().ok()?.len();
        (len > 0).then_some((of, len))
    }

    /// The file from its beginning, to be read.
    pub fn reader(&self) -> Result<File, SourceError> {
        File::open(&self.path).map_err(|source| self.failed(source))
    }

    /// Starts from nothing.
    pub fn begin(&mut self, of: Remembered) -> Result<(), SourceError> {
        let text = serde_json::to_vec(&of).map_err(|error| self.failed(error.into()))?;
        self.file.set_len(0).map_err(|source| self.failed(source))?;
        store::write_atomically(&self.beside, &text, 0o600).map_err(|source| self.failed(source))?;
        self.of = Some(of);
        Ok(())
    }

    /// Writes the next bytes, which begin at `offset`.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SourceError> {
        use std::os::unix::fs::FileExt;
        self.file.write_all_at(bytes, offset).map_err(|source| self.failed(source))
    }

    /// Keeps it under its hash. `length` bytes were written.
    pub fn complete(self, length: u64, sha256: Sha256) -> Result<(), SourceError> {
        let finish = || {
            self.file.set_len(length)?;
            let blob = self.cache.blob(sha256);
            store::make_dir(&self.cache.dir.join("sha256"))?;
            store::make_dir(&self.cache.dir.join("url"))?;
            store::move_durably(&self.file, &self.path, &blob)?;
            let _ = fs::remove_file(&self.beside);
            if let Some(of) = &self.of {
                let of = Remembered { length: Some(length), sha256: Some(sha256), ..of.clone() };
                let path = self.cache.dir.join("url").join(format!("{}.json", key_of(&of.url)));
                store::write_atomically(&path, &serde_json::to_vec(&of)?, 0o600)?;
            }
            self.cache.make_room(&blob)
        };
        finish().map_err(|source| self.failed(source))
    }

    /// Forgets it: it is not what was expected.
    pub fn discard(self) {
        // What cannot be removed is overwritten by the next attempt.
        let _ = fs::remove_file(&self.beside);
        let _ = fs::remove_file(&self.path);
    }

    fn failed(&self, source: io::Error) -> SourceError {
        SourceError::Cache { path: self.path.clone(), source }
    }
}

/// The SHA-256 of all bytes of a file; an error of the kind `Interrupted` if it is cancelled.
pub fn hash_of(mut file: &File, cancel: &Cancel) -> io::Result<Sha256> {
    use std::io::{Read, Seek};
    file.rewind()?;
    let mut hasher = Hasher::default();
    let mut block = vec![0; 1 << 20];
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut block)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&block[..read]),
        }
    }
}

fn key(url: &Url) -> Sha256 {
    key_of(url.as_str())
}

fn key_of(url: &str) -> Sha256 {
    Sha256::of(url.as_bytes())
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
