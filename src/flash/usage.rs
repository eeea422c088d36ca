//! Which bytes of an image matter, told by the image itself while it passes.
//!
//! ```text
//!   piece --feed--> wanted: partition table -> superblocks -> FAT tables, group descriptors -> block bitmaps
//!                      each as soon as its bytes have passed; what passed unread stays unknown
//!         --used--> all but: free in a file system | outside of all, zero, and left out of the .bmap
//! ```
//!
//! Nothing is called free before the structure that says so has passed whole, its checksum is right (where the file
//! system has one) and its count of free blocks is the one that is written beside it. A file system that was not
//! unmounted cleanly, or has features that are not known here, is in use as a whole; so is all outside of partitions.
//!
//! Rejected: to believe a `.bmap` that was found beside an image. Nobody signed it, and what it leaves out is whatever
//! was a hole in somebody's file: blocks that a file system needs to be zero are among that. The journal is: a card that
//! had the same image before would keep its old transactions, whose checksums fit, where the new journal runs on.

mod ext4;
mod fat;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::stream::Used;

/// Bytes that are kept at most while a structure passes: the tables of a FAT partition of 4 GiB with the smallest
/// clusters. What is larger is not read, and so in use.
const LARGEST: u64 = 64 << 20;

/// What is told apart outside of file systems, in bytes.
const BLOCK: usize = 4096;

/// Whether bytes of an image have to be on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A file system says that it does not use them, and that is certain.
    Free,
    /// In use by a file system.
    InUse,
    /// Nothing is known of them (yet).
    Unknown,
}

/// The free-space map of an image, which grows while the image passes. All offsets are bytes of the image.
#[derive(Debug)]
pub struct Usage {
    /// Where the next piece begins.
    at: u64,
    length: Option<u64>,
    wanted: Vec<Wanted>,
    /// Nothing can be learnt any more: a piece was missing, or the partitions overlap.
    lost: bool,
    /// The file systems that were understood.
    volumes: Vec<Range<u64>>,
    /// Start to end; disjoint.
    free: BTreeMap<u64, u64>,
    /// What a `.bmap` maps; sorted, disjoint.
    mapped: Option<Vec<Range<u64>>>,
}

/// A run of bytes that is awaited.
#[derive(Debug)]
struct Wanted {
    start: u64,
    len: usize,
    /// What has passed of it.
    bytes: Vec<u8>,
    what: What,
}

#[derive(Debug)]
enum What {
    PartitionTable,
    /// The first bytes of a partition.
    Head {
        partition: Range<u64>,
    },
    FatTables(fat::Volume),
    Descriptors(ext4::Volume),
    Bitmap {
        volume: Arc<ext4::Volume>,
        group: ext4::Group,
    },
}

impl Usage {
    /// Nothing is known yet. `length`: bytes of the image, if known.
    pub fn new(length: Option<u64>) -> Self {
        let table = Wanted::new(0, 512, What::PartitionTable);
        Self {
            at: 0,
            length,
            wanted: table.into_iter().collect(),
            lost: false,
            volumes: Vec::new(),
            free: BTreeMap::new(),
            mapped: None,
        }
    }

    /// Takes what a `.bmap` says must be written: sorted ranges. It only ever adds zero blocks that are in no file system
    /// to what is left out: it is not authenticated.
    #[must_use]
    pub fn with_bmap(mut self, mapped: Vec<Range<u64>>) -> Self {
        self.mapped = Some(mapped);
        self
    }

    /// Learns from a piece. Pieces come in order; after a gap nothing more is learnt.
    pub fn feed(&mut self, offset: u64, bytes: &[u8]) {
        self.lost |= offset != self.at;
        self.at = offset + bytes.len() as u64;
        if self.lost {
            return;
        }
        // What was learnt from this piece may tell of more in this same piece.
        let mut fresh = std::mem::take(&mut self.wanted);
        let mut later = Vec::new();
        while let Some(mut wanted) = fresh.pop() {
            match wanted.take(offset, bytes) {
                Taken::Whole => fresh.extend(self.learn(wanted)),
                Taken::Later => later.push(wanted),
                Taken::Passed => {}
            }
        }
        self.wanted = later;
    }

    /// What is known of a range now: `Free` if all of it is.
    pub fn state(&self, range: &Range<u64>) -> State {
        if self.gaps(range).is_empty() {
            State::Free
        } else if self.volumes.iter().any(|volume| volume.start <= range.start && range.end <= volume.end) {
            State::InUse
        } else {
            State::Unknown
        }
    }

    /// Bytes that are known to be free.
    pub fn free(&self) -> u64 {
        self.free.iter().map(|(start, end)| end - start).sum()
    }

    /// The parts of a range that are not free.
    fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let before = self.free.range(..=range.start).next_back();
        let inside = self.free.range((std::ops::Bound::Excluded(range.start), std::ops::Bound::Excluded(range.end)));
        let mut at = range.start;
        let mut gaps = Vec::new();
        for (&start, &end) in before.into_iter().chain(inside) {
            if start > at {
                gaps.push(at..start);
            }
            at = at.max(end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Of a range that is not free, what still has to be written: without the zero blocks that the `.bmap` leaves out and
    /// that are in no file system we know.
    fn needed(&self, range: Range<u64>, offset: u64, bytes: &[u8]) -> Vec<Range<u64>> {
        let Some(mapped) = &self.mapped else { return vec![range] };
        let mut needed: Vec<Range<u64>> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = (at - at % BLOCK as u64 + BLOCK as u64).min(range.end);
            let block = at..end;
            let inside = |other: &Range<u64>| other.start < block.end && block.start < other.end;
            let from = usize::try_from(at - offset).expect("inside the piece");
            let len = usize::try_from(end - at).expect("at most a block");
            let skipped =
                !mapped[mapped.partition_point(|other| other.end <= block.start)..].first().is_some_and(inside)
                    && !self.volumes.iter().any(inside)
                    && bytes[from..from + len].iter().all(|byte| *byte == 0);
            if !skipped {
                match needed.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => needed.push(block),
                }
            }
            at = end;
        }
        needed
    }

    /// Understands what has passed whole; answers what to await next.
    fn learn(&mut self, wanted: Wanted) -> Vec<Wanted> {
        let Wanted { bytes, what, .. } = wanted;
        match what {
            What::PartitionTable => partitions(&bytes)
                .into_iter()
                .filter_map(|partition| Wanted::new(partition.start, 4096, What::Head { partition }))
                .collect(),
            What::Head { partition } => self.volume(&partition, &bytes).into_iter().collect(),
            What::FatTables(volume) => {
                if let Some(free) = volume.free(&bytes) {
                    self.understood(volume.range(), free);
                }
                Vec::new()
            }
            What::Descriptors(volume) => {
                let Some(groups) = volume.groups(&bytes) else { return Vec::new() };
                let free = volume.free_without_bitmap(&groups);
                self.understood(volume.range(), free);
                let volume = Arc::new(volume);
                groups
                    .into_iter()
                    .filter(|group| !group.bitmap_is_unset(&volume))
                    .filter_map(|group| {
                        let at = volume.bitmap(&group);
                        Wanted::new(at.start, at.end - at.start, What::Bitmap { volume: Arc::clone(&volume), group })
                    })
                    .collect()
            }
            What::Bitmap { volume, group } => {
                if let Some(free) = volume.free_in(&group, &bytes) {
                    self.add(free);
                }
                Vec::new()
            }
        }
    }

    /// What tells of the space of the file system that begins with these bytes.
    fn volume(&self, partition: &Range<u64>, head: &[u8]) -> Option<Wanted> {
        if let Some(volume) = fat::Volume::read(partition, head) {
            let tables = volume.tables();
            return Wanted::new(tables.start, tables.end - tables.start, What::FatTables(volume));
        }
        let volume = ext4::Volume::read(partition, head)?;
        let table = volume.descriptors();
        Wanted::new(table.start, table.end - table.start, What::Descriptors(volume))
    }

    fn understood(&mut self, volume: Range<u64>, free: Vec<Range<u64>>) {
        self.volumes.push(volume);
        self.add(free);
    }

    fn add(&mut self, free: Vec<Range<u64>>) {
        self.free.extend(free.into_iter().map(|range| (range.start, range.end)));
    }
}

impl Used for Usage {
    fn used(&mut self, offset: u64, bytes: &[u8]) -> Vec<Range<u64>> {
        self.feed(offset, bytes);
        let piece = offset..offset + bytes.len() as u64;
        self.gaps(&piece).into_iter().flat_map(|gap| self.needed(gap, offset, bytes)).collect()
    }

    fn total(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.free()))
    }
}

enum Taken {
    Whole,
    Later,
    /// It begins before this piece and was not awaited then.
    Passed,
}

impl Wanted {
    /// `None` if it is more than is kept.
    fn new(start: u64, len: u64, what: What) -> Option<Self> {
        let len = usize::try_from(len).ok().filter(|len| *len as u64 <= LARGEST)?;
        Some(Self { start, len, bytes: Vec::new(), what })
    }

    fn take(&mut self, offset: u64, bytes: &[u8]) -> Taken {
        let next = self.start + self.bytes.len() as u64;
        let Some(from) = next.checked_sub(offset) else { return Taken::Passed };
        let Some(there) = usize::try_from(from).ok().and_then(|from| bytes.get(from..)) else { return Taken::Later };
        let missing = self.len - self.bytes.len();
        self.bytes.extend_from_slice(&there[..missing.min(there.len())]);
        if self.bytes.len() == self.len { Taken::Whole } else { Taken::Later }
    }
}

/// The partitions of an MBR; none if it is a GPT or no table at all, or if two overlap: whose free space would it be?
fn partitions(sector: &[u8]) -> Vec<Range<u64>> {
    const SECTOR: u64 = 512;
    const GPT_PROTECTIVE: u8 = 0xee;
    let (Some(entries), Some([0x55, 0xaa])) = (sector.get(446..510), sector.get(510..512)) else { return Vec::new() };
    let entries = entries.as_chunks::<16>().0;
    if entries.iter().any(|entry| entry[4] == GPT_PROTECTIVE) {
        return Vec::new();
    }
    let mut partitions: Vec<Range<u64>> = entries
        .iter()
        .filter(|entry| entry[4] != 0)
        .map(|entry| (u64::from(le32(entry, 8)) * SECTOR, u64::from(le32(entry, 12)) * SECTOR))
        .filter(|(start, len)| *start > 0 && *len >= BLOCK as u64)
        .map(|(start, len)| start..start + len)
        .collect();
    partitions.sort_by_key(|partition| partition.start);
    if partitions.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Vec::new();
    }
    partitions
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(u8, u32, u32)]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        for (index, (kind, start, len)) in entries.iter().enumerate() {
            let entry = &mut sector[446 + 16 * index..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..16].copy_from_slice(&len.to_le_bytes());
        }
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    #[test]
    fn partitions_that_overlap_and_gpts_tell_nothing() {
        assert_eq!(partitions(&table(&[(12, 8192, 100), (131, 9000, 100)])).len(), 2);
        assert!(partitions(&table(&[(131, 8200, 100), (12, 8192, 100)])).is_empty());
        assert!(partitions(&table(&[(0xee, 1, 100)])).is_empty());
        assert!(partitions(&[0; 512]).is_empty());
    }

    #[test]
    fn what_is_not_understood_is_written_whole() {
        let mut usage = Usage::new(Some(8192));
        assert_eq!(usage.used(0, &[0; 4096]), [0..4096]);
        assert_eq!(usage.used(4096, &[0; 4096]), [4096..8192]);
        assert_eq!(usage.state(&(0..8192)), State::Unknown);
        assert_eq!(usage.total(), Some(8192));
    }

    #[test]
    fn a_bmap_leaves_out_zero_blocks_only() {
        let mut bytes = vec![0; 5 * BLOCK];
        bytes[3 * BLOCK] = 1;
        // Blocks 0 and 4 are mapped; of the others one is not zero.
        let mut usage = Usage::new(None).with_bmap(vec![0..4096, 4 * 4096..5 * 4096]);
        assert_eq!(usage.used(0, &bytes), [0..4096, 3 * 4096..5 * 4096]);
    }
}
