//! One step done: a path from what is there to what shall be there, with one call where one call can do it.

use std::{io, path::Path};

use super::{
    home,
    plan::Step,
    receipt::{Receipt, ReceiptError},
    state::{State, sha256},
};
use crate::io::system::{Observe, Ran, System};

/// Why one step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("something else is there than a moment ago: another program is at work on it")]
    Moved,
    #[error("its content is not in the plan")]
    NoContent,
    #[error("{status}, and said:\n{output}", status = .0.status, output = .0.output.trim_end())]
    Program(Ran),
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

/// Takes a step, if what it expects is there.
pub(super) fn take(system: &mut dyn System, step: &Step) -> Result<(), StepError> {
    let now = State::of(system, &step.path)?;
    // That a directory came to be meanwhile loses nothing: one of them is made for the receipt.
    let both_directories = now.is_directory() && step.put.is_directory();
    if !now.same(&step.found) && !both_directories {
        return Err(StepError::Moved);
    }
    let bytes = content(system, step)?;
    put(system, &step.path, &now, &step.put, &bytes)?;
    Ok(())
}

/// Takes a step back, as far as it was taken. The content that was there is among those that are kept.
pub(super) fn take_back(system: &mut dyn System, step: &Step) -> Result<(), StepError> {
    system.sweep(&step.path)?;
    let now = State::of(system, &step.path)?;
    // Not the looser `same`: a link gets its owner back too.
    if now == step.found {
        return Ok(());
    }
    let bytes = match &step.found {
        State::File { sha256, .. } => home::kept(system, sha256)?,
        _ => Vec::new(),
    };
    put(system, &step.path, &now, &step.found, &bytes)?;
    Ok(())
}

/// Tells of every path that a cut run was at whether it came to it, and removes what was left half written.
pub(super) fn recover(system: &mut dyn System, receipt: &mut Receipt) -> Result<(), StepError> {
    for (path, entry) in &mut receipt.entries {
        let Some(intent) = entry.intent.clone() else { continue };
        system.sweep(path)?;
        let now = State::of(system, path)?;
        if now.same(&intent) {
            entry.left = entry.intent.take();
        } else if now.same(&entry.before) || entry.left.as_ref().is_some_and(|left| left.same(&now)) {
            entry.intent = None;
        }
    }
    receipt.entries.retain(|_, entry| entry.intent.is_some() || !is_as_before(entry.left.as_ref(), &entry.before));
    Ok(())
}

/// True of a path that was never touched, or is as it was: nothing to know of it.
pub(super) fn is_as_before(left: Option<&State>, before: &State) -> bool {
    left.is_none_or(|left| left.same(before))
}

fn content(system: &dyn Observe, step: &Step) -> Result<Vec<u8>, StepError> {
    let State::File { sha256: wanted, .. } = &step.put else { return Ok(Vec::new()) };
    let bytes = match &step.content {
        Some(content) => content.bytes().ok_or(StepError::NoContent)?.to_vec(),
        None if step.found.content() == Some(wanted) => system.read(&step.path)?,
        None => home::kept(system, wanted)?,
    };
    if sha256(&bytes) == *wanted { Ok(bytes) } else { Err(StepError::Moved) }
}

/// A file that gets another mode only is written again as well: in one call, so that a cut leaves no third state.
fn put(system: &mut dyn System, path: &Path, now: &State, put: &State, bytes: &[u8]) -> io::Result<()> {
    if now.is_directory() != put.is_directory() && *now != State::Absent && *put != State::Absent {
        system.remove(path)?;
    }
    match put {
        State::Absent => system.remove(path),
        State::File { mode, owner, .. } => system.write(path, bytes, *mode, *owner),
        State::Directory { mode, owner } => system.make_dir(path, *mode, *owner),
        State::Link { target, owner } => system.link(path, target, *owner),
        State::Other => Err(io::Error::new(io::ErrorKind::Unsupported, "a device is not made again")),
    }
}
