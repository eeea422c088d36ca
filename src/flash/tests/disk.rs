//! A disk that fails on purpose, and remembers in which order it was written.

use std::{
    io,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use nix::errno::Errno;

use crate::io::block::BlockDevice;

/// What is wrong with a disk. Writes are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Writes that touch these bytes give EIO.
    WriteFails(u64, u64),
    /// Reads that touch these bytes give EIO.
    ReadFails(u64, u64),
    /// This one write gives EIO, and leaves half of it.
    Short { nth: u64 },
    /// Of this one write only the first sector arrives; it says that all is well.
    Torn { nth: u64 },
    /// This one write is forgotten; it says that all is well.
    Dropped { nth: u64 },
    /// From this write on nothing is kept; it says that all is well.
    KeepsNothing { from: u64 },
    /// It has this much memory and leaves out the upper bits of an address.
    Wraps(u64),
    /// It has this much memory, takes all that is written behind it, and gives zeros.
    Swallows(u64),
    /// It ends here with EIO.
    Ends(u64),
    /// From this write on it is not there.
    Gone { from: u64 },
    /// This bit is always read wrong.
    MisreadsBit(u64),
    /// This bit is read wrong at first.
    MisreadsBitOnce(u64),
    /// Every second read gives other bits here.
    Flickers(u64),
    /// This write never returns.
    Hangs { nth: u64 },
    /// Flushes fail from this write on.
    FlushFails { from: u64 },
}

/// What was done to a disk.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Write(u64, Vec<u8>),
    Flush,
}

pub(super) struct Disk {
    len: u64,
    wrong: Vec<Wrong>,
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    medium: Vec<u8>,
    writes: u64,
    reads: u64,
    release: bool,
    log: Option<Vec<Done>>,
}

impl Disk {
    /// A disk that holds `medium`, with these faults.
    pub(super) fn new(medium: Vec<u8>, wrong: &[Wrong]) -> Arc<Self> {
        Self::that_says(medium.len() as u64, medium, wrong)
    }

    /// A disk that says to be of another length.
    pub(super) fn that_says(len: u64, medium: Vec<u8>, wrong: &[Wrong]) -> Arc<Self> {
        let state = State { medium, writes: 0, reads: 0, release: false, log: None };
        Arc::new(Self { len, wrong: wrong.to_vec(), state: Mutex::new(state), released: Condvar::new() })
    }

    /// It remembers what is done to it.
    pub(super) fn that_remembers(medium: Vec<u8>) -> Arc<Self> {
        let disk = Self::new(medium, &[]);
        disk.state().log = Some(Vec::new());
        disk
    }

    pub(super) fn log(&self) -> Vec<Done> {
        self.state().log.clone().unwrap()
    }

    pub(super) fn medium(&self) -> Vec<u8> {
        self.state().medium.clone()
    }

    pub(super) fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Writes that hang return.
    pub(super) fn release(&self) {
        self.state().release = true;
        self.released.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Where a byte is in memory; `None`: nowhere.
    fn place(&self, offset: u64) -> Option<u64> {
        self.wrong.iter().try_fold(offset, |place, wrong| match wrong {
            Wrong::Wraps(size) => Some(place % size),
            Wrong::Swallows(size) => (place < *size).then_some(place),
            _ => Some(place),
        })
    }

    fn check(&self, range: &Range<u64>, writes: u64) -> io::Result<()> {
        if range.end > self.len {
            return Err(errno(Errno::ENOSPC));
        }
        for wrong in &self.wrong {
            match *wrong {
                Wrong::Gone { from } if writes >= from => return Err(errno(Errno::ENODEV)),
                Wrong::Ends(end) if range.end > end => return Err(errno(Errno::EIO)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

fn touches(range: &Range<u64>, from: u64, to: u64) -> bool {
    range.start < to && from < range.end
}

impl BlockDevice for Disk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        let range = offset..offset + into.len() as u64;
        self.check(&range, state.writes)?;
        // In runs that are together in memory.
        let (mut at, size) = (0, into.len());
        while at < size {
            let run = (size - at).min(512);
            match self.place(offset + at as u64) {
                Some(place) => into[at..at + run].copy_from_slice(&state.medium[place as usize..][..run]),
                None => into[at..at + run].fill(0),
            }
            at += run;
        }
        state.reads += 1;
        for wrong in &self.wrong {
            match *wrong {
                Wrong::ReadFails(from, to) if touches(&range, from, to) => return Err(errno(Errno::EIO)),
                Wrong::MisreadsBit(byte) if range.contains(&byte) => into[(byte - offset) as usize] ^= 4,
                Wrong::MisreadsBitOnce(byte) if range.contains(&byte) && !state.release => {
                    into[(byte - offset) as usize] ^= 4;
                    state.release = true;
                }
                Wrong::Flickers(byte) if range.contains(&byte) => {
                    into[(byte - offset) as usize] ^= (state.reads as u8) | 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let range = offset..offset + bytes.len() as u64;
        self.check(&range, state.writes)?;
        let nth = state.writes;
        state.writes += 1;
        let (mut arrives, mut error) = (bytes.len(), None);
        for wrong in &self.wrong {
            match *wrong {
                Wrong::WriteFails(from, to) if touches(&range, from, to) => {
                    (arrives, error) = (from.saturating_sub(offset) as usize, Some(Errno::EIO));
                }
                Wrong::Short { nth: at } if at == nth => (arrives, error) = (bytes.len() / 2, Some(Errno::EIO)),
                Wrong::Torn { nth: at } if at == nth => arrives = arrives.min(512),
                Wrong::Dropped { nth: at } if at == nth => arrives = 0,
                Wrong::KeepsNothing { from } if nth >= from => arrives = 0,
                Wrong::Hangs { nth: at } if at == nth => {
                    while !state.release {
                        state = self.released.wait(state).unwrap();
                    }
                }
                _ => {}
            }
        }
        let bytes = &bytes[..arrives];
        for (at, part) in (0..).step_by(512).zip(bytes.chunks(512)) {
            if let Some(place) = self.place(offset + at) {
                state.medium[place as usize..][..part.len()].copy_from_slice(part);
            }
        }
        if let Some(log) = &mut state.log {
            log.push(Done::Write(offset, bytes.to_vec()));
        }
        error.map_or(Ok(()), |error| Err(errno(error)))
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        self.check(&(0..0), state.writes)?;
        if self.wrong.iter().any(|wrong| matches!(wrong, Wrong::FlushFails { from } if state.writes >= *from)) {
            return Err(errno(Errno::EIO));
        }
        if let Some(log) = &mut state.log {
            log.push(Done::Flush);
        }
        Ok(())
    }
}
