//! What a run of bytes on a card must be, kept from when it was written: 32 bytes, and 4 for each block.

use std::{ops::Range, sync::Arc};

use ring::digest::{SHA256, digest};

use super::{
    schedule::{self, BLOCK, is_zero},
    stream::Chunk,
};

/// A run of bytes that was, or shall be, written, and what it is.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Bytes from the start of the card.
    pub offset: u64,
    /// Bytes; no more than a chunk.
    pub len: usize,
    pub sha256: [u8; 32],
    /// All of it is zero.
    pub zero: bool,
    /// CRC-32 of each block: tells which block of it is bad, and where else its bytes are.
    blocks: Arc<[u32]>,
}

impl Mark {
    pub fn of(offset: u64, bytes: &[u8]) -> Self {
        let blocks = bytes.chunks(BLOCK as usize).map(crc32fast::hash).collect();
        Self { offset, len: bytes.len(), sha256: sha256(bytes), zero: is_zero(bytes), blocks }
    }

    pub fn end(&self) -> u64 {
        self.offset + self.len as u64
    }

    pub fn fits(&self, bytes: &[u8]) -> bool {
        sha256(bytes) == self.sha256
    }

    /// The first block that is not as it was written: its place in these bytes.
    pub fn first_bad(&self, bytes: &[u8]) -> Option<usize> {
        let mut blocks = bytes.chunks(BLOCK as usize).zip(self.blocks.iter());
        blocks.position(|(block, crc)| crc32fast::hash(block) != *crc).map(|at| at * BLOCK as usize)
    }

    /// Where in it a block with this CRC-32 was written.
    pub fn place_of(&self, crc: u32) -> Option<u64> {
        self.blocks.iter().position(|block| *block == crc).map(|at| self.offset + at as u64 * BLOCK)
    }
}

/// A piece of the image with what of it is written.
#[derive(Debug)]
pub struct Piece {
    chunk: Chunk,
    pub marks: Vec<Arc<Mark>>,
    /// For progress: how far this piece brings it, in bytes.
    pub done: u64,
    /// And how far there is to go, once known.
    pub total: Option<u64>,
}

impl Piece {
    /// `extents` are ranges of bytes of the image, inside the chunk.
    pub fn new(chunk: Chunk, extents: Vec<Range<u64>>, done: u64, total: Option<u64>) -> Self {
        let mut marks = Vec::new();
        for extent in extents {
            let bytes = part(&chunk, &extent);
            for part in schedule::parts(bytes) {
                marks.push(Arc::new(Mark::of(extent.start + part.start as u64, &bytes[part])));
            }
        }
        Self { chunk, marks, done, total }
    }

    /// Where it ends in the image, in bytes.
    pub fn end(&self) -> u64 {
        self.chunk.offset + self.chunk.bytes.len() as u64
    }

    pub fn holds(&self, mark: &Mark) -> bool {
        self.chunk.offset <= mark.offset && mark.end() <= self.end()
    }

    /// The bytes of a mark that it holds.
    pub fn bytes(&self, mark: &Mark) -> &[u8] {
        part(&self.chunk, &(mark.offset..mark.end()))
    }
}

fn part<'a>(chunk: &'a Chunk, extent: &Range<u64>) -> &'a [u8] {
    let at = |offset: u64| (offset - chunk.offset) as usize;
    &chunk.bytes[at(extent.start)..at(extent.end)]
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
