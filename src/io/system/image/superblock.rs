//! Whether an ext4 file system can be changed: decided from its superblock alone, before anything is opened.
//!
//! Offsets and bits: "Super Block" of the ext4 data structures in the kernel's documentation.

use super::ImageError;

/// Bytes from the start of the file system.
pub(super) const OFFSET: u64 = 1024;
/// Bytes.
pub(super) const SIZE: usize = 1024;

/// What the rest of the code wants to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Bytes in a block.
    pub(super) block: u64,
    /// Blocks.
    pub(super) free: u64,
    /// Inodes.
    pub(super) free_inodes: u32,
}

/// Bits of `s_feature_incompat`, with names as e2fsprogs gives them.
const INCOMPAT: [(u32, &str); 16] = [
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];
const NEEDS_RECOVERY: u32 = 0x4;
const EXTENT: u32 = 0x40;
const WIDE: u32 = 0x80;
/// filetype, extent, 64bit, flex_bg, metadata_csum_seed.
const KNOWN_INCOMPAT: u32 = 0x2 | EXTENT | WIDE | 0x200 | 0x2000;

/// Bits of `s_feature_ro_compat`.
const RO_COMPAT: [(u32, &str); 14] = [
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];
const ORPHAN_PRESENT: u32 = 0x1_0000;
/// sparse_super, large_file, huge_file, uninit_bg, dir_nlink, extra_isize, metadata_csum.
const KNOWN_RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x400;

const VALID: u16 = 1;
const ERRORS: u16 = 2;

/// Judges the superblock of a file system in a partition of `len` bytes.
pub(super) fn judge(bytes: &[u8; SIZE], number: u32, len: u64) -> Result<Superblock, ImageError> {
    let superblock = counts(bytes);
    let compat = le32(bytes, 0x5c);
    let incompat = le32(bytes, 0x60);
    let ro_compat = le32(bytes, 0x64);
    let state = le16(bytes, 0x3a);
    let last_orphan = le32(bytes, 0xe8);
    let blocks = wide(bytes, 0x4, 0x150);
    let needs = blocks.saturating_mul(superblock.block);
    if needs > len {
        return Err(ImageError::Truncated { needs, len });
    }
    if state & ERRORS != 0 {
        return Err(ImageError::Errors { number });
    }
    if incompat & NEEDS_RECOVERY != 0 || ro_compat & ORPHAN_PRESENT != 0 || state & VALID == 0 || last_orphan != 0 {
        return Err(ImageError::Unclean { number });
    }
    if incompat & EXTENT == 0 {
        const HAS_JOURNAL: u32 = 0x4;
        return Err(ImageError::NotExt4 { found: if compat & HAS_JOURNAL == 0 { "ext2" } else { "ext3" } });
    }
    let unknown: Vec<String> = names(incompat & !KNOWN_INCOMPAT, &INCOMPAT, "incompatible")
        .chain(names(ro_compat & !KNOWN_RO_COMPAT, &RO_COMPAT, "read-only"))
        .collect();
    if !unknown.is_empty() {
        return Err(ImageError::Features { features: unknown.join(", ") });
    }
    Ok(superblock)
}

/// The counts, which change with every write.
pub(super) fn counts(bytes: &[u8; SIZE]) -> Superblock {
    Superblock {
        // A size over 64 KiB does not exist; the shift is bounded so that a damaged value cannot overflow.
        block: 1024 << le32(bytes, 0x18).min(6),
        free: wide(bytes, 0xc, 0x158),
        free_inodes: le32(bytes, 0x10),
    }
}

/// A block count whose upper half counts only with 64bit.
fn wide(bytes: &[u8; SIZE], low: usize, high: usize) -> u64 {
    let high = if le32(bytes, 0x60) & WIDE == 0 { 0 } else { le32(bytes, high) };
    u64::from(le32(bytes, low)) | u64::from(high) << 32
}

fn names(bits: u32, table: &'static [(u32, &'static str)], kind: &'static str) -> impl Iterator<Item = String> {
    (0..u32::BITS).map(|shift| 1 << shift).filter(move |bit| bits & bit != 0).map(move |bit| {
        table
            .iter()
            .find(|(known, _)| *known == bit)
            .map_or_else(|| format!("{kind} feature {bit:#x}"), |(_, name)| (*name).to_owned())
    })
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
