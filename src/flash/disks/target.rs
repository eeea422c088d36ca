//! From what a person typed to one disk.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{DeviceNumber, Disk, Machine};

/// What a path is, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Block(DeviceNumber),
    File,
    /// Nothing is there.
    Missing,
    /// A directory, a character device, or something that cannot be looked at.
    Other,
}

/// Asks the file system.
pub fn node_of(path: &Path) -> Node {
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_block_device() => {
            let number = found.rdev();
            Node::Block(DeviceNumber { major: nix::sys::stat::major(number), minor: nix::sys::stat::minor(number) })
        }
        Ok(found) if found.is_file() => Node::File,
        Ok(_) => Node::Other,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Node::Missing,
        Err(_) => Node::Other,
    }
}

/// Where an image is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A disk of the machine; whether it may be written is [`super::judge()`]'s answer.
    Disk(Box<Disk>),
    /// A regular file, there or to be made: a card as an image.
    File(PathBuf),
}

/// Why a path is no target. `Display` fits after `failed to flash PATH: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("this is a part of {disk}, and a card is written whole")]
    Partition { disk: String },
    #[error("there is no such device")]
    Missing,
    #[error("this is no disk and no file")]
    NoDisk,
    #[error("the kernel shows no disk with its number {number}")]
    Unknown { number: DeviceNumber },
}

impl TargetError {
    /// What to do about it.
    pub fn cure(&self) -> String {
        match self {
            Self::Partition { disk } => format!("write {disk} instead"),
            Self::Missing => "put the card in, and look what it is called: pikiosk flash --list".to_owned(),
            Self::NoDisk | Self::Unknown { .. } => "see what there is: pikiosk flash --list".to_owned(),
        }
    }
}

/// Finds the disk that a path names, by its device number.
pub fn target(path: &Path, machine: &Machine, node: &dyn Fn(&Path) -> Node) -> Result<Target, TargetError> {
    let number = match node(path) {
        Node::Block(number) => number,
        Node::File => return Ok(Target::File(path.to_owned())),
        // A slip of the hand in /dev would otherwise fill the memory with an image.
        Node::Missing if !path.starts_with("/dev") => return Ok(Target::File(path.to_owned())),
        Node::Missing => return Err(TargetError::Missing),
        Node::Other => return Err(TargetError::NoDisk),
    };
    for disk in &machine.disks {
        if disk.identity.number == number {
            return Ok(Target::Disk(Box::new(disk.clone())));
        }
        if disk.partitions.iter().any(|partition| partition.number == number) {
            return Err(TargetError::Partition { disk: disk.node() });
        }
    }
    Err(TargetError::Unknown { number })
}
