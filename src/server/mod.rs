//! The event server.

pub mod store;
pub mod tickets;
