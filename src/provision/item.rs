//! What shall be so on a target: values only, made by [`super::desired`], compared and carried out by the engine.

use std::path::PathBuf;

use crate::io::system::Owner;

/// All that shall be so, in the order in which it is laid down (a directory before what is in it).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    pub items: Vec<Item>,
    /// Run after the files are in place, in this order, each once and only if a path it watches changed. On a system
    /// that is not live these are left out (a boot does the same) unless [`After::offline`] says otherwise.
    pub after: Vec<After>,
}

/// One thing that shall be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directory; what is in it is kept.
    Directory { path: PathBuf, mode: u32, owner: Owner, why: &'static str },
    /// A file, whole. For a file that others write too, the content was made by editing what was there.
    File { path: PathBuf, content: Vec<u8>, mode: u32, owner: Owner, why: &'static str, secret: bool },
    /// A symbolic link: a unit that is enabled or masked, a time zone.
    Link { path: PathBuf, target: String, why: &'static str },
    /// Nothing is at this path.
    Absent { path: PathBuf, why: &'static str },
    /// Debian packages that are installed. What is missing is installed where commands can be run, and is left for the
    /// first boot elsewhere.
    Packages { names: Vec<String>, why: &'static str },
}

/// A command that makes what was laid down take effect at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// Run if one of these paths, or a path below, was changed.
    pub watches: Vec<PathBuf>,
    pub program: &'static str,
    pub arguments: Vec<String>,
    /// What it does, in words: `starts the supervisor`.
    pub why: &'static str,
    /// Run also in a root that is not booted, if commands can be run there (locale-gen).
    pub offline: bool,
}
