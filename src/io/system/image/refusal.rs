//! Why an image or a card is not opened. Nothing was written.

use std::io;

use crate::io::partitions::PartitionsError;

/// Why [`super::ImageSystem::open`] refuses. Fits after `the image cannot be used: `.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Partitions(#[from] PartitionsError),
    #[error("none of its partitions is a Linux root: there is no ext4 file system with an /etc")]
    NoRoot,
    /// The ext4 journal holds changes that are not in their place yet, or the file system was not unmounted.
    #[error("partition {number} was not unmounted cleanly")]
    Unclean { number: u32 },
    /// The kernel noted errors in the file system.
    #[error("partition {number} holds errors that Linux has noted")]
    Errors { number: u32 },
    /// ext4 features that pikiosk does not know how to keep right.
    #[error("its root file system uses what pikiosk cannot write: {features}")]
    Features { features: String },
    /// ext2 and ext3 keep files in another way.
    #[error("its root file system is {found}, not ext4")]
    NotExt4 { found: &'static str },
    #[error("its root file system is cut short: it has {needs} bytes, its partition {len}")]
    Truncated { needs: u64, len: u64 },
    #[error("its root file system cannot be read")]
    Root { source: io::Error },
    #[error("its boot partition cannot be read")]
    Boot { source: io::Error },
}

impl ImageError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Partitions(PartitionsError::None) => {
                "give the image of a whole card, as it is written to one, not that of one partition".to_owned()
            }
            Self::Partitions(PartitionsError::Truncated { .. }) | Self::Truncated { .. } => {
                "the file was not copied or unpacked to its end: fetch or unpack it again".to_owned()
            }
            Self::Partitions(PartitionsError::Damaged(_) | PartitionsError::Io(_))
            | Self::Boot { .. }
            | Self::Root { .. } => "take a fresh copy of the image, or another card".to_owned(),
            Self::NoRoot => "this works on Raspberry Pi OS, Debian and images of pikiosk image build".to_owned(),
            Self::Unclean { number } | Self::Errors { number } => format!(
                "take a fresh copy of the image; or attach it with losetup --partscan, and repair partition {number} with e2fsck -f"
            ),
            Self::Features { .. } | Self::NotExt4 { .. } => {
                "flash it as it is, and run pikiosk provision on the Pi instead".to_owned()
            }
        }
    }
}
