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
//! at the last component, and in the middle only inside the system: a link to `/etc` in an image is the image's `/etc`.
//!
//! Rejected: one `System` with a `dry_run` flag. A flag can be forgotten at one call; a type without the method cannot.

#[cfg(feature = "tools")]
pub mod image;

use std::{io, path::Path};

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

/// Read access only.
pub trait Observe {
    /// `None`: there is nothing at this path. Does not follow a link at the end.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// The bytes of a regular file; `NotFound` if there is none.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, sorted; empty if there is none.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// What can be done here besides files.
    fn abilities(&self) -> Abilities;
}

/// What a system can do besides holding files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Commands can be run in it, as root.
    pub run: bool,
    /// It is the running system: services can be reloaded, users are logged in.
    pub live: bool,
    /// Files have owners and modes below this path prefix exceptions: FAT keeps neither. Paths under it are stored with
    /// neither, and compare equal whatever they are.
    pub fat: Option<&'static str>,
}

/// Write access.
pub trait System: Observe {
    /// Replaces a file whole, with mode and owner: after a crash it is the old one or the new one. The parent exists.
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()>;

    /// Makes one directory; one that is there gets this mode and owner.
    fn make_dir(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()>;

    /// Replaces what is there, unless a directory, by a symbolic link.
    fn link(&mut self, path: &Path, target: &str) -> io::Result<()>;

    /// Removes a file, a link, or an empty directory; nothing there is no error.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Changes mode and owner.
    fn own(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()>;

    /// Runs a program in the system to its end. Only where [`Abilities::run`] is true.
    fn run(&mut self, program: &str, arguments: &[String], environment: &[(String, String)]) -> io::Result<Ran>;

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
