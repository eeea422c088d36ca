//! What a card, a partition, an image file and a fault-injecting test double have in common: bytes at offsets.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// A run of bytes of fixed length that can be read and written at any offset. Shared between threads; callers agree on
/// who writes where.
///
/// Neither call is ever short: fewer bytes than asked for is an error (`UnexpectedEof`, `WriteZero`).
pub trait BlockDevice: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything written is on the medium (fdatasync(2)).
    fn flush(&self) -> io::Result<()>;
}

/// A regular file, or a device node opened without O_DIRECT.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len: u64,
}

impl FileDevice {
    /// Takes an open file and its length in bytes (a device node says 0 in its metadata).
    pub fn new(file: File, len: u64) -> Self {
        Self { file, len }
    }
}

impl BlockDevice for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl<D: BlockDevice + ?Sized> BlockDevice for Arc<D> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        (**self).flush()
    }
}
