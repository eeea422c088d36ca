//! A card as its writer has it: opened for this process alone.

use std::{io, path::Path, sync::Arc};

use super::{schedule, stream::CHUNK};
use crate::io::{block::BlockDevice, direct::DirectDevice};

/// An opened card, or a regular file that stands for one.
#[derive(Clone)]
pub struct Card {
    /// As a person calls it: `/dev/sdb`.
    pub name: String,
    device: Arc<dyn BlockDevice>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Disk(Arc<DirectDevice>),
    File { file: Arc<DirectDevice>, size: FileSize, fresh: bool },
    Other,
}

/// How long a regular file becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileSize {
    /// As long as the image, or as it was if that is more.
    #[default]
    Image,
    /// This many bytes, a multiple of 512; an image that is longer is refused.
    Exactly(u64),
    /// As long as the image, rounded up to a power of two, as QEMU wants it of an SD card.
    PowerOfTwo,
}

/// What is done with what a regular file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is emptied: what the image does not use stays a hole.
    Emptied,
    /// It is kept and written over, as a disk would be.
    Kept,
}

impl Card {
    /// Opens a disk with O_EXCL: `EBUSY` if anything else uses it or a partition of it.
    pub fn disk(path: &Path) -> io::Result<Self> {
        let device = Arc::new(DirectDevice::open_disk(path)?);
        Ok(Self { name: path.display().to_string(), device: Arc::clone(&device) as _, kind: Kind::Disk(device) })
    }

    /// Opens a regular file, made if there is none.
    pub fn file(path: &Path, size: FileSize, existing: Existing) -> io::Result<Self> {
        let file = Arc::new(DirectDevice::open_file(path)?);
        let fresh = existing == Existing::Emptied || file.len() == 0;
        if fresh {
            file.set_len(0)?;
        }
        if let FileSize::Exactly(len) = size {
            file.set_len(len)?;
        }
        let kind = Kind::File { file: Arc::clone(&file), size, fresh };
        Ok(Self { name: path.display().to_string(), device: file, kind })
    }

    /// Any other device, such as one that fails on purpose.
    pub fn of(name: &str, device: Arc<dyn BlockDevice>) -> Self {
        Self { name: name.to_owned(), device, kind: Kind::Other }
    }

    pub fn device(&self) -> &Arc<dyn BlockDevice> {
        &self.device
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.device.len()
    }

    pub fn is_empty(&self) -> bool {
        self.device.is_empty()
    }

    /// Whether it grows with the image.
    pub fn grows(&self) -> bool {
        matches!(self.kind, Kind::File { size: FileSize::Image | FileSize::PowerOfTwo, .. })
    }

    /// Whether all of it reads as zeros now, so that zeros need not be written.
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::File { fresh: true, .. })
    }

    /// Whether the medium may be another than it says: only then is it probed.
    pub fn may_lie(&self) -> bool {
        !matches!(self.kind, Kind::File { .. })
    }

    /// Makes a file that grows long enough for an image that ends here, in bytes.
    pub fn make_room(&self, end: u64) -> io::Result<()> {
        let Kind::File { file, size, .. } = &self.kind else { return Ok(()) };
        let end = end.next_multiple_of(512);
        let len = match size {
            FileSize::Exactly(_) => return Ok(()),
            FileSize::Image => end,
            FileSize::PowerOfTwo => end.next_power_of_two(),
        };
        if file.len() < len { file.set_len(len) } else { Ok(()) }
    }

    /// Bytes of one write.
    pub fn write_size(&self) -> usize {
        let largest = match &self.kind {
            Kind::Disk(disk) => disk.largest_request(),
            Kind::File { .. } | Kind::Other => None,
        };
        schedule::write_size(largest, CHUNK as u64) as usize
    }

    /// Has the kernel look at the new partitions.
    pub fn read_partitions_again(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Disk(disk) => disk.read_partitions_again(),
            Kind::File { .. } | Kind::Other => Ok(()),
        }
    }
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Card({}, {} bytes)", self.name, self.len())
    }
}
