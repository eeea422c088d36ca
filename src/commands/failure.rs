//! Everything that a command can fail with: its exit code and its hint, each in one exhaustive match.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a command failed. `Display` fits after `failed to `; causes are sources, never repeated.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("use the configuration")]
    Config { source: ConfigError },
    #[error("{doing}: {says}")]
    Usage {
        /// What was asked for, such as `push`.
        doing: &'static str,
        says: String,
        hint: String,
    },
    #[error("write {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("write {}: it is there already", path.display())]
    FileThere { path: PathBuf },
    #[error("write the result")]
    Unwritable { source: std::io::Error },
    /// Whoever read our output has read enough.
    #[error("write the result: nobody reads it any more")]
    ReaderGone,
    #[error("find everything that this machine needs: {count} missing")]
    Missing { count: usize },
    #[error("start the asynchronous runtime")]
    Runtime { source: std::io::Error },
}

/// How a command ended, as other programs see it (the contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Bug = 1,
    Usage = 2,
    Pending = 3,
    ConfigRefused = 10,
}

impl Exit {
    pub const ALL: [Self; 5] = [Self::Done, Self::Bug, Self::Usage, Self::Pending, Self::ConfigRefused];

    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Bug => "a fault of pikiosk or of this machine",
            Self::Usage => "the command line, or what was asked of the server, makes no sense",
            Self::Pending => "something is missing or still to do (doctor)",
            Self::ConfigRefused => "the configuration cannot be used",
        }
    }

    /// The table for `--help` and the manual.
    pub fn table() -> String {
        Self::ALL.iter().fold(String::from("Exit codes:\n"), |mut table, exit| {
            let _ = writeln!(table, "  {:>3}  {}", *exit as u8, exit.meaning());
            table
        })
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config { .. } => Exit::ConfigRefused,
            Self::Usage { .. } | Self::FileThere { .. } => Exit::Usage,
            Self::File { .. } | Self::Unwritable { .. } | Self::Runtime { .. } => Exit::Bug,
            Self::ReaderGone => Exit::Done,
            Self::Missing { .. } => Exit::Pending,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Config { source: ConfigError::Refused { .. } } => {
                "change the lines above, then try again; pikiosk config check tells whether all is well".to_owned()
            }
            Self::Config { source: ConfigError::Unreadable { source, .. } } => io_hint(source),
            Self::Config { source: ConfigError::Unfit { .. } } => {
                "this is a bug of pikiosk: please report it".to_owned()
            }
            Self::Usage { hint, .. } => hint.clone(),
            Self::File { source, .. } | Self::Unwritable { source } => io_hint(source),
            Self::FileThere { .. } => "give another name, or remove the file first".to_owned(),
            Self::ReaderGone => "nothing is wrong".to_owned(),
            Self::Missing { .. } => "run the commands above, then pikiosk doctor again".to_owned(),
            Self::Runtime { .. } => "is the machine out of memory or of processes?".to_owned(),
        }
    }

    /// `error: failed to …: cause: cause`, and `hint: …` below it.
    pub fn rendered(&self) -> String {
        let mut text = format!("error: failed to {self}");
        let mut cause: Option<&dyn Error> = self.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        let _ = write!(text, "\nhint: {}", self.hint());
        text
    }
}

fn io_hint(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is the name right? pikiosk config init writes an example".to_owned(),
        std::io::ErrorKind::PermissionDenied => "try again with sudo, or as the user that owns it".to_owned(),
        std::io::ErrorKind::StorageFull => "the disk is full: make room, then try again".to_owned(),
        _ => "look at the disk and at the rights of the folder, then try again".to_owned(),
    }
}
