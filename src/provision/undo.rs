//! Everything put back as it was before the first run, as far as it is still ours to put back.

use std::path::{Path, PathBuf};

use super::{
    apply::Progress,
    home,
    item::Desired,
    observe::{ObserveError, observe},
    packages,
    plan::{self, Kept, Reason},
    receipt::{FIRST_BOOT, Receipt, ReceiptError},
    step::{self, StepError},
};
use crate::io::system::System;

/// What an undo did.
#[derive(Debug, Default)]
pub struct Undone {
    /// How many paths were put back.
    pub restored: usize,
    /// What stays, because it is no longer only ours.
    pub kept: Vec<Kept>,
    pub failed: Vec<Failed>,
    /// Packages that came with our runs and are still there.
    pub packages: Vec<String>,
    /// Packages that were taken away.
    pub purged: Vec<String>,
}

/// A path that could not be put back.
#[derive(Debug)]
pub struct Failed {
    pub path: PathBuf,
    pub error: StepError,
}

impl Undone {
    /// False if something of ours stays that a person has to look at. Directories that others use do not count.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.kept.iter().all(|kept| kept.reason == Reason::NotEmpty)
    }
}

/// Why nothing was undone.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error("write down what will be undone")]
    Unprepared { source: StepError },
    #[error("remove {}", super::receipt::HOME)]
    Home { source: std::io::Error },
    #[error("remove packages")]
    Packages { source: StepError },
}

/// Undoes all runs on this system, best effort: what fails is named and the rest goes on. `None`: there were none.
pub fn undo(
    system: &mut dyn System,
    with_packages: bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Option<Undone>, UndoError> {
    let Some(mut receipt) = Receipt::load(system)? else {
        home::remove_left_over(system).map_err(|source| UndoError::Home { source })?;
        return Ok(None);
    };
    step::recover(system, &mut receipt).map_err(|source| UndoError::Unprepared { source })?;
    let plan = plan::undo(&observe(system, &Desired::default(), Some(&receipt))?, &receipt);
    for step in &plan.steps {
        if let Some(entry) = receipt.entries.get_mut(&step.path) {
            entry.intent = Some(step.put.clone());
        }
    }
    receipt.owed.clear();
    // First of all: a boot in the middle of this must not do it all again.
    let written = system.remove(Path::new(FIRST_BOOT)).and_then(|()| home::save(system, &receipt));
    written.map_err(|source| UndoError::Unprepared { source: source.into() })?;

    let mut undone = Undone::default();
    let of = plan.steps.len();
    for (index, step) in plan.steps.iter().enumerate() {
        progress(Progress::Step { number: index + 1, of, step });
        match step::take(system, step) {
            Ok(()) => undone.restored += 1,
            Err(error) => undone.failed.push(Failed { path: step.path.clone(), error }),
        }
    }
    undone.kept = plan.kept;
    take_packages(system, with_packages, &mut receipt, &mut undone, progress)?;
    let stays = |path: &PathBuf| {
        undone.failed.iter().any(|failed| failed.path == *path)
            || undone.kept.iter().any(|kept| kept.reason == Reason::Changed && kept.path == *path)
    };
    receipt.entries.retain(|path, _| stays(path));
    let ended = if receipt.entries.is_empty() {
        home::remove(system, &receipt)
    } else {
        home::save(system, &receipt).and_then(|()| home::tidy(system, &receipt))
    };
    ended.map_err(|source| UndoError::Home { source })?;
    Ok(Some(undone))
}

fn take_packages(
    system: &mut dyn System,
    with_packages: bool,
    receipt: &mut Receipt,
    undone: &mut Undone,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), UndoError> {
    let failed = |source: StepError| UndoError::Packages { source };
    let there = packages::installed(system).map_err(|error| failed(error.into()))?;
    let before = receipt.packages.before.take();
    // apt was cut: what is there and was not before is ours.
    let cut = before.map(|before| there.difference(&before).cloned().collect::<Vec<_>>()).unwrap_or_default();
    receipt.packages.installed.extend(cut);
    let ours: Vec<String> = receipt.packages.installed.intersection(&there).cloned().collect();
    if !with_packages || !system.abilities().run || ours.is_empty() {
        undone.packages = ours;
        return Ok(());
    }
    progress(Progress::Packages(&ours));
    let ran = packages::purge(system, &ours, &mut |line| progress(Progress::Said(line)));
    let ran = ran.map_err(|error| failed(error.into()))?;
    if !ran.success {
        return Err(failed(StepError::Program(ran)));
    }
    receipt.packages.installed.clear();
    undone.purged = ours;
    Ok(())
}
