//! An image as it is: nothing to unpack.

use super::{codec::Codec, input::Input};
use crate::flash::source::SourceError;

#[derive(Debug)]
pub(super) struct Raw;

impl Codec for Raw {
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError> {
        let bytes = input.fill()?;
        let taken = bytes.len().min(into.len());
        into[..taken].copy_from_slice(&bytes[..taken]);
        input.consume(taken);
        Ok(taken)
    }
}
