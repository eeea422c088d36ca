//! The journal: what the last batches changed in the tables, one record after the other in a file of its own.
//!
//! ```text
//!  a batch -> record -> DATA/pikiosk.journal, one write, one sync      (now it is durable, and answered)
//!         \-> tables, in redb's memory (Durability::None)
//!  no room left in the journal -> redb commits to its file             (the checkpoint), the journal begins anew
//!  start -> the records that the file has not seen are applied, then a checkpoint
//! ```
//!
//! Why: a commit of redb writes some hundred pages all over its file for a batch that is 60 KiB in a row, and a disk syncs the row in
//! a fraction of the time. The page that a hundred batches change is written once, at the checkpoint.
//!
//! A record is whole or it is the end: it carries its length, its number (one more than the last), and a digest under the store's
//! seed. So what was torn by a power cut, and what is left of an older lap, ends the reading, and no publisher can write bytes that
//! look like a record. The file has its full size from the beginning: a sync need not write its length too.
//!
//! Rejected: to sync redb's file less often (`Durability::None` alone), which loses what was answered.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use redb::Database;

use super::{
    StoreError,
    schema::{self, META, Rows, TableOf},
    tables::{self, Tables},
};

/// The journal's name in the data directory.
pub const FILE: &str = "pikiosk.journal";
/// Its size in bytes: some 2,500 publishes of 1 KiB between two checkpoints. More would make a checkpoint longer, and the start
/// after a power cut.
const SIZE: usize = 4 * 1024 * 1024;
/// Length, number, digest.
const HEAD: usize = 4 + 8 + 16;
/// Where `META` has the number of the last record that the tables hold.
const APPLIED: &str = "journal";

/// Where a journal lies. Tests bring one that fails.
pub trait Tape: Send {
    /// How many bytes it has room for.
    fn size(&self) -> usize {
        SIZE
    }
    fn read(&mut self) -> io::Result<Vec<u8>>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// See the module.
pub struct Journal {
    tape: Box<dyn Tape>,
    seed: [u8; 32],
    /// Where the next record goes.
    end: usize,
    /// Number of the last record.
    number: u64,
}

impl Journal {
    /// Applies what the tables have not seen, and has it in the file before anything new is written: what was read after a fault
    /// of the disk may be in the kernel's memory alone.
    pub fn open(tape: Box<dyn Tape>, db: &Database, seed: [u8; 32]) -> Result<Journal, StoreError> {
        let mut journal = Journal { tape, seed, end: 0, number: 0 };
        journal.recover(db)?;
        Ok(journal)
    }

    /// As at the start; after the database was opened anew.
    pub fn recover(&mut self, db: &Database) -> Result<(), StoreError> {
        let applied = schema::snapshot(db)?.rows(META)?.get(APPLIED)?.map_or(0, |row| row.value());
        let bytes = self.tape.read()?;
        let txn = db.begin_write()?;
        let (mut place, mut last, mut replayed) = (0, None, 0_u64);
        while let Some((number, changes)) = self.record(&bytes, place) {
            if last.is_some_and(|last| number != last + 1) {
                break;
            }
            if last.is_none() && number > applied + 1 {
                return Err(StoreError::Damaged(format!(
                    "{FILE} begins with record {number} and the database ends with {applied}: if the database is a copy from elsewhere, \
                     remove {FILE}"
                )));
            }
            if number > applied {
                tables::apply(&txn, changes)?;
                replayed += 1;
            }
            last = Some(number);
            place += HEAD + changes.len();
        }
        self.number = last.unwrap_or(0).max(applied);
        self.end = 0;
        if replayed > 0 {
            txn.open_table(META::DEF)?.insert(APPLIED, self.number)?;
            txn.commit()?;
            tracing::info!(records = replayed, "what the journal held is in the store's file");
        } else {
            txn.abort()?;
        }
        Ok(())
    }

    /// The record at a place: its number, and what it changes.
    fn record<'a>(&self, bytes: &'a [u8], place: usize) -> Option<(u64, &'a [u8])> {
        let head = bytes.get(place..place + HEAD)?;
        let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
        let number = u64::from_le_bytes(head[4..12].try_into().ok()?);
        let changes = bytes.get(place + HEAD..place.checked_add(HEAD)?.checked_add(length)?)?;
        (head[12..] == self.digest(number, changes)).then_some((number, changes))
    }

    fn digest(&self, number: u64, changes: &[u8]) -> [u8; 16] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.seed);
        context.update(&number.to_le_bytes());
        context.update(changes);
        context.finish().as_ref()[..16].try_into().expect("SHA-256 has more than 16 bytes")
    }

    /// Has a batch on disk, ahead of its commit. False if there is no room: the commit itself must be durable then, and
    /// [`Journal::begin_anew`] follows it.
    pub fn append(&mut self, txn: &Tables<'_>) -> Result<bool, StoreError> {
        let number = self.number + 1;
        txn.open_table(META)?.insert(APPLIED, number)?;
        let mut changes = txn.changes();
        let length = HEAD + changes.len();
        if self.end + length > self.tape.size() {
            return Ok(false);
        }
        let mut record = Vec::with_capacity(length);
        record.extend(u32::try_from(changes.len()).map_err(io::Error::other)?.to_le_bytes());
        record.extend(number.to_le_bytes());
        record.extend(self.digest(number, &changes));
        record.append(&mut changes);
        self.tape.write(self.end as u64, &record)?;
        self.tape.sync()?;
        self.end += length;
        self.number = number;
        Ok(true)
    }

    /// Everything is in the database's file, with the number that the last batch would have had in the journal.
    pub fn begin_anew(&mut self) {
        self.number += 1;
        self.end = 0;
    }
}

/// A journal in a file.
struct JournalFile(fs::File);

/// Opens the journal in a data directory, or makes it in its full size.
pub fn open_file(data: &Path) -> Result<Box<dyn Tape>, StoreError> {
    let path = data.join(FILE);
    let in_words = |error: io::Error| match StoreError::from(error) {
        StoreError::Io(problem) => StoreError::Io(format!("{}: {problem}", path.display())),
        other => other,
    };
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(in_words)?;
    let length = file.metadata().map_err(in_words)?.len();
    if length < SIZE as u64 {
        // Written, not only lengthened: a hole would get its blocks with the first sync of each record.
        file.write_all_at(&vec![0; SIZE - length as usize], length).map_err(in_words)?;
        file.sync_all().and_then(|()| fs::File::open(data)?.sync_all()).map_err(in_words)?;
    }
    Ok(Box::new(JournalFile(file)))
}

impl Tape for JournalFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.0.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::with_capacity(SIZE);
        (&self.0).take(SIZE as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
