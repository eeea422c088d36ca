//! The journal on disk.

use std::{io, path::Path};

use super::{Journal, Record};
use crate::io::append_log::{AppendLog, LogFile, Medium};

/// A log shorter than this is never compacted: writing it anew costs more than reading it.
const COMPACT_FROM: u64 = 512 * 1024;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("reading the journal")]
    Read(#[source] io::Error),
    #[error("writing the journal")]
    Write(#[source] io::Error),
}

/// The journal's file, one line per change.
#[derive(Debug)]
pub struct JournalFile<M = LogFile> {
    log: AppendLog<M>,
    /// The log's length when it was last compacted.
    compacted: u64,
}

impl JournalFile {
    /// Opens or makes the journal at this path; its directory must be there.
    pub fn open(path: &Path) -> Result<(Self, Journal), JournalError> {
        Self::over(LogFile::open(path).map_err(JournalError::Read)?)
    }
}

impl<M: Medium> JournalFile<M> {
    /// Reads the journal that stands on this medium. Lines that a newer version wrote are passed over.
    pub fn over(medium: M) -> Result<(Self, Journal), JournalError> {
        let (log, opened) = AppendLog::open(medium).map_err(JournalError::Read)?;
        let mut journal = Journal::default();
        let mut unread = opened.damaged;
        for line in &opened.lines {
            match serde_json::from_str::<Vec<Record>>(line) {
                Ok(records) => records.iter().for_each(|record| journal.apply(record)),
                Err(_) => unread += 1,
            }
        }
        if unread > 0 {
            tracing::warn!(lines = unread, "part of the journal could not be read");
        }
        Ok((Self { compacted: log.length(), log }, journal))
    }

    /// Writes one change. With `durable` it is on disk when this returns, and all before it.
    pub fn keep(&mut self, records: &[Record], durable: bool) -> Result<(), JournalError> {
        let appended = self.log.append(&to_line(records));
        appended.and_then(|()| if durable { self.log.sync() } else { Ok(()) }).map_err(JournalError::Write)
    }

    /// True once the file holds much that no longer counts.
    pub fn is_long(&self) -> bool {
        self.log.length() > COMPACT_FROM.max(2 * self.compacted)
    }

    /// Writes the whole journal anew, on disk when this returns. It also cures a file that could not be written.
    pub fn compact(&mut self, snapshot: &[Record]) -> Result<(), JournalError> {
        let lines: Vec<String> = snapshot.iter().map(|record| to_line(std::slice::from_ref(record))).collect();
        self.log.compact(lines.iter().map(String::as_str)).map_err(JournalError::Write)?;
        self.compacted = self.log.length();
        Ok(())
    }

    /// Brings what was written without `durable` to the disk.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync().map_err(JournalError::Write)
    }

    /// Whether something waits for [`sync`](Self::sync).
    pub fn is_dirty(&self) -> bool {
        self.log.is_dirty()
    }
}

fn to_line(records: &[Record]) -> String {
    serde_json::to_string(records).expect("records hold text, numbers and JSON only")
}

#[cfg(test)]
impl<M> JournalFile<M> {
    pub(super) fn into_medium(self) -> M {
        self.log.into_medium()
    }
}
