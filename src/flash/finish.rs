//! The end of a card: its own settings, then the first MiB, its first sector last of all.

use std::{io, sync::Arc, time::Instant};

use super::{
    events::{Doing, Event, Meter, Phase},
    fault::{CardFault, Holds, Verdict},
    job::{Customise, Customising, Mode},
    mark::{Mark, sha256},
    receipt::{Customised, hex},
    schedule::{self, BLOCK, FIRST},
    stream::CHUNK,
    watch::Watched,
    write::CardRun,
};
use crate::io::{
    aligned::AlignedBuffer,
    block::{BlockDevice, overlay::Overlay},
};

/// Gaps between changed blocks that are written too, in bytes: settings are a few blocks here and there.
const JOIN: u64 = 64 << 10;

/// What is written last of all, in bytes: the sector with the partition table. A disk writes it whole or not at all.
const SECTOR: usize = 512;

impl CardRun {
    /// Brings a card whose image was read back to its end.
    pub(super) fn complete(&mut self) -> Result<(), CardFault> {
        if !self.shared.writes() {
            return self.judge();
        }
        self.shared.check()?;
        let len = FIRST.min(self.card.len()) as usize;
        let mut first = AlignedBuffer::zeroed(len);
        let head = self.shared.head.len().min(len);
        first[..head].copy_from_slice(&self.shared.head[..head]);
        if let Some(customise) = self.customise.take() {
            self.put_settings(customise, &mut first)?;
        }
        if self.holds == Holds::Untouched && self.shared.options.mode == Mode::Again && self.first_is_right(&first)? {
            self.holds = Holds::Complete;
            return Ok(());
        }
        self.clear()?;
        self.shared.check()?;
        self.put_first(&first)
    }

    /// Has the settings written into memory, and then onto the card; those of the first MiB into `first`.
    fn put_settings(&mut self, customise: Customise, first: &mut AlignedBuffer) -> Result<(), CardFault> {
        self.phase(Phase::Customising);
        let below: Arc<dyn BlockDevice> = Arc::new(Headed { card: Arc::clone(&self.device), first: first.to_vec() });
        let overlay = Arc::new(Overlay::new(below));
        let manifest = self.receipt(None).json();
        customise(Customising { device: Arc::clone(&overlay), manifest })
            .map_err(|error| CardFault::Customise { source: error.into() })?;
        let changed = overlay.extents();
        let read = |offset, bytes: &mut [u8]| {
            overlay.read_at(offset, bytes).map_err(|error| CardFault::of(Doing::Read, offset, error))
        };
        let total = changed.iter().map(|extent| extent.len).sum();
        let mut meter = Meter::new(Some(total), Instant::now());
        for extent in &changed {
            // Pieces, as an extent may be long: 64 MiB of a program.
            for offset in (extent.offset..extent.end()).step_by(CHUNK) {
                let mut bytes = vec![0; (extent.end() - offset).min(CHUNK as u64) as usize];
                read(offset, &mut bytes)?;
                let sha256 = hex(&sha256(&bytes));
                self.customised.push(Customised { offset, bytes: bytes.len() as u64, sha256 });
            }
        }
        read(0, &mut first[..])?;
        let behind = changed.iter().map(|extent| extent.offset.max(FIRST)..extent.end());
        let mut marks = Vec::new();
        for range in schedule::joined(behind.filter(|range| range.start < range.end), JOIN) {
            for offset in (range.start..range.end).step_by(CHUNK) {
                self.shared.check()?;
                let mut bytes = AlignedBuffer::zeroed((range.end - offset).min(CHUNK as u64) as usize);
                read(offset, &mut bytes)?;
                if self.shared.options.mode == Mode::Again && self.holds == Holds::Untouched {
                    let mut held = AlignedBuffer::zeroed(bytes.len());
                    let there = self.device.read_at(offset, &mut held);
                    if there.is_ok() && *held == *bytes {
                        continue;
                    }
                    self.clear()?;
                }
                self.write(offset, &bytes)?;
                marks.push(Arc::new(Mark::of(offset, &bytes)));
                meter.moved += bytes.len() as u64;
                meter.done = meter.moved;
                self.progress(&mut meter, Phase::Customising, false);
            }
        }
        self.progress(&mut meter, Phase::Customising, true);
        self.written.add(marks.len() as u64, meter.moved, meter.elapsed(Instant::now()));
        if marks.is_empty() {
            return Ok(());
        }
        self.flush()?;
        let bad = self.read_back(&marks)?;
        if bad.is_empty() {
            return Ok(());
        }
        self.marks.extend(marks);
        Err(self.diagnose(&bad))
    }

    /// Writes the first MiB. From here on it is not stopped: it takes a moment.
    fn put_first(&mut self, first: &AlignedBuffer) -> Result<(), CardFault> {
        self.phase(Phase::Finishing);
        let put = self.try_put_first(first);
        if put.is_err() {
            // Whatever of it is there must not boot.
            let zeros = AlignedBuffer::zeroed(first.len());
            let zeroed = self.device.write_at(0, &zeros).and_then(|()| self.device.flush()).and_then(|()| {
                let mut back = AlignedBuffer::zeroed(first.len());
                self.device.read_at(0, &mut back)?;
                if *back == *zeros { Ok(()) } else { Err(io::Error::other("it is not zero")) }
            });
            self.holds = if zeroed.is_ok() { Holds::Unbootable } else { Holds::Unknown };
            return put;
        }
        self.holds = Holds::Complete;
        if let Err(error) = self.card.read_partitions_again() {
            let text =
                format!("the kernel did not look at the new partitions: {error}; take the card out and in again");
            self.shared.events.tell(Event::Warning { card: self.index, text });
        }
        Ok(())
    }

    fn try_put_first(&mut self, first: &AlignedBuffer) -> Result<(), CardFault> {
        self.flush()?;
        self.must_be_zero(first.len())?;
        let begun = Instant::now();
        self.write(SECTOR as u64, &AlignedBuffer::copy_of(&first[SECTOR..]))?;
        self.flush()?;
        self.must_hold(SECTOR as u64, &first[SECTOR..])?;
        // From here on it may boot.
        self.holds = Holds::Unknown;
        self.write(0, &AlignedBuffer::copy_of(&first[..SECTOR]))?;
        self.flush()?;
        self.must_hold(0, first)?;
        self.written.add(1, first.len() as u64, begun.elapsed());
        Ok(())
    }

    /// Nothing was written there since it was zeroed, unless the card has less memory than it says.
    fn must_be_zero(&self, len: usize) -> Result<(), CardFault> {
        let mut held = AlignedBuffer::zeroed(len);
        self.device.read_at(0, &mut held).map_err(|error| CardFault::of(Doing::Read, 0, error))?;
        match held.chunks(BLOCK as usize).find(|block| block.iter().any(|byte| *byte != 0)) {
            None => Ok(()),
            Some(block) => {
                let crc = crc32fast::hash(block);
                Err(CardFault::Lies { offset: 0, holds: self.marks.iter().find_map(|mark| mark.place_of(crc)) })
            }
        }
    }

    fn must_hold(&self, offset: u64, bytes: &[u8]) -> Result<(), CardFault> {
        let mut back = AlignedBuffer::zeroed(bytes.len());
        let mut differs = 0;
        for _ in 0..=self.shared.options.retries {
            self.device.read_at(offset, &mut back).map_err(|error| CardFault::of(Doing::Read, offset, error))?;
            match schedule::differing(&back, bytes).first() {
                None => return Ok(()),
                Some(first) => differs = first.start,
            }
        }
        Err(CardFault::Differs { offset: offset + differs as u64, verdict: Verdict::Weak })
    }
}

/// A card as it will be when its first MiB is there. Nothing can be written.
struct Headed {
    card: Arc<Watched>,
    first: Vec<u8>,
}

impl BlockDevice for Headed {
    fn len(&self) -> u64 {
        self.card.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let ends = self.first.len() as u64;
        let from_first = ends.saturating_sub(offset).min(into.len() as u64) as usize;
        let (first, rest) = into.split_at_mut(from_first);
        if !first.is_empty() {
            let at = offset as usize;
            first.copy_from_slice(&self.first[at..at + first.len()]);
        }
        if rest.is_empty() { Ok(()) } else { self.card.read_at(offset.max(ends), rest) }
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
