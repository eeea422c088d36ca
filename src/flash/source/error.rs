//! Why an image cannot be used. All of it is exit 12.

use std::io;
use std::path::PathBuf;

use super::digest::{NotASha256, Sha256};

/// Why an image was not found, not fetched, or refused.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("an image cannot be read from standard input: it is read twice where that saves a card")]
    StandardInput,
    #[error("there is no file {}", path.display())]
    Missing { path: PathBuf },
    #[error("{} is a folder, not an image", path.display())]
    Folder { path: PathBuf },
    #[error("read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{text} is not an address: {says}")]
    BadAddress { text: String, says: String },
    #[error(transparent)]
    BadSha256(#[from] NotASha256),

    #[error("the list of images at {place} cannot be used: {says}")]
    BadList { place: String, says: String },
    #[error("no image is called {name:?} in the list at {place}")]
    UnknownName { name: String, place: String, near: Vec<String> },
    #[error("{name:?} could be any of {} images", names.len())]
    ManyNames { name: String, names: Vec<String> },
    #[error("{name} is not made for a Raspberry Pi 3 (its list says: {})", devices.join(", "))]
    OtherDevice { name: String, devices: Vec<String> },

    #[error("{place} does not answer: {says}")]
    Unreachable { place: String, says: String },
    #[error("{place} answers {status}")]
    Answered { place: String, status: u16 },
    #[error("{place} answers with a web page instead of an image")]
    WebPage { place: String },
    #[error("{place} was replaced by something else while it was being fetched")]
    Replaced { place: String },
    #[error("{what} is {found} bytes long, and {teller} says {expected}")]
    WrongLength { what: String, expected: u64, found: u64, teller: String },
    #[error("keep what was fetched in {}", path.display())]
    Cache { path: PathBuf, source: io::Error },

    #[error("{name} is empty")]
    Empty { name: String },
    #[error("{name} is {kind}, which is not read here")]
    Unsupported { name: String, kind: &'static str },
    #[error("there is {inner} inside the {outer}, and not an image")]
    Nested { outer: &'static str, inner: &'static str },
    #[error("this is not an image of a card: {says}")]
    NotAnImage { says: String },
    #[error("this image does not boot a Raspberry Pi 3: {says}")]
    WrongMachine { says: String },
    #[error("this image holds a 32-bit system only, and pikiosk for the Pi is a 64-bit program")]
    WrongArchitecture,

    #[error("the image ends too early: {says}")]
    Truncated { says: String },
    #[error("the image is damaged: {says}")]
    Damaged { says: String },
    #[error("something other than the image follows at byte {at} of the {kind}")]
    Garbage { kind: &'static str, at: u64 },
    #[error("the image is {}{size} bytes unpacked, and there is room for {limit}", if *.at_least { "over " } else { "" })]
    TooLarge { size: u64, limit: u64, at_least: bool },
    #[error("unpacking this {kind} takes {}, and {limit} bytes are allowed", match needs { Some(needs) => format!("{needs} bytes of memory"), None => "too much memory".to_owned() })]
    Memory { kind: &'static str, needs: Option<u64>, limit: u64 },
    #[error("this zip file cannot be used: {says}")]
    BadZip { says: String },
    #[error("the SHA-256 of {what} is {found}, and {teller} says {expected}")]
    WrongHash { what: &'static str, expected: Sha256, found: Sha256, teller: String },
    #[error("the block map {name} cannot be used: {says}")]
    BadBmap { name: String, says: String },

    #[error("start a thread")]
    Thread { source: io::Error },
    #[error("stopped before the end")]
    Cancelled,
}
