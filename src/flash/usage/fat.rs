//! What a FAT partition does not use. Layout: Microsoft's "FAT32 File System Specification", 1.03.

use std::ops::Range;

use super::{le16, le32};

/// A FAT16 or FAT32 file system. FAT12 is too small to be worth it.
#[derive(Debug)]
pub(super) struct Volume {
    /// Bytes of the image.
    start: u64,
    len: u64,
    /// Bytes from `start`.
    tables: u64,
    /// Bytes of one table.
    table: u64,
    copies: u64,
    /// Bytes from `start` to cluster 2.
    data: u64,
    /// Bytes.
    cluster: u64,
    clusters: u64,
    wide: bool,
}

impl Volume {
    /// `None` if this is no FAT16 or FAT32, or not one that is understood.
    pub(super) fn read(partition: &Range<u64>, head: &[u8]) -> Option<Self> {
        let boot = head.first_chunk::<512>()?;
        let sector = u64::from(le16(boot, 11));
        let cluster = u64::from(boot[13]) * sector;
        let copies = u64::from(boot[16]);
        let plausible = boot[510..] == [0x55, 0xaa]
            && matches!(boot[0], 0xeb | 0xe9)
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && boot[13].is_power_of_two()
            && matches!(copies, 1 | 2);
        if !plausible {
            return None;
        }
        let reserved = u64::from(le16(boot, 14)) * sector;
        let root = (u64::from(le16(boot, 17)) * 32).next_multiple_of(sector);
        let sectors = match le16(boot, 19) {
            0 => u64::from(le32(boot, 32)),
            small => u64::from(small),
        };
        let (table, wide) = match le16(boot, 22) {
            0 => (u64::from(le32(boot, 36)) * sector, true),
            small => (u64::from(small) * sector, false),
        };
        const ONE_TABLE_ONLY: u16 = 0x80;
        if wide && le16(boot, 40) & ONE_TABLE_ONLY != 0 {
            return None;
        }
        let len = sectors * sector;
        let data = reserved + copies * table + root;
        let clusters = len.checked_sub(data)? / cluster;
        let entries = table / if wide { 4 } else { 2 };
        let is_fat12 = !wide && clusters < 4085;
        if reserved == 0 || is_fat12 || clusters + 2 > entries || len > partition.end - partition.start {
            return None;
        }
        Some(Self { start: partition.start, len, tables: reserved, table, copies, data, cluster, clusters, wide })
    }

    /// Bytes of the image.
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.len
    }

    /// Where all copies of the table are.
    pub(super) fn tables(&self) -> Range<u64> {
        let start = self.start + self.tables;
        start..start + self.copies * self.table
    }

    /// The clusters that are free in every copy of the table; `None` if it was not unmounted cleanly.
    pub(super) fn free(&self, tables: &[u8]) -> Option<Vec<Range<u64>>> {
        let entry = |copy: u64, cluster: u64| {
            let at = copy * self.table + cluster * if self.wide { 4 } else { 2 };
            let at = usize::try_from(at).expect("the tables are in memory");
            if self.wide { le32(tables, at) & 0x0fff_ffff } else { u32::from(le16(tables, at)) }
        };
        // The second entry has a bit that is 1 after a clean unmount, and one for no errors.
        let sound = if self.wide { 0x0c00_0000 } else { 0xc000 };
        if entry(0, 1) & sound != sound {
            return None;
        }
        let mut free: Vec<Range<u64>> = Vec::new();
        for index in 0..self.clusters {
            if (0..self.copies).any(|copy| entry(copy, index + 2) != 0) {
                continue;
            }
            let start = self.start + self.data + index * self.cluster;
            match free.last_mut() {
                Some(last) if last.end == start => last.end += self.cluster,
                _ => free.push(start..start + self.cluster),
            }
        }
        Some(free)
    }
}
