//! How much room there is on the disk that holds a folder.

use std::{io, path::Path};

use nix::sys::statvfs::{FsFlags, statvfs};

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub size: u64,
    /// Nobody may write to it, whatever room there is.
    pub read_only: bool,
}

impl Room {
    pub fn of(folder: &Path) -> io::Result<Room> {
        let disk = statvfs(folder)?;
        // 32 bits on a 32-bit Pi, and the product has more.
        let bytes = |blocks: u128| u64::try_from(blocks * disk.fragment_size() as u128).unwrap_or(u64::MAX);
        let (free, size) = (bytes(disk.blocks_available() as u128), bytes(disk.blocks() as u128));
        Ok(Room { free, size, read_only: disk.flags().contains(FsFlags::ST_RDONLY) })
    }

    /// For people.
    pub fn words(&self) -> String {
        format!("{} of {} MiB are free", self.free >> 20, self.size >> 20)
    }
}

#[cfg(test)]
impl Room {
    /// More than enough of it, whatever disk the tests run on.
    pub fn plenty(_: &Path) -> io::Result<Self> {
        Ok(Room { free: 1 << 40, size: 1 << 40, read_only: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_no_more_room_than_its_size_and_what_is_not_there_has_none() {
        let root = Room::of(Path::new("/")).unwrap();
        assert!(root.free <= root.size && root.size > 0, "{root:?}");
        let words = Room { free: 3 << 20, size: 7500 << 20, read_only: false }.words();
        assert_eq!(words, "3 of 7500 MiB are free");
        assert!(Room::of(Path::new("/nowhere/at/all")).is_err());
    }
}
