//! The event server.

pub mod store;
