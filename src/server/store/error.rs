//! What can go wrong in the store, by what one can do about it.

use std::path::PathBuf;

use crate::{auth::enrollment::Refusal, event::DisplayId};

/// Why the store did not do it. Cloned to every waiter of a failed batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// HTTP 404.
    #[error("display `{0}` is not enrolled")]
    NotEnrolled(DisplayId),
    /// HTTP 429: publish again when the display has caught up, or with a shorter `expirytime`.
    #[error("display `{display}` already has {limit} actions waiting")]
    QueueFull { display: DisplayId, limit: u64 },
    /// HTTP 507: a limit of the whole store.
    #[error("the store holds {limit} {what}, which is its limit")]
    Full { what: &'static str, limit: u64 },
    /// HTTP 413.
    #[error("{bytes} bytes are more than the {limit} that are kept")]
    TooLarge { bytes: usize, limit: usize },
    /// HTTP 404: a result for an event the display was never given.
    #[error("no event `{0}` was sent to this display")]
    UnknownEvent(String),
    /// HTTP 503, come back at once: the queue to the writer did not move in time. Nothing was stored.
    #[error("the store is busy")]
    Busy,
    /// HTTP 503: the write was handed over and not answered in time. It may be stored: the same `source` and `id`
    /// published again is safe.
    #[error("the disk did not answer in time; publishing the same event again is safe")]
    Timeout,
    /// HTTP 507. Nothing is lost that was answered; writes go on when there is room.
    #[error("the disk of the store is full")]
    DiskFull,
    /// HTTP 507: what is left of the disk is kept for receipts and for pruning.
    #[error("the disk of the store is nearly full: nothing new is taken")]
    LowSpace,
    /// HTTP 503. The store opens its file anew at the next operation.
    #[error("the store's disk failed: {0}")]
    Io(String),
    #[error("the store's file is damaged: {0}")]
    Damaged(String),
    /// Another process has the file.
    #[error("another process has {} open: is a second server running on the same data directory?", .0.display())]
    Locked(PathBuf),
    /// The file was written by a newer pikiosk.
    #[error("{} has schema {found}, this pikiosk knows {known}: start the newer pikiosk, or another data directory", path.display())]
    NewerSchema { path: PathBuf, found: u64, known: u64 },
    /// HTTP 503. What was handed over may be stored: the same `source` and `id` published again is safe.
    #[error("the Redis of the store cannot be used: {0}")]
    Unreachable(String),
    /// HTTP 503, for as long as it takes: Redis was started anew.
    #[error("the Redis of the store is still reading its file")]
    Loading,
    /// HTTP 503; a person has to see to it.
    #[error("the Redis of the store refuses its user: {0}")]
    Forbidden(String),
    /// HTTP 507. Nothing of the batch was stored.
    #[error("the Redis of the store has reached its maxmemory")]
    Memory,
    /// At the start only.
    #[error("the Redis of the store is version {found}, and 6.2 is the oldest that takes a ticket in one step")]
    TooOld { found: String },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// A fault of the disk or file, which takes the whole batch with it.
    pub(super) fn is_disk(&self) -> bool {
        matches!(self, StoreError::DiskFull | StoreError::Io(_) | StoreError::Damaged(_))
    }
}

/// Why a code enrolled no display.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrollError {
    /// Unknown, expired, spent with another key, or tried too often: one answer for all, so that a code cannot be probed. HTTP 401.
    /// The text says which, for the log.
    #[error("the enrollment code is refused: {0}")]
    Code(&'static str),
    /// HTTP 409.
    #[error("display `{0}` is already enrolled: ask for a code that is issued for it")]
    Taken(DisplayId),
    /// HTTP 409: the code was issued for another display than the one asked for.
    #[error("the code was issued for display `{0}`")]
    ForAnother(DisplayId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for EnrollError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Expired => EnrollError::Code("it has expired"),
            Refusal::Spent => EnrollError::Code("it was used by another key"),
            Refusal::TooManyTries => EnrollError::Code("it was tried too often"),
            Refusal::Taken(id) => EnrollError::Taken(id),
            Refusal::ForAnother(id) => EnrollError::ForAnother(id),
        }
    }
}
