//! `[offline]`: what is kept on the card for when the network is away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept on the card for when the network is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfflineSettings {
    /// The last good picture of a page is kept, and shown while its site is away.
    pub pictures: bool,
    /// Bytes that the pictures and films of playlists may take; 0: none are kept.
    pub cache: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct OfflineFile {
    /// Keep the last good picture of a page on the card, of the last four pages, and show it, marked as old, while its
    /// site is away. false: nothing of a page is kept, and what was is taken away.
    pictures: bool,
    /// MiB of the card for the pictures and films of playlists, so that a playlist goes on without network. 0: none are
    /// kept.
    #[schemars(range(min = 0, max = 1048576))]
    cache_mb: u32,
}

impl Default for OfflineFile {
    fn default() -> Self {
        Self { pictures: true, cache_mb: 512 }
    }
}

pub(super) fn settings(file: &OfflineFile) -> OfflineSettings {
    OfflineSettings { pictures: file.pictures, cache: u64::from(file.cache_mb) << 20 }
}
