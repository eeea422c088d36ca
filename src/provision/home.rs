//! The directory in which a system keeps its receipt: made before the first change, gone after the last undo.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    receipt::{BLOBS, FIRST_BOOT, HOME, RECEIPT, Receipt},
    state::sha256,
};
use crate::io::system::{Kind, Observe, Owner, System};

/// The display's own directory, which holds [`HOME`].
const ABOVE: &str = "/var/lib/pikiosk";

/// Makes what is missing, and notes in the receipt what was not there before.
pub(super) fn make(system: &mut dyn System, receipt: &mut Receipt) -> io::Result<()> {
    let owner = root(system)?;
    let new = system.stat(Path::new(RECEIPT))?.is_none();
    for above in Path::new(HOME).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        let there = system.stat(above)?.is_some();
        // A run that was cut before it could write its receipt leaves a directory that is ours by its name.
        let ours = new && above == Path::new(ABOVE) && system.list(above)?.iter().all(|name| name == "provision");
        if !there || ours && is_half_made(system, above)? {
            system.make_dir(above, 0o755, owner)?;
        }
        if !there || ours {
            receipt.made.insert(above.to_owned());
        }
    }
    if new {
        system.make_dir(Path::new(HOME), 0o700, owner)?;
        receipt.made.insert(PathBuf::from(HOME));
        system.make_dir(Path::new(BLOBS), 0o700, owner)?;
    }
    Ok(())
}

/// Writes the receipt; when this returns, it is on the medium.
pub(super) fn save(system: &mut dyn System, receipt: &Receipt) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(receipt)?;
    let owner = root(system)?;
    system.write(Path::new(RECEIPT), &text, 0o600, owner)?;
    system.sync()
}

/// Keeps a content under its hash.
pub(super) fn keep(system: &mut dyn System, bytes: &[u8]) -> io::Result<()> {
    let path = blob(&sha256(bytes));
    if system.stat(&path)?.is_some() {
        return Ok(());
    }
    let owner = root(system)?;
    system.write(&path, bytes, 0o600, owner)
}

/// A content that was kept; an error if it is not what was kept.
pub(super) fn kept(system: &dyn Observe, hash: &str) -> io::Result<Vec<u8>> {
    let bytes = system.read(&blob(hash))?;
    if sha256(&bytes) == hash {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", blob(hash).display())))
    }
}

/// Removes contents that the receipt does not need, and what a cut write left.
pub(super) fn tidy(system: &mut dyn System, receipt: &Receipt) -> io::Result<()> {
    let needed = receipt.blobs();
    for name in system.list(Path::new(BLOBS))? {
        if !needed.contains(name.as_str()) {
            system.remove(&blob(&name))?;
        }
    }
    system.sweep(Path::new(RECEIPT))?;
    system.sweep(Path::new(FIRST_BOOT))
}

/// Removes all of it: the receipt last of the files, so that a cut leaves something to go by.
pub(super) fn remove(system: &mut dyn System, receipt: &Receipt) -> io::Result<()> {
    for name in system.list(Path::new(BLOBS))? {
        system.remove(&blob(&name))?;
    }
    system.remove(Path::new(BLOBS))?;
    for name in system.list(Path::new(HOME))? {
        let path = Path::new(HOME).join(name);
        if path != Path::new(RECEIPT) {
            system.remove(&path)?;
        }
    }
    system.remove(Path::new(RECEIPT))?;
    remove_made(system, receipt.made.iter().rev())
}

/// Removes what a run left that was cut before it had a receipt, or an undo that was cut after it had none.
pub(super) fn remove_left_over(system: &mut dyn System) -> io::Result<()> {
    let made = [HOME, ABOVE].map(PathBuf::from).into();
    if system.stat(Path::new(HOME))?.is_some() || system.list(Path::new(ABOVE))?.is_empty() {
        remove(system, &Receipt { made, ..Receipt::new() })?;
    }
    Ok(())
}

/// Directories that are not empty stay: the display's own state lives in one of them.
fn remove_made<'a>(system: &mut dyn System, made: impl Iterator<Item = &'a PathBuf>) -> io::Result<()> {
    for path in made {
        let is_directory = system.stat(path)?.is_some_and(|stat| stat.kind == Kind::Directory);
        if is_directory && system.list(path)?.is_empty() {
            system.remove(path)?;
        }
    }
    system.sync()
}

/// A cut between making a directory and giving it its mode leaves it closed to others.
fn is_half_made(system: &dyn Observe, path: &Path) -> io::Result<bool> {
    Ok(system.stat(path)?.is_some_and(|stat| stat.mode == 0o700))
}

/// Whoever owns `/` is root here.
fn root(system: &dyn Observe) -> io::Result<Owner> {
    let root = system.stat(Path::new("/"))?;
    Ok(root.map_or(Owner::ROOT, |stat| Owner { uid: stat.uid, gid: stat.gid }))
}

fn blob(hash: &str) -> PathBuf {
    Path::new(BLOBS).join(hash)
}
