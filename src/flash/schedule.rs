//! What is written in which order: pure.
//!
//! ```text
//!   first MiB zeroed | what is used, gaps joined, in order | read back | changes | first MiB but its first sector | that
//! ```

use std::ops::Range;

/// The part of a card that is written last, in bytes: partition table, GPT, and boot code. Without it nothing boots.
pub const FIRST: u64 = 1 << 20;

/// What ranges are rounded out to, in bytes: the block of the file systems and of the card's own mapping.
pub const BLOCK: u64 = 4096;

/// A gap shorter than this is written too, in bytes. A card is slow at small writes: skipping 4 KiB here and there was
/// seen to be slower than writing all (etcher#3474). At 20 MiB/s this much takes 12 ms, about what a gap costs.
pub const JOIN: u64 = 256 << 10;

/// The ranges of one piece that are written now: rounded out to blocks, short gaps joined, the first MiB left out.
///
/// `ranges` are sorted; `piece` begins at a block.
pub fn extents(ranges: &[Range<u64>], piece: &Range<u64>) -> Vec<Range<u64>> {
    let rounded = ranges.iter().map(|range| {
        let from = range.start - range.start % BLOCK;
        let to = range.end.next_multiple_of(BLOCK);
        from.max(piece.start).max(FIRST)..to.min(piece.end)
    });
    joined(rounded.filter(|range| !range.is_empty()), JOIN)
}

/// Sorted ranges, with those joined that have a gap shorter than `gap` between them.
pub fn joined(ranges: impl Iterator<Item = Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start < last.end.saturating_add(gap.max(1)) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Where two runs of bytes of one length differ, as ranges of whole blocks (the last may be shorter), short gaps joined.
pub fn differing(one: &[u8], other: &[u8]) -> Vec<Range<usize>> {
    if one == other {
        return Vec::new();
    }
    let block = BLOCK as usize;
    let blocks = one.chunks(block).zip(other.chunks(block)).enumerate();
    let unequal = blocks.filter(|(_, (one, other))| one != other);
    let ranges = unequal.map(|(at, (one, _))| (at * block) as u64..(at * block + one.len()) as u64);
    joined(ranges, JOIN).into_iter().map(|range| range.start as usize..range.end as usize).collect()
}

/// Cuts a run of bytes so that long runs of zeros are parts of their own.
pub fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
    let mut at = 0;
    for piece in bytes.chunks(JOIN as usize) {
        let (zero, end) = (is_zero(piece), at + piece.len());
        match parts.last_mut() {
            Some((last, same)) if *same == zero => last.end = end,
            _ => parts.push((at..end, zero)),
        }
        at = end;
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// How much one write hands to the kernel, in bytes: whole requests of the disk, so that none is cut in two parts of
/// unequal length, and no more than `most`.
pub fn write_size(largest_request: Option<u64>, most: u64) -> u64 {
    match largest_request {
        Some(request) if request >= BLOCK && request <= most => {
            let whole = most - most % request;
            whole - whole % BLOCK
        }
        _ => most,
    }
}

/// Bytes that a card must have for an image: where its last partition ends, or all of it where the table is not plain.
///
/// `first` is the image's beginning; `length` its length, if known. An image that is longer than its partitions (padding)
/// fits on a card that holds these.
pub fn needed(first: &[u8], length: Option<u64>) -> Option<u64> {
    match partitions_end(first) {
        Some(end) => Some(end.max(FIRST)),
        None => length,
    }
}

/// Whether an image has a GUID partition table.
pub fn is_gpt(first: &[u8]) -> bool {
    first.get(512..520) == Some(b"EFI PART".as_slice())
}

/// Where the last of the four MBR partitions ends, in bytes; `None` if this is no plain MBR.
fn partitions_end(first: &[u8]) -> Option<u64> {
    let sector = first.first_chunk::<512>()?;
    if sector[510..] != [0x55, 0xaa] || is_gpt(first) {
        return None;
    }
    let entries = sector[446..510].as_chunks::<16>().0;
    let used = entries.iter().filter(|entry| entry[4] != 0);
    used.map(|entry| {
        let number =
            |at: usize| u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]));
        (number(8) + number(12)) * 512
    })
    .max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_gaps_are_written_and_long_ones_are_not() {
        let kib = |from: u64, to: u64| from * 1024..to * 1024;
        let piece = kib(4096, 8192);
        let extents = extents(&[kib(4097, 4099), kib(4200, 4210), kib(4500, 4501)], &piece);
        assert_eq!(extents, [kib(4096, 4212), kib(4500, 4504)]);
    }

    #[test]
    fn the_first_mebibyte_is_never_among_what_is_written_first() {
        assert_eq!(extents(&[0..10, 700_000..FIRST + 1], &(0..4 << 20)), [FIRST..FIRST + BLOCK]);
        assert!(extents(&[0..FIRST], &(0..4 << 20)).is_empty());
    }

    #[test]
    fn long_runs_of_zeros_are_parts_of_their_own() {
        let kib = |from: usize, to: usize| from * 1024..to * 1024;
        let mut bytes = vec![0; 4 << 20];
        assert_eq!(parts(&bytes), [kib(0, 4096)]);
        bytes[700 * 1024] = 1;
        assert_eq!(parts(&bytes), [kib(0, 512), kib(512, 768), kib(768, 4096)]);
        assert_eq!(parts(&bytes[..4096]), [kib(0, 4)]);
    }

    #[test]
    fn a_write_is_whole_requests() {
        let mib = 1 << 20;
        assert_eq!(write_size(Some(512 << 10), 4 * mib), 4 * mib);
        assert_eq!(write_size(Some(240 << 10), 4 * mib), 17 * (240 << 10));
        assert_eq!(write_size(Some(1280 << 10), 4 * mib), 3 * (1280 << 10));
        assert_eq!(write_size(Some(32 * mib), 4 * mib), 4 * mib);
        assert_eq!(write_size(None, 4 * mib), 4 * mib);
    }

    #[test]
    fn a_card_must_hold_the_partitions_not_the_padding_behind_them() {
        let mut first = vec![0; 4096];
        assert_eq!(needed(&first, Some(1000 << 20)), Some(1000 << 20), "no table");
        first[510..512].copy_from_slice(&[0x55, 0xaa]);
        first[446 + 16 + 4] = 0x83;
        first[446 + 16 + 8..446 + 16 + 12].copy_from_slice(&16384_u32.to_le_bytes());
        first[446 + 16 + 12..446 + 32].copy_from_slice(&100_000_u32.to_le_bytes());
        assert_eq!(needed(&first, Some(1000 << 20)), Some(116_384 * 512));
        assert_eq!(needed(&first, None), Some(116_384 * 512), "of a stream");
        first[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(needed(&first, Some(1000 << 20)), Some(1000 << 20), "the backup table is at the end");
    }

    proptest! {
        #[test]
        fn every_used_byte_is_written_and_differences_are_found(
            mut cuts in proptest::collection::vec(0_u64..4 << 20, 0..20),
            spots in proptest::collection::vec(0_usize..600_000, 0..6),
        ) {
            cuts.sort_unstable();
            cuts.dedup();
            let piece = 4 << 20..8 << 20;
            let ranges: Vec<_> =
                cuts.chunks_exact(2).map(|pair| piece.start + pair[0]..piece.start + pair[1]).collect();
            let written = extents(&ranges, &piece);
            for range in &ranges {
                prop_assert!(written.iter().any(|extent| extent.start <= range.start && range.end <= extent.end));
            }
            for pair in written.windows(2) {
                prop_assert!(pair[1].start - pair[0].end >= JOIN);
            }
            let one = vec![0_u8; 600_000];
            let mut other = one.clone();
            spots.iter().for_each(|spot| other[*spot] = 1);
            let mut mended = one.clone();
            for range in differing(&one, &other) {
                mended[range.clone()].copy_from_slice(&other[range]);
            }
            prop_assert_eq!(mended, other);
        }
    }
}
