//! From what shall be so and what is so to the steps between them: pure, values in and values out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    item::{After, Desired, Item},
    observe::Observed,
    receipt::{Entry, Receipt},
    state::{Content, State, sha256},
};
use crate::io::system::{Abilities, Owner};

/// The form of the plan that this program writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// Everything a run would do, in this order. Bound to what was found: a step is not taken if something else is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    /// Debian packages to install.
    pub packages: Vec<String>,
    pub steps: Vec<Step>,
    /// Programs to run once the files are in place.
    pub commands: Vec<Command>,
    /// What is left for the first boot, if that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_boot: Option<FirstBoot>,
    /// What is no longer desired, and stays because somebody changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
}

/// One path from what is there to what shall be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub path: PathBuf,
    pub found: State,
    pub put: State,
    /// The bytes of the file to put; without them they are among the receipt's contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    pub why: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// It is not as the last run left it: somebody else changed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// What was there before the first run is put back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoes: bool,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub program: String,
    pub arguments: Vec<String>,
    pub why: String,
}

impl Command {
    /// As a person would type it.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// What becomes of the plan for the first boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstBoot {
    Leave(Box<Plan>),
    /// Nothing is left to do.
    Drop,
}

/// A path that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub path: PathBuf,
    pub reason: Reason,
    /// The content that was there before the first run, if it was a file.
    pub before: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody changed it since.
    Changed,
    /// Others put something into this directory of ours.
    NotEmpty,
}

/// Why nothing can be planned. Every one is told before anything was changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("put {wanted} at {}: {found} is there", path.display())]
    InTheWay { path: PathBuf, wanted: &'static str, found: &'static str },
    #[error("put anything at {}: it is named twice", path.display())]
    Twice { path: PathBuf },
    #[error("put anything at {}: it is not below a directory, since {} shall be none", path.display(), above.display())]
    NoDirectory { path: PathBuf, above: PathBuf },
    #[error("put anything at {}: it is not a plain absolute path", path.display())]
    Path { path: PathBuf },
}

impl Plan {
    /// True if all is as it shall be.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.steps.is_empty() && self.commands.is_empty() && self.first_boot.is_none()
    }

    /// The same with the content of secret files left out, to be shown.
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        for step in shown.steps.iter_mut().filter(|step| step.secret) {
            step.content = step.content.as_ref().map(|_| Content::Secret);
        }
        shown
    }

    /// Only what is not as the last run left it: what is repaired at boot.
    #[must_use]
    pub fn only_drifted(mut self, desired: &Desired, abilities: Abilities) -> Self {
        self.steps.retain(|step| step.drifted);
        let changed: Vec<&Path> = self.steps.iter().map(|step| step.path.as_path()).collect();
        let due = desired.after.iter().filter(|after| watches(after, &changed));
        let due: Vec<(&After, Command)> = due.map(|after| (after, Command::from(after))).collect();
        self.commands = divide(&due, Vec::new(), abilities).0.commands;
        self.packages.clear();
        self.first_boot = None;
        self.kept.clear();
        self
    }
}

impl From<&After> for Command {
    fn from(after: &After) -> Self {
        Self { program: after.program.to_owned(), arguments: after.arguments.clone(), why: after.why.to_owned() }
    }
}

impl Item {
    /// The path of this item, and whether it is a directory that keeps what is in it.
    pub(super) fn place(&self) -> Option<(&Path, bool)> {
        match self {
            Self::Directory { path, .. } => Some((path, true)),
            Self::File { path, .. } | Self::Link { path, .. } | Self::Absent { path, .. } => Some((path, false)),
            Self::Packages { .. } => None,
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "a directory",
            Self::File { .. } => "a file",
            Self::Link { .. } => "a link",
            Self::Absent { .. } | Self::Packages { .. } => "nothing",
        }
    }
}

/// The way from `observed` to `desired`. What the receipt knows and nobody desires any more is put back as it was.
pub fn plan(desired: &Desired, observed: &Observed, receipt: Option<&Receipt>) -> Result<Plan, PlanError> {
    check(desired)?;
    let empty = Receipt::new();
    let mut planner =
        Planner { observed, receipt: receipt.unwrap_or(&empty), steps: Vec::new(), planned: BTreeMap::new() };
    let kept = planner.undo_what_is_not_desired(desired);
    for item in &desired.items {
        planner.put(item)?;
    }
    let steps = planner.steps;
    let missing = missing(desired, observed);
    let changed: Vec<&Path> = steps.iter().map(|step| step.path.as_path()).collect();
    let owed = |command: &Command| planner.receipt.owed.contains(command);
    let left_over = observed.first_boot.iter().flat_map(|plan| &plan.commands);
    let left_over: Vec<&Command> = left_over.collect();
    let due: Vec<(&After, Command)> = desired
        .after
        .iter()
        .map(|after| (after, Command::from(after)))
        .filter(|(after, command)| watches(after, &changed) || owed(command) || left_over.contains(&command))
        .collect();
    let (now, later) = divide(&due, missing, observed.abilities);
    let first_boot = match (later.is_empty(), &observed.first_boot) {
        (true, None) => None,
        (true, Some(_)) => Some(FirstBoot::Drop),
        (false, Some(there)) if *there == later => None,
        (false, _) => Some(FirstBoot::Leave(Box::new(later))),
    };
    Ok(Plan { version: VERSION, packages: now.packages, steps, commands: now.commands, first_boot, kept })
}

/// What puts everything back as it was before the first run.
pub fn undo(observed: &Observed, receipt: &Receipt) -> Plan {
    let mut planner = Planner { observed, receipt, steps: Vec::new(), planned: BTreeMap::new() };
    let kept = planner.undo_what_is_not_desired(&Desired::default());
    Plan { version: VERSION, steps: planner.steps, kept, ..Plan::default() }
}

/// What can be done on this system, and what is left for its first boot.
fn divide(due: &[(&After, Command)], missing: Vec<String>, abilities: Abilities) -> (Plan, Plan) {
    let mut now = Plan { version: VERSION, ..Plan::default() };
    let mut later = now.clone();
    for (after, command) in due {
        match (abilities.run, abilities.live || after.offline) {
            (true, true) => now.commands.push(command.clone()),
            (false, _) if after.offline => later.commands.push(command.clone()),
            // A boot does the same.
            _ => {}
        }
    }
    if abilities.run {
        now.packages = missing
    } else {
        later.packages = missing
    }
    (now, later)
}

fn missing(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut missing = Vec::new();
    for item in &desired.items {
        if let Item::Packages { names, .. } = item {
            missing.extend(names.iter().filter(|name| !observed.installed.contains(*name)).cloned());
        }
    }
    let mut seen = BTreeSet::new();
    missing.retain(|name| seen.insert(name.clone()));
    missing
}

fn watches(after: &After, changed: &[&Path]) -> bool {
    after.watches.iter().any(|watched| changed.iter().any(|path| path.starts_with(watched)))
}

/// A wish that contradicts itself is refused before anything is done.
fn check(desired: &Desired) -> Result<(), PlanError> {
    let mut seen: BTreeMap<&Path, &Item> = BTreeMap::new();
    for item in &desired.items {
        let Some((path, _)) = item.place() else { continue };
        let plain = path.to_str().is_some_and(|text| text.starts_with('/') && !text.ends_with('/'))
            && !path.components().any(|part| matches!(part, std::path::Component::ParentDir));
        if !plain {
            return Err(PlanError::Path { path: path.to_owned() });
        }
        if seen.insert(path, item).is_some() {
            return Err(PlanError::Twice { path: path.to_owned() });
        }
    }
    for (path, item) in &seen {
        // Two that shall be absent, one below the other, are no contradiction.
        let absent = matches!(item, Item::Absent { .. });
        let blocks = |above: &&Path| match seen.get(above) {
            Some(Item::File { .. } | Item::Link { .. }) => true,
            Some(Item::Absent { .. }) => !absent,
            _ => false,
        };
        if let Some(above) = path.ancestors().skip(1).find(blocks) {
            return Err(PlanError::NoDirectory { path: path.to_path_buf(), above: above.to_owned() });
        }
    }
    Ok(())
}

struct Planner<'a> {
    observed: &'a Observed,
    receipt: &'a Receipt,
    steps: Vec<Step>,
    /// What the steps so far make of their paths.
    planned: BTreeMap<PathBuf, State>,
}

impl Planner<'_> {
    /// What is at a path once the steps so far are taken.
    fn now(&self, path: &Path) -> &State {
        self.planned.get(path).unwrap_or_else(|| self.observed.state(path))
    }

    fn put(&mut self, item: &Item) -> Result<(), PlanError> {
        let abilities = self.observed.abilities;
        let (path, put, content, why, secret) = match item {
            Item::Directory { path, mode, owner, why } => {
                (path, State::Directory { mode: *mode, owner: *owner }, None, *why, false)
            }
            Item::File { path, content, mode, owner, why, secret } => {
                let state = State::File { sha256: sha256(content), mode: *mode, owner: *owner };
                (path, state, Some(content), *why, *secret)
            }
            Item::Link { path, target, why } => {
                (path, State::Link { target: target.clone(), owner: Owner::ROOT }, None, *why, false)
            }
            Item::Absent { path, why } => (path, State::Absent, None, *why, false),
            Item::Packages { .. } => return Ok(()),
        };
        let put = put.kept_at(path, abilities);
        let found = self.now(path).clone();
        if found.same(&put) || put.is_directory() && self.observed.leads_to_directory.contains(path) {
            return Ok(());
        }
        if found == State::Other || found.is_directory() && !put.is_directory() && !self.empties(path) {
            let found = if found == State::Other { found.noun() } else { "a directory that is not empty" };
            return Err(PlanError::InTheWay { path: path.clone(), wanted: item.noun(), found });
        }
        if put != State::Absent {
            self.make_parents(path)?;
        }
        let drifted = self.receipt.entries.get(path).is_some_and(|entry| is_drift(entry, &found, &put));
        let content = match (&found, &put) {
            // Only mode or owner differ; the content is there.
            (State::File { sha256: there, .. }, State::File { sha256: wanted, .. }) if there == wanted => None,
            _ => content.map(|bytes| Content::Bytes(bytes.as_slice().into())),
        };
        self.push(Step {
            path: path.clone(),
            found,
            put,
            content,
            why: why.to_owned(),
            secret,
            drifted,
            undoes: false,
        });
        Ok(())
    }

    /// Directories above a path that are not there.
    fn make_parents(&mut self, path: &Path) -> Result<(), PlanError> {
        let mut missing = Vec::new();
        for above in path.ancestors().skip(1) {
            let found = self.now(above).clone();
            match &found {
                State::Directory { .. } => {
                    missing.extend(self.half_made(above, &found).map(|put| (above.to_owned(), found, put)));
                    break;
                }
                State::Link { .. } if self.observed.leads_to_directory.contains(above) => break,
                State::Absent => {
                    let put = State::Directory { mode: 0o755, owner: Owner::ROOT };
                    missing.push((above.to_owned(), found, put.kept_at(above, self.observed.abilities)));
                }
                found => {
                    let found = found.noun();
                    return Err(PlanError::InTheWay { path: above.to_owned(), wanted: "a directory", found });
                }
            }
        }
        for (above, found, put) in missing.into_iter().rev() {
            let drifted = self.receipt.entries.get(&above).is_some_and(|entry| is_drift(entry, &found, &put));
            let why = format!("holds {}", path.display());
            self.push(Step { path: above, found, put, content: None, why, secret: false, drifted, undoes: false });
        }
        Ok(())
    }

    /// What a directory was to become when a run was cut in the middle of making it.
    fn half_made(&self, path: &Path, found: &State) -> Option<State> {
        let intent = self.receipt.entries.get(path)?.intent.as_ref()?;
        (intent.is_directory() && !intent.same(found)).then(|| intent.clone())
    }

    fn undo_what_is_not_desired(&mut self, desired: &Desired) -> Vec<Kept> {
        let wanted: BTreeSet<&Path> =
            desired.items.iter().filter_map(Item::place).flat_map(|(path, _)| path.ancestors()).collect();
        let mut kept = Vec::new();
        // Backwards: what is in a directory before the directory.
        for (path, entry) in self.receipt.entries.iter().rev() {
            if wanted.contains(path.as_path()) || self.receipt.made.contains(path) {
                continue;
            }
            let before = entry.before.content().map(str::to_owned);
            let now = self.observed.state(path);
            if now.same(&entry.before) {
                continue;
            }
            if !entry.knows(now) || entry.shared {
                kept.push(Kept { path: path.clone(), reason: Reason::Changed, before });
            } else if now.is_directory() && !entry.before.is_directory() && !self.empties(path) {
                kept.push(Kept { path: path.clone(), reason: Reason::NotEmpty, before });
            } else {
                self.push(Step {
                    path: path.clone(),
                    found: now.clone(),
                    put: entry.before.clone(),
                    content: None,
                    why: format!("puts back what was there before; not needed any more: {}", entry.why),
                    secret: entry.secret,
                    drifted: false,
                    undoes: true,
                });
            }
        }
        // What was removed and comes back needs its directory first.
        let (mut back, away): (Vec<Step>, Vec<Step>) =
            std::mem::take(&mut self.steps).into_iter().partition(|step| step.put != State::Absent);
        back.reverse();
        self.steps = away;
        self.steps.append(&mut back);
        kept
    }

    /// True if a directory has nothing left in it once the steps so far are taken.
    fn empties(&self, path: &Path) -> bool {
        let names = self.observed.children.get(path).map(Vec::as_slice).unwrap_or_default();
        names.iter().all(|name| self.planned.get(&path.join(name)) == Some(&State::Absent))
    }

    fn push(&mut self, step: Step) {
        self.planned.insert(step.path.clone(), step.put.clone());
        self.steps.push(step);
    }
}

/// We left it as it is desired now, and it is something else.
fn is_drift(entry: &Entry, found: &State, put: &State) -> bool {
    entry.left.as_ref().is_some_and(|left| left.same(put) && !left.same(found))
}
