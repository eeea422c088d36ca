//! The packed bytes, block by block as they come, seen as one stream that can be looked into ahead.

use std::sync::Arc;
use std::time::Instant;

use crate::flash::source::{Progress, SourceError};

/// Blocks of packed bytes in order, or why there are no more.
pub type Blocks = Box<dyn Iterator<Item = Result<Vec<u8>, SourceError>> + Send>;

/// A stream of packed bytes. Its errors are those of where it comes from: the disk, the network, a stop.
pub struct Input {
    blocks: Blocks,
    block: Vec<u8>,
    at: usize,
    /// Bytes consumed of all blocks.
    consumed: u64,
    ended: bool,
    progress: Arc<Progress>,
}

impl Input {
    pub fn new(blocks: Blocks, progress: Arc<Progress>) -> Self {
        Self { blocks, block: Vec::new(), at: 0, consumed: 0, ended: false, progress }
    }

    /// Bytes that are there to be consumed; none at the end of the stream only.
    pub fn fill(&mut self) -> Result<&[u8], SourceError> {
        while self.at == self.block.len() && !self.ended {
            self.block.clear();
            self.at = 0;
            if let Some(block) = self.next()? {
                self.block = block;
            }
        }
        Ok(&self.block[self.at..])
    }

    /// At least `wanted` bytes ahead, fewer only where the stream ends before.
    pub fn peek(&mut self, wanted: usize) -> Result<&[u8], SourceError> {
        while self.block.len() - self.at < wanted && !self.ended {
            self.block.drain(..self.at);
            self.at = 0;
            if let Some(block) = self.next()? {
                self.block.extend_from_slice(&block);
            }
        }
        Ok(&self.block[self.at..])
    }

    /// Goes past bytes that `fill` or `peek` gave.
    pub fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.block.len() - self.at);
        self.at += bytes;
        self.consumed += bytes as u64;
        self.progress.add_taken(bytes);
    }

    /// Takes exactly these bytes, or says what is cut off.
    pub fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], SourceError> {
        let consumed = self.consumed;
        let ahead = self.peek(N)?;
        let Some(bytes) = ahead.first_chunk::<N>().copied() else {
            let end = consumed + ahead.len() as u64;
            return Err(SourceError::Truncated { says: format!("{what} is cut off at byte {end}") });
        };
        self.consume(N);
        Ok(bytes)
    }

    /// Bytes consumed so far: the place that errors name.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let since = Instant::now();
        let block = self.blocks.next().transpose();
        self.progress.add_wait_for_input(since);
        if !matches!(block, Ok(Some(_))) {
            self.ended = true;
        }
        block
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Input").field("consumed", &self.consumed).finish_non_exhaustive()
    }
}
