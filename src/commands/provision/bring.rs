//! From a system as it is to a kiosk: look, plan, ask, install, plan again, apply.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::{Args, ProvisionError, program, target::Target};
use crate::commands::{Exit, Failure, output};
use crate::config::KioskSettings;
use crate::io::system::{Abilities, Observe};
use crate::provision::{
    apply::{self, Progress},
    desired::{self, PROGRAM, desired},
    facts::facts,
    item::Desired,
    observe::observe,
    plan::{Plan, plan},
    receipt::Receipt,
    report::{self, Summary},
};

/// What a run was, for other programs.
#[derive(Serialize)]
struct Outcome<'a> {
    target: &'a str,
    changed: bool,
    summary: Summary,
    plan: Plan,
}

/// Shows what would change. All it is given of the system is what can only look.
pub(super) fn check(target: &Target, settings: &KioskSettings, args: &Args) -> Result<Exit, Failure> {
    let system = target.observe();
    let made = look(system, settings, args).map_err(|source| target.failed(source))?;
    let plan = made.planned(args);
    let exit = if plan.is_empty() { Exit::Done } else { Exit::Pending };
    if args.json.json {
        let summary = Summary::of(&plan);
        output::json(&Outcome { target: &target.name, changed: false, summary, plan: plan.shown() })?;
        return Ok(exit);
    }
    if plan.is_empty() {
        output::line(&format!("{}: nothing to change", target.name))?;
        return Ok(exit);
    }
    let text = report::diff(system, &plan).map_err(|source| target.failed(ProvisionError::Show { source }))?;
    output::line(&format!("DRY RUN: nothing of this is done to {}\n", target.name))?;
    output::text(&text)?;
    output::line(&format!("\nDRY RUN: {} to change", Summary::of(&plan).words()))?;
    Ok(exit)
}

/// Changes the system, once whoever is there agreed.
pub(super) fn bring(target: &mut Target, settings: &KioskSettings, args: &Args) -> Result<Exit, Failure> {
    let made = look(target.observe(), settings, args).map_err(|source| target.failed(source))?;
    let mut plan = made.planned(args);
    let summary = Summary::of(&plan);
    let changes = !plan.is_empty();
    if changes && !agreed(target, &summary, args)? {
        output::remark("nothing was changed");
        return Ok(Exit::Pending);
    }
    let mut progress = Teller::default();
    let shown = plan.shown();
    if !plan.packages.is_empty() {
        let installed = apply::install(&mut *target.system, &plan, &mut |it| progress.tell(it));
        installed.map_err(|source| target.failed(source.into()))?;
        // Packages bring accounts and files: what is there is not what was planned for.
        plan = look(target.observe(), settings, args).map_err(|source| target.failed(source))?.planned(args);
        // What apt calls installed and dpkg does not, is not asked for again and again.
        plan.packages.clear();
    }
    let applied = apply::apply(&mut *target.system, &plan, &mut |it| progress.tell(it));
    applied.map_err(|source| target.failed(source.into()))?;
    target.finish()?;
    if args.json.json {
        output::json(&Outcome { target: &target.name, changed: changes, summary, plan: shown })?;
    } else if changes {
        output::line(&format!("{}: done: {}", target.name, summary.words()))?;
    } else {
        output::line(&format!("{}: nothing to change", target.name))?;
    }
    Ok(Exit::Done)
}

/// What is wished for and how to get there.
struct Made {
    desired: Desired,
    plan: Plan,
    abilities: Abilities,
}

impl Made {
    fn planned(self, args: &Args) -> Plan {
        if args.repair { self.plan.only_drifted(&self.desired, self.abilities) } else { self.plan }
    }
}

fn look(system: &dyn Observe, settings: &KioskSettings, args: &Args) -> Result<Made, ProvisionError> {
    let facts = facts(system).map_err(|source| ProvisionError::Facts { source })?;
    let mut desired = desired(settings, &facts).map_err(|source| ProvisionError::Desired { source })?;
    let program = match program::find(args.binary.as_deref(), &facts.architecture) {
        Ok(path) => program::read(&path)?,
        // The one that is there may do. It is named too: what a plan does not name any more is taken away.
        Err(missing @ ProvisionError::NoProgram { .. }) => system.read(Path::new(PROGRAM)).map_err(|_| missing)?,
        Err(error) => return Err(error),
    };
    desired.items.push(desired::program(program));
    let failed = |source| ProvisionError::Observe { source };
    let receipt = Receipt::load(system).map_err(|source| failed(source.into()))?;
    let observed = observe(system, &desired, receipt.as_ref()).map_err(failed)?;
    let plan = plan(&desired, &observed, receipt.as_ref()).map_err(|source| ProvisionError::Plan { source })?;
    Ok(Made { desired, plan, abilities: observed.abilities })
}

fn agreed(target: &Target, summary: &Summary, args: &Args) -> Result<bool, Failure> {
    let name = &target.name;
    output::remark(&format!("{name}: {} to change", summary.words()));
    if args.yes || args.repair {
        return Ok(true);
    }
    agree(&format!("ask whether to change {name}"), "pikiosk provision --check shows every line of it; --yes does it")
}

/// Asks for a yes. Without anybody at the keyboard it is a mistake not to have said `--yes`.
pub(super) fn agree(doing: &str, hint: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage {
            doing: "provision",
            says: format!("nobody is at the keyboard to {doing}"),
            hint: hint.to_owned(),
        });
    }
    output::remark("Type yes to go on, anything else to stop (--check shows every line):");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|source| Failure::Unwritable { source })?;
    Ok(answer.trim() == "yes")
}

/// Progress on stderr: a line per program, and one for all the files.
#[derive(Default)]
pub(super) struct Teller {
    told_files: bool,
}

impl Teller {
    pub fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Packages(names) => {
                output::remark(&format!("installing {} packages and what they need; this takes minutes", names.len()));
            }
            Progress::Said(line) => output::remark(&format!("  {line}")),
            Progress::Step { of, .. } if !self.told_files => {
                self.told_files = true;
                output::remark(&format!("laying down {of} files, directories and links"));
            }
            Progress::Step { .. } => {}
            Progress::Command(command) => output::remark(&format!("running {}: {}", command.line(), command.why)),
            Progress::TakingBack => output::remark("that failed; taking back what was done"),
        }
    }
}

/// For results that hold only what was left.
pub(super) fn nothing(target: &str, args: &Args) -> Result<Exit, Failure> {
    if args.json.json {
        output::json(&json!({ "target": target, "changed": false }))?;
    } else {
        output::line(&format!("{target}: was never provisioned; nothing to undo"))?;
    }
    Ok(Exit::Done)
}
