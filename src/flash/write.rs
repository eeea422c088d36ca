//! One card: made unbootable, written, read back, and only then completed.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{
    card::Card,
    events::{Doing, Event, Meter, Phase},
    fault::{self, CardFault, Holds},
    job::{CardJob, CardOutcome, Customise, Differences, Medium, Mode, Retries},
    mark::{Mark, Piece},
    probe,
    receipt::{CardFacts, Customised, ImageFacts, Named, Pass, Receipt},
    ring::{End, Next, Ring, Waited},
    run::Shared,
    schedule::{self, BLOCK, FIRST, is_zero},
    watch::Watched,
};
use crate::io::{aligned::AlignedBuffer, block::BlockDevice};

/// Everything of one card while it is written.
pub(super) struct CardRun {
    pub(super) index: usize,
    pub(super) card: Card,
    medium: Medium,
    identity: Option<Named>,
    config_sha256: Option<String>,
    pub(super) customise: Option<Customise>,
    pub(super) device: Arc<Watched>,
    pub(super) shared: Arc<Shared>,
    /// What was written, and is still to be read back.
    pub(super) marks: Vec<Arc<Mark>>,
    pub(super) holds: Holds,
    pub(super) written: Pass,
    pub(super) read: Pass,
    pub(super) retries: Retries,
    pub(super) customised: Vec<Customised>,
    pub(super) differs: Differences,
    began: Timestamp,
    write_size: usize,
}

impl CardRun {
    pub(super) fn new(index: usize, job: CardJob, shared: Arc<Shared>) -> Box<Self> {
        Box::new(Self {
            index,
            device: Arc::new(Watched::new(Arc::clone(job.card.device()))),
            write_size: job.card.write_size(),
            card: job.card,
            medium: job.medium,
            identity: job.identity,
            config_sha256: job.config_sha256,
            customise: job.customise,
            shared,
            marks: Vec::new(),
            holds: Holds::Untouched,
            written: Pass::default(),
            read: Pass::default(),
            retries: Retries::new(),
            customised: Vec::new(),
            differs: Differences::default(),
            began: Timestamp::now(),
        })
    }

    pub(super) fn name(&self) -> String {
        self.card.name.clone()
    }

    /// Takes the image from the ring to its end, onto the card, and reads it back. Returns the offsets of the extents
    /// that are not as written.
    pub(super) fn bring(&mut self, ring: &Ring<Piece>) -> Result<BTreeSet<u64>, CardFault> {
        if self.shared.options.mode == Mode::Write {
            self.clear()?;
        }
        self.take_all(ring)?;
        if !self.shared.writes() || self.marks.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.flush()?;
        let marks = std::mem::take(&mut self.marks);
        let bad = self.read_back(&marks)?;
        self.marks = marks;
        Ok(bad)
    }

    /// Takes the image once more and writes these extents again.
    pub(super) fn mend(&mut self, ring: &Ring<Piece>, bad: &BTreeSet<u64>) -> Result<BTreeSet<u64>, CardFault> {
        self.phase(Phase::Mending);
        let marks: Vec<_> = self.marks.iter().filter(|mark| bad.contains(&mark.offset)).cloned().collect();
        loop {
            self.shared.check()?;
            match ring.next(self.index).0 {
                Next::Wait => {}
                Next::End(End::Complete) => break,
                Next::End(End::Broken) => return Err(self.shared.why_broken()),
                Next::Item(piece) => {
                    for mark in marks.iter().filter(|mark| piece.holds(mark)) {
                        *self.retries.entry(mark.offset).or_default() += 1;
                        self.write(mark.offset, piece.bytes(mark))?;
                    }
                }
            }
        }
        self.flush()?;
        self.read_back(&marks)
    }

    /// Makes the card unbootable, and asks it whether it is what it says.
    pub(super) fn clear(&mut self) -> Result<(), CardFault> {
        if self.holds != Holds::Untouched {
            return Ok(());
        }
        self.shared.check()?;
        let probe = self.shared.options.probe && self.card.may_lie();
        if probe {
            self.phase(Phase::Probing);
        }
        self.holds = Holds::Unknown;
        if probe {
            probe::keeps(&*self.device)?;
        }
        let zeros = AlignedBuffer::zeroed(FIRST.min(self.card.len()) as usize);
        let mut places = vec![0];
        // When only what differs is written, nothing behind the first MiB may be touched: it was compared already.
        let whole = self.shared.options.mode == Mode::Write;
        let tail = self.card.len().saturating_sub(FIRST) / BLOCK * BLOCK;
        if whole && tail >= FIRST && (schedule::is_gpt(&self.shared.head) || probe::has_backup_table(&*self.device)) {
            places.push(tail);
        }
        for place in &places {
            self.write(*place, &zeros)?;
        }
        self.flush()?;
        let mut back = AlignedBuffer::zeroed(zeros.len());
        for place in places {
            self.device.read_at(place, &mut back).map_err(|error| CardFault::of(Doing::Read, place, error))?;
            if *back != *zeros {
                return Err(CardFault::KeepsNothing);
            }
        }
        self.holds = Holds::Unbootable;
        if probe && whole { probe::has_room(&*self.device) } else { Ok(()) }
    }

    fn take_all(&mut self, ring: &Ring<Piece>) -> Result<(), CardFault> {
        let phase = if self.shared.options.mode == Mode::Write { Phase::Writing } else { Phase::Comparing };
        self.phase(phase);
        let mut meter = Meter::new(None, Instant::now());
        loop {
            self.shared.check()?;
            let (next, waited) = ring.next(self.index);
            self.count(&mut meter, waited);
            match next {
                Next::Wait => {}
                Next::End(End::Complete) => break,
                Next::End(End::Broken) => return Err(self.shared.why_broken()),
                Next::Item(piece) => {
                    if self.shared.writes() {
                        let failed = |error| CardFault::of(Doing::Write, piece.end(), error);
                        self.card.make_room(piece.end()).map_err(failed)?;
                    }
                    for mark in &piece.marks {
                        self.shared.check()?;
                        self.take(mark, &piece)?;
                        meter.moved += mark.len as u64;
                    }
                    (meter.done, meter.total) = (piece.done, piece.total);
                }
            }
            self.progress(&mut meter, phase, false);
        }
        self.progress(&mut meter, phase, true);
        let pass = if phase == Phase::Writing { &mut self.written } else { &mut self.read };
        pass.add(0, if phase == Phase::Writing { 0 } else { meter.moved }, meter.elapsed(Instant::now()));
        Ok(())
    }

    /// One extent.
    fn take(&mut self, mark: &Arc<Mark>, piece: &Piece) -> Result<(), CardFault> {
        match self.shared.options.mode {
            Mode::Write => {
                if !(mark.zero && self.reads_zero(mark)) {
                    self.write(mark.offset, piece.bytes(mark))?;
                    self.written.add(1, mark.len as u64, std::time::Duration::ZERO);
                }
                self.marks.push(Arc::clone(mark));
                Ok(())
            }
            Mode::Again => self.write_differing(mark, piece.bytes(mark)),
            Mode::VerifyOnly => self.compare(mark.offset, piece.bytes(mark)),
        }
    }

    /// Whether zeros need not be written, as they are there: journals and inode tables are, on a card that is new. A
    /// card reads several times as fast as it writes, so looking costs less than it saves. Read back it is nevertheless.
    fn reads_zero(&self, mark: &Mark) -> bool {
        let mut held = AlignedBuffer::zeroed(mark.len);
        self.card.is_blank() || (self.device.read_at(mark.offset, &mut held).is_ok() && is_zero(&held))
    }

    /// Writes a run of bytes; what fails is tried again, then the first block that fails is named.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), CardFault> {
        let size = self.write_size;
        for (nth, part) in bytes.chunks(size).enumerate() {
            let offset = offset + (nth * size) as u64;
            let mut attempt = 0;
            while let Err(error) = self.device.write_at(offset, part) {
                attempt += 1;
                if attempt > self.shared.options.retries || fault::is_final(&error) {
                    let (offset, error) = self.first_failing(offset, part).unwrap_or((offset, error));
                    return Err(CardFault::of(Doing::Write, offset, error));
                }
                self.retried(Doing::Write, offset, attempt, error.to_string());
            }
        }
        Ok(())
    }

    /// Finds the first block of these that cannot be written.
    fn first_failing(&self, offset: u64, bytes: &[u8]) -> Option<(u64, std::io::Error)> {
        (0..).map(|nth| offset + nth * BLOCK).zip(bytes.chunks(BLOCK as usize)).find_map(|(offset, block)| {
            let error = self.device.write_at(offset, block).err()?;
            Some((offset, error))
        })
    }

    pub(super) fn flush(&self) -> Result<(), CardFault> {
        self.device.flush().map_err(|error| match fault::is_gone(&error) {
            true => CardFault::Gone { source: Arc::new(error) },
            false => CardFault::Flush { source: Arc::new(error) },
        })
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.shared.events.tell(Event::Phase { card: self.index, phase });
    }

    pub(super) fn progress(&self, meter: &mut Meter, phase: Phase, last: bool) {
        if let Some(event) = meter.progress(self.index, phase, last, Instant::now()) {
            self.shared.events.tell(event);
        }
    }

    pub(super) fn retried(&mut self, doing: Doing, offset: u64, attempt: u32, why: String) {
        *self.retries.entry(offset).or_default() += 1;
        self.shared.events.tell(Event::Retried { card: self.index, doing, offset, attempt, why });
    }

    fn count(&self, meter: &mut Meter, waited: Waited) {
        let slow_part = *self.shared.slow_part.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        meter.waited_for_source(waited.for_source, slow_part);
        if let Some((card, time)) = waited.for_reader {
            meter.waited_for_card(card, time);
        }
    }

    /// The receipt as far as it is true now.
    pub(super) fn receipt(&self, finished: Option<Timestamp>) -> Receipt {
        let unknown = || ImageFacts {
            name: self.shared.name.clone(),
            source: self.shared.source.clone(),
            sha256: String::new(),
            bytes: 0,
        };
        Receipt {
            version: 1,
            pikiosk: env!("CARGO_PKG_VERSION").to_owned(),
            image: self.shared.facts.get().cloned().unwrap_or_else(unknown),
            identity: self.identity.clone(),
            config_sha256: self.config_sha256.clone(),
            card: CardFacts { device: self.card.name.clone(), bytes: self.card.len(), medium: self.medium.clone() },
            written: self.written,
            read_back: self.read,
            retries: self.retries.clone(),
            customised: self.customised.clone(),
            began: self.began,
            finished,
            by: self.shared.options.by.clone(),
        }
    }

    pub(super) fn outcome(mut self: Box<Self>, result: Result<(), CardFault>) -> CardOutcome {
        CardOutcome {
            name: self.name(),
            holds: self.holds,
            result: result.map(|()| Box::new(self.receipt(Some(Timestamp::now())))),
            differs: std::mem::take(&mut self.differs),
        }
    }

    /// What it ends with if these extents cannot be mended.
    pub(super) fn fail_at(mut self: Box<Self>, bad: &BTreeSet<u64>) -> CardOutcome {
        let fault = self.diagnose(bad);
        self.outcome(Err(fault))
    }
}
