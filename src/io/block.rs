//! What a card, a partition, an image file and a fault-injecting test double have in common: bytes at offsets.

pub mod overlay;

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

/// Part of a device: a partition. Offsets count from its start, and nothing outside can be reached.
#[derive(Debug, Clone)]
pub struct Window<D> {
    device: D,
    start: u64,
    len: u64,
}

impl<D: BlockDevice> Window<D> {
    /// `len` bytes from `start`; `None` if the device ends before.
    pub fn new(device: D, start: u64, len: u64) -> Option<Self> {
        (start.checked_add(len)? <= device.len()).then_some(Self { device, start, len })
    }

    /// The device's offset of `len` bytes at `offset` of this window.
    fn place(&self, offset: u64, len: usize, short: io::ErrorKind) -> io::Result<u64> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.len => Ok(self.start + offset),
            _ => Err(io::Error::new(
                short,
                format!("{len} bytes at {offset} are not inside the {} bytes here", self.len),
            )),
        }
    }
}

impl<D: BlockDevice> BlockDevice for Window<D> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let offset = self.place(offset, into.len(), io::ErrorKind::UnexpectedEof)?;
        self.device.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = self.place(offset, bytes.len(), io::ErrorKind::WriteZero)?;
        self.device.write_at(offset, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.device.flush()
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
