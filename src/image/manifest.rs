//! What was made, in one JSON that other programs read: also a list of images as the Raspberry Pi Imager and `pikiosk
//! flash` take it (`os_list`), so that a folder with it can be offered as it is.

use serde::Serialize;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    pub os_list: Vec<Entry>,
}

/// One image. Names are those of the Imager's format, version 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub name: String,
    pub description: String,
    /// The packed file beside this one; the image itself if it was not packed.
    pub url: String,
    /// Bytes.
    pub extract_size: u64,
    pub extract_sha256: String,
    /// Bytes.
    pub image_download_size: u64,
    pub image_download_sha256: String,
    /// `2026-11-22`.
    pub release_date: Option<String>,
    pub devices: Vec<String>,
    pub architecture: String,
    /// Bytes that a card must be given, of `extract_size`.
    pub mapped_size: u64,
    pub packages: usize,
}
