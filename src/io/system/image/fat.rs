//! The boot partition: names and bytes. Every call opens the file system and leaves it clean.
//!
//! A file is made beside the one it replaces, and takes its name when it is whole. fatfs 0.3 writes the `.` and `..` of
//! a new directory as long names, and `..` of one at the top with a cluster that shall be 0; and it lets the top grow into
//! a cluster without clearing it, so that old contents become names. All of that is put right here.

use std::{
    cell::RefCell,
    io::{self, Read, Seek, SeekFrom, Write},
    rc::Rc,
    sync::Arc,
};

use fatfs::{Date, DateTime, Dir, FileSystem, FsOptions, Time};

use super::{is_directory, missing};
use crate::io::{
    block::{BlockDevice, Window},
    system::{Kind, Stat},
};

/// Where new contents are made before they take their place.
const NEW: &str = "pikiosk.new";

/// What Linux shows for everything on a FAT partition mounted as a Pi does.
const MODE: u32 = 0o755;

pub(super) struct Fat {
    device: Window<Arc<dyn BlockDevice>>,
    now: DateTime,
    /// `None` for FAT12 and FAT16, whose top does not grow.
    table: Option<Table>,
}

/// Where a FAT32 keeps which clusters are taken. Bytes of the partition.
#[derive(Debug, Clone, Copy)]
struct Table {
    start: u64,
    end: u64,
    /// Where cluster 2 begins.
    data: u64,
    cluster: u64,
}

type Directory<'a> = Dir<'a, Stream>;

impl Fat {
    pub(super) fn open(device: Window<Arc<dyn BlockDevice>>, now: u64) -> io::Result<Self> {
        let table = Table::read(&device)?;
        let fat = Self { device, now: date_time(now), table };
        fat.with(|_| Ok(()))?;
        Ok(fat)
    }

    /// `path` is relative; empty for the top.
    pub(super) fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        let kind = self.with(|top| {
            if path.is_empty() {
                return Ok(Some(Kind::Directory));
            }
            find(&top, path)
        })?;
        Ok(kind.map(|kind| Stat { kind, mode: MODE, uid: 0, gid: 0 }))
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.with(|top| match if path.is_empty() { Some(Kind::Directory) } else { find(&top, path)? } {
            None => Err(missing(path)),
            Some(Kind::File { .. }) => {
                let mut bytes = Vec::new();
                top.open_file(path)?.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Some(_) => Err(is_directory(path.as_ref())),
        })
    }

    /// The names in a directory, unsorted; empty if it is not there.
    pub(super) fn names(&self, path: &str) -> io::Result<Vec<String>> {
        self.with(|top| {
            let directory = match directory(&top, path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let mut names = Vec::new();
            for entry in directory.iter() {
                let name = entry?.file_name();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            Ok(names)
        })
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (parent, name) = split(path)?;
        self.with(|top| {
            let directory = directory(&top, parent)?;
            let there = find(&directory, name)?;
            if there == Some(Kind::Directory) {
                return Err(is_directory(path.as_ref()));
            }
            remove_if_there(&directory, NEW)?;
            let done = (|| {
                #[expect(deprecated, reason = "the other way is one clock for all file systems of the process")]
                let mut file = {
                    let mut file = directory.create_file(NEW)?;
                    file.set_created(self.now);
                    file.set_modified(self.now);
                    file
                };
                file.write_all(bytes).map_err(full)?;
                file.flush()
            })();
            if let Err(error) = done {
                // The first error is the one to tell; the next write of this directory removes it again.
                let _ = remove_if_there(&directory, NEW);
                return Err(error);
            }
            if there.is_some() {
                directory.remove(name)?;
            }
            directory.rename(NEW, &directory, name)
        })
    }

    pub(super) fn make_dir(&self, path: &str) -> io::Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let (parent, name) = split(path)?;
        let writes = Rc::default();
        let made = self.logged(&writes, |top| match find(&top, path)? {
            Some(Kind::Directory) => Ok(false),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{path} is on the boot partition, and is not a directory"),
            )),
            None => directory(&top, parent)?.create_dir(name).map(|_| true).map_err(full),
        })?;
        if made {
            self.mend_dots(&writes.borrow(), parent.is_empty())?;
        }
        Ok(())
    }

    /// Rewrites the first entries of the directory that these writes made: `.`, `..`, end.
    fn mend_dots(&self, writes: &[(u64, usize)], at_top: bool) -> io::Result<()> {
        const ENTRY: usize = 32;
        const DOT: &[u8; 11] = b".          ";
        const DOTS: &[u8; 11] = b"..         ";
        // Low and high half of the first cluster of an entry.
        const CLUSTER: [std::ops::Range<usize>; 2] = [20..22, 26..28];
        for &(offset, _) in writes.iter().rev().filter(|(_, len)| *len == DOT.len()) {
            // Its long name is one entry before it.
            let Some(start) = offset.checked_sub(ENTRY as u64) else { continue };
            let mut entries = [0; 4 * ENTRY];
            self.device.read_at(start, &mut entries)?;
            let (dot, dots) = (&entries[ENTRY..][..ENTRY], &entries[3 * ENTRY..][..ENTRY]);
            if dot.starts_with(DOT) && dots.starts_with(DOTS) {
                let mut right = [0; 4 * ENTRY];
                right[..ENTRY].copy_from_slice(dot);
                right[ENTRY..2 * ENTRY].copy_from_slice(dots);
                if at_top {
                    for half in CLUSTER {
                        right[ENTRY..][half].fill(0);
                    }
                }
                return self.device.write_at(start, &right);
            }
        }
        Err(io::Error::other("the new directory of the boot partition is not where it was written"))
    }

    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path)?;
        self.with(|top| match find(&top, path)? {
            None => Ok(()),
            Some(_) => directory(&top, parent)?.remove(name),
        })
    }

    /// Removes what a killed run left beside `path`.
    pub(super) fn sweep(&self, path: &str) -> io::Result<()> {
        let (parent, _) = path.rsplit_once('/').unwrap_or_default();
        self.with(|top| match directory(&top, parent) {
            Ok(directory) => remove_if_there(&directory, NEW),
            Err(_) => Ok(()),
        })
    }

    /// Opens the file system, does something in it, and leaves it clean.
    fn with<T>(&self, what: impl FnOnce(Directory<'_>) -> io::Result<T>) -> io::Result<T> {
        self.logged(&Rc::default(), what)
    }

    /// The same, and keeps where and how much was written.
    fn logged<T>(&self, writes: &Writes, what: impl FnOnce(Directory<'_>) -> io::Result<T>) -> io::Result<T> {
        let stream = Stream { device: self.device.clone(), at: 0, writes: Rc::clone(writes), table: self.table };
        let fs = FileSystem::new(stream, FsOptions::new().update_accessed_date(false))?;
        let done = what(fs.root_dir());
        fs.unmount()?;
        done
    }
}

/// Offset and length of every write, in order.
type Writes = Rc<RefCell<Vec<(u64, usize)>>>;

fn split(path: &str) -> io::Result<(&str, &str)> {
    match path.rsplit_once('/') {
        Some(split) => Ok(split),
        None if path.is_empty() => Err(is_directory("the boot partition".as_ref())),
        None => Ok(("", path)),
    }
}

fn directory<'a>(top: &Directory<'a>, path: &str) -> io::Result<Directory<'a>> {
    if path.is_empty() {
        return Ok(top.clone());
    }
    match find(top, path)? {
        Some(Kind::Directory) => top.open_dir(path),
        Some(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{path} is not a directory"))),
        None => Err(missing(path)),
    }
}

/// What is at `path`, names compared as FAT does: without regard to case.
fn find(top: &Directory<'_>, path: &str) -> io::Result<Option<Kind>> {
    let mut directory = top.clone();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        let mut found = None;
        for entry in directory.iter() {
            let entry = entry?;
            if entry.file_name().eq_ignore_ascii_case(name) || entry.short_file_name().eq_ignore_ascii_case(name) {
                found = Some(entry);
                break;
            }
        }
        let Some(entry) = found else { return Ok(None) };
        let kind = if entry.is_dir() { Kind::Directory } else { Kind::File { len: entry.len() } };
        match (names.peek(), &kind) {
            (None, _) => return Ok(Some(kind)),
            (Some(_), Kind::Directory) => directory = entry.to_dir(),
            (Some(_), _) => return Ok(None),
        }
    }
    Ok(None)
}

fn remove_if_there(directory: &Directory<'_>, name: &str) -> io::Result<()> {
    match directory.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// fatfs says only `No space left on device`, and as an unknown kind.
fn full(error: io::Error) -> io::Error {
    if error.to_string().contains("No space left") || error.kind() == io::ErrorKind::WriteZero {
        io::Error::new(io::ErrorKind::StorageFull, "the boot partition is full")
    } else {
        error
    }
}

/// FAT counts from 1980, in local time that nobody knows: UTC here.
fn date_time(now: u64) -> DateTime {
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
    let now = i64::try_from(now).unwrap_or(LAST).clamp(FIRST, LAST);
    let civil = jiff::Timestamp::from_second(now).expect("between 1980 and 2107").to_zoned(jiff::tz::TimeZone::UTC);
    let small = |part: i8| u16::try_from(part).expect("a part of a date is positive");
    DateTime {
        date: Date {
            year: u16::try_from(civil.year()).expect("between 1980 and 2107"),
            month: small(civil.month()),
            day: small(civil.day()),
        },
        time: Time { hour: small(civil.hour()), min: small(civil.minute()), sec: small(civil.second()), millis: 0 },
    }
}

/// A position in the partition.
struct Stream {
    device: Window<Arc<dyn BlockDevice>>,
    at: u64,
    writes: Writes,
    table: Option<Table>,
}

impl Table {
    fn read(device: &dyn BlockDevice) -> io::Result<Option<Self>> {
        let mut boot = [0; 512];
        device.read_at(0, &mut boot)?;
        let short = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let (sector, reserved) = (short(11), short(14));
        let len = (short(36) | short(38) << 16) * sector;
        if short(22) != 0 || len == 0 {
            return Ok(None);
        }
        let start = reserved * sector;
        let data = start + u64::from(boot[16]) * len;
        Ok(Some(Self { start, end: start + len, data, cluster: u64::from(boot[13]) * sector }))
    }
}

impl Stream {
    /// Clears the cluster that writing `bytes` here takes, if it does.
    fn clear_taken(&self, bytes: &[u8]) -> io::Result<()> {
        const ENTRY: u64 = 4;
        let Some(table) = self.table.filter(|table| (table.start..table.end).contains(&self.at)) else { return Ok(()) };
        let mut before = vec![0; bytes.len()];
        self.device.read_at(self.at, &mut before)?;
        let is_free = |entry: &[u8; 4]| u32::from_le_bytes(*entry) & 0x0fff_ffff == 0;
        let entries = before.as_chunks::<4>().0.iter().zip(bytes.as_chunks::<4>().0);
        for (number, (old, new)) in ((self.at - table.start) / ENTRY..).zip(entries) {
            if number >= 2 && is_free(old) && !is_free(new) {
                let zeros = vec![0; usize::try_from(table.cluster).expect("a cluster is in memory")];
                self.device.write_at(table.data + (number - 2) * table.cluster, &zeros)?;
            }
        }
        Ok(())
    }

    fn left(&self, wanted: usize) -> usize {
        usize::try_from(self.device.len().saturating_sub(self.at)).map_or(wanted, |left| left.min(wanted))
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.left(into.len());
        self.device.read_at(self.at, &mut into[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.left(bytes.len());
        self.clear_taken(&bytes[..len])?;
        self.device.write_at(self.at, &bytes[..len])?;
        self.writes.borrow_mut().push((self.at, len));
        self.at += len as u64;
        Ok(len)
    }

    /// Not the device's own: fatfs flushes after every change, and a card takes that badly. [`super::ImageSystem`]
    /// flushes when it is asked to.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.device.len().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
