//! A log of lines in one file that a crash at any byte leaves readable.
//!
//! ```text
//!  1f3a09c2 {"accepted":...}\n      crc32 (IEEE) of the text after the space, as 8 hex digits
//!  append (one write) -> sync (fdatasync) ... compact: write beside, fsync, rename, fsync the directory
//! ```
//!
//! Opening drops a torn tail: the last line, if it has no end or a wrong sum. A line in the middle with a wrong sum
//! (a bad block) is left out and counted; those after it are kept, since each stands for itself. The same where the card
//! cannot read the block at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::store;

/// What a card reads at once, or not at all.
const BLOCK: usize = 4096;

/// What a log stands on: a file, or in tests something that breaks when told to.
pub trait Medium {
    fn read_all(&mut self) -> io::Result<Vec<u8>>;
    /// Writes at the end. After an error any part of the bytes may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// All or nothing, and on disk when it returns.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A log over a medium.
#[derive(Debug)]
pub struct AppendLog<M> {
    medium: M,
    length: u64,
    dirty: bool,
    /// After a failed write or sync nobody knows what is on disk: only a whole new file cures it.
    broken: bool,
}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    pub lines: Vec<String>,
    /// Lines in the middle that were damaged and are lost.
    pub damaged: usize,
}

impl<M: Medium> AppendLog<M> {
    /// Reads all lines and makes the log ready for more.
    pub fn open(mut medium: M) -> io::Result<(Self, Opened)> {
        let bytes = medium.read_all()?;
        let (mut lines, mut damaged, mut good_end) = (Vec::new(), 0, 0);
        let mut start = 0;
        while let Some(end) = bytes[start..].iter().position(|byte| *byte == b'\n').map(|at| start + at) {
            match read_line(&bytes[start..end]) {
                Some(line) => {
                    lines.push(line.to_owned());
                    good_end = end + 1;
                }
                None => damaged += 1,
            }
            start = end + 1;
        }
        // Damage after the last good line is the torn tail itself.
        damaged -= bytes[good_end..start].iter().filter(|byte| **byte == b'\n').count();
        let torn = good_end < bytes.len();
        // On a disk that takes nothing, what is whole can be read all the same.
        let broken = torn && medium.truncate(good_end as u64).and_then(|()| medium.sync()).is_err();
        let log = AppendLog { medium, length: good_end as u64, dirty: false, broken };
        Ok((log, Opened { lines, damaged }))
    }

    /// Bytes in the log now.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether something was appended since the last [`sync`](Self::sync).
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Adds one line: after a crash it is there whole or not at all. It must hold no line break.
    pub fn append(&mut self, line: &str) -> io::Result<()> {
        debug_assert!(!line.contains('\n'), "a line has no line break");
        self.check()?;
        let text = write_line(line);
        if let Err(error) = self.medium.append(text.as_bytes()) {
            // A full disk leaves part of the line: take it away, or the next one would be glued to it.
            self.broken = self.medium.truncate(self.length).is_err();
            return Err(error);
        }
        self.length += text.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Returns when every line is on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        if self.dirty {
            // A second fsync after a failed one lies (the kernel forgets the pages it could not write).
            self.medium.sync().inspect_err(|_| self.broken = true)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Replaces the whole log by these lines, on disk when it returns. It cures a broken log.
    pub fn compact<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let text: String = lines.into_iter().map(write_line).collect();
        self.medium.replace(text.as_bytes())?;
        (self.length, self.dirty, self.broken) = (text.len() as u64, false, false);
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("an earlier write to this log failed")) } else { Ok(()) }
    }
}

fn write_line(line: &str) -> String {
    format!("{:08x} {line}\n", crc32fast::hash(line.as_bytes()))
}

fn read_line(bytes: &[u8]) -> Option<&str> {
    let (sum, line) = std::str::from_utf8(bytes).ok()?.split_at_checked(8)?;
    let line = line.strip_prefix(' ')?;
    let right = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(line.as_bytes());
    right.then_some(line)
}

/// All that can be read of a file so long. Zeros stand in the place of what the card gives up: no line of them is whole.
fn past_bad_blocks(read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min((at / BLOCK + 1) * BLOCK);
        match read_at(&mut bytes[at..end], at as u64) {
            Ok(0) => bytes.truncate(at),
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => {
                tracing::error!(at, "the card cannot read a part of this log any more");
                at = end;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// A log's file, readable by its owner only.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens or makes the file; its directory must be there. On a disk that takes nothing, what there is can be read, and
    /// every write fails until [`replace`](Medium::replace) works.
    pub fn open(path: &Path) -> io::Result<Self> {
        let new = !path.exists();
        let file = match Self::open_file(path) {
            Err(error) if takes_nothing(&error) && new => File::open("/dev/null")?,
            Err(error) if takes_nothing(&error) => File::open(path)?,
            file => file?,
        };
        if new {
            path.parent().map_or(Ok(()), store::sync_dir)?;
        }
        Ok(Self { path: path.to_owned(), file })
    }

    fn open_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
    }
}

fn takes_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull)
}

impl Medium for LogFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        past_bad_blocks(|into, at| self.file.read_at(into, at), self.file.metadata()?.len())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        store::write_durably(&self.path, bytes, 0o600)?;
        self.file = Self::open_file(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "append_log_tests.rs"]
mod tests;

#[cfg(test)]
impl<M> AppendLog<M> {
    /// What the log stands on, as a crash would leave it.
    pub fn into_medium(self) -> M {
        self.medium
    }
}
