//! Firefox: its process, its profile, its BiDi session.
pub mod wire;
