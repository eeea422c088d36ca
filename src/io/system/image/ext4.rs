//! The root file system, one inode at a time.
//!
//! The crate underneath commits every call as one journal transaction, and refuses one that is larger than the journal:
//! contents are written in pieces, into a file beside the one they replace, which takes its place at the end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use fs_ext4::{
    Error, Filesystem,
    block_io::BlockDevice as Ext4Device,
    inode::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG},
    runtime::Runtime,
};

use super::{
    ImageError, is_directory,
    superblock::{self, Superblock},
};
use crate::io::{
    block::{BlockDevice, Window},
    system::{Kind, Owner, Stat},
};

/// The inode of `/`.
pub(super) const ROOT: u32 = 2;

/// Bytes of a file that are written in one transaction; a journal holds 4 MiB at least.
const PIECE: usize = 1 << 20;

/// Where new contents are made before they take their place. A file of this name is what a killed run left.
const NEW: &str = ".pikiosk-new";

/// Blocks that a new file needs besides its contents: a directory that grows, and the tree of its extents.
const SPARE: u64 = 16;

/// Hard links beyond what the crate counts are none of ours: it replaces names, never contents.
pub(super) struct Ext4 {
    device: Arc<Adapter>,
    clock: Arc<Clock>,
    /// `None` only if it could not be opened again after a sync.
    open: Option<Filesystem>,
}

impl Ext4 {
    pub(super) fn open(device: Window<Arc<dyn BlockDevice>>, number: u32, now: u64) -> Result<Self, ImageError> {
        let root = |source| ImageError::Root { source };
        let device = Arc::new(Adapter(device));
        superblock::judge(&device.superblock().map_err(root)?, number, device.0.len())?;
        let clock = Arc::new(Clock { now: i64::try_from(now).unwrap_or(i64::MAX), generation: AtomicU32::new(1) });
        let open = mount(&device, &clock).map_err(root)?;
        Ok(Self { device, clock, open: Some(open) })
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> io::Result<u64> {
        let Superblock { block, free, .. } = self.counts()?;
        Ok(free * block)
    }

    /// The inode of an entry of a directory.
    pub(super) fn lookup(&self, directory: u32, name: &str) -> io::Result<Option<u32>> {
        match self.fs()?.lookup_at(directory, name.as_bytes()) {
            Ok(ino) => Ok(Some(ino)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(told(name, error)),
        }
    }

    pub(super) fn stat(&self, ino: u32) -> io::Result<Stat> {
        let fs = self.fs()?;
        let inode = fs.stat_ino(ino).map_err(|error| told("a file", error))?;
        let kind = match inode.mode & S_IFMT {
            S_IFREG => Kind::File { len: inode.size },
            S_IFDIR => Kind::Directory,
            S_IFLNK => {
                let target = fs.read_link_ino(ino).map_err(|error| told("a link", error))?;
                Kind::Link { target: String::from_utf8_lossy(&target).into_owned() }
            }
            _ => Kind::Other,
        };
        Ok(Stat { kind, mode: u32::from(inode.mode & 0o7777), uid: inode.uid, gid: inode.gid })
    }

    pub(super) fn read(&self, ino: u32) -> io::Result<Vec<u8>> {
        let Kind::File { len } = self.stat(ino)?.kind else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        };
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = Vec::new();
        // A damaged inode may claim any length: memory is taken as bytes really come.
        while bytes.len() < len {
            let from = bytes.len();
            bytes.resize((from + PIECE).min(len), 0);
            let read =
                self.fs()?.read_ino(ino, from as u64, &mut bytes[from..]).map_err(|error| told("a file", error))?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than its inode says"));
            }
            bytes.truncate(from + read);
        }
        Ok(bytes)
    }

    /// The names in a directory, unsorted.
    pub(super) fn names(&self, ino: u32) -> io::Result<Vec<String>> {
        if self.stat(ino)?.kind != Kind::Directory {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let entries = self.fs()?.read_dir_ino(ino).map_err(|error| told("a directory", error))?;
        Ok(entries
            .into_iter()
            .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
            .filter(|name| name != "." && name != "..")
            .collect())
    }

    pub(super) fn write(&self, directory: u32, name: &str, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.not_a_directory(directory, name)?;
        self.room(name, bytes.len() as u64)?;
        self.replace(directory, name, || {
            let fs = self.fs()?;
            let ino =
                fs.apply_create_at(directory, NEW.as_bytes(), permissions(mode)).map_err(|error| told(name, error))?;
            let mut offset = 0;
            for piece in bytes.chunks(PIECE) {
                fs.apply_pwrite_ino(ino, offset, piece).map_err(|error| told(name, error))?;
                offset += piece.len() as u64;
            }
            fs.apply_chown_ino(ino, owner.uid, owner.gid).map_err(|error| told(name, error))
        })
    }

    pub(super) fn link(&self, directory: u32, name: &str, target: &str, owner: Owner) -> io::Result<()> {
        self.not_a_directory(directory, name)?;
        self.room(name, target.len() as u64)?;
        self.replace(directory, name, || {
            let fs = self.fs()?;
            let made = fs.apply_symlink_at(directory, NEW.as_bytes(), target.as_bytes());
            let ino = made.map_err(|error| told(name, error))?;
            fs.apply_chown_ino(ino, owner.uid, owner.gid).map_err(|error| told(name, error))
        })
    }

    pub(super) fn make_dir(&self, directory: u32, name: &str, mode: u32, owner: Owner) -> io::Result<()> {
        if let Some(ino) = self.lookup(directory, name)? {
            return match self.stat(ino)?.kind {
                Kind::Directory => self.own(ino, mode, owner),
                Kind::File { .. } | Kind::Link { .. } | Kind::Other => Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("{name} is there, and is not a directory"),
                )),
            };
        }
        self.room(name, 0)?;
        let fs = self.fs()?;
        let ino =
            fs.apply_mkdir_at(directory, name.as_bytes(), permissions(mode)).map_err(|error| told(name, error))?;
        self.own(ino, mode, owner)
    }

    pub(super) fn remove(&self, directory: u32, name: &str) -> io::Result<()> {
        let Some(ino) = self.lookup(directory, name)? else { return Ok(()) };
        let fs = self.fs()?;
        match self.stat(ino)?.kind {
            Kind::Directory => fs.apply_rmdir_at(directory, name.as_bytes()),
            Kind::File { .. } | Kind::Link { .. } | Kind::Other => fs.apply_unlink_at(directory, name.as_bytes()),
        }
        .map_err(|error| told(name, error))
    }

    /// Removes what a killed run left in a directory.
    pub(super) fn sweep(&self, directory: u32) -> io::Result<()> {
        self.remove(directory, NEW)
    }

    pub(super) fn own(&self, ino: u32, mode: u32, owner: Owner) -> io::Result<()> {
        let fs = self.fs()?;
        let is = self.stat(ino)?;
        if !matches!(is.kind, Kind::Link { .. }) && is.mode != mode {
            fs.apply_chmod_ino(ino, permissions(mode)).map_err(|error| told("a mode", error))?;
        }
        if (is.uid, is.gid) != (owner.uid, owner.gid) {
            fs.apply_chown_ino(ino, owner.uid, owner.gid).map_err(|error| told("an owner", error))?;
        }
        Ok(())
    }

    /// Makes the file system clean, as an unmount does, and goes on.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(fs) = self.open.take() {
            fs.finish().map_err(|error| told("the root file system", error))?;
            self.open = Some(mount(&self.device, &self.clock)?);
        }
        Ok(())
    }

    /// Makes something called [`NEW`] and gives it the name it shall have. What had the name is there until then, and
    /// stays if anything fails.
    fn replace(&self, directory: u32, name: &str, make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.remove(directory, NEW)?;
        let done = make().and_then(|()| {
            self.fs()?
                .apply_rename_at(directory, NEW.as_bytes(), directory, name.as_bytes(), true)
                .map_err(|error| told(name, error))
        });
        if done.is_err() {
            // The first error is the one to tell; the next write of this directory removes it again.
            let _ = self.remove(directory, NEW);
        }
        done
    }

    fn not_a_directory(&self, directory: u32, name: &str) -> io::Result<()> {
        match self.lookup(directory, name)? {
            Some(ino) if self.stat(ino)?.kind == Kind::Directory => Err(is_directory(name.as_ref())),
            _ => Ok(()),
        }
    }

    /// Refuses before anything is written what cannot fit.
    fn room(&self, name: &str, bytes: u64) -> io::Result<()> {
        let Superblock { block, free, free_inodes } = self.counts()?;
        if bytes.div_ceil(block) + SPARE > free || free_inodes == 0 {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{name} needs {bytes} bytes, and the root file system has {} left", free * block),
            ));
        }
        Ok(())
    }

    fn counts(&self) -> io::Result<Superblock> {
        self.device.superblock().map(|bytes| superblock::counts(&bytes))
    }

    fn fs(&self) -> io::Result<&Filesystem> {
        self.open
            .as_ref()
            .ok_or_else(|| io::Error::other("the root file system could not be opened again after a sync"))
    }
}

fn mount(device: &Arc<Adapter>, clock: &Arc<Clock>) -> io::Result<Filesystem> {
    Filesystem::mount_with_runtime(Arc::clone(device) as Arc<dyn Ext4Device>, Arc::clone(clock) as Arc<dyn Runtime>)
        .map_err(|error| told("the root file system", error))
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits")
}

/// A crate's error as one of ours: the kind that callers look at, and what it was about.
fn told(what: &str, error: Error) -> io::Error {
    let kind = match &error {
        Error::Io(source) => source.kind(),
        Error::NotFound => io::ErrorKind::NotFound,
        Error::NotADirectory => io::ErrorKind::NotADirectory,
        Error::IsADirectory => io::ErrorKind::IsADirectory,
        Error::AlreadyExists => io::ErrorKind::AlreadyExists,
        Error::DirectoryNotEmpty => io::ErrorKind::DirectoryNotEmpty,
        Error::ReadOnly | Error::JournalNotReplayed => io::ErrorKind::ReadOnlyFilesystem,
        Error::NameTooLong => io::ErrorKind::InvalidFilename,
        Error::NoSpaceLeftOnDevice => io::ErrorKind::StorageFull,
        Error::InvalidArgument(_) => io::ErrorKind::InvalidInput,
        Error::Unsupported(_) => io::ErrorKind::Unsupported,
        // What the crate says where a directory would need a fifth extent; it stops before it writes anything.
        Error::CorruptExtentTree(_) => {
            return io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{what}: its directory is in too many pieces to take more, or it is damaged"),
            );
        }
        _ => io::ErrorKind::InvalidData,
    };
    match error {
        Error::Io(source) if source.get_ref().is_some() => source,
        error => io::Error::new(kind, format!("{what}: {error}")),
    }
}

/// The partition, as the crate wants it.
struct Adapter(Window<Arc<dyn BlockDevice>>);

impl Adapter {
    fn superblock(&self) -> io::Result<[u8; superblock::SIZE]> {
        let mut bytes = [0; superblock::SIZE];
        self.0.read_at(superblock::OFFSET, &mut bytes)?;
        Ok(bytes)
    }
}

impl Ext4Device for Adapter {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> fs_ext4::Result<()> {
        Ok(self.0.read_at(offset, into)?)
    }

    fn size_bytes(&self) -> u64 {
        self.0.len()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> fs_ext4::Result<()> {
        Ok(self.0.write_at(offset, bytes)?)
    }

    fn flush(&self) -> fs_ext4::Result<()> {
        Ok(self.0.flush()?)
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// The time and the generations of new inodes: given, so that the same changes give the same bytes.
struct Clock {
    now: i64,
    generation: AtomicU32,
}

impl Runtime for Clock {
    fn now_unix_seconds(&self) -> i64 {
        self.now
    }

    fn next_inode_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }
}
