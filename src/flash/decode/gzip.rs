//! gzip: one member after the other, each with its own checksum and length.

use flate2::{Decompress, FlushDecompress, Status};

use super::{codec::Codec, input::Input};
use crate::flash::source::SourceError;

const MAGIC: &[u8] = b"\x1f\x8b";

#[derive(Debug)]
pub(super) struct Gzip {
    member: Option<Decompress>,
    members: u64,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { member: None, members: 0 }
    }

    /// Goes to the next member; false at the end of the file.
    fn open(&mut self, input: &mut Input) -> Result<bool, SourceError> {
        let at = input.consumed();
        let ahead = input.peek(MAGIC.len())?;
        if ahead.is_empty() {
            return match self.members {
                0 => Err(SourceError::Truncated { says: "the gzip file is empty".to_owned() }),
                _ => Ok(false),
            };
        }
        if !ahead.starts_with(MAGIC) {
            return Err(match MAGIC.starts_with(ahead) {
                true => SourceError::Truncated { says: format!("a gzip member is cut off at byte {at}") },
                false => SourceError::Garbage { kind: "gzip file", at },
            });
        }
        // The largest window that gzip has: 32 KiB.
        self.member = Some(Decompress::new_gzip(15));
        Ok(true)
    }
}

impl Codec for Gzip {
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if self.member.is_none() && !self.open(input)? {
                return Ok(0);
            }
            let Some(member) = &mut self.member else { continue };
            let (made, status) = inflate(member, input, into, "gzip file")?;
            if status == Status::StreamEnd {
                self.member = None;
                self.members += 1;
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

/// One step of a deflate stream: what it made, and whether it ended. Input that ends within it is an error.
pub(super) fn inflate(
    stream: &mut Decompress,
    input: &mut Input,
    into: &mut [u8],
    kind: &'static str,
) -> Result<(usize, Status), SourceError> {
    let at = input.consumed();
    let packed = input.fill()?;
    let ended = packed.is_empty();
    let (taken, made) = (stream.total_in(), stream.total_out());
    let status = stream.decompress(packed, into, FlushDecompress::None).map_err(|_| SourceError::Damaged {
        says: format!("the data of the {kind} near byte {at} does not match its own checksum"),
    })?;
    let taken = (stream.total_in() - taken) as usize;
    let made = (stream.total_out() - made) as usize;
    input.consume(taken);
    if ended && made == 0 && status != Status::StreamEnd {
        return Err(SourceError::Truncated { says: format!("the {kind} is cut off at byte {at}") });
    }
    Ok((made, status))
}
