//! xz: several streams with padding between them, each unpacked by several threads where it has several blocks.
//!
//! liblzma's own decoders stop without a word after the first stream, and run on one thread unless
//! `memlimit_threading` is set, which its Rust API does not do by itself.

use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};

use super::{
    codec::{Codec, Means},
    input::Input,
};
use crate::flash::source::SourceError;

const MAGIC: &[u8] = b"\xfd7zXZ\0";
const KIND: &str = "xz file";

pub(super) struct Xz {
    means: Means,
    stream: Option<Stream>,
    streams: u64,
}

impl Xz {
    pub(super) fn new(means: Means) -> Self {
        Self { means, stream: None, streams: 0 }
    }

    /// Goes to the next stream; false at the end of the file.
    fn open(&mut self, input: &mut Input) -> Result<bool, SourceError> {
        let zeros = skip_zeros(input)?;
        let at = input.consumed();
        let ahead = input.peek(MAGIC.len())?;
        // Padding is a multiple of 4 bytes, and comes after a stream.
        if zeros % 4 != 0 || (self.streams == 0 && zeros > 0) {
            return Err(SourceError::Garbage { kind: KIND, at: at - zeros });
        }
        if ahead.is_empty() {
            return match self.streams {
                0 => Err(SourceError::Truncated { says: "the xz file is empty".to_owned() }),
                _ => Ok(false),
            };
        }
        if !ahead.starts_with(MAGIC) {
            // Cut inside the first bytes of a further stream.
            if MAGIC.starts_with(ahead) {
                return Err(SourceError::Truncated { says: format!("an xz stream is cut off at byte {at}") });
            }
            return Err(SourceError::Garbage { kind: KIND, at });
        }
        let stream = MtStreamBuilder::new()
            .threads(self.means.threads.max(1))
            .memlimit_threading(self.means.memory_of_all)
            .memlimit_stop(self.means.memory)
            .decoder()
            .map_err(|error| self.failed(error, at))?;
        self.stream = Some(stream);
        Ok(true)
    }

    fn failed(&self, error: Error, at: u64) -> SourceError {
        match error {
            // liblzma does not tell how much it would take.
            Error::MemLimit | Error::Mem => SourceError::Memory { kind: KIND, needs: None, limit: self.means.memory },
            Error::Options | Error::UnsupportedCheck => {
                SourceError::Damaged { says: format!("the xz stream near byte {at} uses a filter that nobody knows") }
            }
            Error::Data | Error::Format | Error::Program | Error::NoCheck => {
                SourceError::Damaged { says: format!("the xz data near byte {at} does not match its own checksum") }
            }
        }
    }
}

impl Codec for Xz {
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            if self.stream.is_none() && !self.open(input)? {
                return Ok(0);
            }
            let at = input.consumed();
            let packed = input.fill()?;
            let ended = packed.is_empty();
            let Some(stream) = &mut self.stream else { continue };
            let (taken, made) = (stream.total_in(), stream.total_out());
            let status = stream.process(packed, into, if ended { Action::Finish } else { Action::Run });
            let taken = (stream.total_in() - taken) as usize;
            let made = (stream.total_out() - made) as usize;
            input.consume(taken);
            match status.map_err(|error| self.failed(error, at + taken as u64))? {
                Status::StreamEnd => {
                    self.stream = None;
                    self.streams += 1;
                }
                // No input, no output, and it says so twice: it waits for what is not there.
                Status::MemNeeded if ended && made == 0 => {
                    return Err(SourceError::Truncated { says: format!("the xz file is cut off at byte {at}") });
                }
                Status::Ok | Status::MemNeeded | Status::GetCheck => {}
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

fn skip_zeros(input: &mut Input) -> Result<u64, SourceError> {
    let mut skipped = 0;
    loop {
        let ahead = input.fill()?;
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        let more = zeros > 0 && zeros == ahead.len();
        input.consume(zeros);
        skipped += zeros as u64;
        if !more {
            return Ok(skipped);
        }
    }
}
