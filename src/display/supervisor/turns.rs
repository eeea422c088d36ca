//! A playlist on the glass: the machine that knows whose turn it is, and what of it the glass has to know. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::content::Show;
use crate::display::{
    page::{SiteFault, Urls},
    playlist::{Effect, Input, Playlist, Source},
};

/// A playlist that is wanted.
#[derive(Debug)]
pub struct Turns {
    playlist: Playlist,
    /// The item that was asked for last.
    item: Option<(usize, Source)>,
    /// How many were asked for so far.
    turn: u64,
    /// How long one picture or film fades into the next.
    fade: Duration,
    fault: Option<SiteFault>,
}

impl Turns {
    /// `turn`: the player may still have an item of an earlier playlist or supervisor, which no address of ours may be like.
    pub fn of(show: &Show, turn: u32) -> Option<Self> {
        let Show::Playlist(data) = show else { return None };
        Some(Turns { playlist: Playlist::new(data), item: None, turn: turn.into(), fade: data.fade(), fault: None })
    }

    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let effects = self.playlist.step(input, now);
        for effect in &effects {
            if let Effect::Show { item, source } = effect {
                self.item = Some((*item, source.clone()));
                self.turn += 1;
            }
        }
        effects
    }

    /// Why the last item that failed did.
    pub fn failed(&mut self, fault: SiteFault) {
        self.fault = Some(fault);
    }

    pub fn fault(&self) -> Option<SiteFault> {
        self.fault.clone()
    }

    pub fn item(&self) -> Option<usize> {
        self.item.as_ref().map(|(item, _)| *item)
    }

    /// What the item shows, as the publisher wrote it.
    pub fn source(&self) -> Option<&str> {
        self.item.as_ref().map(|(_, source)| source.url())
    }

    pub fn address(&self, urls: &Urls) -> Option<String> {
        self.item.as_ref().map(|(_, source)| source.address(urls, self.turn, self.fade))
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.playlist.deadline()
    }
}
