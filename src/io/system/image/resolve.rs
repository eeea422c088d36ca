//! Which file system a path leads to. Links in the middle are followed inside the image; one at the end is not.

use std::{
    collections::VecDeque,
    io,
    path::{Component, Path},
};

use super::ext4::{self, Ext4};
use crate::io::system::{Kind, MAX_LINKS};

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/` itself.
    Top,
    /// An entry of a directory of the root file system, which may not be there.
    Root { directory: u32, name: String },
    /// Below the mount point of the boot partition; empty for the mount point itself.
    Boot { path: String },
    /// What is on the way is not there, or is no directory.
    Nowhere { at: String },
}

/// Follows `path` from the root; `boot` is where the boot partition is mounted.
pub(super) fn place(root: &Ext4, boot: Option<&str>, path: &Path) -> io::Result<Place> {
    let mut ahead: VecDeque<String> = VecDeque::new();
    if !path.is_absolute() {
        return Err(invalid(path, "is not absolute"));
    }
    push(&mut ahead, path)?;
    let mut links = 0;
    // The directories from the root down, without `/` itself.
    let mut walked: Vec<(String, u32)> = Vec::new();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            walked.pop();
            continue;
        }
        let here = format!("{}/{name}", walked.iter().map(|(name, _)| format!("/{name}")).collect::<String>());
        if boot == Some(here.as_str()) {
            return Ok(Place::Boot { path: below(path, ahead)? });
        }
        let directory = walked.last().map_or(ext4::ROOT, |(_, ino)| *ino);
        if ahead.is_empty() {
            return Ok(Place::Root { directory, name });
        }
        let Some(ino) = root.lookup(directory, &name)? else { return Ok(Place::Nowhere { at: here }) };
        match root.stat(ino)?.kind {
            Kind::Directory => walked.push((name, ino)),
            Kind::Link { target } => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(invalid(path, "leads through more than 40 links"));
                }
                if target.starts_with('/') {
                    walked.clear();
                }
                let rest = std::mem::take(&mut ahead);
                push(&mut ahead, Path::new(&target))?;
                ahead.extend(rest);
            }
            Kind::File { .. } | Kind::Other => return Ok(Place::Nowhere { at: here }),
        }
    }
    if walked.is_empty() {
        Ok(Place::Top)
    } else {
        Err(invalid(path, "ends in a directory's own name or its parent's"))
    }
}

fn push(ahead: &mut VecDeque<String>, path: &Path) -> io::Result<()> {
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                ahead.push_back(name.to_str().ok_or_else(|| invalid(path, "is not UTF-8"))?.to_owned());
            }
            Component::ParentDir => ahead.push_back("..".to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(())
}

/// The path inside the boot partition. FAT has no links, so `..` is the name before it.
fn below(path: &Path, ahead: VecDeque<String>) -> io::Result<String> {
    let mut inside: Vec<String> = Vec::new();
    for name in ahead {
        if name != ".." {
            inside.push(name);
        } else if inside.pop().is_none() {
            return Err(invalid(path, "leads into the boot partition and out again"));
        }
    }
    Ok(inside.join("/"))
}

fn invalid(path: &Path, says: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {says}", path.display()))
}
