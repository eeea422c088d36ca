//! A world around the machine: a server that redelivers, a browser that answers or does not, a journal that survives.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    config::Allowed,
    display::{
        configured::Configured,
        page::{Secret, SiteFault, Urls},
    },
    event::{Address, Position, command::Slot, receipt::INTERRUPTED, time::UtcMillis},
};

mod allowed;
mod any_order;
mod come_and_go;
mod configure;
mod devices;
mod disk;
mod ended;
mod forged;
mod held;
mod home;
mod leaving;
mod passed_over;
mod pictures;
mod playing;
mod recovering;
mod second;
mod showing;
mod sounds;
mod starting;

const S: Duration = Duration::from_secs(1);
const SERVER_MS: u64 = 1_800_000_000_000;

fn urls() -> Urls {
    Urls::new("127.0.0.1:8080".parse().unwrap(), &Secret::new([1; 16]))
}

fn sign_in() -> Allowed {
    crate::config::KioskSettings::from_text("[browser]\nlogin = [\"https://sso.example/*\"]\n").unwrap().browser.login
}

fn event(n: u64, name: &str, data: serde_json::Value) -> Event {
    let mut event = Event::new(format!("e{n}"), "/test", format!("kiosk.{name}")).to(Address::All).with_data(&data);
    event.position = Some(Position { epoch: "k".into(), offset: n });
    event
}

fn key(n: u64) -> EventKey {
    EventKey { source: "/test".into(), id: format!("e{n}") }
}

/// Everything around the machine.
struct World {
    now: Instant,
    machine: Supervisor,
    /// What a `kill -9` leaves, and how much of it a power cut would.
    journal: Vec<Vec<Record>>,
    durable: usize,
    /// Questions without an answer yet, oldest first.
    asks: Vec<(AskId, Ask)>,
    probes: Vec<AskId>,
    gathers: Vec<AskId>,
    orders: Vec<(AskId, crate::display::screen::Order)>,
    speeches: Vec<(AskId, String)>,
    effects: Vec<Effect>,
    /// Every receipt that was sent, in order.
    sent: Vec<Receipt>,
    linked: bool,
    navigations: u64,
    /// The document that the last navigation brought, where a test cares.
    glass: String,
    boots: u64,
    /// What the next life finds of settings that were tried.
    configured: Configured,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let (machine, effects) = Self::open(&[], Self::machine(0, Configured::default()), now);
        let mut world = World {
            now,
            machine,
            journal: Vec::new(),
            durable: 0,
            asks: Vec::new(),
            probes: Vec::new(),
            gathers: Vec::new(),
            orders: Vec::new(),
            speeches: Vec::new(),
            effects: Vec::new(),
            sent: Vec::new(),
            linked: false,
            navigations: 0,
            glass: String::new(),
            boots: 0,
            configured: Configured::default(),
        };
        world.take(effects);
        world
    }

    /// With link and browser, and the start page painted.
    fn up() -> Self {
        let mut world = World::new();
        world.link();
        world.give(Input::Attached);
        world.paint();
        world.answer_all();
        world
    }

    fn open(lines: &[Vec<Record>], machine: Machine, now: Instant) -> (Supervisor, Vec<Effect>) {
        Self::open_in(machine, Allowed::default(), lines, now)
    }

    fn open_with(allow: Allowed, lines: &[Vec<Record>], now: Instant) -> (Supervisor, Vec<Effect>) {
        Self::open_in(Self::machine(0, Configured::default()), allow, lines, now)
    }

    fn machine(boot: u64, configured: Configured) -> Machine {
        Machine { boot: Some(format!("boot-{boot}")), helper: true, server: true, configured }
    }

    fn open_in(machine: Machine, allow: Allowed, lines: &[Vec<Record>], now: Instant) -> (Supervisor, Vec<Effect>) {
        let mut journal = Journal::default();
        lines.iter().flatten().for_each(|record| journal.apply(record));
        Supervisor::new(Self::setting(machine, allow), journal, fastrand::Rng::with_seed(7), now)
    }

    fn setting(machine: Machine, allow: Allowed) -> Setting {
        Setting {
            display: "lobby".into(),
            url: None,
            urls: urls(),
            hang: 8 * S,
            allow,
            login: sign_in(),
            home_after: Some(60 * S),
            identify_lines: vec!["192.0.2.7".into()],
            machine,
            screen: crate::config::KioskSettings::from_text("").unwrap().screen,
            zone: jiff::tz::TimeZone::UTC,
            schedule: None,
            sound: crate::config::SoundSettings::default(),
        }
    }

    fn give(&mut self, input: Input) {
        let effects = self.machine.step(input, self.now);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Keep(records) => {
                    self.journal.push(records.clone());
                    self.durable = self.journal.len();
                }
                Effect::Note(records) => self.journal.push(records.clone()),
                Effect::Send(receipt) => {
                    assert!(self.linked, "nothing is sent without a link");
                    self.sent.push(receipt.clone());
                }
                Effect::Ask { ask, what, .. } => self.asks.push((*ask, what.clone())),
                Effect::Probe { ask, .. } => self.probes.push(*ask),
                Effect::Gather { ask, .. } | Effect::System { ask, .. } => self.gathers.push(*ask),
                Effect::Screen { ask, order, .. } => self.orders.push((*ask, order.clone())),
                Effect::Speak { ask, text, .. } => self.speeches.push((*ask, text.clone())),
                Effect::RestartBrowser { .. }
                | Effect::KillContent { .. }
                | Effect::ReplaceTab { .. }
                | Effect::Configured { .. }
                | Effect::ForgetPictures
                | Effect::MakeRoom
                | Effect::Restart { .. }
                | Effect::Remember(_) => {}
            }
        }
        self.effects.extend(effects);
    }

    fn link(&mut self) {
        self.linked = true;
        self.give(Input::Linked { server_ms: SERVER_MS, heads: BTreeMap::new() });
    }

    fn unlink(&mut self) {
        self.linked = false;
        self.give(Input::Unlinked);
    }

    fn deliver(&mut self, event: Event) {
        self.give(Input::Delivered(Box::new(event)));
    }

    fn push(&mut self, n: u64, name: &str, data: serde_json::Value) {
        self.deliver(event(n, name, data));
    }

    fn answer(&mut self, at: usize, answer: Result<Answer, AskError>) {
        let (ask, _) = self.asks.remove(at);
        self.give(Input::Answered { ask, answer });
    }

    fn find(&self, wanted: impl Fn(&Ask) -> bool) -> Option<usize> {
        self.asks.iter().rposition(|(_, what)| wanted(what))
    }

    /// Firefox takes the last navigation, commits it, and its page paints.
    fn paint(&mut self) {
        self.paint_with(200);
    }

    fn paint_with(&mut self, status: u16) {
        let Some(at) = self.find(|what| matches!(what, Ask::Navigate { .. } | Ask::Reload { .. })) else { return };
        let (ask, what) = self.asks.remove(at);
        let url = match what {
            Ask::Navigate { url } => url,
            _ => self.machine.content().url(),
        };
        self.navigations += 1;
        let navigation = Some(format!("n{}", self.navigations));
        self.give(Input::Answered { ask, answer: Ok(Answer::Navigated { navigation: navigation.clone() }) });
        self.give(Input::Seen(Seen::Committed { navigation, url: url.clone() }));
        self.give(Input::Seen(Seen::Painted(Painted { uri: url, status: Some(status), failed: None })));
    }

    /// Answers everything else as a browser in good health does.
    fn answer_all(&mut self) {
        for _ in 0..50 {
            self.paint();
            let Some((_, what)) = self.asks.first() else { break };
            let answer = match what {
                Ask::FrameHash { .. } => Answer::FrameHash("ab".repeat(32)),
                Ask::Screenshot { .. } => Answer::Result(json!({ "bytes": 1 })),
                Ask::OpenAside => Answer::Opened { context: "aside".into() },
                Ask::Play { .. } => Answer::Result(json!({ "seconds": 1.5 })),
                _ => Answer::Done,
            };
            self.answer(0, Ok(answer));
        }
        for (ask, _) in std::mem::take(&mut self.orders) {
            self.give(Input::Answered { ask, answer: Ok(Answer::Result(json!({}))) });
        }
        for (ask, _) in std::mem::take(&mut self.speeches) {
            let url = json!("data:audio/wav;base64,UklGR");
            self.give(Input::Answered { ask, answer: Ok(Answer::Result(url)) });
        }
        for ask in std::mem::take(&mut self.gathers) {
            self.give(Input::Gathered { ask, result: Ok(json!({})) });
        }
        for ask in std::mem::take(&mut self.probes) {
            self.give(Input::Probed { ask, result: Ok(()) });
        }
    }

    /// Lets time pass; what is due on the way is done.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..10_000 {
            match self.machine.deadline().filter(|deadline| *deadline <= end) {
                Some(deadline) => {
                    self.now = self.now.max(deadline);
                    self.give(Input::Due);
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the machine is due again and again at {:?}", self.machine.deadline());
    }

    /// `kill -9` (all that was written is there) or a power cut (only what was synced is).
    fn die(&mut self, power_cut: bool) {
        if power_cut {
            self.journal.truncate(self.durable);
            self.boots += 1;
        }
        self.durable = self.journal.len();
        self.linked = false;
        (self.asks, self.probes, self.gathers, self.orders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.speeches.clear();
        let machine = Self::machine(self.boots, self.configured.clone());
        let (machine, effects) = Self::open(&self.journal, machine, self.now);
        self.machine = machine;
        self.take(effects);
    }

    fn receipts(&self, n: u64) -> Vec<Receipt> {
        let mine = self.sent.iter().filter(|receipt| receipt.event == format!("e{n}"));
        mine.cloned().collect()
    }

    fn status(&self, n: u64) -> Option<Status> {
        self.machine.journal().receipt(&key(n)).map(|receipt| receipt.status)
    }

    fn navigated(&self) -> Vec<String> {
        let url = |effect: &Effect| match effect {
            Effect::Ask { what: Ask::Navigate { url }, .. } => Some(url.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(url).collect()
    }
}

fn nav(url: &str) -> serde_json::Value {
    json!({ "url": url })
}
