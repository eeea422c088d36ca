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

use serde_json::Value;
use tokio::time::Instant;

use super::{
    early::Early,
    load::{LOAD_WITHIN, Load, Loaded, same_document},
    out::{Out, Outcome, earlier},
    port::{Answer, Ask, AskError, AskId, Painted},
    recovery::Cause,
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

mod known;
mod lost;
mod wanted;

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
    /// It is an item of a playlist, and stands as its last picture until the next one comes.
    pub in_turn: bool,
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
    /// Whether the last picture of the playlist's item is on the card, for its page is lost.
    Looking(AskId, SiteFault),
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
    /// Copies on the card that are being made anew, of which address, and whose receipts wait for that.
    renewing: Vec<(AskId, String, EventKey)>,
    trouble: Option<Trouble>,
    crashes: VecDeque<Instant>,
    /// The browser's own page about a crash is there. It has the address of the page that died.
    has_crashed: bool,
    /// When what is wanted was painted last.
    painted: Option<Instant>,
    /// The document with which what is wanted came, and whether it is still the one on the glass.
    landed: String,
    is_there: bool,
    /// Firefox told of another document since what is wanted was ordered last. Until then the one before is seen.
    moved: bool,
    /// How often in a row our own page, which needs no network, was not painted in time.
    own_lost: u32,
    paints: u64,
    /// The page before was ended for what is wanted now.
    is_alone: bool,
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
            renewing: Vec::new(),
            trouble: None,
            crashes: VecDeque::new(),
            has_crashed: false,
            painted: None,
            landed: String::new(),
            is_there: false,
            moved: false,
            own_lost: 0,
            paints: 0,
            is_alone: false,
        }
    }

    /// Puts something else on the glass. `key` is whose receipt waits for its paint.
    pub fn want(&mut self, show: Show, key: Option<EventKey>, out: &mut Out) {
        let renewing = std::mem::take(&mut self.renewing).into_iter().map(|(_, _, key)| key);
        for key in std::mem::take(&mut self.due).into_iter().chain(renewing) {
            out.end(key, Outcome { error: Some("a newer page came first".into()), ..Outcome::of(Status::Superseded) });
        }
        self.due.extend(key);
        self.turns = Turns::of(&show, self.rng.u32(..));
        self.show = show;
        self.trouble = None;
        self.is_alone = false;
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

    pub fn committed(&mut self, navigation: Option<&str>, url: &str, out: &mut Out) {
        let fault = SiteFault::from_error_document(url);
        if fault == Some(SiteFault::Crashed) {
            return self.crashed(out);
        }
        (self.has_crashed, self.moved) = (false, true);
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
                self.offline_loaded(loaded, out);
            }
            // The error of an item that was passed over meanwhile.
            Phase::Away { page: None, .. } if fault.is_some() => self.show_offline(out),
            Phase::Dark | Phase::Away { page: None, .. } => {}
        }
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
            // The offline page is there already, and only says something else now.
            Phase::Away { page: Some(load), .. } => {
                let loaded = load.jumped(navigation, out.now);
                self.offline_loaded(loaded, out);
            }
            Phase::Dark | Phase::Shown | Phase::Away { page: None, .. } => {}
        }
    }

    pub fn painted(&mut self, painted: &Painted, out: &mut Out) {
        // The player leaves what was there before on the glass.
        self.moved |= painted.failed.is_none();
        match &mut self.phase {
            Phase::Loading(load) => {
                let loaded = load.painted(painted, out.now);
                self.loaded(loaded, out);
            }
            Phase::Shown => {
                let fault = SiteFault::from_error_document(&painted.uri);
                let fault = fault.or_else(|| painted.status.and_then(SiteFault::from_status));
                // A film that breaks off.
                let fault = fault.or_else(|| painted.failed.clone().map(SiteFault::Media));
                match fault {
                    Some(fault) => self.fail(fault, out),
                    // The page led elsewhere by itself: what lies over it is to be laid again.
                    None => self.paints += 1,
                }
            }
            Phase::Away { page: Some(load), .. } => {
                let loaded = load.painted(painted, out.now);
                self.offline_loaded(loaded, out);
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
                Ok(_) | Err(AskError::Refused(_) | AskError::Lacking(_) | AskError::TimedOut | AskError::Frameless) => {
                    self.load(out);
                }
            }
            return true;
        }
        let loaded = match answer {
            Ok(Answer::Navigated { navigation }) => load.navigated(navigation.clone(), out.now),
            Ok(_) => load.navigated(None, out.now),
            Err(AskError::TimedOut) => Loaded::Failed(SiteFault::TimedOut),
            Err(AskError::Gone) => Loaded::Pending,
            Err(AskError::Frameless) => {
                if let Phase::Loading(load) = &mut self.phase {
                    load.put_off(out.now);
                }
                Loaded::Pending
            }
            Err(AskError::Refused(message) | AskError::Lacking(message)) => {
                match SiteFault::from_navigation_error(message) {
                    Some(fault) => Loaded::Failed(fault),
                    // It came and led elsewhere by itself: what it led to is painted next.
                    None if load.came() => load.navigated(None, out.now),
                    // Each time: the page before does not let go, or it is a download, or an answer without a page (204).
                    None if load.is_given_up() => {
                        load.rejected(message);
                        if std::mem::replace(&mut self.is_alone, true) {
                            load.put_aside(out.now)
                        } else {
                            out.fault(Cause::PageStays);
                            Loaded::Pending
                        }
                    }
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
            _ => self.offline_loaded(loaded, out),
        }
        true
    }

    /// True if the question was this machine's.
    pub fn probed(&mut self, ask: AskId, result: Result<(), SiteFault>, out: &mut Out) -> bool {
        let for_turns = self.turns.as_mut().is_some_and(|turns| turns.probed(ask, &result, out));
        self.tell_more();
        if let Some(item) = self.turns.as_mut().and_then(Turns::came_back) {
            self.turn(playlist::Input::Back(item), out);
        }
        if for_turns || self.early.probed(ask, result.is_ok(), out.now) {
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

    /// True if the question was this machine's.
    pub fn gathered(&mut self, ask: AskId, result: &Result<Value, String>, out: &mut Out) -> bool {
        if let Some(at) = self.renewing.iter().position(|(asked, ..)| *asked == ask) {
            let (_, url, key) = self.renewing.swap_remove(at);
            self.renewed(&url, key, result, out);
            return true;
        }
        let found = result.as_ref().unwrap_or(&Value::Null);
        if self.turns.as_mut().is_some_and(|turns| turns.looked(ask, found, out)) {
            return true;
        }
        let is_there = *found == Value::Bool(true);
        match &self.phase {
            Phase::Away { again: Again::Looking(asked, fault), .. } if *asked == ask => {
                let fault = fault.clone();
                if is_there {
                    self.show_picture(fault, out)
                } else {
                    self.pass_over(out)
                }
                true
            }
            _ => false,
        }
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
                    Again::Probing(_) | Again::InTurn | Again::Looking(..) => None,
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
        if turns.and_then(Turns::deadline).is_some_and(|at| at <= now)
            && !self.turns.as_mut().is_some_and(|turns| turns.looks_ahead(out))
        {
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
}
