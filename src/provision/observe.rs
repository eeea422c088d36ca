//! What is there, as far as a plan must know: reads only, and says so by its type.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    item::{Desired, Item},
    packages,
    plan::Plan,
    receipt::{self, Receipt, ReceiptError},
    state::State,
};
use crate::io::system::{Abilities, Kind, Observe};

/// What was found on a system.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Every path that is desired, every directory above one, and every path of the receipt.
    pub states: BTreeMap<PathBuf, State>,
    /// What is in the directories among them that may have to go.
    pub children: BTreeMap<PathBuf, Vec<String>>,
    /// Links among them that lead to a directory.
    pub leads_to_directory: BTreeSet<PathBuf>,
    /// Debian packages; empty if none are desired.
    pub installed: BTreeSet<String>,
    /// What was left for the first boot and is still to be done.
    pub first_boot: Option<Plan>,
    pub abilities: Abilities,
}

impl Observed {
    /// What is at a path that was looked at.
    pub fn state(&self, path: &Path) -> &State {
        self.states.get(path).unwrap_or(&State::Absent)
    }
}

/// Why a system cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("look at {}", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

/// Looks at all that a plan for `desired` depends on.
pub fn observe(system: &dyn Observe, desired: &Desired, receipt: Option<&Receipt>) -> Result<Observed, ObserveError> {
    let mut observed = Observed { abilities: system.abilities(), ..Observed::default() };
    let wanted: BTreeMap<&Path, bool> = desired.items.iter().filter_map(Item::place).collect();
    let known = receipt.iter().flat_map(|receipt| receipt.entries.keys());
    for path in wanted.keys().copied().chain(known.map(PathBuf::as_path)) {
        for path in path.ancestors() {
            if !observed.states.contains_key(path) {
                let keeps_directory = wanted.get(path).copied().unwrap_or(false);
                look(system, path, keeps_directory, &mut observed)?;
            }
        }
    }
    if desired.items.iter().any(|item| matches!(item, Item::Packages { .. })) {
        observed.installed = packages::installed(system).map_err(|source| failed(packages::STATUS, source))?;
    }
    observed.first_boot = match receipt::read(system, Path::new(receipt::FIRST_BOOT))? {
        None => None,
        Some(bytes) => Some(
            serde_json::from_slice(&bytes)
                .map_err(|source| ReceiptError::Damaged { path: receipt::FIRST_BOOT.into(), source })?,
        ),
    };
    Ok(observed)
}

fn look(system: &dyn Observe, path: &Path, keeps_directory: bool, observed: &mut Observed) -> Result<(), ObserveError> {
    let state = State::of(system, path).map_err(|source| failed(path, source))?;
    match &state {
        State::Directory { .. } if !keeps_directory => {
            let names = system.list(path).map_err(|source| failed(path, source))?;
            observed.children.insert(path.to_owned(), names);
        }
        State::Link { .. } if leads_to_directory(system, path) => {
            observed.leads_to_directory.insert(path.to_owned());
        }
        _ => {}
    }
    observed.states.insert(path.to_owned(), state);
    Ok(())
}

/// A link that leads nowhere, or round in a circle, leads to no directory.
fn leads_to_directory(system: &dyn Observe, path: &Path) -> bool {
    let found = system.resolve(path).and_then(|end| system.stat(&end));
    matches!(found, Ok(Some(stat)) if stat.kind == Kind::Directory)
}

fn failed(path: impl AsRef<Path>, source: io::Error) -> ObserveError {
    ObserveError::Path { path: path.as_ref().to_owned(), source }
}
