//! What the store's own receipts say: the same in every engine.

/// `superseded`.
pub const SUPERSEDED: &str = "a newer command of the same kind came first";
/// `superseded`: state of a group that the display has left.
pub const LEFT: &str = "the display left the group first";
/// `expired`.
pub const EXPIRED: &str = "it was not done before its expirytime";
/// `failed`, with the display's removal.
pub const REMOVED: &str = "the display was removed";
/// `failed`, for a display that is reached through a group or `all`.
pub const QUEUE_FULL: &str = "the queue of this display is full";

/// `failed`: an action that a display never answered, and that may be what it dies of.
pub fn poison(attempts: u32) -> String {
    format!("given {attempts} times without an answer")
}
