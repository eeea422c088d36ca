//! Which disk may be written. A wrong answer here destroys somebody's data, so everything that is not surely a card is
//! refused, and no flag turns a rule off that protects a disk in use.
//!
//! ```text
//!   /sys/block, /proc/self/mountinfo, /proc/swaps --sysfs--> Machine { disks, and what stands on each }
//!                                                                |
//!   what the person typed --target--> one Disk --judge--> safe, or every reason why not
//!                                                                |
//!   asked, answered: the Identity is read again and must be the same ---> opened with O_EXCL
//! ```
//!
//! Devices are compared by number, never by the text of a path: `/dev/disk/by-id` links, and `/dev/sda` beside
//! `/dev/sdaa`, mislead every comparison of texts.
//!
//! Rejected: `lsblk --json`. Its output changed under two other flashers, and it does not tell an eMMC from a card.

mod judge;
mod mounts;
mod sysfs;
mod target;

pub use judge::{LARGEST, Refusal, Rules, SMALLEST, judge, polite_mounts};
pub use target::{Node, Target, TargetError, node_of, target};

use std::{fmt, io, path::Path};

/// A device number, as the kernel tells it: `8:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNumber {
    pub major: u64,
    pub minor: u64,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl std::str::FromStr for DeviceNumber {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.trim().split_once(':').ok_or(())?;
        Ok(Self { major: major.parse().map_err(|_| ())?, minor: minor.parse().map_err(|_| ())? })
    }
}

/// All disks of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Sorted by name.
    pub disks: Vec<Disk>,
}

/// One whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub identity: Identity,
    /// The kernel's name: `sda`, `mmcblk0`.
    pub name: String,
    pub kind: DiskKind,
    /// Maker and model, as far as the disk tells; empty if it does not.
    pub model: String,
    pub removable: bool,
    pub read_only: bool,
    /// The largest write that the kernel does not split, in bytes.
    pub largest_write: u32,
    pub partitions: Vec<Partition>,
    /// Who uses it now.
    pub uses: Vec<Use>,
}

impl Disk {
    /// Its node: `/dev/sda`.
    pub fn node(&self) -> String {
        // The kernel writes a slash in a name as an exclamation mark.
        format!("/dev/{}", self.name.replace('!', "/"))
    }
}

/// What tells one insertion of one card from every other: read before the question and again after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub number: DeviceNumber,
    /// Bytes.
    pub size: u64,
    /// Of the disk, or of the USB device that it is in.
    pub serial: Option<String>,
    /// The card's own register (SD only): maker, name, revision, serial number, date.
    pub cid: Option<String>,
    /// Counted up by the kernel at every insertion (Linux 5.15).
    pub sequence: Option<u64>,
}

/// What sort of disk it is, by how it is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// A card in a slot of its own (`mmcblk`, type `SD`).
    SdCard,
    /// Built-in flash (`mmcblk`, type `MMC`).
    Emmc,
    /// A boot or replay-protected area of an eMMC, or one whose type is not told.
    MmcOther,
    Usb,
    Loop,
    Nvme,
    /// SATA, SAS, virtual disks.
    Internal,
    /// Made from other disks: device mapper, RAID, bcache.
    Stacked,
    /// Memory, network, optical, floppy and whatever else is no card.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    pub number: DeviceNumber,
    /// Bytes.
    pub size: u64,
}

/// One use of a disk, of one of its partitions, or of something that stands on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    Mounted {
        /// The kernel's name of what is mounted: `sda1`, `dm-0`.
        name: String,
        at: String,
    },
    Swap {
        name: String,
    },
    /// Encrypted, a volume group, RAID, bcache: it stands on this disk, mounted or not.
    Holder {
        name: String,
    },
}

/// Reads the machine's disks. `root` is `/`, or a test's picture of it with `sys` and `proc` in it.
pub fn observe(root: &Path, node: &dyn Fn(&Path) -> Node) -> io::Result<Machine> {
    sysfs::observe(root, node)
}

#[cfg(test)]
mod tests;
