//! Why a card is not done, and what it holds now.

use std::{io, sync::Arc};

use super::stream::StreamError;

/// Why a card is not done. `Display` fits after `/dev/sdb: `; offsets are bytes from the start of the card.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CardFault {
    #[error("it has {} MB, and the image needs {} MB", len / 1_000_000, needed.div_ceil(1_000_000))]
    TooSmall { len: u64, needed: u64 },
    /// Nothing that is written is there afterwards.
    #[error("it takes writes and keeps none of them: worn out, or locked inside")]
    KeepsNothing,
    /// It has less memory than it says.
    #[error("its capacity is a lie: byte {offset} holds {}", instead(*holds))]
    Lies {
        offset: u64,
        /// What was written there, in bytes from the start of the card.
        holds: Option<u64>,
    },
    #[error("writing failed at byte {offset}")]
    Write {
        offset: u64,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("reading back failed at byte {offset}")]
    Read {
        offset: u64,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("writing what it holds in its cache failed")]
    Flush {
        #[source]
        source: Arc<io::Error>,
    },
    #[error("what was read back differs from what was written, first at byte {offset}: {verdict}")]
    Differs { offset: u64, verdict: Verdict },
    #[error("it was removed, or its reader failed")]
    Gone {
        #[source]
        source: Arc<io::Error>,
    },
    #[error("it has not answered for {seconds} s, at byte {offset}")]
    Hangs { offset: u64, seconds: u64 },
    /// The source failed: true of every card.
    #[error("the image could not be read to its end, or is not what it should be")]
    Image {
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    #[error("its own settings could not be put on it")]
    Customise {
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    #[error("stopped before it was done")]
    Cancelled,
    /// `--verify-only` found what it should not.
    #[error("it is not what was written: {blocks} blocks differ, first at byte {offset}")]
    NotTheImage { offset: u64, blocks: u64 },
}

fn instead(holds: Option<u64>) -> String {
    holds.map_or_else(
        || "nothing of what was written there".to_owned(),
        |place| format!("what was written at byte {place}"),
    )
}

/// What most likely made a read-back differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each read gives something else.
    Reader,
    /// It stopped keeping what is written.
    StoppedKeeping,
    /// It keeps what is written there now: once it did not.
    Weak,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reader => "each reading gives something else, so suspect the reader, its cable or hub",
            Self::StoppedKeeping => "the card stopped keeping what is written, so it is worn out",
            Self::Weak => "the card lost or changed what was written there, so it is worn or fake",
        })
    }
}

impl CardFault {
    /// An error of the source, as each card has it.
    pub(super) fn image(error: StreamError) -> Self {
        Self::Image { source: error.into() }
    }

    /// An error of a read or write; one that means that the card is away is that.
    pub(super) fn of(doing: super::events::Doing, offset: u64, source: io::Error) -> Self {
        let gone = is_gone(&source);
        let source = Arc::new(source);
        match doing {
            _ if gone => Self::Gone { source },
            super::events::Doing::Write => Self::Write { offset, source },
            super::events::Doing::Read => Self::Read { offset, source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooSmall { .. } => "take a larger card",
            Self::KeepsNothing => "look at the lock switch of the card or its adapter; else throw the card away",
            Self::Lies { .. } => "a fake: throw it away or send it back",
            Self::Write { .. } | Self::Differs { verdict: Verdict::StoppedKeeping | Verdict::Weak, .. } => {
                "try another card; if that one fails too, another reader"
            }
            Self::Read { .. } | Self::Flush { .. } => {
                "try again with another reader; if it fails there too, the card is bad"
            }
            Self::Differs { verdict: Verdict::Reader, .. } => "try another reader, without a hub",
            Self::Gone { .. } => "put it in again and start over",
            Self::Hangs { .. } => "take it out and in again; if it hangs again, try another card or reader",
            Self::Image { .. } => "get the image again; the card is no part of this",
            Self::Customise { .. } => "see the reason above; the card itself is good",
            Self::Cancelled => "start over when you are ready",
            Self::NotTheImage { .. } => "flash it again; --again writes only what differs",
        }
    }
}

/// Whether the device is away, rather than a place on it bad.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use nix::errno::Errno;
    [Errno::ENODEV, Errno::ENXIO, Errno::ENOMEDIUM, Errno::ESHUTDOWN, Errno::EBADF]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// What a card holds when all is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// What it held before: nothing was written.
    Untouched,
    /// A part; it does not boot, and shows no partitions.
    Unbootable,
    /// Perhaps what it held before, perhaps a part: it did not let itself be made unbootable.
    Unknown,
    /// All of it, read back.
    Complete,
}

impl Holds {
    pub fn words(self) -> &'static str {
        match self {
            Self::Untouched => "nothing was written to it",
            Self::Unbootable => "it does not boot, and must be written again",
            Self::Unknown => "do not use it: what it holds now is unknown",
            Self::Complete => "done, and read back",
        }
    }
}

/// Whether trying again is of no use.
pub(super) fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind;
    is_gone(error)
        || matches!(
            error.kind(),
            ErrorKind::ReadOnlyFilesystem
                | ErrorKind::PermissionDenied
                | ErrorKind::StorageFull
                | ErrorKind::TimedOut
                | ErrorKind::InvalidInput
        )
}
