//! The display: the pure machines of the supervisor and the shells around them.

pub mod browser;
pub mod journal;
pub mod link;
pub mod page;
pub mod playlist;
pub mod shell;
pub mod status;
pub mod supervisor;
