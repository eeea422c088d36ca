//! What others may know of what is on the glass.

use tokio::time::Instant;

use super::{Content, Phase, Show, Trouble};

impl Content {
    /// True while there is a document of ours on the glass or on its way: nothing to wait for.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Shown | Phase::Away { .. })
    }

    /// True while there is a document of ours, painted or only begun. Before that Firefox shows what was there before, and
    /// a site may be slow.
    pub fn has_document(&self) -> bool {
        match &self.phase {
            Phase::Dark => false,
            Phase::Shown | Phase::Away { page: None, .. } => true,
            Phase::Loading(load) | Phase::Away { page: Some(load), .. } => load.came(),
        }
    }

    /// True while what is wanted is painted.
    pub fn is_showing(&self) -> bool {
        self.phase == Phase::Shown
    }

    /// How often a document of ours was painted.
    pub fn paints(&self) -> u64 {
        self.paints
    }

    pub fn show(&self) -> &Show {
        &self.show
    }

    /// The pictures and films of the playlist that is wanted.
    pub fn media(&self) -> Vec<String> {
        match &self.show {
            Show::Playlist(playlist) => {
                playlist.items.iter().filter_map(|item| item.image.clone().or(item.video.clone())).collect()
            }
            Show::Splash | Show::Url(_) => Vec::new(),
        }
    }

    /// The item of a playlist that is on the glass or on its way, counted from 0, and its address.
    pub fn item(&self) -> Option<(usize, &str)> {
        let turns = self.turns.as_ref()?;
        turns.item().zip(turns.source())
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Since when the document of what is wanted is on the glass, and no other that it led to.
    pub fn alone_since(&self) -> Option<Instant> {
        self.painted.filter(|_| self.phase == Phase::Shown && self.is_there)
    }

    /// The document with which what is wanted came last.
    pub fn landed(&self) -> &str {
        &self.landed
    }
}
