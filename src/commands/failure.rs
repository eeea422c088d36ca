//! Everything that a command can fail with: its exit code and its hint, each in one exhaustive match.

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

#[cfg(feature = "tools")]
mod source;

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
            Self::Browser { source: LoopError::Firefox(_) | LoopError::Profile(_) } => Exit::ConfigRefused,
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
            Self::Missing { .. } => "do what is said above, then run pikiosk doctor again".to_owned(),
            Self::NotShown { bad: 0, .. } => {
                "a display that is away gets it when it comes back; pikiosk displays tells which are connected"
                    .to_owned()
            }
            Self::NotShown { .. } => "each line above says why; pikiosk push DISPLAY logs tells more".to_owned(),
            #[cfg(feature = "tools")]
            Self::Server { source, .. } => server_hint(source),
            Self::Unread { source, .. } => io_hint(source),
            Self::Interrupted => "start over when you are ready".to_owned(),
            #[cfg(feature = "tools")]
            Self::Disks { .. } => "this needs Linux with /sys and /proc".to_owned(),
            #[cfg(feature = "tools")]
            Self::UnsafeDisk { cure, .. } => cure.clone(),
            #[cfg(feature = "tools")]
            Self::CardUnopened { source, .. } => io_hint(source),
            #[cfg(feature = "tools")]
            Self::Source { source } => source::hint(source),
            #[cfg(feature = "tools")]
            Self::Cards { fault, .. } => fault.hint().to_owned(),
            #[cfg(feature = "tools")]
            Self::Image { source, .. } => source.hint(),
            Self::Listen { source, .. } => match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another process has this port, perhaps another server: end it, or give --listen another one"
                        .to_owned()
                }
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 are for root: give --listen a higher one".to_owned()
                }
                _ => "is it an address of this machine? 127.0.0.1:8400 and 0.0.0.0:8400 always are".to_owned(),
            },
            #[cfg(feature = "server")]
            Self::Inherit { .. } => "look at it with: systemctl cat pikiosk-server.socket".to_owned(),
            #[cfg(feature = "server")]
            Self::ServerStart { source } => start_hint(source),
            #[cfg(feature = "display")]
            Self::Status { source } => match source {
                StatusError::Absent => {
                    "start it with: sudo systemctl start pikiosk (or pikiosk run; --runtime must be the same)"
                        .to_owned()
                }
                StatusError::Unreadable { source } => io_hint(source),
                StatusError::Strange { .. } => "restart the supervisor after an update of pikiosk".to_owned(),
            },
            #[cfg(feature = "display")]
            Self::Helper { .. } => "nobody starts this by hand: the supervisor asks for it".to_owned(),
            #[cfg(feature = "display")]
            Self::Plugs { .. } => {
                "nobody starts this by hand: sudo pikiosk drill screen-unplugged asks for it".to_owned()
            }
            #[cfg(feature = "display")]
            Self::Run { source } => run_hint(source),
            #[cfg(feature = "display")]
            Self::Drill { source } => source.hint(),
            #[cfg(feature = "display")]
            Self::Browser { source } => match source {
                LoopError::Firefox(_) => {
                    "sudo apt install firefox-esr; pikiosk doctor tells what else is missing".to_owned()
                }
                LoopError::Profile(ProfileError::InUse(_)) => "end the other one first".to_owned(),
                LoopError::Profile(_) => {
                    "give --profile an empty folder of this user's own, or make room on its disk".to_owned()
                }
                LoopError::Signals(_) | LoopError::Screen(_) => {
                    "is the machine out of memory or of processes?".to_owned()
                }
            },
            #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
            Self::Demo { source } => source.hint(),
            #[cfg(any(feature = "display", feature = "tools"))]
            Self::Provision { source, .. } => source.hint(),
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

fn not_shown(bad: usize, pending: &[String]) -> String {
    const NAMED: usize = 5;
    let could_not = if bad == 1 { "1 display could not".to_owned() } else { format!("{bad} displays could not") };
    let mut waiting = pending.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if pending.len() > NAMED {
        waiting.push_str(&format!(" and {} more", pending.len() - NAMED));
    }
    match (bad, pending.is_empty()) {
        (_, true) => could_not,
        (0, false) => format!("no word yet from {waiting}"),
        (_, false) => format!("{could_not}, and no word yet from {waiting}"),
    }
}

#[cfg(feature = "server")]
fn start_hint(error: &OpenError) -> String {
    match error {
        OpenError::KeyFile { source, .. }
        | OpenError::Data { source, .. }
        | OpenError::StoreFile { source, .. }
        | OpenError::WebhookSecret { source, .. } => io_hint(source),
        OpenError::Key { .. } | OpenError::Keys { .. } => {
            "change this [[auth.jwt]] of server.toml; pikiosk config show server tells where it is from".to_owned()
        }
        OpenError::KeyVariable { name, .. } => {
            format!("set {name} in the environment of the server (systemd: EnvironmentFile=), or use secret_file")
        }
        OpenError::Redis { .. } => {
            "write tickets.redis such as redis://127.0.0.1:6379/0 (rediss:// for TLS)".to_owned()
        }
        OpenError::Rabbit { key, .. } => format!("change [{key}] of server.toml; the broker itself may be down"),
        OpenError::Celery { .. } => "change [celery] of server.toml; broker and back end may be down".to_owned(),
        OpenError::Store { source } => match source {
            StoreError::Locked(_) => "end the other server, or give --data another folder".to_owned(),
            StoreError::NewerSchema { .. } => "the folder belongs to a newer pikiosk".to_owned(),
            StoreError::Damaged(_) => {
                "move the folder away to start with an empty one; displays enroll again, operator keys are new"
                    .to_owned()
            }
            StoreError::DiskFull => "the disk is full: make room, then try again".to_owned(),
            StoreError::Unreachable(_) => {
                "is that Redis running, and are address, user and password in store.url right?".to_owned()
            }
            StoreError::Forbidden(_) => {
                "assets/redis.acl of the source holds the user it needs; are user and password in store.url right?"
                    .to_owned()
            }
            StoreError::TooOld { .. } => "use Redis 6.2 or newer, or Valkey".to_owned(),
            _ => "look at the disk and at the rights of the data folder, then try again".to_owned(),
        },
    }
}

#[cfg(feature = "display")]
fn run_hint(error: &RunError) -> String {
    match error {
        RunError::Directory(_, source) | RunError::Glass(_, source) => io_hint(source),
        RunError::Journal(_) => "is the disk full, or does --state belong to another user?".to_owned(),
        RunError::Identity(_) => "see what is wrong with the file; it is this display's name at the server".to_owned(),
        RunError::Page(_) => {
            "is another supervisor running? A port below 1024 needs CAP_NET_BIND_SERVICE, or give --listen 127.0.0.1:8080"
                .to_owned()
        }
        RunError::Signals(_) => "is the machine out of memory or of processes?".to_owned(),
    }
}

#[cfg(feature = "tools")]
fn server_hint(error: &ClientError) -> String {
    match error {
        ClientError::NoKey => "a new server writes its key into its data folder: export \
                               PIKIOSK_KEY_FILE=/var/lib/pikiosk-server/operator.key, or set PIKIOSK_KEY to the key"
            .to_owned(),
        ClientError::KeyFile { source, .. } => io_hint(source),
        ClientError::Credentials { .. } => {
            "is it this server's key? It is in operator.key, in the server's data folder".to_owned()
        }
        ClientError::Unreachable { .. } => {
            "is the server running, and is this its address? PIKIOSK_SERVER or --server names it".to_owned()
        }
        ClientError::Unable { .. } => "wait a little and try again; the server's log tells more".to_owned(),
        ClientError::Refused { .. } => "pikiosk displays lists the displays that the server knows".to_owned(),
        ClientError::Strange { .. } => "is this the address of a pikiosk server, and is it of this version?".to_owned(),
    }
}

pub(super) fn io_hint(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is the name right? pikiosk config init writes an example".to_owned(),
        std::io::ErrorKind::PermissionDenied => "try again with sudo, or as the user that owns it".to_owned(),
        std::io::ErrorKind::StorageFull => "the disk is full: make room, then try again".to_owned(),
        _ => "look at the disk and at the rights of the folder, then try again".to_owned(),
    }
}

#[cfg(test)]
mod tests;
