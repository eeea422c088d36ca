//! A playlist on the glass: the machine that knows whose turn it is, the one that finds out who can come next, and what of
//! both the glass has to know. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    content::Show,
    lookout::Lookout,
    out::{Out, earlier},
    port::AskId,
    scout::{LEAD, Lost, PATIENCE, Scout},
};
use crate::display::{
    page::{SiteFault, Urls},
    playlist::{Effect, Input, Playlist, Source},
};

/// So many of the items that are passed over are told one by one: the sentence is for one line.
const TOLD_MAX: usize = 3;

/// A playlist that is wanted.
#[derive(Debug)]
pub struct Turns {
    playlist: Playlist,
    scout: Scout,
    lookout: Lookout,
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
            lookout: Lookout::new(fastrand::Rng::with_seed(turn.into())),
            item: None,
            away: None,
            turn: turn.into(),
            fade: data.fade(),
            fault: None,
        })
    }

    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        match input {
            Input::ItemPainted(item) => {
                self.scout.painted(item);
                self.lookout.painted();
            }
            Input::ItemPictured(item) => {
                self.scout.pictured(item);
                self.lookout.painted();
            }
            Input::ItemFailed(item) => {
                self.fault.clone().into_iter().for_each(|fault| self.scout.passed_over(item, fault));
                self.playlist.goes_on_with(self.after_failed(item));
            }
            Input::Started | Input::Back(_) | Input::Due => {}
        }
        let effects = self.playlist.step(input, now);
        self.lookout.settle(&self.playlist.awaited(), now);
        for effect in &effects {
            if let Effect::Show { item, source } = effect {
                self.item = Some((*item, source.clone()));
                self.away = self.scout.turn_of(*item);
                self.turn += 1;
            }
        }
        effects
    }

    /// The next one of which it is not known that it fails too; the last of a list is always tried.
    fn after_failed(&self, item: usize) -> usize {
        let (list, passed_over) = (&self.playlist, self.scout.all_passed_over());
        let others = (1..list.count()).map(|further| (item + further) % list.count());
        let good = others.into_iter().find(|other| list.stays(*other) || !passed_over.contains_key(other));
        good.unwrap_or_else(|| list.next(item))
    }

    /// Why the last item that failed did.
    pub fn failed(&mut self, fault: SiteFault, now: Instant) {
        if let Some(item) = self.item() {
            self.scout.failed(item, now);
        }
        self.fault = Some(fault);
    }

    /// Which items are passed over, in words; none while all can be shown.
    pub fn passed_over(&self) -> Option<String> {
        let passed = self.scout.all_passed_over();
        let words =
            |(item, fault): (&usize, &SiteFault)| format!("item {} is passed over ({})", item + 1, fault.code());
        let told: Vec<String> = passed.iter().take(TOLD_MAX).map(words).collect();
        let more = passed.len().saturating_sub(TOLD_MAX);
        let more = (more > 0).then(|| format!(", and {more} more"));
        (!told.is_empty()).then(|| told.join(", ") + &more.unwrap_or_default())
    }

    /// The same for programs, in a receipt.
    pub fn passed_over_json(&self) -> Option<Value> {
        let each = |(item, fault): (&usize, &SiteFault)| json!({ "item": item + 1, "why": fault.code() });
        let passed: Vec<Value> = self.scout.all_passed_over().iter().map(each).collect();
        (!passed.is_empty()).then(|| json!({ "passed_over": passed }))
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
            _ => earlier(self.playlist.deadline(), self.lookout.deadline()),
        }
    }

    /// True if it is now to be found out who can come next, or who is back, and that is begun.
    pub fn looks_ahead(&mut self, out: &mut Out) -> bool {
        if self.lookout.due(&self.playlist, out) {
            return true;
        }
        let on = self.playlist.on_until().filter(|_| self.scout.is_idle());
        on.is_some_and(|(item, _)| {
            self.scout.begin(&mut self.playlist, item, out);
            true
        })
    }

    /// True if the question was the scout's, or the lookout's.
    pub fn probed(&mut self, ask: AskId, result: &Result<(), SiteFault>, out: &mut Out) -> bool {
        if self.scout.probed(&mut self.playlist, ask, result, out) {
            return true;
        }
        let Some(item) = self.lookout.probed(&self.playlist, ask, result, out) else { return false };
        let is_vague = matches!(self.scout.all_passed_over().get(&item), Some(SiteFault::Media(_)));
        if let (Err(fault), true) = (result, is_vague) {
            self.scout.passed_over(item, fault.clone());
            if self.item() == Some(item) {
                self.fault = Some(fault.clone());
            }
        }
        true
    }

    /// Nothing could be shown, and the site of this item answers again.
    pub fn came_back(&mut self) -> Option<usize> {
        self.lookout.came_back()
    }

    /// True if the question was the scout's.
    pub fn looked(&mut self, ask: AskId, found: &Value, out: &mut Out) -> bool {
        self.scout.looked(&mut self.playlist, ask, found, out)
    }
}
