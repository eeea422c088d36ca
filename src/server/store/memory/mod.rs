//! The store of one node without a disk. Until its own maps come: the file's engine over bytes in memory.

pub use super::embedded::Embedded as Memory;
