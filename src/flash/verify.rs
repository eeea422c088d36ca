//! Reading back: every extent, from the medium, against what was kept when it was written.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Instant,
};

use super::{
    events::{Doing, Meter, Phase},
    fault::{self, CardFault, Verdict},
    mark::Mark,
    probe,
    schedule::BLOCK,
    stream::CHUNK,
    write::CardRun,
};
use crate::io::{aligned::AlignedBuffer, block::BlockDevice};

/// Buffers of one card that is read back: one is read into while one is hashed, and one waits.
const BUFFERS: usize = 3;

/// More bad extents than this are not mended: such a card is not worth it.
const MENDABLE: usize = 16;

/// How often an extent that differs is read again before it is called bad.
const LOOKS: u32 = 3;

impl CardRun {
    /// Reads these extents. Returns the offsets of those that are not as written; a card that cannot be read at all, or
    /// has too many, is a fault.
    pub(super) fn read_back(&mut self, marks: &[Arc<Mark>]) -> Result<BTreeSet<u64>, CardFault> {
        self.phase(Phase::ReadingBack);
        let mut meter = Meter::new(Some(marks.iter().map(|mark| mark.len as u64).sum()), Instant::now());
        let doubted = thread::scope(|scope| {
            let (full, to_hash) = sync_channel(BUFFERS);
            let (done, free) = sync_channel(BUFFERS);
            for _ in 0..BUFFERS {
                done.send(AlignedBuffer::zeroed(CHUNK)).expect("the channel holds this many");
            }
            let hasher = scope.spawn(move || hash(marks, &to_hash, &done));
            let read = self.read_all(marks, &free, &full, &mut meter);
            drop(full);
            let differing = hasher.join().unwrap_or_else(|_| (0..marks.len()).collect());
            read.map(|unreadable| unreadable.into_iter().chain(differing).collect::<BTreeSet<usize>>())
        })?;
        self.progress(&mut meter, Phase::ReadingBack, true);
        self.read.add(marks.len() as u64, meter.moved, meter.elapsed(Instant::now()));
        let mut bad = BTreeSet::new();
        for at in doubted {
            self.shared.check()?;
            if !self.look_again(&marks[at])? {
                bad.insert(marks[at].offset);
            }
            if bad.len() > MENDABLE {
                return Err(self.diagnose(&bad));
            }
        }
        Ok(bad)
    }

    /// Hands each extent to be hashed; returns the numbers of those that could not be read.
    fn read_all(
        &self,
        marks: &[Arc<Mark>],
        free: &Receiver<AlignedBuffer>,
        full: &SyncSender<(usize, AlignedBuffer)>,
        meter: &mut Meter,
    ) -> Result<Vec<usize>, CardFault> {
        let mut unreadable = Vec::new();
        for (at, mark) in marks.iter().enumerate() {
            self.shared.check()?;
            let Ok(mut buffer) = free.recv() else { break };
            match self.device.read_at(mark.offset, &mut buffer[..mark.len]) {
                Ok(()) => {
                    // A hasher that is gone is noticed above.
                    let _ = full.send((at, buffer));
                }
                Err(error) if fault::is_final(&error) => return Err(CardFault::of(Doing::Read, mark.offset, error)),
                Err(_) => {
                    unreadable.push(at);
                    if unreadable.len() > MENDABLE {
                        break;
                    }
                    // This buffer is dropped: another takes its place.
                    let _ = full.send((usize::MAX, buffer));
                }
            }
            meter.moved += mark.len as u64;
            meter.done = meter.moved;
            self.progress(meter, Phase::ReadingBack, false);
        }
        Ok(unreadable)
    }

    /// Reads a doubtful extent again. `true`: it is right after all.
    fn look_again(&mut self, mark: &Mark) -> Result<bool, CardFault> {
        let mut buffer = AlignedBuffer::zeroed(mark.len);
        for attempt in 1..=LOOKS {
            let why = match self.device.read_at(mark.offset, &mut buffer) {
                Ok(()) if mark.fits(&buffer) => {
                    self.retried(Doing::Read, mark.offset, attempt, "it was right when read again".to_owned());
                    return Ok(true);
                }
                Ok(()) => format!(
                    "byte {} differs from what was written",
                    mark.offset + mark.first_bad(&buffer).unwrap_or(0) as u64
                ),
                Err(error) if fault::is_final(&error) => return Err(CardFault::of(Doing::Read, mark.offset, error)),
                Err(error) => error.to_string(),
            };
            self.retried(Doing::Read, mark.offset, attempt, why);
        }
        Ok(false)
    }

    /// Says what is wrong with a card of which these extents are bad. Writes a little into the first bad block.
    pub(super) fn diagnose(&mut self, bad: &BTreeSet<u64>) -> CardFault {
        let first = bad.first().copied().unwrap_or(0);
        let Some(mark) = self.marks.iter().find(|mark| mark.offset == first).cloned() else {
            return CardFault::Differs { offset: first, verdict: Verdict::Weak };
        };
        let mut buffer = AlignedBuffer::zeroed(mark.len);
        if self.device.read_at(mark.offset, &mut buffer).is_err() {
            return self.first_unreadable(&mark);
        }
        let Some(at) = mark.first_bad(&buffer) else {
            return CardFault::Differs { offset: first, verdict: Verdict::Reader };
        };
        let offset = mark.offset + at as u64;
        let block = buffer[at..(at + BLOCK as usize).min(mark.len)].to_vec();
        if block.iter().any(|byte| *byte != block[0]) {
            let crc = crc32fast::hash(&block);
            if let Some(place) = self.marks.iter().find_map(|mark| mark.place_of(crc)) {
                return CardFault::Lies { offset, holds: Some(place) };
            }
        }
        let mut once_more = AlignedBuffer::zeroed(block.len());
        if self.device.read_at(offset, &mut once_more).is_ok() && *once_more != *block {
            return CardFault::Differs { offset, verdict: Verdict::Reader };
        }
        let verdict = match probe::keeps_at(&*self.device, offset) {
            Ok(true) => Verdict::Weak,
            Ok(false) => Verdict::StoppedKeeping,
            Err(error) => return CardFault::of(Doing::Write, offset, error),
        };
        CardFault::Differs { offset, verdict }
    }

    fn first_unreadable(&self, mark: &Mark) -> CardFault {
        let mut block = AlignedBuffer::zeroed(BLOCK as usize);
        let mut offset = mark.offset;
        while offset < mark.end() {
            let len = (mark.end() - offset).min(BLOCK) as usize;
            if let Err(error) = self.device.read_at(offset, &mut block[..len]) {
                return CardFault::of(Doing::Read, offset, error);
            }
            offset += BLOCK;
        }
        CardFault::Differs { offset: mark.offset, verdict: Verdict::Reader }
    }
}

/// Hashes what is read; returns the numbers of the marks that do not fit.
fn hash(
    marks: &[Arc<Mark>],
    to_hash: &Receiver<(usize, AlignedBuffer)>,
    done: &SyncSender<AlignedBuffer>,
) -> Vec<usize> {
    let mut differing = Vec::new();
    for (at, buffer) in to_hash {
        if let Some(mark) = marks.get(at)
            && !mark.fits(&buffer[..mark.len])
        {
            differing.push(at);
        }
        // The reader has ended: what is still to be hashed is.
        let _ = done.send(buffer);
    }
    differing
}
