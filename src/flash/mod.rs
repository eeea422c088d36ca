//! Writes an image to one or many cards, and never says done for a card that is not.
//!
//! ```text
//!   disks (which one is safe) ----------------------------+
//!   source -> decode (once) -> hash -> skip what is free -+-> one writer per card -> read back -> customise -> first MiB
//! ```
//!
//! Where to look:
//!
//! - which disk: `disks/`; whose card: `identity`
//! - the image: `source/` (file, address, `os_list`), `decode/` (xz, gz, zst, zip), `bmap`, `usage` (what of it matters),
//!   `stream` (what writers ask of it)
//! - one job for all cards: `job`, `run`, `ring` (one decode, many writers), `events`
//! - one card: `card`, `probe`, `schedule`, `write`, `again`, `verify`, `mark`, `watch`, `finish`, `fault`
//! - the record: `receipt`, `label`
//!
//! Rejected: writing through the page cache and one sync at the end. The progress lies, and the read-back reads memory.

mod again;
pub mod bmap;
pub mod card;
pub mod decode;
pub mod disks;
pub mod events;
pub mod fault;
mod finish;
pub mod identity;
pub mod job;
pub mod label;
mod mark;
pub mod os_list;
mod probe;
pub mod receipt;
mod ring;
mod run;
pub mod schedule;
pub mod source;
pub mod stream;
pub mod usage;
mod verify;
mod watch;
mod write;

pub use run::flash;

#[cfg(test)]
mod tests;
