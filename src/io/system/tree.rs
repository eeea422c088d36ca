//! The files below a directory, reached without ever leaving it: what the running system and a mounted root share.
//!
//! Every path is walked component by component from the root's descriptor; links are read and walked too, absolute ones
//! from the root again. Nothing is ever given to the kernel with more than one component, so that it cannot follow a
//! link out of the root. Rejected: openat2(RESOLVE_IN_ROOT), which older QEMU in a chroot and kernels before 5.6 lack.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat},
    sys::{
        stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat},
        statfs::{MSDOS_SUPER_MAGIC, fstatfs},
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat},
};

use super::{Kind, MAX_LINKS, Owner, Stat};

/// A directory as the root of a system.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { root: openat(AT_FDCWD, root, flags, Mode::empty())? })
    }

    pub(super) fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let (directory, name) = match self.parent(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            found => found?,
        };
        let stat = match stat_of(&directory, &name) {
            Err(Errno::ENOENT) => return Ok(None),
            found => found?,
        };
        let kind = match kind_bits(&stat) {
            SFlag::S_IFREG => Kind::File { len: stat.st_size.cast_unsigned() },
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Link { target: text(readlinkat(&directory, name.as_os_str())?)? },
            _ => Kind::Other,
        };
        Ok(Some(Stat { kind, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }))
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (directory, name) = self.parent(path)?;
        // Before it is opened: to open a pipe or a device may wait, or do something.
        if kind_bits(&stat_of(&directory, &name)?) != SFlag::S_IFREG {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&directory, name.as_os_str(), flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let found = self.parent(path).and_then(|(directory, name)| {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(&directory, name.as_os_str(), flags, Mode::empty())
        });
        let found = match found {
            Err(Errno::ENOENT) => return Ok(Vec::new()),
            // What open(2) says of a link with O_NOFOLLOW.
            Err(Errno::ELOOP) => return Err(Errno::ENOTDIR.into()),
            found => found?,
        };
        let mut names = Vec::new();
        for entry in nix::dir::Dir::from_fd(found)?.iter() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// True if the file system that holds this path is FAT; false if there is no such path.
    pub(super) fn is_fat(&self, path: &Path) -> bool {
        let found = self.parent(path).and_then(|(directory, name)| {
            openat(&directory, name.as_os_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
        });
        found.is_ok_and(|found| keeps_no_owner(found.as_fd()))
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.replace(path, |directory, beside| {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mut file = File::from(openat(directory, beside, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
            file.write_all(bytes)?;
            own(file.as_fd(), mode, owner)?;
            file.sync_all()
        })
    }

    pub(super) fn link(&self, path: &Path, target: &str, owner: Owner) -> io::Result<()> {
        self.replace(path, |directory, beside| {
            symlinkat(target, directory, beside)?;
            let made = stat_of(&directory, beside)?;
            if (made.st_uid, made.st_gid) != (owner.uid, owner.gid) {
                let (uid, gid) = ids(owner);
                fchownat(directory, beside, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            }
            Ok(())
        })
    }

    pub(super) fn make_dir(&self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        match mkdirat(&directory, name.as_os_str(), Mode::S_IRWXU) {
            Err(Errno::EEXIST) if kind_bits(&stat_of(&directory, &name)?) != SFlag::S_IFDIR => {
                return Err(Errno::ENOTDIR.into());
            }
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        own_at(&directory, &name, mode, owner)?;
        sync_dir(&directory)
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = match self.parent(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            found => found?,
        };
        let removed = match stat_of(&directory, &name) {
            Ok(stat) if kind_bits(&stat) == SFlag::S_IFDIR => {
                unlinkat(&directory, name.as_os_str(), UnlinkatFlags::RemoveDir)
            }
            Ok(_) => unlinkat(&directory, name.as_os_str(), UnlinkatFlags::NoRemoveDir),
            Err(errno) => Err(errno),
        };
        match removed {
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
            Ok(()) => sync_dir(&directory),
        }
    }

    pub(super) fn own(&self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        own_at(&directory, &name, mode, owner)?;
        sync_dir(&directory)
    }

    pub(super) fn sweep(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = match self.parent(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            found => found?,
        };
        remove_beside(&directory, &beside(&name))
    }

    /// Makes something beside the path and renames it over.
    fn replace(&self, path: &Path, make: impl FnOnce(BorrowedFd<'_>, &OsStr) -> io::Result<()>) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        if stat_of(&directory, &name).is_ok_and(|stat| kind_bits(&stat) == SFlag::S_IFDIR) {
            return Err(Errno::EISDIR.into());
        }
        let beside = beside(&name);
        // What a crash left behind.
        remove_beside(&directory, &beside)?;
        let made = make(directory.as_fd(), &beside)
            .and_then(|()| Ok(renameat(&directory, beside.as_os_str(), &directory, name.as_os_str())?));
        if let Err(error) = made {
            // The first error is the one that says what is wrong.
            let _ = remove_beside(&directory, &beside);
            return Err(error);
        }
        sync_dir(&directory)
    }

    /// The directory that holds the last component of a path, and that component; `.` for the root itself.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString), Errno> {
        let mut ahead: VecDeque<OsString> = VecDeque::new();
        push_front(&mut ahead, path.as_os_str());
        // From the root to where we are; the root is never popped, so `..` cannot lead out.
        let mut walked = vec![self.root.try_clone().map_err(|_| Errno::EMFILE)?];
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let here = walked.last().expect("the root is never popped");
            if name == ".." {
                if walked.len() > 1 {
                    walked.pop();
                }
                continue;
            }
            if ahead.is_empty() {
                return Ok((walked.pop().expect("the root is never popped"), name));
            }
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = openat(here, name.as_os_str(), flags, Mode::empty())?;
            match kind_bits(&fstat(&found)?) {
                SFlag::S_IFDIR => walked.push(found),
                SFlag::S_IFLNK => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = readlinkat(here, name.as_os_str())?;
                    if Path::new(&target).is_absolute() {
                        walked.truncate(1);
                    }
                    push_front(&mut ahead, &target);
                }
                _ => return Err(Errno::ENOTDIR),
            }
        }
        Ok((walked.pop().expect("the root is never popped"), OsString::from(".")))
    }
}

fn push_front(ahead: &mut VecDeque<OsString>, path: &OsStr) {
    for component in Path::new(path).components().rev() {
        match component {
            Component::Normal(name) => ahead.push_front(name.to_owned()),
            Component::ParentDir => ahead.push_front(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// Where a file is written before it is renamed over its place.
fn beside(name: &OsStr) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".pikiosk-new");
    beside
}

fn remove_beside(directory: &OwnedFd, beside: &OsStr) -> io::Result<()> {
    match unlinkat(directory, beside, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn stat_of(directory: &impl AsFd, name: &OsStr) -> Result<FileStat, Errno> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn kind_bits(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn own_at(directory: &OwnedFd, name: &OsStr, mode: u32, owner: Owner) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let found = openat(directory, name, flags, Mode::empty())?;
    own(found.as_fd(), mode, owner)
}

/// Owner first: to change it takes setuid and setgid away.
fn own(file: BorrowedFd<'_>, mode: u32, owner: Owner) -> io::Result<()> {
    if keeps_no_owner(file) {
        return Ok(());
    }
    let now = fstat(file)?;
    if (now.st_uid, now.st_gid) != (owner.uid, owner.gid) {
        let (uid, gid) = ids(owner);
        fchown(file, uid, gid)?;
    }
    Ok(fchmod(file, Mode::from_bits_truncate(mode))?)
}

fn ids(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

fn keeps_no_owner(file: BorrowedFd<'_>) -> bool {
    fstatfs(file).is_ok_and(|found| found.filesystem_type() == MSDOS_SUPER_MAGIC)
}

/// Walked descriptors are O_PATH, which cannot be fsynced.
fn sync_dir(directory: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    File::from(openat(directory, ".", flags, Mode::empty())?).sync_all()
}

fn text(target: OsString) -> io::Result<String> {
    target.into_string().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the link's target is no UTF-8"))
}
