//! The page that was lost, and what is on the glass in its place.

use std::time::Duration;

use tokio::time::Instant;

use super::{Again, Content, Phase, Trouble};
use crate::display::{
    page::{SiteFault, fault::Blame, words},
    playlist,
    supervisor::{
        load::{LOAD_WITHIN, Load},
        out::{Out, Outcome},
        port::{Ask, Gather},
        recovery::Cause,
        retry::retry_after,
        truth::lower_first,
        turns::Turns,
    },
};

/// A page may be lost so often within [`LOST_WINDOW`], an item of a playlist or one that leads away; then it is put off.
const LOST_MAX: usize = 3;
const LOST_WINDOW: Duration = Duration::from_secs(60);
/// A page that lived for so long did not die of being loaded: it is loaded again at once, however often.
const LIVED: Duration = Duration::from_secs(1);
/// So often in a row may the local page fail before the browser is at fault.
const OWN_LOST_MAX: u32 = 2;

impl Content {
    /// A document came that may not be on this glass: somebody followed a link, or the page led elsewhere by itself.
    pub fn strayed(&mut self, url: &str, out: &mut Out) {
        tracing::warn!(site = host(url), "a page that is not allowed on this display is sent away");
        self.moved = true;
        let too_often = self.is_too_often(out.now);
        match self.phase {
            // What was there comes again; a page that leads away again and again is given up for a while.
            Phase::Shown if !too_often => self.load(out),
            Phase::Shown | Phase::Loading(_) => self.fail(SiteFault::NotAllowed, out),
            Phase::Away { .. } => self.show_offline(out),
            Phase::Dark => {}
        }
    }

    /// The process of the page was killed, or is to be taken for dead.
    pub fn crashed(&mut self, out: &mut Out) {
        (self.has_crashed, self.moved) = (true, true);
        let lived = self.painted.take().is_some_and(|at| out.now >= at + LIVED);
        match &self.phase {
            Phase::Dark => {}
            Phase::Away { .. } => self.show_offline(out),
            _ if lived => self.load(out),
            // The page before was ended for it.
            Phase::Loading(load) if load.is_given_up() => self.load(out),
            _ if self.turns.is_some() => self.item_crashed(out),
            _ => out.fault(Cause::PageCrashed),
        }
    }

    /// Loads again what is wanted or, while that is away, the page that says so.
    pub fn load_again(&mut self, out: &mut Out) {
        match self.phase {
            Phase::Dark => {}
            Phase::Away { .. } => self.show_offline(out),
            Phase::Loading(_) | Phase::Shown => self.load(out),
        }
    }

    /// What kept the site away may be over: it is tried now, and not when its time comes.
    pub fn try_now(&mut self, out: &mut Out) {
        if let Phase::Away { again: Again::ProbeAt(_) | Again::LoadAt(_), .. } = self.phase {
            self.load(out);
        }
    }

    /// All that may be done was done: our own page says so, and tries go on.
    pub fn give_up(&mut self, fault: SiteFault, out: &mut Out) {
        if self.phase != Phase::Dark {
            self.fail(fault, out);
        }
    }

    /// What was ordered is put aside each time, and not by the page before.
    pub fn put_aside(&mut self, out: &mut Out) {
        if let Phase::Loading(load) = &mut self.phase {
            let loaded = load.put_aside(out.now);
            self.loaded(loaded, out);
        }
    }

    fn item_crashed(&mut self, out: &mut Out) {
        match self.is_too_often(out.now) {
            true => self.fail(SiteFault::Crashed, out),
            false => self.load(out),
        }
    }

    /// Counts one more page that was lost; true if there were too many of late to load it again at once.
    fn is_too_often(&mut self, now: Instant) -> bool {
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|at| now - *at > LOST_WINDOW) {
            self.crashes.pop_front();
        }
        self.crashes.len() > LOST_MAX
    }

    /// The local page needs no network and is small: a browser that cannot paint it, twice, has something in its way
    /// (a dialog of its own, say) that no navigation removes.
    pub(super) fn own_page_lost(&mut self, out: &mut Out) {
        self.own_lost += 1;
        if self.own_lost >= OWN_LOST_MAX {
            self.own_lost = 0;
            out.fault(Cause::NothingPaints);
        }
        self.show_offline(out);
    }

    pub(super) fn fail(&mut self, fault: SiteFault, out: &mut Out) {
        if self.turns.is_some() {
            return self.item_failed(fault, out);
        }
        let (_, tries) = self.trouble_so_far(out.now);
        let at = out.now + retry_after(&fault, tries + 1, &mut self.rng);
        let again = match fault.blame() {
            Blame::Site | Blame::Network => Again::ProbeAt(at),
            Blame::Setting | Blame::Page => Again::LoadAt(at),
        };
        self.away(fault, at, again, out);
    }

    /// Says what is wrong, on the glass and in the receipts.
    pub(super) fn away(&mut self, fault: SiteFault, retry_at: Instant, again: Again, out: &mut Out) {
        // Of a picture or film the site is meant, and not our own player.
        let url = self.turns.as_ref().and_then(Turns::source).map_or_else(|| self.url(), str::to_owned);
        let reason = words::of_fault(&fault, &host(&url)).title;
        for key in std::mem::take(&mut self.due) {
            out.end(key, Outcome::failed(format!("{} ({})", lower_first(&reason), fault.code())));
        }
        let (since, tries) = self.trouble_so_far(out.now);
        self.trouble = Some(Trouble { url, fault, since, tries: tries + 1, retry_at: Some(retry_at), in_turn: false });
        self.phase = Phase::Away { page: None, again };
        self.show_offline(out);
    }

    fn trouble_so_far(&self, now: Instant) -> (Instant, u32) {
        let trouble = self.trouble.as_ref().filter(|trouble| !trouble.in_turn);
        trouble.map_or((now, 0), |trouble| (trouble.since, trouble.tries))
    }

    fn item_failed(&mut self, fault: SiteFault, out: &mut Out) {
        let Some(turns) = &mut self.turns else { return };
        turns.failed(fault.clone(), out.now);
        // A playlist that was just pushed begins with what is there: its receipt says what was shown.
        let pictured = self.due.is_empty() && turns.may_be_pictured() && fault.is_away();
        match turns.page().filter(|_| pictured) {
            Some((url, _)) => {
                let ask = out.gather(Gather::Picture { url: url.to_owned() });
                self.phase = Phase::Away { page: None, again: Again::Looking(ask, fault) };
            }
            None => self.pass_over(out),
        }
    }

    /// The item cannot be shown: the next one, after a moment.
    pub(super) fn pass_over(&mut self, out: &mut Out) {
        if let (Some((item, url)), Some(fault)) = (self.item(), self.turns.as_ref().and_then(Turns::fault)) {
            tracing::warn!(item = item + 1, url, fault = fault.code(), "an item of the playlist is passed over");
        }
        // The browser's own error page goes from the glass at once; the item before may stay.
        self.phase = Phase::Away { page: None, again: Again::InTurn };
        if let Some(item) = self.turns.as_ref().and_then(Turns::item) {
            self.turn(playlist::Input::ItemFailed(item), out);
        }
        if let (Phase::Away { page: None, .. }, true) = (&self.phase, self.moved) {
            self.show_offline(out);
        }
    }

    /// The item's site is away: the last picture of its page, marked as such, stands in its place.
    pub(super) fn show_picture(&mut self, fault: SiteFault, out: &mut Out) {
        let Some((url, lost)) = self.turns.as_ref().and_then(|turns| turns.source().zip(turns.lost())) else { return };
        let trouble =
            Trouble { url: url.to_owned(), fault, since: lost.since, tries: lost.tries, retry_at: None, in_turn: true };
        self.trouble = Some(trouble);
        // The item before is still to be seen.
        out.changes_item |= !self.moved;
        self.phase = Phase::Away { page: None, again: Again::InTurn };
        self.show_offline(out);
    }

    /// The player only knows that a file did not load; its site, or that there is none, says why.
    pub(super) fn tell_more(&mut self) {
        let fault = self.turns.as_ref().and_then(Turns::fault);
        let vague = self.trouble.as_mut().filter(|trouble| matches!(trouble.fault, SiteFault::Media(_)));
        if let (Some(trouble), Some(fault)) = (vague, fault) {
            trouble.fault = fault;
        }
    }

    /// True while the last picture of an item is there in its place, or on its way.
    pub(super) fn is_pictured(&self) -> bool {
        let pictured = self.trouble.as_ref().filter(|trouble| trouble.in_turn);
        pictured.is_some_and(|trouble| self.turns.as_ref().and_then(Turns::source) == Some(trouble.url.as_str()))
    }

    pub(super) fn show_offline(&mut self, out: &mut Out) {
        if let Phase::Away { page, .. } = &mut self.phase {
            // Between two items of a playlist nothing is wrong: a dark page, and the next item.
            let url = if self.trouble.is_some() { self.urls.offline() } else { self.urls.blank() };
            let ask = out.ask(Ask::Navigate { url: url.clone() }, LOAD_WITHIN);
            *page = Some(Load::new(url, ask, out.now));
        }
    }
}

fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    parsed.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "this address".to_owned())
}
