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
        let offset = table.saturating_add(u64::from(index) * size);
        if offset.saturating_add(size) > device.len() {
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

#[cfg(test)]
mod tests {
    use crate::io::block::FileDevice;
    use std::io::Write;

    use super::*;

    fn device(bytes: &[u8]) -> FileDevice {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        FileDevice::new(file, bytes.len() as u64)
    }

    fn entry(card: &mut [u8], index: usize, kind: u8, start: u32, len: u32) {
        let entry = &mut card[446 + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..16].copy_from_slice(&len.to_le_bytes());
        card[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    fn fat(sector: &mut [u8]) {
        sector[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
        sector[11..17].copy_from_slice(&[0, 2, 1, 32, 0, 2]);
        sector[21] = 0xf8;
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    #[test]
    fn partitions_are_told_by_their_content_whatever_their_type_says() {
        let mut card = vec![0; 64 << 10];
        entry(&mut card, 0, 0x83, 16, 16);
        entry(&mut card, 2, 0x0c, 32, 16);
        entry(&mut card, 3, 0x83, 48, 16);
        fat(&mut card[16 * 512..][..512]);
        card[32 * 512 + 1080..][..2].copy_from_slice(&[0x53, 0xef]);
        let found = read(&device(&card)).unwrap();
        let told: Vec<_> = found.iter().map(|found| (found.number, found.start, found.len, found.content)).collect();
        let sectors = |count: u64| count * 512;
        assert_eq!(
            told,
            [
                (1, sectors(16), sectors(16), Content::Fat),
                (3, sectors(32), sectors(16), Content::Ext),
                (4, sectors(48), sectors(16), Content::Unknown),
            ]
        );
    }

    #[test]
    fn a_gpt_is_read_where_the_mbr_says_that_there_is_one() {
        let mut card = vec![0; 64 << 10];
        entry(&mut card, 0, 0xee, 1, 127);
        card[512..520].copy_from_slice(b"EFI PART");
        card[512 + 72..][..8].copy_from_slice(&2_u64.to_le_bytes());
        card[512 + 80..][..8].copy_from_slice(&[4, 0, 0, 0, 128, 0, 0, 0]);
        let second = 1024 + 128;
        card[second..second + 16].fill(7);
        card[second + 32..][..8].copy_from_slice(&40_u64.to_le_bytes());
        card[second + 40..][..8].copy_from_slice(&55_u64.to_le_bytes());
        fat(&mut card[40 * 512..][..512]);
        let found = read(&device(&card)).unwrap();
        assert_eq!(found, [Partition { number: 2, start: 40 * 512, len: 16 * 512, content: Content::Fat }]);
        card[second + 40..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(read(&device(&card)), Err(PartitionsError::Damaged(_) | PartitionsError::Truncated { .. })));
    }

    #[test]
    fn what_is_no_card_is_refused() {
        assert!(matches!(read(&device(&[0; 100])), Err(PartitionsError::None)));
        assert!(matches!(read(&device(&[0; 4096])), Err(PartitionsError::None)));
        // One partition without a table: its own first sector looks like one.
        let mut card = vec![0; 4096];
        fat(&mut card[..512]);
        assert!(matches!(read(&device(&card)), Err(PartitionsError::None)));
        let mut card = vec![0; 64 << 10];
        entry(&mut card, 0, 0x0c, 16, 16);
        entry(&mut card, 1, 0x83, 32, 1000);
        let error = read(&device(&card)).unwrap_err();
        assert!(matches!(error, PartitionsError::Truncated { number: 2, .. }), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_table_makes_it_panic_or_point_outside(seed: u64, gpt: bool) {
            let mut card = vec![0; 32 << 10];
            fastrand::Rng::with_seed(seed).fill(&mut card);
            card[510..512].copy_from_slice(&[0x55, 0xaa]);
            if gpt {
                card[450] = 0xee;
                card[446] = 0;
                card[512..520].copy_from_slice(b"EFI PART");
                card[512 + 84..][..4].copy_from_slice(&128_u32.to_le_bytes());
            }
            if let Ok(found) = read(&device(&card)) {
                for partition in found {
                    proptest::prop_assert!(partition.start + partition.len <= card.len() as u64);
                }
            }
        }
    }
}
