//! The display: the pure machines of the supervisor and the shells around them.

pub mod browser;
pub mod page;
pub mod status;
