//! Exit codes: what scripts and other programs see of how a command ended.

use std::fmt::Write;

/// How a command ended, as other programs see it (the contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Bug = 1,
    Usage = 2,
    Pending = 3,
    ConfigRefused = 10,
    DiskUnsafe = 11,
    ImageRefused = 12,
    WriteFailed = 13,
    Undone = 14,
    UndoIncomplete = 15,
    CredentialsRefused = 20,
    Unreachable = 21,
    NotShown = 22,
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::Bug,
        Self::Usage,
        Self::Pending,
        Self::ConfigRefused,
        Self::DiskUnsafe,
        Self::ImageRefused,
        Self::WriteFailed,
        Self::Undone,
        Self::UndoIncomplete,
        Self::CredentialsRefused,
        Self::Unreachable,
        Self::NotShown,
        Self::Interrupted,
    ];

    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Bug => "a fault of pikiosk or of this machine",
            Self::Usage => "the command line, or what was asked of the server, makes no sense",
            Self::Pending => "something is missing or still to do (doctor, --check)",
            Self::ConfigRefused => "the configuration cannot be used",
            Self::DiskUnsafe => "that is no card, or it is in use, or too small: nothing was written",
            Self::ImageRefused => "the image was not fetched, is not what it should be, or starts no Pi 3",
            Self::WriteFailed => "a card could not be written, or did not hold what was written",
            Self::Undone => "it was not carried out, and what was begun was taken back",
            Self::UndoIncomplete => "something could not be put back as it was; it is named",
            Self::CredentialsRefused => "the server does not accept the key",
            Self::Unreachable => "the server or the supervisor cannot be reached, or cannot do it now",
            Self::NotShown => "published, but not shown or done in time on every display",
            Self::Interrupted => "stopped by Ctrl-C or by an orderly end",
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
