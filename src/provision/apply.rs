//! A plan carried out: all of it, or what it did is taken back.
//!
//! ```text
//!   contents that will be lost -> blobs | what will be done -> receipt | the steps | commands | done -> receipt
//!   ------------------------- on the medium before the first step ----
//! ```
//!
//! A step that fails takes the run back. A run that is cut (power, SIGKILL) is not taken back: the receipt says what it
//! was at, the next run goes on from there, and an undo still finds what was there before.

use std::path::{Path, PathBuf};

use super::{
    home, packages,
    plan::{Command, FirstBoot, Plan, Step},
    receipt::{self, Entry, FIRST_BOOT, Receipt},
    state::{State, sha256},
    step::{self, StepError},
};
use crate::io::system::{Owner, System};

/// What is being done, for whoever waits.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    Packages(&'a [String]),
    /// A line that a program said.
    Said(&'a str),
    /// The n-th of so many, from 1.
    Step {
        number: usize,
        of: usize,
        step: &'a Step,
    },
    Command(&'a Command),
    /// A step failed: what was done is taken back.
    TakingBack,
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct ApplyError {
    /// Such as `write /etc/hostname`.
    pub doing: String,
    pub source: StepError,
    /// What could not be put back as it was; empty: the system is as it was before.
    pub not_undone: Vec<PathBuf>,
    /// Packages that came before it failed and stay.
    pub installed: Vec<String>,
}

/// Installs the packages of a plan. A caller then makes a new plan: packages bring accounts and files with them.
pub fn install(system: &mut dyn System, plan: &Plan, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), ApplyError> {
    if plan.packages.is_empty() {
        return Ok(());
    }
    progress(Progress::Packages(&plan.packages));
    let mut came = Vec::new();
    let result = install_noted(system, &plan.packages, &mut came, &mut |line| progress(Progress::Said(line)));
    result.map_err(|source| ApplyError {
        doing: format!("install {}", plan.packages.join(" ")),
        source,
        not_undone: Vec::new(),
        installed: came,
    })
}

/// Carries out the steps and commands of a plan whose packages are installed. Writes nothing if there is nothing to do.
pub fn apply(system: &mut dyn System, plan: &Plan, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), ApplyError> {
    let failed = |doing: &str, source: StepError| ApplyError {
        doing: doing.to_owned(),
        source,
        not_undone: Vec::new(),
        installed: Vec::new(),
    };
    let stored = Receipt::load(system).map_err(|source| failed("look at what was done before", source.into()))?;
    let unfinished = stored.as_ref().is_some_and(Receipt::is_unfinished);
    if plan.steps.is_empty() && plan.commands.is_empty() && plan.first_boot.is_none() && !unfinished {
        return Ok(());
    }
    let left_before = receipt::read(system, Path::new(FIRST_BOOT));
    let left_before = left_before.map_err(|source| failed("look at what was left before", source.into()))?;
    let receipt = stored.clone().unwrap_or_else(Receipt::new);
    let mut run = Run { plan, stored, receipt, begun: 0, ran: 0, left_before };
    match run.all(system, progress) {
        Ok(()) => Ok(()),
        Err((doing, source)) => {
            progress(Progress::TakingBack);
            let not_undone = run.take_back(system);
            Err(ApplyError { not_undone, ..failed(&doing, source) })
        }
    }
}

fn install_noted(
    system: &mut dyn System,
    names: &[String],
    came: &mut Vec<String>,
    told: &mut dyn FnMut(&str),
) -> Result<(), StepError> {
    let mut receipt = Receipt::load(system)?.unwrap_or_else(Receipt::new);
    home::make(system, &mut receipt)?;
    if receipt.packages.before.is_none() {
        receipt.packages.before = Some(packages::installed(system)?);
    }
    home::save(system, &receipt)?;
    let ran = packages::install(system, names, told)?;
    let before = receipt.packages.before.take().unwrap_or_default();
    came.extend(packages::installed(system)?.difference(&before).cloned());
    receipt.packages.installed.extend(came.iter().cloned());
    home::save(system, &receipt)?;
    if ran.success { Ok(()) } else { Err(StepError::Program(ran)) }
}

/// One run of [`apply`].
struct Run<'a> {
    plan: &'a Plan,
    /// As it was before this run.
    stored: Option<Receipt>,
    receipt: Receipt,
    /// How many steps were begun.
    begun: usize,
    /// How many commands were run, whatever became of them.
    ran: usize,
    /// What was left for the first boot before this run.
    left_before: Option<Vec<u8>>,
}

impl Run<'_> {
    fn all(
        &mut self,
        system: &mut dyn System,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), (String, StepError)> {
        self.prepare(system).map_err(|source| ("write down what will be done".to_owned(), source))?;
        let of = self.plan.steps.len();
        for (index, step) in self.plan.steps.iter().enumerate() {
            progress(Progress::Step { number: index + 1, of, step });
            self.begun = index + 1;
            step::take(system, step).map_err(|source| {
                if matches!(source, StepError::Moved) {
                    // Not begun: what is there is somebody else's.
                    self.begun = index;
                }
                (doing(step), source)
            })?;
        }
        for command in &self.plan.commands {
            progress(Progress::Command(command));
            self.ran += 1;
            run(system, command, progress).map_err(|source| (format!("run {}", command.line()), source))?;
        }
        self.leave_first_boot(system).map_err(|source| (format!("write {FIRST_BOOT}"), source))?;
        self.settle(system).map_err(|source| ("write down what was done".to_owned(), source))
    }

    fn prepare(&mut self, system: &mut dyn System) -> Result<(), StepError> {
        step::recover(system, &mut self.receipt)?;
        home::make(system, &mut self.receipt)?;
        for step in &self.plan.steps {
            if let State::File { sha256: hash, .. } = &step.found {
                // Found by an earlier step of this plan, or by somebody else: it is looked at again when it is taken.
                let bytes = system.read(&step.path)?;
                if sha256(&bytes) != *hash {
                    return Err(StepError::Moved);
                }
                home::keep(system, &bytes)?;
            }
            self.intend(step);
        }
        self.receipt.owed.clone_from(&self.plan.commands);
        Ok(home::save(system, &self.receipt)?)
    }

    fn intend(&mut self, step: &Step) {
        let made = self.receipt.made.contains(&step.path);
        let entry = self.receipt.entries.entry(step.path.clone()).or_insert_with(|| Entry {
            before: if made { State::Absent } else { step.found.clone() },
            left: None,
            intent: None,
            shared: false,
            secret: step.secret,
            why: step.why.clone(),
        });
        entry.shared |= entry.before.content().is_some() && !entry.knows(&step.found);
        entry.secret = step.secret;
        entry.why.clone_from(&step.why);
        entry.intent = Some(step.put.clone());
    }

    fn leave_first_boot(&self, system: &mut dyn System) -> Result<(), StepError> {
        match &self.plan.first_boot {
            None => Ok(()),
            Some(FirstBoot::Drop) => Ok(system.remove(Path::new(FIRST_BOOT))?),
            Some(FirstBoot::Leave(plan)) => {
                let text = serde_json::to_vec_pretty(plan).map_err(std::io::Error::from)?;
                Ok(system.write(Path::new(FIRST_BOOT), &text, 0o600, Owner::ROOT)?)
            }
        }
    }

    /// What was intended is what is there.
    fn settle(&mut self, system: &mut dyn System) -> Result<(), StepError> {
        for entry in self.receipt.entries.values_mut() {
            if let Some(intent) = entry.intent.take() {
                entry.left = Some(intent);
            }
        }
        self.receipt.entries.retain(|_, entry| !step::is_as_before(entry.left.as_ref(), &entry.before));
        self.receipt.owed.clear();
        home::save(system, &self.receipt)?;
        home::tidy(system, &self.receipt)?;
        Ok(system.sync()?)
    }

    /// Puts back what this run found. Gives what could not be.
    fn take_back(&self, system: &mut dyn System) -> Vec<PathBuf> {
        let mut not_undone = Vec::new();
        for step in self.plan.steps[..self.begun].iter().rev() {
            // The receipt is in it; it goes with the receipt.
            let holds_receipt = step.found == State::Absent && self.receipt.made.contains(&step.path);
            if !holds_receipt && step::take_back(system, step).is_err() {
                not_undone.push(step.path.clone());
            }
        }
        // Services read their old files again; that a program fails now tells nothing new.
        for command in &self.plan.commands[..self.ran] {
            let _ = run(system, command, &mut |_| {});
        }
        if not_undone.is_empty() && self.forget(system).is_err() {
            not_undone.push(PathBuf::from(receipt::HOME));
        }
        not_undone
    }

    fn forget(&self, system: &mut dyn System) -> Result<(), StepError> {
        let Some(stored) = &self.stored else { return Ok(home::remove(system, &self.receipt)?) };
        match &self.left_before {
            _ if self.plan.first_boot.is_none() => {}
            Some(bytes) => system.write(Path::new(FIRST_BOOT), bytes, 0o600, Owner::ROOT)?,
            None => system.remove(Path::new(FIRST_BOOT))?,
        }
        home::save(system, stored)?;
        home::tidy(system, stored)?;
        Ok(())
    }
}

fn run(system: &mut dyn System, command: &Command, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), StepError> {
    let mut told = |line: &str| progress(Progress::Said(line));
    let ran = system.run(&command.program, &command.arguments, &[], &mut told)?;
    if ran.success { Ok(()) } else { Err(StepError::Program(ran)) }
}

fn doing(step: &Step) -> String {
    let path = step.path.display();
    match (&step.found, &step.put) {
        (_, State::Absent) => format!("remove {path}"),
        (_, State::File { .. } | State::Other) => format!("write {path}"),
        (_, State::Directory { .. }) => format!("make the directory {path}"),
        (_, State::Link { .. }) => format!("link {path}"),
    }
}
