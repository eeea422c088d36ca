//! What the writers ask of an image: its bytes once, in order, and which of them matter.

use std::{error::Error, ops::Range, sync::Arc};

use crate::io::aligned::AlignedBuffer;

/// How long a piece is, in bytes; only the last one of an image is shorter.
///
/// 4 MiB: cards gain nothing beyond it, and the pieces under way stay under 100 MB of memory.
pub const CHUNK: usize = 4 << 20;

/// Why an image cannot be read to its end: its `Display` and sources are shown as they are.
pub type StreamError = Box<dyn Error + Send + Sync>;

/// A piece of the decoded image.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Where it is in the image, in bytes: a multiple of [`CHUNK`].
    pub offset: u64,
    pub bytes: Arc<AlignedBuffer>,
}

/// A decoded image: read once, from the front to the end.
pub trait ImageStream: Send {
    /// The next piece; pieces follow each other without a gap. `None` comes after the last one, and only if the length
    /// and every hash that was to be expected are right.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, StreamError>;

    /// Bytes of the decoded image, if known before its end.
    fn length(&self) -> Option<u64>;

    /// SHA-256 of the decoded image, after its end.
    fn sha256(&self) -> Option<[u8; 32]>;

    /// Begins anew, so that the next piece is the first one. `false`: this source can be read only once.
    fn rewind(&mut self) -> Result<bool, StreamError> {
        Ok(false)
    }

    /// What it waits for when others wait for it.
    fn slow_part(&self) -> SlowPart {
        SlowPart::Decoding
    }
}

/// What limits a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowPart {
    Network,
    Disk,
    Decoding,
}

/// Which bytes of an image must be on a card.
pub trait Used: Send {
    /// The parts of this piece that matter, as ranges of bytes of the image: sorted, disjoint, inside the piece. Called
    /// for every piece once, in order.
    fn used(&mut self, offset: u64, bytes: &[u8]) -> Vec<Range<u64>>;

    /// The sum of all ranges that will be told, in bytes, as far as known now; used for progress only.
    fn total(&self) -> Option<u64>;
}

/// All of an image matters.
#[derive(Debug, Clone, Copy)]
pub struct Everything;

impl Used for Everything {
    fn used(&mut self, offset: u64, bytes: &[u8]) -> Vec<Range<u64>> {
        vec![offset..offset + bytes.len() as u64]
    }

    fn total(&self) -> Option<u64> {
        None
    }
}
