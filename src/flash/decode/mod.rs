//! From packed bytes to the bytes of a card: once, in order, hashed, however many cards take them.
//!
//! ```text
//!   file or network ──8 × 1 MiB──▶ unpack ──4 × 4 MiB──▶ hash ──4 × 4 MiB──▶ whoever takes pieces
//!      (thread)                   (thread,               (thread)
//!                              xz: and its own)
//! ```
//!
//! The bounds hold memory (40 MiB in all, besides what xz needs), and let a pause of one stage pass without stopping
//! the others. When `open` returns, the first bytes have been looked at: it is an image that can boot a Raspberry Pi 3,
//! or it was refused before anybody asked for a card.
//!
//! Rejected: an async stream. Unpacking and hashing are work, not waiting, and a bounded channel is all the back-pressure
//! there has to be.

mod codec;
mod format;
mod gzip;
mod input;
mod list;
mod produce;
mod raw;
mod xz;
mod xz_index;
mod zip;
mod zstd;

#[cfg(test)]
mod tests;

pub use codec::{Codec, Means, codec};
pub use format::{Format, Kind, MAGIC};
pub use input::{Blocks, Input};
pub use list::unpacked_length;
pub(in crate::flash) use produce::spawn;
pub use produce::{Decoded, Expected, Job, Limit, start};
pub use zstd::{FRAME_HEADER, Frame};
