//! What others may know of what is on the glass.

use std::time::Duration;

use tokio::time::Instant;

use super::{Content, Phase, Show, Trouble, Turns};

/// Pages of one playlist of which pictures are kept: 32 MiB at most.
const PAGES_MAX: usize = 16;

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

    /// The pages that are wanted and whose last good pictures are kept: of a long playlist the first ones.
    pub fn pages(&self) -> Vec<String> {
        match &self.show {
            Show::Splash => Vec::new(),
            Show::Url(url) => vec![url.clone()],
            Show::Playlist(playlist) => {
                let mut pages: Vec<String> = Vec::new();
                for url in playlist.items.iter().filter_map(|item| item.url.as_ref()) {
                    if pages.len() < PAGES_MAX && !pages.contains(url) {
                        pages.push(url.clone());
                    }
                }
                pages
            }
        }
    }

    /// The page that is wanted now, one of [`pages`](Self::pages), and for how long it stands; `None`: until another is
    /// wanted.
    pub fn page(&self) -> Option<(&str, Option<Duration>)> {
        match &self.show {
            Show::Splash => None,
            Show::Url(url) => Some((url, None)),
            Show::Playlist(_) => {
                let (url, seconds) = self.turns.as_ref()?.page()?;
                self.pages().iter().any(|page| page == url).then_some((url, Some(seconds)))
            }
        }
    }

    /// The item of a playlist that is on the glass or on its way, counted from 0, and its address.
    pub fn item(&self) -> Option<(usize, &str)> {
        let turns = self.turns.as_ref()?;
        turns.item().zip(turns.source())
    }

    /// Which items of the playlist are passed over and why, in words; none while all can be shown.
    pub fn passed_over(&self) -> Option<String> {
        self.turns.as_ref().and_then(Turns::passed_over)
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
