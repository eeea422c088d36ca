//! Is it a card? It keeps what is written, and has the room that it says.
//!
//! A worn card takes every write and keeps none. A fake one has less memory than it says, and leaves out the upper bits of
//! an address: what is written far behind lands at the front. So: marks at 60 places, powers of two and their
//! neighbours among them, all written before the first is read.

use std::io;

use super::{
    events::Doing,
    fault::CardFault,
    schedule::{BLOCK, FIRST},
};
use crate::io::{aligned::AlignedBuffer, block::BlockDevice, random};

/// Writes into the second block, and reads it. What was there is lost.
pub(super) fn keeps(device: &dyn BlockDevice) -> Result<(), CardFault> {
    match keeps_at(device, BLOCK) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CardFault::KeepsNothing),
        Err(error) => Err(CardFault::of(Doing::Write, BLOCK, error)),
    }
}

/// Whether what is written into this block is there afterwards.
pub(super) fn keeps_at(device: &dyn BlockDevice, offset: u64) -> io::Result<bool> {
    let len = BLOCK.min(device.len().saturating_sub(offset)) as usize;
    let mut canary = AlignedBuffer::zeroed(len);
    random::fill(&mut canary);
    device.write_at(offset, &canary)?;
    device.flush()?;
    let mut back = AlignedBuffer::zeroed(len);
    device.read_at(offset, &mut back)?;
    Ok(*back == *canary)
}

/// Writes a mark at each of [`places`], then reads them all. Nothing is there afterwards that anything would take for
/// its own; what is used of the image is written later.
pub(super) fn has_room(device: &dyn BlockDevice) -> Result<(), CardFault> {
    let nonce: [u8; 16] = random::bytes();
    let places = places(device.len());
    for place in &places {
        device.write_at(*place, &mark(&nonce, *place)).map_err(|error| CardFault::of(Doing::Write, *place, error))?;
    }
    device.flush().map_err(|error| CardFault::of(Doing::Write, 0, error))?;
    let mut back = AlignedBuffer::zeroed(BLOCK as usize);
    for place in &places {
        device.read_at(*place, &mut back).map_err(|error| CardFault::of(Doing::Read, *place, error))?;
        if *back != *mark(&nonce, *place) {
            let holds = places.iter().copied().find(|other| *back == *mark(&nonce, *other));
            return Err(CardFault::Lies { offset: *place, holds });
        }
    }
    Ok(())
}

/// Whether the last sector holds the backup of a GUID partition table: an old one would be found beside a new MBR.
pub(super) fn has_backup_table(device: &dyn BlockDevice) -> bool {
    let mut sector = AlignedBuffer::zeroed(512);
    let read = device.len().checked_sub(512).map(|last| device.read_at(last, &mut sector));
    matches!(read, Some(Ok(()))) && sector.starts_with(b"EFI PART")
}

/// Blocks spread over a card by powers of two: each power, the block before it, and the one half-way to the next.
fn places(len: u64) -> Vec<u64> {
    let last = len.saturating_sub(BLOCK) / BLOCK * BLOCK;
    let powers = (21..63).map(|power| 1_u64 << power).take_while(|place| *place <= len);
    let mut places: Vec<u64> = powers
        .flat_map(|power| [power - BLOCK, power, power + power / 2])
        .chain([last])
        .filter(|place| (FIRST..=last).contains(place))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn mark(nonce: &[u8; 16], place: u64) -> AlignedBuffer {
    let mut block = AlignedBuffer::zeroed(BLOCK as usize);
    for part in block.chunks_exact_mut(32) {
        part[..16].copy_from_slice(nonce);
        part[16..24].copy_from_slice(&place.to_le_bytes());
        part[24..].copy_from_slice(b"pikiosk\n");
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_few_and_reach_from_the_front_to_the_very_end() {
        for len in [16_u64 << 30, 31_914_983_424, 512 << 30] {
            let places = places(len);
            assert!(places.len() <= 64, "{}", places.len());
            assert_eq!(places[0], (2 << 20) - BLOCK);
            assert_eq!(places[places.len() - 1], len - BLOCK);
        }
        assert!(places(1 << 20).is_empty());
    }
}
