//! The files of one system, wherever they are, and the commands that can be run in it.
//!
//! ```text
//!   Observe  stat, read, list, read_link          what checks and plans may use: there is no way to write in it
//!      |
//!   System   write, make_dir, link, remove, own, run
//!      |
//!      +-- real (/)   +-- mounted (--root DIR)   +-- image (FAT + ext4 in user space)   +-- memory (op log, fail at n)
//! ```
//!
//! Paths are absolute *inside* that system: `/etc/hostname` of a card is the card's. Symbolic links are never followed
//! at the last component (but see [`Observe::read_through`]), and in the middle only inside the system: a link to `/etc`
//! in an image is the image's `/etc`.
//!
//! Rejected: one `System` with a `dry_run` flag. A flag can be forgotten at one call; a type without the method cannot.

use std::{
    io,
    path::{Path, PathBuf},
};

#[cfg(feature = "tools")]
pub mod image;
mod launch;
pub mod memory;
mod mounted;
mod real;
#[cfg(test)]
pub mod suite;
mod tree;

pub use memory::Memory;
pub use mounted::Mounted;
pub use real::Real;

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Length in bytes.
    File {
        len: u64,
    },
    Directory,
    /// Where it points, as written.
    Link {
        target: String,
    },
    /// A device, socket or pipe.
    Other,
}

/// What stat(2) tells, as far as provisioning cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky (0o7777).
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Who owns a file, by number: an image's names are not this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// How many links in a row are followed before it is called a loop (the kernel's own limit).
pub const MAX_LINKS: usize = 40;

/// Read access only.
pub trait Observe {
    /// `None`: there is nothing at this path. Does not follow a link at the end.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// The bytes of a regular file; `NotFound` if there is none, another error if it is no regular file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, sorted; empty if there is nothing, `NotADirectory` if it is something else.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// What can be done here besides files.
    fn abilities(&self) -> Abilities;

    /// Where a path leads once links at its end are followed too, inside this system. The result may hold `..`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.stat(&at)? {
                Some(Stat { kind: Kind::Link { target }, .. }) => {
                    at = at.parent().unwrap_or(Path::new("/")).join(target);
                }
                _ => return Ok(at),
            }
        }
        Err(io::Error::from_raw_os_error(nix::errno::Errno::ELOOP as i32))
    }

    /// [`read`](Self::read), following links at the end as well: `/etc/os-release` is one.
    fn read_through(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(&self.resolve(path)?)
    }
}

/// What a system can do besides holding files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Commands can be run in it, as root.
    pub run: bool,
    /// It is the running system: services can be reloaded, users are logged in.
    pub live: bool,
    /// The directory below which files have neither owner nor mode: FAT keeps none, and whatever is asked for is taken
    /// and forgotten.
    pub fat: Option<&'static str>,
}

/// Write access.
///
/// After a crash the system is as a prefix of the calls left it; of the call that was cut, nothing is seen but what
/// [`sweep`](Self::sweep) removes, and a directory that was being made or owned may have another mode or owner.
pub trait System: Observe {
    /// Replaces a file or link by a file, whole, with mode and owner: after a crash it is the old one or the new one.
    /// The parent exists; a directory in the way is an error.
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()>;

    /// Makes one directory; one that is there gets this mode and owner.
    fn make_dir(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()>;

    /// Replaces what is there, unless a directory, by a symbolic link.
    fn link(&mut self, path: &Path, target: &str, owner: Owner) -> io::Result<()>;

    /// Removes a file, a link, or an empty directory; nothing there is no error.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Changes mode and owner of a file or directory.
    fn own(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()>;

    /// Removes what a `write` or `link` that was cut short left beside this path.
    fn sweep(&mut self, path: &Path) -> io::Result<()> {
        let _ = path;
        Ok(())
    }

    /// Runs a program in the system to its end, stdin empty; `told` gets each line of its output as it comes. Only where
    /// [`Abilities::run`] is true.
    fn run(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[(String, String)],
        told: &mut dyn FnMut(&str),
    ) -> io::Result<Ran>;

    /// Returns once all that was written is on the medium.
    fn sync(&mut self) -> io::Result<()>;
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub success: bool,
    /// `exit status 100`, `signal 9`.
    pub status: String,
    /// The last 4 KiB of stdout and stderr together.
    pub output: String,
}
