//! Where a value came from, and what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merged::Merged;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// A file; lines count from 1.
    File { path: Arc<Path>, line: usize },
    /// An environment variable.
    Environment { name: String },
    /// A flag of the command line, with its dashes, or a line of a list that one names.
    Flag { name: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Flag { name } if name.starts_with('-') => write!(f, "flag {name}"),
            Self::Flag { name } => f.write_str(name),
        }
    }
}

/// One thing that is wrong in the configuration, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// The key with its tables, such as `display.url`; empty when the file itself cannot be read as TOML.
    pub key: String,
    /// What is wrong, such as `expected a whole number, found text`.
    pub says: String,
    /// What to write instead.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.says, self.cure)
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// What was written cannot be used; every problem is listed, in the order of the layers.
    #[error("{}", told(problems))]
    Refused { problems: Vec<Problem> },
    /// A file that is there, or was named with `--config`, cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The check let something through that the types do not take: a bug of ours.
    #[error("a value passed the check and does not fit its type")]
    Unfit { source: toml::de::Error },
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       ")
}

/// Collects what the settings' constructor refuses, and knows where each key was written.
#[derive(Debug)]
pub struct Refusals<'a> {
    merged: &'a Merged,
    problems: Vec<Problem>,
}

impl<'a> Refusals<'a> {
    pub(super) fn new(merged: &'a Merged) -> Self {
        Self { merged, problems: Vec::new() }
    }

    /// Refuses the value of `key`; the origin is that of the key, or of its nearest table that somebody wrote.
    pub fn refuse(&mut self, key: &str, says: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Problem {
            origin: self.merged.origin(key),
            key: key.to_owned(),
            says: says.into(),
            cure: cure.into(),
        });
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
