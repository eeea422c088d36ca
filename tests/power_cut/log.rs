//! The recording of a disk, as blklogwrites writes it (the format of the kernel's dm-log-writes).

use super::disk::{Promise, SECTOR, SIZE};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

#[derive(Debug)]
pub enum Entry {
    Write(Write),
    /// Whatever was written before it is on the disk for good.
    Flush,
    Promise {
        subject: usize,
        n: u64,
    },
}

#[derive(Debug)]
pub struct Write {
    /// In bytes.
    pub at: u64,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Recording {
    /// The disk before the first entry.
    pub base: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Recording {
    /// `medium` is what the disk held in the end.
    pub fn read(base: Vec<u8>, log: &[u8], medium: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
        assert_eq!((number(0), number(8)), (MAGIC, 1), "this is no log of writes");
        let (mut entries, mut at) = (Vec::new(), SECTOR);
        let (mut replayed, mut ended) = (base.clone(), false);
        for _ in 0..number(16) {
            let [sector, sectors, flags] = [0, 8, 16].map(|field| number(at + field));
            at += SECTOR;
            assert_eq!(flags & DISCARD, 0, "nobody asked for discards");
            let length = usize::try_from(sectors).unwrap() * SECTOR;
            let bytes = log[at..at + length].to_vec();
            at += length;
            let place = sector * SECTOR as u64;
            let entry = match Promise::read(place, &bytes) {
                Some((Some(subject), n)) => Some(Entry::Promise { subject, n }),
                Some((None, _)) => {
                    ended = true;
                    None
                }
                None if bytes.is_empty() => None,
                None => {
                    assert!(place + length as u64 <= SIZE, "written beyond the file system");
                    let from = usize::try_from(place).unwrap();
                    replayed[from..from + length].copy_from_slice(&bytes);
                    Some(Entry::Write(Write { at: place, bytes }))
                }
            };
            // Unmounting comes after the end: it counts for the comparison only.
            if !ended {
                entries.extend(entry);
                if flags & (FLUSH | FUA) != 0 {
                    entries.push(Entry::Flush);
                }
            }
        }
        assert!(ended, "the log ends too early");
        assert!(replayed == medium[..replayed.len()], "what was recorded is not what the disk holds");
        Recording { base, entries }
    }

    pub fn writes(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Write(_))).count()
    }

    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Flush)).count()
    }
}
