//! Where the partitions of a card or image are, and what is in them. Reads only.
//!
//! The four entries of an MBR are read here; a GPT as far as its first 128 entries. What a partition holds is told by its
//! content, not by its type byte: official images have been published with types that do not fit.

use std::io;

use super::block::BlockDevice;

/// Bytes in a sector, as MBR and GPT count them on SD cards and in images.
pub const SECTOR: u64 = 512;

const GPT_ENTRIES: u32 = 128;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// From 1, as the kernel counts: `mmcblk0p1`.
    pub number: u32,
    /// Bytes from the start of the device.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    pub content: Content,
}

/// What a partition holds, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// ext2, ext3 or ext4.
    Ext,
    Unknown,
}

/// Why the partitions of a device could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PartitionsError {
    #[error("it has no partition table, so it is no image of a whole card")]
    None,
    #[error("its partition table makes no sense: {0}")]
    Damaged(&'static str),
    #[error("it is cut short: partition {number} ends at byte {ends}, but there are only {len} bytes")]
    Truncated { number: u32, ends: u64, len: u64 },
    #[error("its partition table cannot be read")]
    Io(#[from] io::Error),
}

/// The partitions of a device, in the order of their numbers. All of them are inside the device.
pub fn read(device: &dyn BlockDevice) -> Result<Vec<Partition>, PartitionsError> {
    if device.len() < SECTOR {
        return Err(PartitionsError::None);
    }
    let mut sector = [0; SECTOR as usize];
    device.read_at(0, &mut sector)?;
    let entries = mbr(&sector)?;
    let places = if entries.iter().any(|entry| entry.kind == GPT_PROTECTIVE) {
        gpt(device)?
    } else {
        entries.into_iter().map(|entry| entry.place).collect()
    };
    let mut partitions = Vec::new();
    for Place { number, start, len } in places {
        let ends = start.checked_add(len).ok_or(PartitionsError::Damaged("a partition is larger than any disk"))?;
        if ends > device.len() {
            return Err(PartitionsError::Truncated { number, ends, len: device.len() });
        }
        partitions.push(Partition { number, start, len, content: content(device, start, len)? });
    }
    if partitions.is_empty() {
        return Err(PartitionsError::None);
    }
    Ok(partitions)
}

const GPT_PROTECTIVE: u8 = 0xee;

#[derive(Debug, Clone, Copy)]
struct Place {
    number: u32,
    start: u64,
    len: u64,
}

struct MbrEntry {
    kind: u8,
    place: Place,
}

/// The used entries of an MBR, without what is inside an extended partition: no image for a Pi has one.
fn mbr(sector: &[u8; SECTOR as usize]) -> Result<Vec<MbrEntry>, PartitionsError> {
    if sector[510..] != [0x55, 0xaa] || boot_sector_of_fat(sector) {
        return Err(PartitionsError::None);
    }
    let mut entries = Vec::new();
    for (number, entry) in (1..).zip(sector[446..510].as_chunks::<16>().0) {
        let kind = entry[4];
        let start = u64::from(le32(entry, 8)) * SECTOR;
        let len = u64::from(le32(entry, 12)) * SECTOR;
        if kind == 0 || len == 0 {
            continue;
        }
        if entry[0] & 0x7f != 0 {
            return Err(PartitionsError::Damaged("an entry's first byte is neither active nor inactive"));
        }
        if start == 0 {
            return Err(PartitionsError::Damaged("a partition begins at the table itself"));
        }
        entries.push(MbrEntry { kind, place: Place { number, start, len } });
    }
    Ok(entries)
}

fn gpt(device: &dyn BlockDevice) -> Result<Vec<Place>, PartitionsError> {
    let mut header = [0; SECTOR as usize];
    if device.len() < 2 * SECTOR {
        return Err(PartitionsError::Damaged("it says GPT, and ends before it"));
    }
    device.read_at(SECTOR, &mut header)?;
    if &header[..8] != b"EFI PART" {
        return Err(PartitionsError::Damaged("it says GPT, and has none"));
    }
    let table = le64(&header, 72).checked_mul(SECTOR).ok_or(PartitionsError::Damaged("its GPT is past any disk"))?;
    let count = le32(&header, 80).min(GPT_ENTRIES);
    let size = u64::from(le32(&header, 84));
    if !(128..=4096).contains(&size) || !size.is_power_of_two() {
        return Err(PartitionsError::Damaged("its GPT has entries of an odd size"));
    }
    let mut places = Vec::new();
    for index in 0..count {
        let mut entry = [0; 128];
        let offset = table + u64::from(index) * size;
        if offset + size > device.len() {
            return Err(PartitionsError::Damaged("its GPT is past its end"));
        }
        device.read_at(offset, &mut entry)?;
        if entry[..16] == [0; 16] {
            continue;
        }
        let (first, last) = (le64(&entry, 32), le64(&entry, 40));
        let sectors = last
            .checked_sub(first)
            .and_then(|sectors| sectors.checked_add(1))
            .ok_or(PartitionsError::Damaged("a partition of its GPT ends before it begins"))?;
        let (Some(start), Some(len)) = (first.checked_mul(SECTOR), sectors.checked_mul(SECTOR)) else {
            return Err(PartitionsError::Damaged("a partition of its GPT is larger than any disk"));
        };
        places.push(Place { number: index + 1, start, len });
    }
    Ok(places)
}

fn content(device: &dyn BlockDevice, start: u64, len: u64) -> io::Result<Content> {
    if len < 4096 {
        return Ok(Content::Unknown);
    }
    let mut head = [0; 2048];
    device.read_at(start, &mut head)?;
    let boot = head.first_chunk::<{ SECTOR as usize }>().expect("2048 bytes hold a sector");
    Ok(if boot_sector_of_fat(boot) {
        Content::Fat
    } else if head[1024 + 0x38..1024 + 0x3a] == [0x53, 0xef] {
        Content::Ext
    } else {
        Content::Unknown
    })
}

/// A FAT boot sector has the signature of an MBR too; only its parameter block tells them apart.
fn boot_sector_of_fat(sector: &[u8; SECTOR as usize]) -> bool {
    let bytes_per_sector = u16::from_le_bytes([sector[11], sector[12]]);
    let reserved = u16::from_le_bytes([sector[14], sector[15]]);
    sector[510..] == [0x55, 0xaa]
        && (sector[0] == 0xeb || sector[0] == 0xe9)
        && matches!(bytes_per_sector, 512 | 1024 | 2048 | 4096)
        && sector[13].is_power_of_two()
        && reserved > 0
        && matches!(sector[16], 1 | 2)
        && (sector[21] == 0xf0 || sector[21] >= 0xf8)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}
