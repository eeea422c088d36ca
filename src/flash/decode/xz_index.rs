//! How long an xz file is unpacked, and whether it is whole, without unpacking it: from its end, as `xz --list` does.

use flate2::Crc;
use std::io::{self, Read, Seek, SeekFrom};

use crate::flash::source::SourceError;

const HEADER: u64 = 12;
const FOOTER: u64 = 12;

/// What the indexes of an xz file tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed {
    pub streams: u64,
    pub blocks: u64,
    /// Bytes unpacked.
    pub unpacked: u64,
}

/// Reads the indexes of a file of `len` bytes.
pub fn list(file: &mut (impl Read + Seek), len: u64) -> Result<Listed, ListError> {
    let mut listed = Listed::default();
    let mut end = len;
    while end > 0 {
        if !end.is_multiple_of(4) {
            return Err(odd(format!("{len} bytes are no whole number of 4-byte units")));
        }
        let mut word = [0; 4];
        read_at(file, end - 4, &mut word)?;
        if word == [0; 4] && end < len + 4 {
            end -= 4;
            continue;
        }
        end = stream(file, end, &mut listed)?;
    }
    match listed.streams {
        0 => Err(odd("it holds no stream".to_owned())),
        _ => Ok(listed),
    }
}

/// Why an xz file cannot be listed.
#[derive(Debug)]
pub enum ListError {
    Io(io::Error),
    Refused(SourceError),
}

impl From<io::Error> for ListError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn odd(says: String) -> ListError {
    ListError::Refused(SourceError::Truncated { says })
}

fn damaged(says: &str, at: u64) -> ListError {
    ListError::Refused(SourceError::Damaged { says: format!("{says} at byte {at} of the xz file makes no sense") })
}

/// Reads the stream that ends at `end`, and returns where it begins.
fn stream(file: &mut (impl Read + Seek), end: u64, listed: &mut Listed) -> Result<u64, ListError> {
    let at = end.checked_sub(FOOTER).ok_or_else(|| odd("its end is missing".to_owned()))?;
    let mut footer = [0; FOOTER as usize];
    read_at(file, at, &mut footer)?;
    let (crc, rest) = footer.split_at(4);
    if &rest[6..] != b"YZ" || crc_of(&rest[..6]) != le32(crc) {
        return Err(odd(format!("there is no end of a stream at byte {end}")));
    }
    let index_len = (u64::from(le32(rest)) + 1) * 4;
    let index_at = at.checked_sub(index_len).ok_or_else(|| damaged("the length of the index", at))?;
    let (blocks_len, blocks, unpacked) = index(file, index_at, index_len)?;
    let begin = index_at
        .checked_sub(blocks_len)
        .and_then(|begin| begin.checked_sub(HEADER))
        .ok_or_else(|| odd(format!("the stream that ends at byte {end} is longer than the file")))?;
    let mut header = [0; HEADER as usize];
    read_at(file, begin, &mut header)?;
    if &header[..6] != b"\xfd7zXZ\0" || header[6..8] != rest[4..6] || crc_of(&header[6..8]) != le32(&header[8..]) {
        return Err(damaged("the beginning of a stream", begin));
    }
    listed.streams += 1;
    listed.blocks += blocks;
    listed.unpacked = listed
        .unpacked
        .checked_add(unpacked)
        .ok_or_else(|| damaged("the sum of the lengths in the index", index_at))?;
    Ok(begin)
}

/// Reads an index: bytes of all blocks with their padding, their count, and their bytes unpacked.
fn index(file: &mut (impl Read + Seek), at: u64, len: u64) -> Result<(u64, u64, u64), ListError> {
    file.seek(SeekFrom::Start(at))?;
    let mut reader = Index { inner: io::BufReader::new(file.take(len)), crc: Crc::new(), at };
    if reader.byte()? != 0 {
        return Err(damaged("the index", at));
    }
    let blocks = reader.number()?;
    let (mut packed, mut unpacked) = (0u64, 0u64);
    for _ in 0..blocks {
        let (block, plain) = (reader.number()?, reader.number()?);
        packed = block
            .checked_next_multiple_of(4)
            .and_then(|block| packed.checked_add(block))
            .ok_or_else(|| damaged("a length in the index", reader.at))?;
        unpacked = unpacked.checked_add(plain).ok_or_else(|| damaged("a length in the index", reader.at))?;
    }
    while !(reader.at - at).is_multiple_of(4) {
        if reader.byte()? != 0 {
            return Err(damaged("the index", at));
        }
    }
    let crc = reader.crc.sum();
    let mut told = [0; 4];
    for byte in &mut told {
        *byte = reader.byte()?;
    }
    match reader.at == at + len && le32(&told) == crc {
        true => Ok((packed, blocks, unpacked)),
        false => Err(damaged("the index", at)),
    }
}

struct Index<R> {
    inner: R,
    crc: Crc,
    at: u64,
}

impl<R: Read> Index<R> {
    fn byte(&mut self) -> Result<u8, ListError> {
        let mut byte = [0];
        match self.inner.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(damaged("the index", self.at)),
            Err(error) => return Err(error.into()),
        }
        self.crc.update(&byte);
        self.at += 1;
        Ok(byte[0])
    }

    /// A number of up to 9 bytes, 7 bits in each, the lowest first.
    fn number(&mut self) -> Result<u64, ListError> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number in the index", self.at))
    }
}

fn read_at(file: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(into)
}

fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// `bytes` begin with four bytes: callers have read them.
fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
