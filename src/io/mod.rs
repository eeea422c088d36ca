//! The world, dumb on purpose.

#[cfg(feature = "display")]
pub mod append_log;
pub mod store;
