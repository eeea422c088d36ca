//! zip, read from the front as it comes: exactly one of its files is an image, told by its first bytes.
//!
//! ```text
//!   (header, data, [descriptor])*  central directory  [zip64 end]  end
//! ```
//!
//! What is no image (a README, a licence) is gone past. Rejected: reading the directory at the end first, as the zip
//! crate does: a download has no end yet. `check` does so for files, where it can refuse before anything is unpacked.

use flate2::{Crc, Decompress, Status};

use super::{
    codec::Codec,
    format::{Kind, MAGIC},
    gzip::inflate,
    input::Input,
};
use crate::flash::source::SourceError;

const KIND: &str = "zip file";
const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// Before the first file of an archive that was to be split, and was not.
const SPLIT: u32 = 0x3030_4b50;

/// A file that is no image may unpack to this many bytes; more than a README is a bomb.
const BESIDE: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Zip {
    state: State,
    files: u64,
    image: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Before a header of any kind.
    Between,
    Within(Box<Entry>),
    Ended,
}

#[derive(Debug)]
struct Entry {
    name: String,
    packing: Packing,
    crc: Crc,
    made: u64,
    /// CRC and length, unless they come after the data.
    told: Option<(u32, u64)>,
    zip64: bool,
    /// Unpacked bytes from which the kind of file is told, not yet given out.
    head: Vec<u8>,
    kind: Option<Kind>,
}

#[derive(Debug)]
enum Packing {
    Stored { left: u64 },
    Deflated(Box<Decompress>, Ended),
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Ended {
    No,
    Yes,
}

impl Zip {
    pub(super) fn new() -> Self {
        Self { state: State::Between, files: 0, image: None }
    }

    /// Goes past one header.
    fn open(&mut self, input: &mut Input) -> Result<State, SourceError> {
        let at = input.consumed();
        match u32::from_le_bytes(input.take("the zip file")?) {
            SPLIT if at == 0 => Ok(State::Between),
            LOCAL => {
                let entry = Entry::open(input)?;
                self.files += 1;
                Ok(State::Within(Box::new(entry)))
            }
            CENTRAL => {
                let field: [u8; 42] = input.take("the zip file's directory")?;
                skip(input, u64::from(le16(&field, 24)) + u64::from(le16(&field, 26)) + u64::from(le16(&field, 28)))?;
                Ok(State::Between)
            }
            END_64 => {
                let length = u64::from_le_bytes(input.take("the end of the zip file")?);
                skip(input, length)?;
                Ok(State::Between)
            }
            LOCATOR_64 => {
                skip(input, 16)?;
                Ok(State::Between)
            }
            END => {
                let field: [u8; 18] = input.take("the end of the zip file")?;
                let files = le16(&field, 6);
                if files != u16::MAX && u64::from(files) != self.files & 0xffff {
                    return Err(bad(format!("its directory lists {files} files, and it holds {}", self.files)));
                }
                skip(input, le16(&field, 16).into())?;
                let at = input.consumed();
                if !input.fill()?.is_empty() {
                    return Err(SourceError::Garbage { kind: KIND, at });
                }
                match self.image {
                    Some(_) => Ok(State::Ended),
                    None => Err(bad(format!("none of its {} files is an image of a card", self.files))),
                }
            }
            _ if at == 0 => Err(bad("it does not begin as one".to_owned())),
            _ => Err(SourceError::Garbage { kind: KIND, at }),
        }
    }

    /// Which kind of file this entry is, once enough of it is unpacked.
    fn judge(&mut self, entry: &mut Entry) -> Result<(), SourceError> {
        let kind = Kind::of(&entry.head);
        entry.kind = Some(kind);
        match kind {
            Kind::Image(super::Format::Raw) => match self.image.replace(entry.name.clone()) {
                None => Ok(()),
                Some(first) => Err(bad(format!("it holds two images, {first} and {}", entry.name))),
            },
            Kind::Image(inner) => Err(SourceError::Nested { outer: KIND, inner: inner.article_name() }),
            Kind::Other(_) | Kind::WebPage | Kind::Unknown => Ok(()),
        }
    }
}

impl Entry {
    /// Reads a local header after its signature.
    fn open(input: &mut Input) -> Result<Self, SourceError> {
        let field: [u8; 26] = input.take("a header of the zip file")?;
        let flags = le16(&field, 2);
        let method = le16(&field, 4);
        let name_bytes = usize::from(le16(&field, 22));
        let extra_bytes = usize::from(le16(&field, 24));
        let ahead = input.peek(name_bytes + extra_bytes)?;
        let (Some(name), Some(extra)) = (ahead.get(..name_bytes), ahead.get(name_bytes..name_bytes + extra_bytes))
        else {
            return Err(SourceError::Truncated { says: "a header of the zip file is cut off".to_owned() });
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let big = zip64_sizes(extra);
        let zip64 = big.is_some();
        let (size, packed) = match big {
            Some(sizes) => sizes,
            None => (u64::from(le32(&field, 18)), u64::from(le32(&field, 14))),
        };
        input.consume(name_bytes + extra_bytes);
        if flags & 1 != 0 {
            return Err(bad(format!("{name} in it needs a password")));
        }
        let told = (flags & 8 == 0).then_some((le32(&field, 10), size));
        let packing = match method {
            0 if told.is_some() && size == packed => Packing::Stored { left: packed },
            0 => return Err(bad(format!("it does not tell how long {name} is before it comes"))),
            8 => Packing::Deflated(Box::new(Decompress::new(false)), Ended::No),
            other => return Err(bad(format!("{name} in it is packed by method {other}, which is not read here"))),
        };
        Ok(Self { name, packing, crc: Crc::new(), made: 0, told, zip64, head: Vec::new(), kind: None })
    }

    /// The next bytes of this file; 0 at its end.
    fn unpack(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        let made = match &mut self.packing {
            Packing::Stored { left: 0 } | Packing::Deflated(_, Ended::Yes) => 0,
            Packing::Stored { left } => {
                let at = input.consumed();
                let bytes = input.fill()?;
                let taken = bytes.len().min(into.len()).min(usize::try_from(*left).unwrap_or(usize::MAX));
                if taken == 0 {
                    return Err(SourceError::Truncated { says: format!("the zip file is cut off at byte {at}") });
                }
                into[..taken].copy_from_slice(&bytes[..taken]);
                input.consume(taken);
                *left -= taken as u64;
                taken
            }
            Packing::Deflated(stream, ended) => loop {
                let (made, status) = inflate(stream, input, into, KIND)?;
                if status == Status::StreamEnd {
                    *ended = Ended::Yes;
                }
                if made > 0 || *ended == Ended::Yes {
                    break made;
                }
            },
        };
        self.crc.update(&into[..made]);
        self.made += made as u64;
        Ok(made)
    }

    /// Compares with what the archive tells about this file.
    fn close(&self, input: &mut Input) -> Result<(), SourceError> {
        let (crc, size) = match self.told {
            Some(told) => told,
            None => self.descriptor(input)?,
        };
        if crc != self.crc.sum() || size != self.made {
            return Err(SourceError::Damaged {
                says: format!("{} in the zip file does not match its checksum", self.name),
            });
        }
        Ok(())
    }

    /// Reads what comes after the data; its signature is optional.
    fn descriptor(&self, input: &mut Input) -> Result<(u32, u64), SourceError> {
        const WHAT: &str = "the zip file";
        let mut crc = u32::from_le_bytes(input.take(WHAT)?);
        if crc == DESCRIPTOR {
            crc = u32::from_le_bytes(input.take(WHAT)?);
        }
        // 8-byte sizes belong to zip64, which some writers use without having said so in the header.
        let sizes = input.peek(20)?;
        let signature = |at: usize| sizes.get(at..at + 4).map(|bytes| le32(bytes, 0));
        let known = |at| matches!(signature(at), Some(LOCAL | CENTRAL));
        if self.zip64 || (known(16) && !known(8)) {
            let _: [u8; 8] = input.take(WHAT)?;
            Ok((crc, u64::from_le_bytes(input.take(WHAT)?)))
        } else {
            let _: [u8; 4] = input.take(WHAT)?;
            let size = u32::from_le_bytes(input.take(WHAT)?);
            // Lengths that do not fit are told modulo 2^32.
            Ok((crc, self.made & !u64::from(u32::MAX) | u64::from(size)))
        }
    }
}

impl Codec for Zip {
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            match std::mem::replace(&mut self.state, State::Between) {
                State::Ended => {
                    self.state = State::Ended;
                    return Ok(0);
                }
                State::Between => self.state = self.open(input)?,
                State::Within(mut entry) => {
                    let made = self.step(&mut entry, input, into)?;
                    if let Some(made) = made {
                        self.state = State::Within(entry);
                        if made > 0 {
                            return Ok(made);
                        }
                    } else {
                        entry.close(input)?;
                    }
                }
            }
        }
    }
}

impl Zip {
    /// One step within a file: bytes of the image if there are any, or none at the end of the file.
    fn step(&mut self, entry: &mut Entry, input: &mut Input, into: &mut [u8]) -> Result<Option<usize>, SourceError> {
        match entry.kind {
            None => {
                let mut head = [0; MAGIC];
                let room = MAGIC - entry.head.len();
                let made = entry.unpack(input, &mut head[..room])?;
                entry.head.extend_from_slice(&head[..made]);
                if made == 0 || entry.head.len() == MAGIC {
                    self.judge(entry)?;
                }
                Ok(Some(0))
            }
            Some(Kind::Image(_)) if !entry.head.is_empty() => {
                let given = entry.head.len().min(into.len());
                into[..given].copy_from_slice(&entry.head[..given]);
                entry.head.drain(..given);
                Ok(Some(given))
            }
            Some(Kind::Image(_)) => Ok(Some(entry.unpack(input, into)?).filter(|made| *made > 0)),
            Some(_) => {
                let mut scrap = [0; 16 << 10];
                let made = entry.unpack(input, &mut scrap)?;
                if entry.made > BESIDE {
                    return Err(bad(format!("{} in it is no image, and over {BESIDE} bytes long", entry.name)));
                }
                Ok((made > 0).then_some(0))
            }
        }
    }
}

fn bad(says: String) -> SourceError {
    SourceError::BadZip { says }
}

fn skip(input: &mut Input, mut bytes: u64) -> Result<(), SourceError> {
    while bytes > 0 {
        let at = input.consumed();
        let ahead = input.fill()?.len();
        if ahead == 0 {
            return Err(SourceError::Truncated { says: format!("the zip file is cut off at byte {at}") });
        }
        let skipped = ahead.min(usize::try_from(bytes).unwrap_or(usize::MAX));
        input.consume(skipped);
        bytes -= skipped as u64;
    }
    Ok(())
}

/// Size and packed size of the zip64 extra field of a local header.
fn zip64_sizes(mut extra: &[u8]) -> Option<(u64, u64)> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let (id, length) = (le16(head, 0), usize::from(le16(head, 2)));
        let field = rest.get(..length)?;
        if id == 1 {
            let (size, rest) = field.split_first_chunk::<8>()?;
            return Some((u64::from_le_bytes(*size), u64::from_le_bytes(*rest.first_chunk::<8>()?)));
        }
        extra = rest.get(length..)?;
    }
    None
}

/// `bytes` hold two bytes at `at`: callers index fields of fixed length.
fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
