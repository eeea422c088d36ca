//! The files of a card image, or of a card, without mounting anything: FAT and ext4 in user space.
//!
//! ```text
//!   ImageSystem --path, links resolved inside--> ext4   one inode at a time; every step is one journal transaction
//!        |                                  \--> fat    /boot/firmware (or /boot): names and bytes, no owners
//!   partitions: MBR or GPT, each told by its content
//!        |
//!   BlockDevice    an image file | a card's Overlay (nothing reaches the card before its commit)
//! ```
//!
//! Whoever wants all changes or none opens an [`crate::io::block::overlay::Overlay`] and commits it at the end.
//! What was changed is complete and clean for other readers after [`System::sync`] or a drop.
//!
//! Rejected: `debugfs -w` and mtools. They would have to be installed where people flash cards, and debugfs exits with 0
//! whatever happens.

mod ext4;
mod fat;
mod refusal;
mod resolve;
mod superblock;

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use self::{ext4::Ext4, fat::Fat, resolve::Place};
use super::{Abilities, Observe, Owner, Ran, Stat, System};
use crate::io::{
    block::{BlockDevice, Window},
    partitions::{self, Content, Partition},
};

pub use self::refusal::ImageError;

/// Where the boot partition of a Pi is found in its root, in the order in which they are tried.
const BOOT: [&str; 2] = ["/boot/firmware", "/boot"];

/// The system in an image or on a card: an ext4 root and, if there is one, the FAT partition that the Pi boots from.
pub struct ImageSystem {
    device: Arc<dyn BlockDevice>,
    root: Ext4,
    root_partition: Partition,
    boot: Option<Boot>,
}

struct Boot {
    fat: Fat,
    partition: Partition,
    at: &'static str,
}

impl ImageSystem {
    /// Opens what is in `device`; new files get the time of this machine.
    pub fn open(device: Arc<dyn BlockDevice>) -> Result<Self, ImageError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::open_at(device, now)
    }

    /// Opens what is in `device`; new files get this time, in seconds since 1970, so that the same changes to the same
    /// image give the same bytes. Nothing is written before the first change.
    pub fn open_at(device: Arc<dyn BlockDevice>, now: u64) -> Result<Self, ImageError> {
        let partitions = partitions::read(&device)?;
        let (root, root_partition) = find_root(&device, &partitions, now)?;
        let mut boot = None;
        if let Some(partition) = partitions.iter().find(|partition| partition.content == Content::Fat) {
            let fat = Fat::open(window(&device, partition), now).map_err(|source| ImageError::Boot { source })?;
            let at = boot_mount(&root).map_err(|source| ImageError::Root { source })?;
            boot = Some(Boot { fat, partition: partition.clone(), at });
        }
        Ok(Self { device, root, root_partition, boot })
    }

    /// The partition with the root file system.
    pub fn root_partition(&self) -> &Partition {
        &self.root_partition
    }

    /// The FAT partition, and where it is found: `/boot/firmware` or `/boot`.
    pub fn boot_partition(&self) -> Option<(&Partition, &'static str)> {
        self.boot.as_ref().map(|boot| (&boot.partition, boot.at))
    }

    /// Bytes that are free in the root file system.
    pub fn free(&self) -> io::Result<u64> {
        self.root.free()
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        resolve::place(&self.root, self.boot.as_ref().map(|boot| boot.at), path)
    }

    fn fat(&self) -> &Fat {
        &self.boot.as_ref().expect("only an image with a boot partition has places in it").fat
    }
}

fn window(device: &Arc<dyn BlockDevice>, partition: &Partition) -> Window<Arc<dyn BlockDevice>> {
    Window::new(Arc::clone(device), partition.start, partition.len).expect("partitions are inside their device")
}

/// The root is the ext4 file system with an /etc: an image may hold others, for data.
fn find_root(
    device: &Arc<dyn BlockDevice>,
    partitions: &[Partition],
    now: u64,
) -> Result<(Ext4, Partition), ImageError> {
    let mut refused = None;
    for partition in partitions.iter().filter(|partition| partition.content == Content::Ext) {
        match Ext4::open(window(device, partition), partition.number, now) {
            Ok(ext4) => {
                let etc = ext4.lookup(ext4::ROOT, "etc").map_err(|source| ImageError::Root { source })?;
                if etc.is_some() {
                    return Ok((ext4, partition.clone()));
                }
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(ImageError::NoRoot))
}

/// Where the root's own fstab mounts the boot partition, or else the place that is there.
fn boot_mount(root: &Ext4) -> io::Result<&'static str> {
    if let Place::Root { directory, name } = resolve::place(root, None, Path::new("/etc/fstab"))?
        && let Some(ino) = root.lookup(directory, &name)?
    {
        let fstab = root.read(ino)?;
        for line in String::from_utf8_lossy(&fstab).lines() {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (at, kind) = (fields.next(), fields.next());
            if kind == Some("vfat")
                && let Some(known) = BOOT.iter().find(|known| Some(**known) == at)
            {
                return Ok(known);
            }
        }
    }
    for at in BOOT {
        if matches!(resolve::place(root, None, Path::new(at))?, Place::Root { directory, name } if root.lookup(directory, &name)?.is_some())
        {
            return Ok(at);
        }
    }
    Ok(BOOT[0])
}

impl Observe for ImageSystem {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.place(path)? {
            Place::Nowhere { .. } => Ok(None),
            Place::Top => self.root.stat(ext4::ROOT).map(Some),
            Place::Root { directory, name } => match self.root.lookup(directory, &name)? {
                None => Ok(None),
                Some(ino) => self.root.stat(ino).map(Some),
            },
            Place::Boot { path } => self.fat().stat(&path),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.place(path)? {
            Place::Nowhere { at } => Err(missing(&at)),
            Place::Top => Err(is_directory(path)),
            Place::Root { directory, name } => {
                let ino = self.root.lookup(directory, &name)?.ok_or_else(|| missing(&path.display().to_string()))?;
                self.root.read(ino)
            }
            Place::Boot { path } => self.fat().read(&path),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = match self.place(path)? {
            Place::Nowhere { .. } => Vec::new(),
            Place::Top => self.root.names(ext4::ROOT)?,
            Place::Root { directory, name } => match self.root.lookup(directory, &name)? {
                None => Vec::new(),
                Some(ino) => self.root.names(ino)?,
            },
            Place::Boot { path } => self.fat().names(&path)?,
        };
        names.sort_unstable();
        Ok(names)
    }

    fn abilities(&self) -> Abilities {
        Abilities { run: false, live: false, fat: self.boot.as_ref().map(|boot| boot.at) }
    }
}

impl System for ImageSystem {
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { at } => Err(missing(&at)),
            Place::Top => Err(is_directory(path)),
            Place::Root { directory, name } => self.root.write(directory, &name, bytes, mode, owner),
            Place::Boot { path } => self.fat().write(&path, bytes),
        }
    }

    fn make_dir(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { at } => Err(missing(&at)),
            Place::Top => self.root.own(ext4::ROOT, mode, owner),
            Place::Root { directory, name } => self.root.make_dir(directory, &name, mode, owner),
            Place::Boot { path } => self.fat().make_dir(&path),
        }
    }

    fn link(&mut self, path: &Path, target: &str, owner: Owner) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { at } => Err(missing(&at)),
            Place::Top => Err(is_directory(path)),
            Place::Root { directory, name } => self.root.link(directory, &name, target, owner),
            Place::Boot { .. } => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{}: the boot partition is FAT, which has no links", path.display()),
            )),
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { .. } => Ok(()),
            Place::Top => Err(is_directory(path)),
            Place::Root { directory, name } => self.root.remove(directory, &name),
            Place::Boot { path } => self.fat().remove(&path),
        }
    }

    fn own(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { at } => Err(missing(&at)),
            Place::Top => self.root.own(ext4::ROOT, mode, owner),
            Place::Root { directory, name } => {
                let ino = self.root.lookup(directory, &name)?.ok_or_else(|| missing(&path.display().to_string()))?;
                self.root.own(ino, mode, owner)
            }
            Place::Boot { path: inside } => match self.fat().stat(&inside)? {
                Some(_) => Ok(()),
                None => Err(missing(&path.display().to_string())),
            },
        }
    }

    fn sweep(&mut self, path: &Path) -> io::Result<()> {
        match self.place(path)? {
            Place::Nowhere { .. } | Place::Top => Ok(()),
            Place::Root { directory, .. } => self.root.sweep(directory),
            Place::Boot { path } => self.fat().sweep(&path),
        }
    }

    fn run(&mut self, program: &str, _: &[String], _: &[(String, String)], _: &mut dyn FnMut(&str)) -> io::Result<Ran> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{program} cannot be run in an image: it is left for the first boot"),
        ))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.root.sync()?;
        self.device.flush()
    }
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path} is not there"))
}

fn is_directory(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a directory", path.display()))
}

impl std::fmt::Debug for ImageSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSystem")
            .field("root", &self.root_partition)
            .field("boot", &self.boot.as_ref().map(|boot| (&boot.partition, boot.at)))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
