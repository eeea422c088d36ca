//! Everything that a command can fail with, and the exit code of each, in one exhaustive match; `hint` has what to do.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

#[cfg(feature = "tools")]
use super::client::ClientError;
#[cfg(all(feature = "display", feature = "server", feature = "tools"))]
use super::demo::DemoError;
#[cfg(feature = "display")]
use super::drill::DrillFailure;
#[cfg(feature = "tools")]
use super::image::ImageFault;
#[cfg(any(feature = "display", feature = "tools"))]
use super::provision::ProvisionError;
use crate::config::ConfigError;
#[cfg(feature = "display")]
use crate::display::{
    browser::{LoopError, ProfileError},
    helper::{ServeError, plugs::PlugsError},
    shell::RunError,
    status::StatusError,
};
#[cfg(feature = "tools")]
use crate::flash::{fault::CardFault, source::SourceError};
#[cfg(feature = "server")]
use crate::server::{open::OpenError, store::StoreError};

mod exit;
mod hint;
#[cfg(feature = "tools")]
mod source;

pub use exit::Exit;
#[cfg(any(feature = "tools", feature = "display"))]
pub(super) use hint::io_hint;

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
    #[error("find this machine in order: see the {count} lines above that say missing or wrong")]
    Missing { count: usize },
    #[error("read {}", path.display())]
    Unread { path: PathBuf, source: std::io::Error },
    #[cfg(feature = "tools")]
    #[error("look which disks there are")]
    Disks { source: std::io::Error },
    /// This disk must not be written.
    #[cfg(feature = "tools")]
    #[error("flash {}: {says}", path.display())]
    UnsafeDisk { path: PathBuf, says: String, cure: String },
    #[cfg(feature = "tools")]
    #[error("open {} for this process alone", path.display())]
    CardUnopened { path: PathBuf, source: std::io::Error },
    #[cfg(feature = "tools")]
    #[error("get the image")]
    Source { source: SourceError },
    /// What each card has is told before.
    #[cfg(feature = "tools")]
    #[error("make {bad} of {of} cards: {fault}")]
    Cards { bad: usize, of: usize, fault: Box<CardFault> },
    /// Ctrl-C, or an orderly end from outside.
    #[error("go on to the end: it was stopped")]
    Interrupted,
    #[cfg(feature = "tools")]
    #[error("{doing}")]
    Server {
        /// What was asked for, such as `push`.
        doing: &'static str,
        source: ClientError,
    },
    /// Published, and not on every display.
    #[error("show it on every display: {}", not_shown(*bad, pending))]
    NotShown {
        /// Displays that failed, refused, or let it expire.
        bad: usize,
        /// The displays that gave no receipt in time.
        pending: Vec<String>,
    },
    #[cfg(feature = "server")]
    #[error("start the server")]
    ServerStart { source: OpenError },
    #[error("listen on {address}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[cfg(feature = "server")]
    #[error("listen on the socket that systemd holds")]
    Inherit { source: crate::io::notify::InheritError },
    #[cfg(feature = "display")]
    #[error("ask the supervisor")]
    Status { source: StatusError },
    #[cfg(feature = "display")]
    #[error("supervise this display")]
    Run { source: RunError },
    #[cfg(feature = "display")]
    #[error("help the supervisor")]
    Helper { source: ServeError },
    #[cfg(feature = "display")]
    #[error("take the screens away for a drill, or give them back")]
    Plugs { source: PlugsError },
    #[cfg(feature = "display")]
    #[error("keep Firefox running")]
    Browser { source: LoopError },
    #[cfg(feature = "display")]
    #[error("find this display right again after every fault")]
    Drill { source: DrillFailure },
    #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
    #[error("show the demo")]
    Demo { source: DemoError },
    #[cfg(any(feature = "display", feature = "tools"))]
    #[error("provision {target}")]
    Provision {
        /// Such as `this Pi`, or a directory.
        target: String,
        source: ProvisionError,
    },
    #[cfg(feature = "tools")]
    #[error("{doing}")]
    Image {
        /// What was asked for, such as `build the image`.
        doing: &'static str,
        source: ImageFault,
    },
    #[error("start the asynchronous runtime")]
    Runtime { source: std::io::Error },
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config { .. } => Exit::ConfigRefused,
            Self::Usage { .. } | Self::FileThere { .. } => Exit::Usage,
            Self::File { .. } | Self::Unwritable { .. } | Self::Runtime { .. } => Exit::Bug,
            #[cfg(feature = "tools")]
            Self::Source { source: SourceError::Cancelled } => Exit::Interrupted,
            #[cfg(feature = "tools")]
            Self::Source { .. } => Exit::ImageRefused,
            Self::ReaderGone => Exit::Done,
            Self::Missing { .. } => Exit::Pending,
            Self::Listen { .. } => Exit::ConfigRefused,
            #[cfg(feature = "server")]
            Self::Inherit { .. } => Exit::ConfigRefused,
            #[cfg(feature = "server")]
            Self::ServerStart { source } => match source {
                OpenError::Store { source: StoreError::Io(_) | StoreError::DiskFull } => Exit::Bug,
                OpenError::Store { source: StoreError::Unreachable(_) } => Exit::Unreachable,
                OpenError::Store { source: StoreError::Forbidden(_) } => Exit::CredentialsRefused,
                _ => Exit::ConfigRefused,
            },
            Self::Unread { .. } => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
            #[cfg(feature = "tools")]
            Self::Disks { .. } => Exit::Bug,
            #[cfg(feature = "tools")]
            Self::UnsafeDisk { .. } | Self::CardUnopened { .. } => Exit::DiskUnsafe,
            #[cfg(feature = "tools")]
            Self::Cards { fault, .. } => match **fault {
                CardFault::Image { .. } => Exit::ImageRefused,
                CardFault::TooSmall { .. } => Exit::DiskUnsafe,
                CardFault::Customise { .. } => Exit::Undone,
                CardFault::Cancelled => Exit::Interrupted,
                _ => Exit::WriteFailed,
            },
            #[cfg(feature = "tools")]
            Self::Image { source, .. } => source.exit(),
            Self::NotShown { .. } => Exit::NotShown,
            #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
            Self::Demo { source } => source.exit(),
            #[cfg(any(feature = "display", feature = "tools"))]
            Self::Provision { source, .. } => source.exit(),
            #[cfg(feature = "display")]
            Self::Run { .. } | Self::Browser { source: LoopError::Signals(_) | LoopError::Screen(_) } => Exit::Bug,
            #[cfg(feature = "display")]
            Self::Browser { source: LoopError::Profile(_) } => Exit::ConfigRefused,
            #[cfg(feature = "display")]
            Self::Status { .. } => Exit::Unreachable,
            #[cfg(feature = "display")]
            Self::Helper { source: ServeError::Stranger { .. } } => Exit::CredentialsRefused,
            #[cfg(feature = "display")]
            Self::Helper { .. } => Exit::Usage,
            #[cfg(feature = "display")]
            Self::Plugs { .. } => Exit::Bug,
            #[cfg(feature = "display")]
            Self::Drill { source } => source.exit(),
            #[cfg(feature = "tools")]
            Self::Server { source, .. } => match source {
                ClientError::NoKey | ClientError::KeyFile { .. } | ClientError::Credentials { .. } => {
                    Exit::CredentialsRefused
                }
                ClientError::Unreachable { .. } | ClientError::Unable { .. } | ClientError::Strange { .. } => {
                    Exit::Unreachable
                }
                ClientError::Refused { .. } => Exit::Usage,
            },
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

fn not_shown(bad: usize, pending: &[String]) -> String {
    let could_not = if bad == 1 { "1 display could not".to_owned() } else { format!("{bad} displays could not") };
    let waiting = first_few(pending);
    match (bad, pending.is_empty()) {
        (_, true) => could_not,
        (0, false) => format!("no word yet from {waiting}"),
        (_, false) => format!("{could_not}, and no word yet from {waiting}"),
    }
}

/// The first few names, and how many more there are.
pub(super) fn first_few(displays: &[String]) -> String {
    const NAMED: usize = 5;
    let mut names = displays.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if displays.len() > NAMED {
        names.push_str(&format!(" and {} more", displays.len() - NAMED));
    }
    names
}

#[cfg(test)]
mod tests;
