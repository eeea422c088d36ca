//! What is wanted, from the order to load it until it is on the glass; of a playlist, item by item.

use serde_json::Value;

use super::{Again, Content, Phase};
use crate::{
    display::{
        journal::EventKey,
        page::SiteFault,
        playlist,
        supervisor::{
            load::{LOAD_WITHIN, Load, Loaded},
            out::{Out, Outcome},
            port::{Ask, Gather},
            turns::Turns,
        },
    },
    event::Status,
};

impl Content {
    /// Loads what is wanted, from the beginning.
    pub(super) fn begin(&mut self, out: &mut Out) {
        match self.turns {
            Some(_) => self.turn(playlist::Input::Started, out),
            None => self.load(out),
        }
    }

    pub(super) fn load(&mut self, out: &mut Out) {
        let url = self.url();
        let ask = out.ask(Ask::Navigate { url: url.clone() }, LOAD_WITHIN);
        self.moved = false;
        // The item that is on the glass already is not begun again by its own address: that is a jump like any other.
        let is_there = self.phase == Phase::Shown && self.landed == url;
        let is_item = self.urls.is_media(&url) && !is_there;
        let load = Load::new(url, ask, out.now);
        self.phase = Phase::Loading(if is_item { load.of_item() } else { load });
    }

    pub(super) fn loaded(&mut self, loaded: Loaded, out: &mut Out) {
        match loaded {
            Loaded::Pending => {}
            Loaded::Shown => {
                if let Phase::Loading(load) = &self.phase {
                    load.document().clone_into(&mut self.landed);
                }
                self.is_there = true;
                self.phase = Phase::Shown;
                self.painted = Some(out.now);
                self.own_lost = 0;
                self.is_alone = false;
                self.trouble = None;
                self.paints += 1;
                let result = self.turns.as_ref().and_then(Turns::passed_over_json);
                for key in std::mem::take(&mut self.due) {
                    out.end(key, Outcome { result: result.clone(), ..Outcome::of(Status::Shown) });
                }
                if let Some(item) = self.turns.as_ref().and_then(Turns::item) {
                    self.turn(playlist::Input::ItemPainted(item), out);
                }
            }
            Loaded::Stale => self.reload_document(false, out),
            Loaded::Untaken => self.order_again(out),
            Loaded::Failed(fault) => self.fail(fault, out),
        }
    }

    /// The same order, once more.
    fn order_again(&mut self, out: &mut Out) {
        if let Phase::Loading(load) = &mut self.phase {
            load.again(out.ask(Ask::Navigate { url: load.url.clone() }, LOAD_WITHIN), out.now);
        }
    }

    /// Loads what is wanted again, with or without the cache.
    pub fn reload(&mut self, key: EventKey, ignore_cache: bool, out: &mut Out) {
        // What Firefox would load again is the card's copy: that is made anew first.
        let media = self.turns.as_ref().and_then(Turns::media).filter(|_| ignore_cache).map(str::to_owned);
        if let (Phase::Shown, Some(url)) = (&self.phase, media) {
            let ask = out.gather(Gather::Media { url: url.clone() });
            return self.renewing.push((ask, url, key));
        }
        self.due.push(key);
        if let (Phase::Shown, true) = (&self.phase, ignore_cache) {
            self.reload_document(ignore_cache, out);
        } else if self.phase != Phase::Dark {
            self.load(out);
        }
    }

    /// The copy on the card is what the site has now, or it is not known why not.
    pub(super) fn renewed(&mut self, url: &str, key: EventKey, result: &Result<Value, String>, out: &mut Out) {
        if let Err(why) = result {
            return out.end(key, Outcome::failed(format!("{url} could not be fetched anew: {why}")));
        }
        self.due.push(key);
        let is_there = self.turns.as_ref().and_then(Turns::media) == Some(url);
        match self.phase {
            Phase::Shown if is_there => self.reload_document(true, out),
            Phase::Shown => self.load(out),
            // The next paint is of what is there now.
            Phase::Dark | Phase::Loading(_) | Phase::Away { .. } => {}
        }
    }

    /// The document that is there, once more.
    pub(super) fn reload_document(&mut self, ignore_cache: bool, out: &mut Out) {
        let ask = out.ask(Ask::Reload { ignore_cache }, LOAD_WITHIN);
        self.phase = Phase::Loading(Load::new(self.url(), ask, out.now));
    }

    pub(super) fn offline_loaded(&mut self, loaded: Loaded, out: &mut Out) {
        let Phase::Away { page, .. } = &mut self.phase else { return };
        match loaded {
            Loaded::Pending | Loaded::Stale | Loaded::Untaken => {}
            Loaded::Shown => {
                *page = None;
                self.own_lost = 0;
                self.paints += 1;
                if let Some(item) = self.turns.as_ref().and_then(Turns::item).filter(|_| self.is_pictured()) {
                    self.turn(playlist::Input::ItemPictured(item), out);
                }
            }
            // Our own page does not load: its deadline tries again, and the pulse finds out what is wrong.
            Loaded::Failed(fault) => tracing::warn!(fault = fault.code(), "the offline page did not load"),
        }
    }

    /// One picture or film follows another, also past one that failed: the player changes them itself.
    fn is_in_the_player(&self) -> bool {
        let is_there = self.phase == Phase::Shown || (matches!(self.phase, Phase::Away { .. }) && !self.moved);
        is_there && self.urls.is_media(&self.landed) && self.urls.is_media(&self.url())
    }

    /// The playlist's turn to decide.
    pub(super) fn turn(&mut self, input: playlist::Input, out: &mut Out) {
        let Some(turns) = &mut self.turns else { return };
        let effects = turns.step(input, out.now);
        let is_idle = !matches!(self.phase, Phase::Shown | Phase::Loading(_));
        for effect in &effects {
            match effect {
                playlist::Effect::Show { .. } => {
                    out.changes_item = self.due.is_empty() && !self.is_in_the_player();
                    match self.turns.as_mut().and_then(Turns::away) {
                        Some(fault) => self.show_picture(fault, out),
                        None => self.load(out),
                    }
                }
                playlist::Effect::Away { retry_at } => {
                    let fault = self.turns.as_ref().and_then(Turns::fault).unwrap_or(SiteFault::TimedOut);
                    self.away(fault, *retry_at, Again::InTurn, out);
                }
                playlist::Effect::Done => {}
            }
        }
        // It waits between two items, and there is nothing on the glass yet.
        if effects.is_empty() && is_idle && !matches!(self.phase, Phase::Away { .. }) {
            self.phase = Phase::Away { page: None, again: Again::InTurn };
            self.show_offline(out);
        }
    }
}
