//! What should be on the glass, and whether it is. Pure.
//!
//! ```text
//!             attached                 painted
//!   Dark ---------------> Loading -----------------> Shown
//!    ^  detached             |  ^                      |
//!    |                 fault |  | it answers again     | error page, status >= 400
//!    +--- from anywhere      v  | (or its time came)   v
//!                          Away: the offline page, with reason and countdown
//! ```
//!
//! A page's process that dies is answered by loading again at once, from anywhere; if it dies as it begins, by recovery.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    early::Early,
    load::{ADDRESS_REJECTED, LOAD_WITHIN, Load, Loaded, same_document},
    out::{Out, Outcome, earlier},
    port::{Answer, Ask, AskError, AskId, Painted},
    retry::retry_after,
    turns::Turns,
};
use crate::{
    display::{
        journal::EventKey,
        page::{SiteFault, Urls},
        playlist,
    },
    event::{Status, command},
};

/// After so many unanswered probes the browser itself tries: the probe may see another network than it does.
const TRY_FOR_REAL: u32 = 10;
/// A browser that does not tell by then what it shows is told what to show.
const ADOPT_WITHIN: Duration = Duration::from_secs(5);

mod lost;

/// What is wanted on the glass.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    Splash,
    Url(String),
    Playlist(command::Playlist),
}

/// A site that is not on the glass though it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub url: String,
    pub fault: SiteFault,
    pub since: Instant,
    pub tries: u32,
    pub retry_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Dark,
    Loading(Load),
    Shown,
    Away { page: Option<Load>, again: Again },
}

/// How a site that is away is tried again.
#[derive(Debug, Clone, PartialEq)]
enum Again {
    ProbeAt(Instant),
    Probing(AskId),
    LoadAt(Instant),
    /// The playlist knows.
    InTurn,
}

/// The machine.
#[derive(Debug)]
pub struct Content {
    urls: Urls,
    rng: fastrand::Rng,
    show: Show,
    turns: Option<Turns>,
    /// Whose receipts wait for the paint.
    due: Vec<EventKey>,
    phase: Phase,
    early: Early,
    /// Asks whether the browser shows already what is wanted.
    adopting: Option<AskId>,
    trouble: Option<Trouble>,
    crashes: VecDeque<Instant>,
    /// The browser's own page about a crash is there. It has the address of the page that died.
    has_crashed: bool,
    /// When what is wanted was painted last.
    painted: Option<Instant>,
    /// The document with which what is wanted came, and whether it is still the one on the glass.
    landed: String,
    is_there: bool,
    /// How often in a row our own page, which needs no network, was not painted in time.
    own_lost: u32,
    paints: u64,
}

impl Content {
    /// `rng` spreads retries, so that a hundred displays do not ask a site at once.
    pub fn new(urls: Urls, show: Show, mut rng: fastrand::Rng) -> Self {
        Content {
            urls,
            turns: Turns::of(&show, rng.u32(..)),
            rng,
            show,
            due: Vec::new(),
            phase: Phase::Dark,
            early: Early::default(),
            adopting: None,
            trouble: None,
            crashes: VecDeque::new(),
            has_crashed: false,
            painted: None,
            landed: String::new(),
            is_there: false,
            own_lost: 0,
            paints: 0,
        }
    }

    /// Puts something else on the glass. `key` is whose receipt waits for its paint.
    pub fn want(&mut self, show: Show, key: Option<EventKey>, out: &mut Out) {
        for key in std::mem::take(&mut self.due) {
            out.end(key, Outcome { error: Some("a newer page came first".into()), ..Outcome::of(Status::Superseded) });
        }
        self.due.extend(key);
        self.turns = Turns::of(&show, self.rng.u32(..));
        self.show = show;
        self.trouble = None;
        self.crashes.clear();
        if self.phase == Phase::Dark {
            let site = self.site().map(str::to_owned);
            self.early.want(site.as_deref(), out.now);
        } else {
            self.begin(out);
        }
    }

    /// Whose receipt waits for the paint of the state.
    pub fn forget_due(&mut self, key: &EventKey) {
        self.due.retain(|due| due != key);
    }

    /// True while a receipt waits for a paint.
    pub fn is_owed(&self) -> bool {
        !self.due.is_empty()
    }

    /// Loads what is wanted again, with or without the cache.
    pub fn reload(&mut self, key: EventKey, ignore_cache: bool, out: &mut Out) {
        self.due.push(key);
        if let (Phase::Shown, true) = (&self.phase, ignore_cache) {
            self.reload_document(ignore_cache, out);
        } else if self.phase != Phase::Dark {
            self.load(out);
        }
    }

    /// For how long what is wanted has been on the glass; none while it is not.
    pub fn shown_for(&self, now: Instant) -> Option<Duration> {
        self.painted.filter(|_| self.is_showing()).map(|at| now - at)
    }

    /// Loads the page that is wanted as if nobody had been at it.
    pub fn go_home(&mut self, out: &mut Out) {
        let url = self.url();
        let ask = out.ask(Ask::Navigate { url: url.clone() }, LOAD_WITHIN);
        self.phase = Phase::Loading(Load::new(url, ask, out.now).afresh());
    }

    /// There is a session. A browser that was led to the wanted site already is only asked whether it is there.
    pub fn attached(&mut self, out: &mut Out) {
        match self.early.attached() {
            Some(url) if self.site() == Some(url.as_str()) => {
                let ask = out.ask(Ask::Adopt { pages: self.urls.origin().to_owned() }, ADOPT_WITHIN);
                self.adopting = Some(ask);
                self.phase = Phase::Loading(Load::new(url, ask, out.now));
            }
            _ => self.begin(out),
        }
    }

    pub fn detached(&mut self, now: Instant) {
        self.phase = Phase::Dark;
        self.adopting = None;
        // A session that fails to come is told again and again, and the site is not asked more often for it.
        if self.early == Early::default() {
            let site = self.site().map(str::to_owned);
            self.early.want(site.as_deref(), now);
        }
    }

    /// Where the browser's first request is to be led; `None`: to the splash.
    pub fn leads_to(&self) -> Option<&str> {
        self.early.there()
    }

    /// What is wanted of the network, if it is one site.
    fn site(&self) -> Option<&str> {
        match &self.show {
            Show::Url(url) => Some(url),
            Show::Splash | Show::Playlist(_) => None,
        }
    }

    /// True while there is a document of ours on the glass or on its way: nothing to wait for.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Shown | Phase::Away { .. })
    }

    /// True while a document of ours is painted and none is on its way.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Shown | Phase::Away { page: None, .. })
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

    pub fn committed(&mut self, navigation: Option<&str>, url: &str, out: &mut Out) {
        let fault = SiteFault::from_error_document(url);
        if fault == Some(SiteFault::Crashed) {
            return self.crashed(out);
        }
        self.has_crashed = false;
        match &mut self.phase {
            Phase::Loading(load) => {
                let loaded = load.committed(navigation, url, out.now);
                self.loaded(loaded, out);
            }
            // Somebody followed a link, or the page led elsewhere by itself.
            Phase::Shown => {
                self.is_there = same_document(url, &self.landed);
                fault.into_iter().for_each(|fault| self.fail(fault, out));
            }
            Phase::Away { page: Some(load), .. } => {
                let loaded = load.committed(navigation, url, out.now);
                self.offline_loaded(loaded);
            }
            Phase::Dark | Phase::Away { page: None, .. } => {}
        }
    }

    /// Since when the document of what is wanted is on the glass, and no other that it led to.
    pub fn alone_since(&self) -> Option<Instant> {
        self.painted.filter(|_| self.phase == Phase::Shown && self.is_there)
    }

    /// The document with which what is wanted came last.
    pub fn landed(&self) -> &str {
        &self.landed
    }

    pub fn jumped(&mut self, navigation: Option<&str>, out: &mut Out) {
        match &mut self.phase {
            // An order for the same address with a fragment is a jump within the page about the crash, which would stay.
            Phase::Loading(load) | Phase::Away { page: Some(load), .. } if self.has_crashed => {
                load.again(out.ask(Ask::Reload { ignore_cache: false }, LOAD_WITHIN), out.now);
            }
            Phase::Loading(load) => {
                let loaded = load.jumped(navigation, out.now);
                self.loaded(loaded, out);
            }
            Phase::Dark | Phase::Shown | Phase::Away { .. } => {}
        }
    }

    pub fn painted(&mut self, painted: &Painted, out: &mut Out) {
        match &mut self.phase {
            Phase::Loading(load) => {
                let loaded = load.painted(painted, out.now);
                self.loaded(loaded, out);
            }
            Phase::Shown => {
                let fault = SiteFault::from_error_document(&painted.uri);
                let fault = fault.or_else(|| painted.status.and_then(SiteFault::from_status));
                // A film that breaks off.
                let fault = fault.or_else(|| painted.failed.clone().map(SiteFault::Other));
                match fault {
                    Some(fault) => self.fail(fault, out),
                    // The page led elsewhere by itself: what lies over it is to be laid again.
                    None => self.paints += 1,
                }
            }
            Phase::Away { page: Some(load), .. } => {
                let loaded = load.painted(painted, out.now);
                self.offline_loaded(loaded);
            }
            Phase::Dark | Phase::Away { page: None, .. } => {}
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let load = match &mut self.phase {
            Phase::Loading(load) | Phase::Away { page: Some(load), .. } if load.ask == ask => load,
            _ => return false,
        };
        if self.adopting.take() == Some(ask) {
            match answer {
                Ok(Answer::Document { uri }) if same_document(uri, &load.url) => {
                    let uri = uri.clone();
                    load.committed(None, &uri, out.now);
                    let loaded = load.navigated(None, out.now);
                    self.loaded(loaded, out);
                }
                Err(AskError::Gone) => {}
                // The splash, an error, something else: it is loaded as ever.
                Ok(_) | Err(AskError::Refused(_) | AskError::Lacking(_) | AskError::TimedOut) => self.load(out),
            }
            return true;
        }
        let loaded = match answer {
            Ok(Answer::Navigated { navigation }) => load.navigated(navigation.clone(), out.now),
            Ok(_) => load.navigated(None, out.now),
            Err(AskError::TimedOut) => Loaded::Failed(SiteFault::TimedOut),
            Err(AskError::Gone) => Loaded::Pending,
            Err(AskError::Refused(message) | AskError::Lacking(message)) => {
                match SiteFault::from_navigation_error(message) {
                    Some(fault) => Loaded::Failed(fault),
                    // It came and led elsewhere by itself: what it led to is painted next.
                    None if load.came() || message.contains(ADDRESS_REJECTED) => load.navigated(None, out.now),
                    // A download, or an answer without a page (204), is put aside each time.
                    None if load.is_given_up() => Loaded::Failed(SiteFault::EmptyAnswer),
                    // The page before went elsewhere at the same moment, and put our order aside.
                    None => {
                        load.again(out.ask(Ask::Navigate { url: load.url.clone() }, LOAD_WITHIN), out.now);
                        Loaded::Pending
                    }
                }
            }
        };
        match &self.phase {
            Phase::Loading(_) => self.loaded(loaded, out),
            _ => self.offline_loaded(loaded),
        }
        true
    }

    /// True if the question was this machine's.
    pub fn probed(&mut self, ask: AskId, result: Result<(), SiteFault>, out: &mut Out) -> bool {
        if self.early.probed(ask, result.is_ok(), out.now) {
            return true;
        }
        let Phase::Away { again, .. } = &mut self.phase else { return false };
        if *again != Again::Probing(ask) {
            return false;
        }
        let Some(trouble) = &mut self.trouble else { return false };
        trouble.tries += 1;
        let is_tls = |fault: &SiteFault| matches!(fault, SiteFault::Certificate | SiteFault::Tls);
        // Firefox may trust what the probe does not, and may see another network: it has the last word.
        let may_differ = |fault: &SiteFault| is_tls(fault) && !is_tls(&trouble.fault);
        match result {
            Err(fault) if !may_differ(&fault) && trouble.tries % TRY_FOR_REAL != 0 => {
                trouble.fault = fault;
                let at = out.now + retry_after(&trouble.fault, trouble.tries, &mut self.rng);
                trouble.retry_at = Some(at);
                *again = Again::ProbeAt(at);
            }
            Ok(()) | Err(_) => self.load(out),
        }
        true
    }

    /// The next moment at which [`due`](Self::due) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Dark => self.early.deadline(),
            Phase::Shown => None,
            Phase::Loading(load) => Some(load.deadline()),
            Phase::Away { page, again } => {
                let again = match again {
                    Again::ProbeAt(at) | Again::LoadAt(at) => Some(*at),
                    Again::Probing(_) | Again::InTurn => None,
                };
                earlier(again, page.as_ref().map(Load::deadline))
            }
        };
        // Without a browser a playlist stands still.
        let turns = self.turns.as_ref().filter(|_| self.phase != Phase::Dark);
        earlier(own, turns.and_then(Turns::deadline))
    }

    pub fn due(&mut self, out: &mut Out) {
        let now = out.now;
        match &mut self.phase {
            Phase::Loading(load) if load.deadline() <= now => {
                let loaded = load.overdue();
                self.loaded(loaded, out);
            }
            Phase::Away { page: Some(load), .. } if load.deadline() <= now => self.own_page_lost(out),
            Phase::Away { again: Again::LoadAt(at), .. } if *at <= now => self.load(out),
            Phase::Away { again: again @ Again::ProbeAt(_), .. } if self.trouble.is_some() => {
                let Again::ProbeAt(at) = again else { return };
                if *at <= now {
                    let url = self.trouble.as_ref().map_or_else(String::new, |trouble| trouble.url.clone());
                    *again = Again::Probing(out.probe(url));
                    self.trouble.as_mut().into_iter().for_each(|trouble| trouble.retry_at = None);
                }
            }
            Phase::Dark => self.early.due(out),
            Phase::Loading(_) | Phase::Shown | Phase::Away { .. } => {}
        }
        let turns = self.turns.as_ref().filter(|_| self.phase != Phase::Dark);
        if turns.and_then(Turns::deadline).is_some_and(|at| at <= now) {
            self.turn(playlist::Input::Due, out);
        }
    }

    /// The URL that is wanted now.
    pub fn url(&self) -> String {
        match &self.show {
            Show::Splash => self.urls.splash(),
            Show::Url(url) => url.clone(),
            Show::Playlist(_) => {
                self.turns.as_ref().and_then(|turns| turns.address(&self.urls)).unwrap_or_else(|| self.urls.blank())
            }
        }
    }

    /// Loads what is wanted, from the beginning.
    fn begin(&mut self, out: &mut Out) {
        match self.turns {
            Some(_) => self.turn(playlist::Input::Started, out),
            None => self.load(out),
        }
    }

    fn load(&mut self, out: &mut Out) {
        let url = self.url();
        let ask = out.ask(Ask::Navigate { url: url.clone() }, LOAD_WITHIN);
        // The item that is on the glass already is not begun again by its own address: that is a jump like any other.
        let is_there = self.phase == Phase::Shown && self.landed == url;
        let is_item = self.urls.is_media(&url) && !is_there;
        let load = Load::new(url, ask, out.now);
        self.phase = Phase::Loading(if is_item { load.of_item() } else { load });
    }

    fn loaded(&mut self, loaded: Loaded, out: &mut Out) {
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
                self.trouble = None;
                self.paints += 1;
                for key in std::mem::take(&mut self.due) {
                    out.end(key, Outcome::of(Status::Shown));
                }
                if let Some(item) = self.turns.as_ref().and_then(Turns::item) {
                    self.turn(playlist::Input::ItemPainted(item), out);
                }
            }
            Loaded::Stale => self.reload_document(false, out),
            Loaded::Failed(fault) => self.fail(fault, out),
        }
    }

    /// The document that is there, once more.
    fn reload_document(&mut self, ignore_cache: bool, out: &mut Out) {
        let ask = out.ask(Ask::Reload { ignore_cache }, LOAD_WITHIN);
        self.phase = Phase::Loading(Load::new(self.url(), ask, out.now));
    }

    fn offline_loaded(&mut self, loaded: Loaded) {
        let Phase::Away { page, .. } = &mut self.phase else { return };
        match loaded {
            Loaded::Pending | Loaded::Stale => {}
            Loaded::Shown => {
                *page = None;
                self.own_lost = 0;
                self.paints += 1;
            }
            // Our own page does not load: its deadline tries again, and the pulse finds out what is wrong.
            Loaded::Failed(fault) => tracing::warn!(fault = fault.code(), "the offline page did not load"),
        }
    }

    /// The playlist's turn to decide.
    fn turn(&mut self, input: playlist::Input, out: &mut Out) {
        let Some(turns) = &mut self.turns else { return };
        let effects = turns.step(input, out.now);
        let is_idle = !matches!(self.phase, Phase::Shown | Phase::Loading(_));
        for effect in &effects {
            match effect {
                playlist::Effect::Show { .. } => self.load(out),
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
