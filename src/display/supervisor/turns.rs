//! A playlist on the glass: the machine that knows whose turn it is, the one that finds out who can come next, and what of
//! both the glass has to know. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    content::Show,
    out::Out,
    port::AskId,
    scout::{LEAD, Lost, PATIENCE, Scout},
};
use crate::display::{
    page::{SiteFault, Urls},
    playlist::{Effect, Input, Playlist, Source},
};

/// A playlist that is wanted.
#[derive(Debug)]
pub struct Turns {
    playlist: Playlist,
    scout: Scout,
    /// The item that was asked for last.
    item: Option<(usize, Source)>,
    /// Why that one is to stand as its last picture.
    away: Option<SiteFault>,
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
        Some(Turns {
            playlist: Playlist::new(data),
            scout: Scout::default(),
            item: None,
            away: None,
            turn: turn.into(),
            fade: data.fade(),
            fault: None,
        })
    }

    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        if let Input::ItemPainted(item) = input {
            self.scout.painted(item);
        }
        let effects = self.playlist.step(input, now);
        for effect in &effects {
            if let Effect::Show { item, source } = effect {
                self.item = Some((*item, source.clone()));
                self.away = self.scout.turn_of(*item);
                self.turn += 1;
            }
        }
        effects
    }

    /// Why the last item that failed did.
    pub fn failed(&mut self, fault: SiteFault, now: Instant) {
        if let Some(item) = self.item() {
            self.scout.lost(item, now);
        }
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

    /// The item's page and for how long it stands; none of pictures and films.
    pub fn page(&self) -> Option<(&str, Duration)> {
        match self.item.as_ref()? {
            (item, Source::Url(url)) => Some((url, self.playlist.seconds(*item)?)),
            (_, Source::Image(_) | Source::Video(_)) => None,
        }
    }

    /// The item's picture or film.
    pub fn media(&self) -> Option<&str> {
        match self.item.as_ref()? {
            (_, Source::Image(url) | Source::Video(url)) => Some(url),
            (_, Source::Url(_)) => None,
        }
    }

    /// Why the item is to stand as its last picture, if it was found out before its turn that it cannot come itself.
    pub fn away(&mut self) -> Option<SiteFault> {
        self.away.take()
    }

    /// True if the item may stand as the last picture of its page: another follows, and that one is tried.
    pub fn may_be_pictured(&self) -> bool {
        self.page().is_some() && self.item().is_some_and(|item| !self.playlist.stays(item))
    }

    /// Since when the item's site is away.
    pub fn lost(&self) -> Option<&Lost> {
        self.scout.since(self.item()?)
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self.playlist.on_until() {
            Some((_, until)) if self.scout.is_idle() => until.checked_sub(LEAD).or(Some(until)),
            Some((_, until)) if self.scout.is_under_way() => Some(until + PATIENCE),
            _ => self.playlist.deadline(),
        }
    }

    /// True if it is now to be found out who can come next, and that is begun.
    pub fn looks_ahead(&mut self, out: &mut Out) -> bool {
        let on = self.playlist.on_until().filter(|_| self.scout.is_idle());
        on.is_some_and(|(item, _)| {
            self.scout.begin(&mut self.playlist, item, out);
            true
        })
    }

    /// True if the question was the scout's.
    pub fn probed(&mut self, ask: AskId, result: &Result<(), SiteFault>, out: &mut Out) -> bool {
        self.scout.probed(&mut self.playlist, ask, result, out)
    }

    /// True if the question was the scout's.
    pub fn looked(&mut self, ask: AskId, is_there: bool, out: &mut Out) -> bool {
        self.scout.looked(&mut self.playlist, ask, is_there, out)
    }
}
