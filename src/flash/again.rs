//! Reading first: write only what differs, or nothing at all.

use std::{ops::Range, sync::Arc};

use super::{
    events::Doing,
    fault::CardFault,
    job::Differences,
    mark::{Mark, sha256},
    receipt::hex,
    schedule::{self, BLOCK, FIRST},
    write::CardRun,
};
use crate::io::{aligned::AlignedBuffer, block::BlockDevice};

impl CardRun {
    /// Reads an extent and writes what of it differs. Before the first such write the card is made unbootable.
    pub(super) fn write_differing(&mut self, mark: &Arc<Mark>, bytes: &[u8]) -> Result<(), CardFault> {
        let ranges = match self.read_extent(mark.offset, bytes.len()) {
            Ok(held) => schedule::differing(&held, bytes),
            // What cannot be read may yet be written: a card relocates bad blocks when they are written.
            Err(CardFault::Read { .. }) => std::iter::once(0..bytes.len()).collect(),
            Err(fault) => return Err(fault),
        };
        for range in ranges {
            self.clear()?;
            let (offset, bytes) = (mark.offset + range.start as u64, &bytes[range]);
            self.write(offset, bytes)?;
            self.written.add(1, bytes.len() as u64, std::time::Duration::ZERO);
            self.marks.push(Arc::new(Mark::of(offset, bytes)));
        }
        Ok(())
    }

    /// Reads an extent and keeps in mind where it differs.
    pub(super) fn compare(&mut self, offset: u64, bytes: &[u8]) -> Result<(), CardFault> {
        let held = self.read_extent(offset, bytes.len())?;
        if *held == *bytes {
            return Ok(());
        }
        let blocks = held.chunks(BLOCK as usize).zip(bytes.chunks(BLOCK as usize)).enumerate();
        for (at, (one, _)) in blocks.filter(|(_, (one, other))| one != other) {
            let from = offset + at as u64 * BLOCK;
            self.differs.unexpected.push(from..from + one.len() as u64);
        }
        Ok(())
    }

    /// What `--verify-only` says in the end: what was customised may differ, if it is as it was customised.
    pub(super) fn judge(&mut self) -> Result<(), CardFault> {
        let head = self.shared.head.clone();
        self.compare(0, &head)?;
        let mut allowed = Vec::new();
        for part in self.shared.options.customised.clone() {
            let held = self.read_extent(part.offset, part.bytes as usize)?;
            if hex(&sha256(&held)) == part.sha256 {
                allowed.push(part.offset..part.offset + part.bytes);
            }
        }
        self.differs = sorted_out(std::mem::take(&mut self.differs.unexpected), &allowed);
        match self.differs.unexpected.first() {
            None => Ok(()),
            Some(first) => {
                let blocks = self.differs.unexpected_bytes().div_ceil(BLOCK);
                Err(CardFault::NotTheImage { offset: first.start, blocks })
            }
        }
    }

    /// Whether the card's first MiB, and nothing else, is still to be looked at: [`Self::clear`] was not needed.
    pub(super) fn first_is_right(&self, first: &[u8]) -> Result<bool, CardFault> {
        Ok(*self.read_extent(0, first.len().min(FIRST as usize))? == *first)
    }

    fn read_extent(&self, offset: u64, len: usize) -> Result<AlignedBuffer, CardFault> {
        let mut held = AlignedBuffer::zeroed(len);
        // A file that stands for a card may be shorter than the image: what is not there is zero.
        let there = self.device.len().saturating_sub(offset).min(len as u64) as usize;
        self.device.read_at(offset, &mut held[..there]).map_err(|error| CardFault::of(Doing::Read, offset, error))?;
        Ok(held)
    }
}

/// Tells the differing blocks that lie in allowed ranges from the others, each joined.
fn sorted_out(mut blocks: Vec<Range<u64>>, allowed: &[Range<u64>]) -> Differences {
    blocks.sort_unstable_by_key(|block| block.start);
    let is_allowed =
        |block: &Range<u64>| allowed.iter().any(|range| range.start <= block.start && block.end <= range.end);
    let (allowed, unexpected): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_allowed);
    let joined = |blocks: Vec<Range<u64>>| schedule::joined(blocks.into_iter(), 1);
    Differences { allowed: joined(allowed), unexpected: joined(unexpected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_customised_may_differ_and_nothing_else() {
        let block = |n: u64| n * BLOCK..(n + 1) * BLOCK;
        let differs = sorted_out(vec![block(9), block(2), block(3), block(4)], &[block(2).start..block(3).end]);
        assert_eq!(differs.allowed, [block(2).start..block(3).end]);
        assert_eq!(differs.unexpected, [block(4), block(9)]);
        assert_eq!(differs.unexpected_bytes(), 2 * BLOCK);
    }
}
