//! Where an image comes from: a file, an address, or a name in a list of images.
//!
//! ```text
//!   what the person typed ─find─▶ Source ──┬─ check: refuse what can be refused before a card is touched
//!      list, SHA256SUMS, .bmap ────────────┘
//!                                 Source ─open─▶ Decoded: pieces of the image, hashed
//! ```
//!
//! Rejected: an image from standard input. It cannot be looked at before a card is touched, nor taken up again.

mod ask;
mod beside;
mod boot;
mod cache;
mod digest;
mod error;
mod fetch;
mod file;
mod find;
mod open;
mod progress;

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

pub(in crate::flash) use ask::small;
pub use boot::{Boot, Head, judge, partitions_end};
pub use cache::Cache;
pub use digest::{Hasher, NotASha256, Sha256};
pub use error::SourceError;
pub use fetch::Patience;
pub use find::Lookup;
pub use open::{Cached, Opened, Options, Wanted};
pub use progress::{Cancel, Progress, Slowest};

use std::path::PathBuf;

use super::bmap::Bmap;

/// Something that was told about an image, and by whom, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    pub value: T,
    /// As in "… says".
    pub teller: String,
}

/// Where the packed bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    Url(url::Url),
}

/// An image that was found, and what is known about it before it is opened.
#[derive(Debug, Clone)]
pub struct Source {
    /// What people call it: the name of its file, or in the list.
    pub name: String,
    pub place: Place,
    /// Bytes as packed.
    pub packed: Option<u64>,
    /// Bytes unpacked.
    pub unpacked: Option<Told<u64>>,
    /// SHA-256 of the packed file.
    pub packed_sha256: Option<Told<Sha256>>,
    /// SHA-256 of the unpacked image.
    pub unpacked_sha256: Option<Told<Sha256>>,
    /// SHA-256 of one of the two: `--sha256` does not say of which.
    pub either_sha256: Option<Told<Sha256>>,
    /// A block map that belongs to it.
    pub bmap: Option<Bmap>,
    /// What the list says about how the image is customised (`cloudinit-rpi`, `systemd`, …).
    pub init_format: Option<String>,
}
