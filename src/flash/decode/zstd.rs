//! zstd: frame after frame, with skippable ones between (pzstd and the seekable format write those).
//!
//! The header of each frame is read here first: it says how much memory it wants, before any is given.

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::{
    codec::{Codec, Means},
    input::Input,
};
use crate::flash::source::SourceError;

const KIND: &str = "zstd file";

/// A frame's header is at most this long.
pub const FRAME_HEADER: usize = 18;

pub(super) struct Zstd {
    means: Means,
    decoder: Option<Decoder<'static>>,
    within: bool,
    frames: u64,
}

/// What the first bytes of a frame say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Bytes that every reader goes past: 8 for its header, then these.
    Skippable {
        bytes: u64,
    },
    Data {
        /// Length of this header in bytes.
        header: usize,
        /// Bytes of memory that unpacking needs.
        window: u64,
        /// Bytes unpacked, where the frame tells.
        content: Option<u64>,
        /// Four bytes of checksum follow the last block.
        checksum: bool,
    },
    /// Fewer bytes than the header has.
    Short,
    Garbage,
}

impl Frame {
    /// Reads a frame's header (RFC 8878, 3.1.1.1).
    pub fn of(head: &[u8]) -> Self {
        let Some((magic, rest)) = head.split_first_chunk::<4>() else { return Self::Short };
        let magic = u32::from_le_bytes(*magic);
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            return match rest.first_chunk::<4>() {
                Some(bytes) => Self::Skippable { bytes: u32::from_le_bytes(*bytes).into() },
                None => Self::Short,
            };
        }
        if magic != 0xfd2f_b528 {
            return Self::Garbage;
        }
        Self::data(rest).unwrap_or(Self::Short)
    }

    fn data(rest: &[u8]) -> Option<Self> {
        let (descriptor, rest) = rest.split_first()?;
        let single = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Some(Self::Garbage);
        }
        let window_bytes = usize::from(!single);
        let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_bytes = match descriptor >> 6 {
            0 => usize::from(single),
            flag => 1 << flag,
        };
        let window = rest.get(..window_bytes)?.first().map(|byte| {
            let base = 1u64 << (10 + (byte >> 3));
            base + base / 8 * u64::from(byte & 7)
        });
        let field = rest.get(window_bytes + dictionary_bytes..)?.get(..content_bytes)?;
        let value = field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let content = match content_bytes {
            0 => None,
            2 => Some(value + 256),
            _ => Some(value),
        };
        let header = 5 + window_bytes + dictionary_bytes + content_bytes;
        Some(Self::Data { header, window: window.or(content).unwrap_or(0), content, checksum: descriptor & 4 != 0 })
    }
}

impl Zstd {
    pub(super) fn new(means: Means) -> Self {
        Self { means, decoder: None, within: false, frames: 0 }
    }

    /// Goes to the next frame; false at the end of the file.
    fn open(&mut self, input: &mut Input) -> Result<bool, SourceError> {
        let at = input.consumed();
        let ahead = input.peek(FRAME_HEADER)?;
        if ahead.is_empty() && self.frames > 0 {
            return Ok(false);
        }
        match Frame::of(ahead) {
            Frame::Short => {
                return Err(SourceError::Truncated { says: format!("a zstd frame is cut off at byte {at}") });
            }
            Frame::Garbage if self.frames > 0 => return Err(SourceError::Garbage { kind: KIND, at }),
            Frame::Garbage => {
                return Err(SourceError::Damaged { says: format!("the zstd frame at byte {at} has no valid header") });
            }
            Frame::Data { window, .. } if window > self.means.memory => {
                return Err(SourceError::Memory { kind: KIND, needs: Some(window), limit: self.means.memory });
            }
            Frame::Data { .. } | Frame::Skippable { .. } => {}
        }
        if self.decoder.is_none() {
            let short = |_| SourceError::Memory { kind: KIND, needs: None, limit: self.means.memory };
            let mut decoder = Decoder::new().map_err(short)?;
            // Our limit was checked above; this one only has to be no smaller. 2^31 is the largest there is.
            let log = self.means.memory.next_power_of_two().trailing_zeros().clamp(10, 31);
            decoder.set_parameter(DParameter::WindowLogMax(log)).map_err(short)?;
            self.decoder = Some(decoder);
        }
        Ok(true)
    }
}

impl Codec for Zstd {
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if !self.within {
                if !self.open(input)? {
                    return Ok(0);
                }
                self.within = true;
            }
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let at = input.consumed();
            let packed = input.fill()?;
            let ended = packed.is_empty();
            let mut from = InBuffer::around(packed);
            let mut to = OutBuffer::around(&mut *into);
            let hint = decoder.run(&mut from, &mut to).map_err(|error| SourceError::Damaged {
                says: format!("the zstd data near byte {at}: {}", error.to_string().to_lowercase()),
            })?;
            let (taken, made) = (from.pos(), to.pos());
            input.consume(taken);
            if hint == 0 {
                self.within = false;
                self.frames += 1;
            } else if ended && made == 0 {
                return Err(SourceError::Truncated { says: format!("the zstd file is cut off at byte {at}") });
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}
