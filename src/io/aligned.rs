//! Memory that O_DIRECT takes: it begins at a page.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// Where a buffer begins, and what lengths are rounded to by those who need it: no disk asks for more than a page.
pub const PAGE: usize = 4096;

/// Bytes that begin at a page boundary. Its length is fixed.
///
/// A `Vec` with up to a page of lead: its heap block never moves, as it never grows, so that no unsafe code is needed.
pub struct AlignedBuffer {
    storage: Vec<u8>,
    lead: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let storage = vec![0; len + PAGE];
        let lead = storage.as_ptr().align_offset(PAGE);
        Self { storage, lead, len }
    }

    /// A copy of these bytes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer
    }

    /// Keeps the first `len` bytes only.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Whether this memory begins at a page.
    pub fn is_aligned(bytes: &[u8]) -> bool {
        bytes.as_ptr().align_offset(PAGE) == 0
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.lead..self.lead + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.lead..self.lead + self.len]
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_at_a_page_wherever_the_heap_puts_it() {
        let buffers: Vec<_> = (0..64).map(|n| AlignedBuffer::copy_of(&vec![n; 1 + usize::from(n) * 37])).collect();
        for (n, buffer) in buffers.iter().enumerate() {
            assert!(AlignedBuffer::is_aligned(buffer));
            assert_eq!(buffer.len(), 1 + n * 37);
            assert!(buffer.iter().all(|byte| usize::from(*byte) == n));
        }
    }
}
