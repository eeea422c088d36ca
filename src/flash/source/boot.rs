//! Whether an image can start a Raspberry Pi 3, told from its first bytes: partition table, boot partition, firmware.
//!
//! A Pi 3 starts from the first FAT partition of the card, which has to hold `bootcode.bin` and `start.elf`. Refused is
//! only what surely does not start; what lies beyond the bytes at hand is not guessed.
//! Source: <https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#boot-folder-contents>.
//!
//! Rejected: the fatfs crate. It cannot tell "this is not there" from "this is beyond what I was given", and a folder
//! that ends outside the window is the usual case: with clusters of 512 bytes it is spread between the files.

use std::collections::{BTreeSet, VecDeque};

use super::SourceError;
use crate::flash::stream::{CHUNK, Chunk};

/// Bytes of a sector, as partition tables of images count.
const SECTOR: u64 = 512;
/// The most entries of a root folder that are read. A boot partition has about 400; a loop in its chain has no end.
const ENTRIES: usize = 16_384;

/// What the first bytes of an image say about it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Boot {
    /// The firmware of a Pi 3 is there. If not known, it lies beyond what was looked at.
    pub firmware: Option<bool>,
    /// It starts a 64-bit kernel.
    pub arm64: Option<bool>,
    /// Where the last partition ends, in bytes: an image that ends before is cut off.
    pub partitions_end: u64,
}

/// The first bytes of an image, in pieces as they came.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pieces: &'a VecDeque<Chunk>,
}

impl<'a> Head<'a> {
    /// Pieces from the beginning of the image, none left out.
    pub fn new(pieces: &'a VecDeque<Chunk>) -> Self {
        Self { pieces }
    }

    /// `len` bytes at `offset`, if all of them are there.
    fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset.checked_add(bytes.len() as u64)?;
            let piece = self.pieces.get(usize::try_from(at / CHUNK as u64).ok()?)?;
            let rest = piece.bytes.get((at % CHUNK as u64) as usize..).filter(|rest| !rest.is_empty())?;
            bytes.extend_from_slice(&rest[..rest.len().min(len - bytes.len())]);
        }
        Some(bytes)
    }
}

/// One entry of the partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Partition {
    kind: u8,
    start: u64,
    end: u64,
}

/// Where the last partition of an MBR ends, in bytes; 0 without a partition table, or with a GPT.
pub fn partitions_end(first: &[u8]) -> u64 {
    entries(first)
        .into_iter()
        .filter(|partition| partition.kind != GPT)
        .map(|partition| partition.end)
        .max()
        .unwrap_or(0)
}

const GPT: u8 = 0xee;

/// Judges an image by its first bytes. `None`: more of them are needed, and `all` says whether there are no more.
pub fn judge(head: Head<'_>, length: Option<u64>, all: bool) -> Result<Option<Boot>, SourceError> {
    let Some(first) = head.read(0, SECTOR as usize) else {
        return match all {
            true => Err(SourceError::NotAnImage { says: "it is shorter than a partition table".to_owned() }),
            false => Ok(None),
        };
    };
    if is_fat(&first) {
        return Err(SourceError::NotAnImage {
            says: "it is one file system alone, without the partitions of a card".to_owned(),
        });
    }
    let mut partitions = entries(&first);
    if partitions.is_empty() {
        return Err(SourceError::NotAnImage { says: "its partition table is empty".to_owned() });
    }
    let end = partitions_end(&first);
    if let Some(length) = length.filter(|length| *length < end) {
        return Err(SourceError::Truncated {
            says: format!("its last partition ends at byte {end}, and it has {length} bytes"),
        });
    }
    if partitions.iter().any(|partition| partition.kind == GPT) {
        match gpt(head) {
            Some(found) => partitions = found,
            None => return Ok(all.then(|| Boot { partitions_end: end, ..Boot::default() })),
        }
    }
    let mut unknown = false;
    let mut reasons = Vec::new();
    for partition in partitions {
        match folder(head, partition) {
            Folder::NotFat => {}
            Folder::Beyond => unknown = true,
            Folder::Files { names, whole } => {
                let files = Files { names };
                if files.firmware() && (files.arm64() || whole) {
                    let arm64 = if files.arm64() { Some(true) } else { files.arm32().then_some(false) };
                    return Ok(Some(Boot { firmware: Some(true), arm64, partitions_end: end }));
                }
                match whole {
                    true => reasons.push(files.why_not()),
                    false => unknown = true,
                }
            }
        }
    }
    match (unknown, reasons.pop()) {
        (true, _) => Ok(all.then(|| Boot { partitions_end: end, ..Boot::default() })),
        (false, Some(says)) => Err(SourceError::WrongMachine { says }),
        (false, None) => {
            Err(SourceError::WrongMachine { says: "it has no FAT partition, from which a Pi starts".to_owned() })
        }
    }
}

/// The entries of an MBR that are in use.
fn entries(first: &[u8]) -> Vec<Partition> {
    if first.get(510..512) != Some(b"\x55\xaa") {
        return Vec::new();
    }
    first[446..510]
        .chunks_exact(16)
        .map(|entry| {
            let start = u64::from(le32(entry, 8)) * SECTOR;
            Partition { kind: entry[4], start, end: start + u64::from(le32(entry, 12)) * SECTOR }
        })
        .filter(|partition| partition.kind != 0 && partition.end > partition.start)
        .collect()
}

/// The entries of a GPT, if they are within reach.
fn gpt(head: Head<'_>) -> Option<Vec<Partition>> {
    let header = head.read(SECTOR, 92)?;
    if !header.starts_with(b"EFI PART") {
        return Some(Vec::new());
    }
    let at = le64(&header, 72).checked_mul(SECTOR)?;
    let size = usize::try_from(le32(&header, 84)).ok().filter(|size| (128..=4096).contains(size))?;
    let count = le32(&header, 80).min(128);
    let mut found = Vec::new();
    for number in 0..u64::from(count) {
        let entry = head.read(at.checked_add(number * size as u64)?, size)?;
        let (start, last) = (le64(&entry, 32).checked_mul(SECTOR)?, le64(&entry, 40).checked_mul(SECTOR)?);
        if entry[..16].iter().any(|byte| *byte != 0) {
            found.push(Partition { kind: 0, start, end: last });
        }
    }
    Some(found)
}

enum Folder {
    NotFat,
    /// Not within the bytes at hand.
    Beyond,
    /// Short names, as FAT stores them; `whole` if the folder's end was seen.
    Files {
        names: BTreeSet<[u8; 11]>,
        whole: bool,
    },
}

/// The root folder of a partition.
fn folder(head: Head<'_>, partition: Partition) -> Folder {
    let Some(boot) = head.read(partition.start, SECTOR as usize) else { return Folder::Beyond };
    let Some(fat) = Fat::of(&boot) else { return Folder::NotFat };
    let mut names = BTreeSet::new();
    let mut seen = 0;
    let mut whole = false;
    let mut at = Some(fat.root);
    while let Some(place) = at {
        let Some(bytes) = fat.bytes(head, partition.start, place) else { break };
        for entry in bytes.chunks_exact(32) {
            seen += 1;
            // Deleted entries, parts of long names, and the volume's label are no files.
            match entry[0] {
                0 => whole = true,
                0xe5 => {}
                _ if entry[11] & 0x08 != 0 => {}
                _ => {
                    names.extend(entry.first_chunk::<11>().copied());
                }
            }
            if whole {
                return Folder::Files { names, whole };
            }
        }
        if seen > ENTRIES {
            break;
        }
        match fat.after(head, partition.start, place) {
            After::Place(next) => at = Some(next),
            After::End => return Folder::Files { names, whole: true },
            After::Beyond => break,
        }
    }
    Folder::Files { names, whole }
}

/// The layout of a FAT file system. All lengths and places in bytes.
#[derive(Debug, Clone, Copy)]
struct Fat {
    table: u64,
    cluster: u64,
    data: u64,
    root: RootPart,
}

/// A part of the root folder.
#[derive(Debug, Clone, Copy)]
enum RootPart {
    /// FAT12 and FAT16: all of it, in a place of its own.
    Fixed { at: u64, len: u64 },
    /// FAT32: one cluster of a chain.
    Cluster(u32),
}

enum After {
    Place(RootPart),
    End,
    Beyond,
}

fn is_fat(boot: &[u8]) -> bool {
    Fat::of(boot).is_some()
}

impl Fat {
    fn of(boot: &[u8]) -> Option<Self> {
        if boot.get(510..512)? != b"\x55\xaa" || !matches!(boot[0], 0xeb | 0xe9) {
            return None;
        }
        let sector = u64::from(le16(boot, 11));
        let per_cluster = u64::from(boot[13]);
        let (reserved, tables) = (u64::from(le16(boot, 14)), u64::from(boot[16]));
        let root_entries = u64::from(le16(boot, 17));
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() || reserved == 0 || tables == 0
        {
            return None;
        }
        let table_sectors = match le16(boot, 22) {
            0 => u64::from(le32(boot, 36)),
            small => u64::from(small),
        };
        let after_tables = (reserved + tables * table_sectors) * sector;
        let root_len = root_entries * 32;
        let root = match root_entries {
            0 => RootPart::Cluster(le32(boot, 44)),
            _ => RootPart::Fixed { at: after_tables, len: root_len },
        };
        let data = after_tables + root_len.div_ceil(sector) * sector;
        Some(Self { table: reserved * sector, cluster: per_cluster * sector, data, root })
    }

    fn bytes(&self, head: Head<'_>, start: u64, part: RootPart) -> Option<Vec<u8>> {
        match part {
            RootPart::Fixed { at, len } => head.read(start.saturating_add(at), usize::try_from(len).ok()?),
            RootPart::Cluster(number) => {
                let at = self.data + u64::from(number.checked_sub(2)?) * self.cluster;
                head.read(start.saturating_add(at), usize::try_from(self.cluster).ok()?)
            }
        }
    }

    fn after(&self, head: Head<'_>, start: u64, part: RootPart) -> After {
        let RootPart::Cluster(number) = part else { return After::End };
        let Some(entry) = head.read(start.saturating_add(self.table + u64::from(number) * 4), 4) else {
            return After::Beyond;
        };
        match le32(&entry, 0) & 0x0fff_ffff {
            0x0fff_fff8.. => After::End,
            next => After::Place(RootPart::Cluster(next)),
        }
    }
}

struct Files {
    names: BTreeSet<[u8; 11]>,
}

impl Files {
    fn has(&self, name: &[u8; 11]) -> bool {
        self.names.contains(name)
    }

    fn firmware(&self) -> bool {
        self.has(b"BOOTCODEBIN") && [b"START   ELF", b"START_X ELF", b"START_CDELF"].iter().any(|name| self.has(name))
    }

    fn arm64(&self) -> bool {
        self.has(b"KERNEL8 IMG")
    }

    /// Kernels of 32 bits, and none that could be of 64 under any name.
    fn arm32(&self) -> bool {
        let other = self.names.iter().any(|name| name.starts_with(b"VMLINU") || name.starts_with(b"U-BOOT"));
        !self.arm64() && !other && (self.has(b"KERNEL7 IMG") || self.has(b"KERNEL  IMG"))
    }

    fn why_not(&self) -> String {
        if self.has(b"START4  ELF") || self.has(b"START4X ELF") {
            "its firmware is for a Raspberry Pi 4 only".to_owned()
        } else if self.has(b"EFI        ") {
            "it starts by EFI, as a PC does, and a Pi 3 has none".to_owned()
        } else {
            "its boot partition holds no bootcode.bin and start.elf".to_owned()
        }
    }
}

/// `bytes` hold two bytes at `at`: callers read fields of headers that they have whole.
fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from(le16(bytes, at)) | u32::from(le16(bytes, at + 2)) << 16
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}

#[cfg(test)]
#[path = "boot_tests.rs"]
pub(super) mod tests;
