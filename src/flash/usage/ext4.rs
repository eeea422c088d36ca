//! What an ext4 file system does not use. Layout: "ext4 Data Structures and Algorithms" of the kernel's documentation.

use std::ops::Range;

use super::{le16, le32};

/// Features whose structures are where this file expects them: filetype, extent, 64bit, flex_bg, ea_inode,
/// metadata_csum_seed, large_dir, inline_data, encrypt, casefold. Not needs_recovery: the journal knows more than the
/// bitmaps. Not meta_bg: the descriptors are elsewhere.
const INCOMPAT: u32 = 0x2 | 0x40 | WIDE | 0x200 | 0x400 | SEED | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;
const WIDE: u32 = 0x80;
const SEED: u32 = 0x2000;

/// sparse_super, large_file, btree_dir, huge_file, uninit_bg, dir_nlink, extra_isize, quota, metadata_csum, project,
/// verity. Not bigalloc: bitmaps count clusters.
const RO_COMPAT: u32 = SPARSE | 0x2 | 0x4 | 0x8 | GDT_CSUM | 0x20 | 0x40 | 0x100 | METADATA_CSUM | 0x2000 | 0x8000;
const SPARSE: u32 = 0x1;
const GDT_CSUM: u32 = 0x10;
const METADATA_CSUM: u32 = 0x400;

/// Backups of the superblock are at places of their own.
const COMPAT_SPARSE2: u32 = 0x200;

/// A group whose bitmap was never written: all but its structures is free.
const BLOCK_UNINIT: u16 = 0x2;

/// One ext4 file system (ext2 and ext3 have the same bitmaps).
#[derive(Debug)]
pub(super) struct Volume {
    /// Bytes of the image.
    start: u64,
    /// Bytes.
    block: u64,
    /// The block that group 0 begins with: 1 if blocks have 1 KiB.
    first: u64,
    blocks: u64,
    per_group: u64,
    groups: u64,
    /// Blocks of one group's inode table.
    inode_table: u64,
    /// Bytes of one group descriptor.
    descriptor: u64,
    /// Blocks after the descriptors, kept for more of them.
    reserved: u64,
    sparse: bool,
    /// Groups may be without a bitmap.
    uninit: bool,
    /// What checksums begin with, if there are any.
    seed: Option<u32>,
}

/// What a group's descriptor says.
#[derive(Debug)]
pub(super) struct Group {
    index: u64,
    bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    free: u64,
    flags: u16,
    checksum: u32,
}

impl Volume {
    /// `None` if this is no ext4, or not one that is understood, or it was not unmounted cleanly.
    pub(super) fn read(partition: &Range<u64>, head: &[u8]) -> Option<Self> {
        let sb = head.get(1024..2048)?;
        const CLEAN: u16 = 1;
        let (incompat, ro_compat) = (le32(sb, 0x60), le32(sb, 0x64));
        let understood = le16(sb, 0x38) == 0xef53
            && le16(sb, 0x3a) == CLEAN
            && incompat & !INCOMPAT == 0
            && ro_compat & !RO_COMPAT == 0
            && le32(sb, 0x5c) & COMPAT_SPARSE2 == 0
            && le32(sb, 0x18) <= 6;
        if !understood {
            return None;
        }
        let checksums = ro_compat & METADATA_CSUM != 0;
        if checksums && crc32c(!0, &sb[..0x3fc]) != le32(sb, 0x3fc) {
            return None;
        }
        let high = |at: usize| if incompat & WIDE == 0 { 0 } else { u64::from(le32(sb, at)) << 32 };
        let block = 1024_u64 << le32(sb, 0x18);
        let blocks = u64::from(le32(sb, 0x4)) | high(0x150);
        let (first, per_group) = (u64::from(le32(sb, 0x14)), u64::from(le32(sb, 0x20)));
        let inode_size = if le32(sb, 0x4c) == 0 { 128 } else { u64::from(le16(sb, 0x58)) };
        let inode_table = (u64::from(le32(sb, 0x28)) * inode_size).div_ceil(block);
        let descriptor = if incompat & WIDE == 0 { 32 } else { u64::from(le16(sb, 0xfe)) };
        let plausible = (1..=block * 8).contains(&per_group)
            && per_group.is_multiple_of(8)
            && first == u64::from(block == 1024)
            && blocks > first
            && blocks.checked_mul(block)? <= partition.end - partition.start
            && matches!(descriptor, 32 | 64 | 128);
        if !plausible {
            return None;
        }
        let seed = match (checksums, incompat & SEED != 0) {
            (false, _) => None,
            (true, true) => Some(le32(sb, 0x270)),
            (true, false) => Some(crc32c(!0, &sb[0x68..0x78])),
        };
        Some(Self {
            start: partition.start,
            block,
            first,
            blocks,
            per_group,
            groups: (blocks - first).div_ceil(per_group),
            inode_table,
            descriptor,
            reserved: u64::from(le16(sb, 0xce)),
            sparse: ro_compat & SPARSE != 0,
            uninit: ro_compat & (GDT_CSUM | METADATA_CSUM) != 0,
            seed,
        })
    }

    /// Bytes of the image.
    pub(super) fn range(&self) -> Range<u64> {
        self.bytes(&(0..self.blocks))
    }

    /// Where the descriptors of all groups are.
    pub(super) fn descriptors(&self) -> Range<u64> {
        let start = self.start + (self.first + 1) * self.block;
        start..start + self.groups * self.descriptor
    }

    /// Where the bitmap of a group is.
    pub(super) fn bitmap(&self, group: &Group) -> Range<u64> {
        self.bytes(&(group.bitmap..group.bitmap + 1))
    }

    /// What the descriptors say; `None` if one of them is damaged.
    pub(super) fn groups(&self, table: &[u8]) -> Option<Vec<Group>> {
        let size = usize::try_from(self.descriptor).ok()?;
        (0..self.groups).zip(table.chunks_exact(size)).map(|(index, raw)| self.group(index, raw)).collect()
    }

    fn group(&self, index: u64, raw: &[u8]) -> Option<Group> {
        if let Some(seed) = self.seed {
            let mut sum = crc32c(seed, &u32::try_from(index).ok()?.to_le_bytes());
            sum = crc32c(sum, &raw[..0x1e]);
            sum = crc32c(sum, &[0, 0]);
            sum = crc32c(sum, &raw[0x20..]);
            if sum & 0xffff != u32::from(le16(raw, 0x1e)) {
                return None;
            }
        }
        let wide = raw.len() >= 64;
        let block = |low: usize, high: usize| {
            u64::from(le32(raw, low)) | if wide { u64::from(le32(raw, high)) << 32 } else { 0 }
        };
        let half = |low: usize, high: usize| {
            u32::from(le16(raw, low)) | if wide { u32::from(le16(raw, high)) << 16 } else { 0 }
        };
        let group = Group {
            index,
            bitmap: block(0x0, 0x20),
            inode_bitmap: block(0x4, 0x24),
            inode_table: block(0x8, 0x28),
            free: u64::from(half(0xc, 0x2c)),
            flags: le16(raw, 0x12),
            checksum: half(0x18, 0x38),
        };
        let inside = |at: u64, len: u64| at > self.first && at.checked_add(len).is_some_and(|end| end <= self.blocks);
        (inside(group.bitmap, 1) && inside(group.inode_bitmap, 1) && inside(group.inode_table, self.inode_table))
            .then_some(group)
    }

    /// The free blocks of a group, by its bitmap; `None` if the bitmap is not the one that its descriptor means.
    pub(super) fn free_in(&self, group: &Group, bitmap: &[u8]) -> Option<Vec<Range<u64>>> {
        if let Some(seed) = self.seed {
            let sum = crc32c(seed, &bitmap[..usize::try_from(self.per_group / 8).ok()?]);
            let kept = if self.descriptor >= 64 { u32::MAX } else { 0xffff };
            if sum & kept != group.checksum & kept {
                return None;
            }
        }
        let used = |bit: u64| {
            let at = usize::try_from(bit / 8).expect("a bitmap is in memory");
            bitmap[at] & 1 << (bit % 8) != 0
        };
        self.runs(group, used)
    }

    /// The free blocks of all groups that have no bitmap.
    pub(super) fn free_without_bitmap(&self, groups: &[Group]) -> Vec<Range<u64>> {
        let mut free = Vec::new();
        for group in groups.iter().filter(|group| group.bitmap_is_unset(self)) {
            let blocks = self.blocks_of(group);
            let head = if self.has_backup(group.index) {
                1 + (self.groups * self.descriptor).div_ceil(self.block) + self.reserved
            } else {
                0
            };
            let mut used = vec![false; usize::try_from(blocks.end - blocks.start).expect("at most 512 Ki")];
            let mut mark = |range: Range<u64>| {
                for block in range.start.max(blocks.start)..range.end.min(blocks.end) {
                    used[usize::try_from(block - blocks.start).expect("inside the group")] = true;
                }
            };
            mark(blocks.start..blocks.start + head);
            // With flex_bg the structures of other groups may be in this one.
            for other in groups {
                mark(other.bitmap..other.bitmap + 1);
                mark(other.inode_bitmap..other.inode_bitmap + 1);
                mark(other.inode_table..other.inode_table + self.inode_table);
            }
            free.extend(
                self.runs(group, |bit| used[usize::try_from(bit).expect("inside the group")]).unwrap_or_default(),
            );
        }
        free
    }

    /// The free runs of a group, in bytes of the image; `None` if they are not as many blocks as its descriptor says.
    fn runs(&self, group: &Group, used: impl Fn(u64) -> bool) -> Option<Vec<Range<u64>>> {
        let blocks = self.blocks_of(group);
        let mut free: Vec<Range<u64>> = Vec::new();
        let mut count = 0;
        for block in blocks.clone().filter(|block| !used(block - blocks.start)) {
            count += 1;
            let range = self.bytes(&(block..block + 1));
            match free.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => free.push(range),
            }
        }
        (count == group.free).then_some(free)
    }

    fn blocks_of(&self, group: &Group) -> Range<u64> {
        let start = self.first + group.index * self.per_group;
        start..(start + self.per_group).min(self.blocks)
    }

    fn bytes(&self, blocks: &Range<u64>) -> Range<u64> {
        self.start + blocks.start * self.block..self.start + blocks.end * self.block
    }

    /// Whether a group begins with a copy of the superblock.
    fn has_backup(&self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        !self.sparse || group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }
}

impl Group {
    /// There is nothing to read where its bitmap will be.
    pub(super) fn bitmap_is_unset(&self, volume: &Volume) -> bool {
        volume.uninit && self.flags & BLOCK_UNINIT != 0
    }
}

/// CRC-32C as ext4 uses it: without the inversions at the beginning and at the end.
fn crc32c(mut sum: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        sum = TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ sum >> 8;
    }
    sum
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0x82f6_3b78 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};
