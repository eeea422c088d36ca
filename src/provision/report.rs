//! A plan as a person reads it: how much it is, and line by line.

use std::{fmt::Write, io};

use serde::Serialize;
use similar::TextDiff;

use super::{
    home,
    plan::{FirstBoot, Plan, Step},
    state::State,
};
use crate::io::system::Observe;

/// How much a plan changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    pub files: usize,
    pub directories: usize,
    pub links: usize,
    pub removed: usize,
    pub packages: usize,
    pub commands: usize,
    /// What is left for the first boot: packages and commands.
    pub at_first_boot: usize,
}

impl Summary {
    pub fn of(plan: &Plan) -> Self {
        let count = |is: fn(&State) -> bool| plan.steps.iter().filter(|step| is(&step.put)).count();
        Self {
            files: count(|put| matches!(put, State::File { .. } | State::Other)),
            directories: count(State::is_directory),
            links: count(|put| matches!(put, State::Link { .. })),
            removed: count(|put| *put == State::Absent),
            packages: plan.packages.len(),
            commands: plan.commands.len(),
            at_first_boot: match &plan.first_boot {
                Some(FirstBoot::Leave(plan)) => plan.packages.len() + plan.commands.len(),
                _ => 0,
            },
        }
    }

    /// `12 files, 3 directories, 1 package`.
    pub fn words(&self) -> String {
        let parts = [
            (self.packages, "package", "packages"),
            (self.files, "file", "files"),
            (self.directories, "directory", "directories"),
            (self.links, "link", "links"),
            (self.removed, "path to remove", "paths to remove"),
            (self.commands, "command to run", "commands to run"),
            (self.at_first_boot, "thing left for the first boot", "things left for the first boot"),
        ];
        let words: Vec<String> = parts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }
}

/// Everything a plan would change as a unified diff, with what it is for; secrets and binary files are only named.
pub fn diff(system: &dyn Observe, plan: &Plan) -> io::Result<String> {
    let mut text = String::new();
    for name in &plan.packages {
        let _ = writeln!(text, "# install the package {name}");
    }
    for step in &plan.steps {
        diff_of(system, step, &mut text)?;
    }
    for command in &plan.commands {
        let _ = writeln!(text, "# run {}: {}", command.line(), command.why);
    }
    if let Some(FirstBoot::Leave(later)) = &plan.first_boot {
        for name in &later.packages {
            let _ = writeln!(text, "# at the first boot, install the package {name}");
        }
        for command in &later.commands {
            let _ = writeln!(text, "# at the first boot, run {}: {}", command.line(), command.why);
        }
    }
    for kept in &plan.kept {
        let _ =
            writeln!(text, "# keep {}, although it is not wanted any more: it was changed since", kept.path.display());
    }
    Ok(text)
}

fn diff_of(system: &dyn Observe, step: &Step, text: &mut String) -> io::Result<()> {
    let path = step.path.display();
    let drifted = if step.drifted { " (changed since the last run)" } else { "" };
    let _ = writeln!(text, "# {path}: {}{drifted}", step.why);
    let (found, put) = (&step.found, &step.put);
    if found.content() == put.content() || step.secret {
        let hidden = if step.secret && found.content() != put.content() { ", content not shown" } else { "" };
        let _ = writeln!(text, "--- {path} ({})\n+++ {path} ({}{hidden})", described(found), described(put));
        return Ok(());
    }
    let old = if found.content().is_some() { system.read(&step.path)? } else { Vec::new() };
    let new = match (&step.content, put.content()) {
        (Some(content), _) => content.bytes().unwrap_or_default().to_vec(),
        (None, Some(hash)) => home::kept(system, hash)?,
        (None, None) => Vec::new(),
    };
    let header = (format!("{path} ({})", described(found)), format!("{path} ({})", described(put)));
    match (std::str::from_utf8(&old), std::str::from_utf8(&new)) {
        (Ok(old), Ok(new)) if !old.contains('\0') && !new.contains('\0') => {
            let diff = TextDiff::from_lines(old, new);
            let unified = diff.unified_diff().context_radius(3).header(&header.0, &header.1).to_string();
            if unified.is_empty() {
                let _ = writeln!(text, "--- {}\n+++ {}", header.0, header.1);
            } else {
                text.push_str(&unified);
            }
        }
        _ => {
            let _ = writeln!(text, "--- {}\n+++ {}", header.0, header.1);
            let _ = writeln!(text, "binary, {} bytes, then {} bytes", old.len(), new.len());
        }
    }
    Ok(())
}

fn described(state: &State) -> String {
    match state {
        State::Absent => "nothing".to_owned(),
        State::File { mode, owner, .. } => format!("file {mode:04o} {}:{}", owner.uid, owner.gid),
        State::Directory { mode, owner } => format!("directory {mode:04o} {}:{}", owner.uid, owner.gid),
        State::Link { target, .. } => format!("link to {target}"),
        State::Other => "device, socket or pipe".to_owned(),
    }
}
