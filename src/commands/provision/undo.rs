//! `--undo`: what was there before is put back; what cannot be is named, with the cure.

use serde::Serialize;

use super::bring::{Teller, agree, nothing};
use super::{Args, ProvisionError, target::Target};
use crate::commands::{Exit, Failure, output};
use crate::provision::{
    plan::{Kept, Reason},
    receipt::{BLOBS, Receipt},
    undo::{self, Undone},
};

#[derive(Serialize)]
struct Told<'a> {
    target: &'a str,
    complete: bool,
    restored: usize,
    kept: &'a [Kept],
    failed: Vec<Failed<'a>>,
    packages_left: &'a [String],
    packages_removed: &'a [String],
}

#[derive(Serialize)]
struct Failed<'a> {
    path: &'a std::path::Path,
    error: String,
}

pub(super) fn run(target: &mut Target, args: &Args) -> Result<Exit, Failure> {
    let receipt = Receipt::load(target.observe())
        .map_err(|source| target.failed(ProvisionError::Undo { source: source.into() }))?;
    if let Some(receipt) = &receipt {
        let (paths, packages) = (receipt.entries.len(), receipt.packages.installed.len());
        output::remark(&format!("{}: {paths} paths to put back, {packages} packages were installed", target.name));
        if !args.yes && !agree("ask whether to undo it", "--yes does it without a question")? {
            output::remark("nothing was changed");
            return Ok(Exit::Pending);
        }
    }
    let mut progress = Teller::default();
    let undone = undo::undo(&mut *target.system, args.packages, &mut |it| progress.tell(it));
    let undone = undone.map_err(|source| target.failed(ProvisionError::Undo { source }))?;
    target.finish()?;
    match undone {
        None => nothing(&target.name, args),
        Some(undone) => tell(&target.name, &undone, args),
    }
}

fn tell(name: &str, undone: &Undone, args: &Args) -> Result<Exit, Failure> {
    let exit = if undone.is_complete() { Exit::Done } else { Exit::UndoIncomplete };
    if args.json.json {
        let failed = undone.failed.iter().map(|it| Failed { path: &it.path, error: it.error.to_string() });
        output::json(&Told {
            target: name,
            complete: undone.is_complete(),
            restored: undone.restored,
            kept: &undone.kept,
            failed: failed.collect(),
            packages_left: &undone.packages,
            packages_removed: &undone.purged,
        })?;
        return Ok(exit);
    }
    output::line(&format!("{name}: {} paths are as they were before", undone.restored))?;
    for kept in &undone.kept {
        output::line(&cure(kept))?;
    }
    for failed in &undone.failed {
        let path = failed.path.display();
        output::line(&format!("failed: {path}: {}; look at the disk, then try --undo again", failed.error))?;
    }
    if !undone.purged.is_empty() {
        output::line(&format!("removed {} packages", undone.purged.len()))?;
    }
    if !undone.packages.is_empty() {
        let names = undone.packages.join(" ");
        output::line(&format!("{} packages that were installed stay; sudo apt purge {names}", undone.packages.len()))?;
    }
    output::line("restart it, and it is what it was")?;
    Ok(exit)
}

fn cure(kept: &Kept) -> String {
    let path = kept.path.display();
    match (kept.reason, &kept.before) {
        (Reason::NotEmpty, _) => format!("kept: {path}: others put something into it; remove it if nobody needs it"),
        (Reason::Changed, Some(before)) => {
            format!("kept: {path}: somebody changed it since; what was there before is {BLOBS}/{before}")
        }
        (Reason::Changed, None) => {
            format!("kept: {path}: somebody changed it since; there was no file before: remove it if nobody needs it")
        }
    }
}
