//! Disks and files past the page cache: what is written is on its way to the medium, what is read comes from it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise},
    sys::stat::{major, minor},
};

use super::{aligned::AlignedBuffer, block::BlockDevice};

/// The sector of a file, and of nearly every card and loop device, in bytes.
const SECTOR: u64 = 512;

/// A device node or regular file opened with O_DIRECT. A regular file whose filesystem does not know O_DIRECT is
/// written through the page cache, and [`BlockDevice::flush`] makes the kernel forget what it holds of it.
#[derive(Debug)]
pub struct DirectDevice {
    file: File,
    len: AtomicU64,
    device: Option<u64>,
    cached: bool,
    /// Offsets and lengths that are multiples of this go straight through, in bytes.
    sector: u64,
}

impl DirectDevice {
    /// Opens a whole disk for this process alone (O_EXCL): `EBUSY` if it, or a partition of it, is mounted or used
    /// otherwise. No fallback to less.
    pub fn open_disk(path: &Path) -> io::Result<Self> {
        let mut file = open(path, OFlag::O_DIRECT | OFlag::O_EXCL, false)?;
        let metadata = file.metadata()?;
        if !metadata.file_type().is_block_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a block device"));
        }
        let len = file.seek(SeekFrom::End(0))?;
        let device = metadata.rdev();
        let sector = queue_number(device, "logical_block_size").unwrap_or(SECTOR);
        Ok(Self { file, len: AtomicU64::new(len), device: Some(device), cached: false, sector })
    }

    /// Opens a regular file, made if there is none, and locks it against other processes that do so:
    /// `ResourceBusy` if one has it.
    pub fn open_file(path: &Path) -> io::Result<Self> {
        let (file, cached) = match open(path, OFlag::O_DIRECT, true) {
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                (open(path, OFlag::empty(), true)?, true)
            }
            opened => (opened?, false),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(io::Error::from_raw_os_error(Errno::EBUSY as i32)),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self { file, len: AtomicU64::new(metadata.len()), device: None, cached, sector: SECTOR })
    }

    /// Makes a regular file this long; what is added is zeros that take no room.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    /// The largest request of this disk in bytes (`max_sectors_kb` of sysfs); `None` for files.
    pub fn largest_request(&self) -> Option<u64> {
        Some(queue_number(self.device?, "max_sectors_kb")? * 1024)
    }

    /// The device number of a disk.
    pub fn device(&self) -> Option<u64> {
        self.device
    }

    /// Has the kernel read the partition table again. Nothing to do for files.
    pub fn read_partitions_again(&self) -> io::Result<()> {
        if self.device.is_none() {
            return Ok(());
        }
        // SAFETY: BLKRRPART takes no argument and touches no memory of ours; the descriptor is open as long as `self`.
        #[expect(unsafe_code, reason = "there is no other way to ask for it")]
        unsafe {
            ioctl::reread_partitions(self.file.as_raw_fd())?;
        }
        Ok(())
    }

    /// Whether O_DIRECT takes this as it is.
    fn straight(&self, offset: u64, bytes: &[u8]) -> bool {
        let whole = |number: u64| number.is_multiple_of(self.sector);
        self.cached || whole(offset) && whole(bytes.len() as u64) && AlignedBuffer::is_aligned(bytes)
    }

    /// The sectors around a run of bytes: where they begin, and how long they are.
    fn around(&self, offset: u64, len: usize) -> (u64, usize) {
        let from = offset - offset % self.sector;
        let to = (offset + len as u64).next_multiple_of(self.sector);
        (from, (to - from) as usize)
    }
}

mod ioctl {
    nix::ioctl_none!(
        /// BLKRRPART of linux/fs.h.
        reread_partitions,
        0x12,
        95
    );
}

impl BlockDevice for DirectDevice {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if self.straight(offset, into) {
            return self.file.read_exact_at(into, offset);
        }
        let (from, len) = self.around(offset, into.len());
        let mut bounce = AlignedBuffer::zeroed(len);
        self.file.read_exact_at(&mut bounce, from)?;
        let lead = (offset - from) as usize;
        into.copy_from_slice(&bounce[lead..lead + into.len()]);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.straight(offset, bytes) {
            return self.file.write_all_at(bytes, offset);
        }
        let (from, len) = self.around(offset, bytes.len());
        let mut bounce = AlignedBuffer::zeroed(len);
        if len != bytes.len() {
            self.file.read_exact_at(&mut bounce, from)?;
        }
        let lead = (offset - from) as usize;
        bounce[lead..lead + bytes.len()].copy_from_slice(bytes);
        self.file.write_all_at(&bounce, from)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.cached {
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
        Ok(())
    }
}

fn open(path: &Path, flags: OFlag, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .custom_flags((flags | OFlag::O_CLOEXEC).bits())
        .open(path)
}

/// A number that sysfs tells of a disk's queue.
fn queue_number(device: u64, name: &str) -> Option<u64> {
    let path = format!("/sys/dev/block/{}:{}/queue/{name}", major(device), minor(device));
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_at_any_offset_are_written_and_read_whatever_the_sectors_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("card.img");
        let device = DirectDevice::open_file(&path).unwrap();
        device.set_len(64 * 1024).unwrap();
        device.write_at(511, b"over a sector's edge").unwrap();
        device.write_at(8192, &AlignedBuffer::copy_of(&[7; 4096])).unwrap();
        device.flush().unwrap();
        let mut back = [0; 22];
        device.read_at(510, &mut back).unwrap();
        assert_eq!(&back, b"\0over a sector's edge\0");
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[8192..8192 + 4096], [7; 4096]);
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 20 + 4096);
    }

    #[test]
    fn a_file_that_another_flash_writes_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("card.img");
        let first = DirectDevice::open_file(&path).unwrap();
        let second = DirectDevice::open_file(&path).unwrap_err();
        assert_eq!(second.raw_os_error(), Some(Errno::EBUSY as i32));
        drop(first);
        DirectDevice::open_file(&path).unwrap();
    }

    #[test]
    fn a_regular_file_is_no_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("card.img");
        std::fs::write(&path, [0; 512]).unwrap();
        assert_eq!(DirectDevice::open_disk(&path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
