//! Writes an image to one or many cards, and never says done for a card that is not.
//!
//! ```text
//!   disks (which one is safe) ----------------------------+
//!   source -> decode (once) -> hash -> skip what is free -+-> one writer per card -> read back -> customise -> first MiB
//! ```
//!
//! Rejected: writing through the page cache and one sync at the end. The progress lies, and the read-back reads memory.

pub mod bmap;
pub mod decode;
pub mod os_list;
pub mod source;
pub mod stream;
