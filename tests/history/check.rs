//! The judge. Pure: logs and ledger in, violations out. Each rule is a promise of the contract, by name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use pikiosk::event::Status;

use super::{
    log::{Entry, Kept, Number, Place, Saw},
    plan::{Item, Size, What},
};

/// Everything there is to judge.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub size: Size,
    pub events: &'a [Item],
    /// By name: publishers, displays, readers.
    pub publishers: Vec<(String, Vec<Entry>)>,
    pub displays: Vec<(String, Vec<Entry>)>,
    pub readers: Vec<(String, Vec<Entry>)>,
    pub ledger: Vec<Kept>,
    /// Where each address stood at the end.
    pub heads: BTreeMap<String, (String, u64)>,
    /// Events of one address that are kept for resume.
    pub history_events: u64,
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An accepted event is not in the ledger, or a display that it was for has no final receipt.
    Lost,
    /// Something was done twice, or a publish was stored twice.
    Twice,
    Order,
    /// Events are missing although the server said that nothing is.
    SilentGap,
    /// The server says that history is lost, and it is not.
    FalseAlarm,
    /// A receipt that says what did not happen.
    FalseReceipt,
    /// The wrong state is on the glass.
    State,
}

/// Actions that may wait for one display: `[limits] display_queue`.
pub const QUEUE: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What is known of one published event.
#[derive(Debug, Default, Clone)]
struct Known {
    sent: Option<u64>,
    accepted: Option<u64>,
    /// Confirmed by the broker: the server stored it later.
    by_broker: bool,
    places: BTreeSet<Place>,
}

struct Judge<'a> {
    evidence: &'a Evidence<'a>,
    known: Vec<Known>,
    found: Vec<Violation>,
}

/// Judges a run; an empty answer is what every run must end with.
pub fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut judge = Judge { evidence, known: vec![Known::default(); evidence.events.len()], found: Vec::new() };
    judge.learn();
    judge.places();
    judge.real_time();
    judge.ledger();
    for (name, log) in &evidence.displays {
        judge.glass(name, log);
        judge.sockets(name, log, true);
    }
    for (name, log) in &evidence.readers {
        judge.sockets(name, log, false);
    }
    judge.found
}

impl Judge<'_> {
    fn say(&mut self, rule: Rule, what: String) {
        self.found.push(Violation { rule, what });
    }

    fn item(&self, number: Number) -> &Item {
        &self.evidence.events[number as usize]
    }

    fn learn(&mut self) {
        let mut refused = Vec::new();
        for (_, log) in &self.evidence.publishers {
            for entry in log {
                match &entry.saw {
                    Saw::Sent(number) => {
                        self.known[*number as usize].sent.get_or_insert(entry.at);
                    }
                    Saw::Accepted(number, place) => {
                        let known = &mut self.known[*number as usize];
                        known.accepted.get_or_insert(entry.at);
                        known.by_broker |= place.is_none();
                        known.places.extend(place.clone());
                    }
                    Saw::Refused(number, status) => refused.push((*number, *status)),
                    _ => {}
                }
            }
        }
        for (number, status) in refused {
            let address = &self.item(number).address;
            if status != 404 || !self.evidence.size.travels_alone(address) {
                self.say(Rule::Lost, format!("e{number} to {address} was refused with {status}"));
            }
        }
        for kept in &self.evidence.ledger {
            self.known[kept.event as usize].places.insert(kept.place.clone());
        }
        for (_, log) in self.evidence.displays.iter().chain(&self.evidence.readers) {
            for entry in log {
                if let Saw::Got(number, place) = &entry.saw {
                    self.known[*number as usize].places.insert(place.clone());
                }
            }
        }
    }

    /// One event, one place; one place, one event.
    fn places(&mut self) {
        let mut owners: HashMap<Place, Number> = HashMap::new();
        for number in 0..self.known.len() {
            let places = self.known[number].places.clone();
            let number = Number::try_from(number).expect("a run is finite");
            if places.len() > 1 {
                self.say(Rule::Twice, format!("e{number} stands in {} places: {places:?}", places.len()));
            }
            for place in places {
                if *place.address != *self.item(number).address {
                    self.say(Rule::Order, format!("e{number} came to {place:?}"));
                }
                if let Some(other) = owners.insert(place.clone(), number) {
                    self.say(Rule::Order, format!("e{other} and e{number} both stand at {place:?}"));
                }
            }
        }
    }

    /// What was accepted before another was first sent stands before it in their address. What the broker confirmed is
    /// stored later, so it is compared with its own kind.
    fn real_time(&mut self) {
        let mut ways: BTreeMap<(&str, &str, bool), Vec<(u64, Number)>> = BTreeMap::new();
        for (number, known) in self.known.iter().enumerate() {
            if let Some(place) = known.places.first() {
                let number = Number::try_from(number).expect("a run is finite");
                ways.entry((&*place.address, &*place.epoch, known.by_broker)).or_default().push((place.offset, number));
            }
        }
        let mut wrong = Vec::new();
        for ((address, ..), mut events) in ways {
            events.sort_unstable();
            // From the last to the first: nothing may have been sent after something behind it was accepted.
            let mut earliest: Option<(u64, Number)> = None;
            for (offset, number) in events.into_iter().rev() {
                let known = &self.known[number as usize];
                if let (Some(sent), Some((accepted, other))) = (known.sent, earliest)
                    && sent > accepted
                {
                    wrong.push(format!("e{other} was accepted before e{number} ({address}, {offset}) was sent"));
                }
                if let Some(at) = known.accepted
                    && earliest.is_none_or(|(earliest, _)| at < earliest)
                {
                    earliest = Some((at, number));
                }
            }
        }
        for what in wrong {
            self.say(Rule::Order, what);
        }
    }

    /// Every accepted event is kept, with exactly one final receipt of each display that it was for, and a true one.
    fn ledger(&mut self) {
        let evidence = self.evidence;
        let kept: HashMap<Number, &Kept> = evidence.ledger.iter().map(|kept| (kept.event, kept)).collect();
        let acts: HashMap<&str, Acts> =
            evidence.displays.iter().map(|(name, log)| (name.as_str(), Acts::of(log))).collect();
        for item in evidence.events {
            let known = &self.known[item.number as usize];
            let Some(kept) = kept.get(&item.number) else {
                if known.accepted.is_some() {
                    self.say(Rule::Lost, format!("e{} to {} was accepted and is not kept", item.number, item.address));
                }
                continue;
            };
            if item.what == What::Plain {
                continue;
            }
            let mut missing = evidence.size.targets(&item.address);
            // A display that was just removed was not there to be given it.
            missing.retain(|id| !self.is_reborn(id));
            for (display, status, error) in &kept.receipts {
                let again = kept.receipts.iter().filter(|(other, ..)| other == display).count();
                if again > 1 {
                    self.say(Rule::Twice, format!("e{} has {again} receipts of {display}", item.number));
                }
                if !missing.remove(display) && !self.is_reborn(display) {
                    self.say(Rule::Order, format!("e{} to {} came to {display}", item.number, item.address));
                }
                let Some(acts) = acts.get(display.as_str()) else { continue };
                if *status == Status::Failed
                    && error.as_deref().is_some_and(|error| error.contains("queue of this display is full"))
                {
                    let waited = self.may_wait(display, acts, item);
                    if waited < QUEUE {
                        let what = format!("e{} on {display}: {error:?}, but at most {waited} waited", item.number);
                        self.say(Rule::FalseReceipt, what);
                    }
                } else if let Some(why) = acts.contradict(item, *status, error.as_deref()) {
                    let what = format!("e{} on {display}: {} {error:?}, but {why}", item.number, status.as_str());
                    self.say(Rule::FalseReceipt, what);
                }
            }
            for display in missing {
                let waits = if kept.pending.contains(&display) { " (still pending)" } else { "" };
                let what = format!("e{} to {}: {display} has no final receipt{waits}", item.number, item.address);
                self.say(Rule::Lost, what);
            }
        }
    }

    /// How many actions may have waited for a display when this one came: sent before it was accepted, and not answered
    /// before it was sent.
    fn may_wait(&self, display: &str, acts: &Acts, item: &Item) -> usize {
        let (sent, accepted) = {
            let known = &self.known[item.number as usize];
            (known.sent.unwrap_or(0), known.accepted.unwrap_or(u64::MAX))
        };
        let group = display.strip_prefix('d').and_then(|n| n.parse().ok()).and_then(|n| self.evidence.size.group_of(n));
        let reaches = |address: &str| match address.split_once('/') {
            None => true,
            Some(("group", name)) => group.as_deref() == Some(name),
            Some((_, id)) => id == display,
        };
        let waits = |other: &&Item| {
            let before = self.known[other.number as usize].sent.is_some_and(|at| at <= accepted);
            let owed = acts.said_at.get(&other.number).is_none_or(|said| *said >= sent);
            other.what == What::Action && before && owed && reaches(&other.address)
        };
        self.evidence.events.iter().filter(waits).count()
    }

    fn is_reborn(&self, id: &str) -> bool {
        id.strip_prefix('d').and_then(|n| n.parse().ok()).is_some_and(|n| self.evidence.size.is_reborn(n))
    }

    /// What was done on one display: each action once, in order, and in the end the right state.
    fn glass(&mut self, name: &str, log: &[Entry]) {
        let mut done = BTreeSet::new();
        let mut newest: HashMap<(&str, &str), u64> = HashMap::new();
        let mut glass = None;
        let mut wrong = Vec::new();
        for entry in log {
            match &entry.saw {
                Saw::Acted(number) if self.item(*number).what == What::State => glass = Some(*number),
                Saw::Acted(number) => {
                    if !done.insert(*number) {
                        wrong.push((Rule::Twice, format!("{name} did e{number} twice")));
                    }
                    let Some(place) = self.known[*number as usize].places.first() else { continue };
                    let before = newest.insert((&*place.address, &*place.epoch), place.offset);
                    if before >= Some(place.offset) {
                        wrong.push((Rule::Order, format!("{name} did e{number} {place:?} after {before:?}")));
                    }
                }
                Saw::Killed => glass = None,
                _ => {}
            }
        }
        if !self.is_reborn(name)
            && let Some(what) = self.wrong_state(name, glass)
        {
            wrong.push((Rule::State, what));
        }
        for (rule, what) in wrong {
            self.say(rule, what);
        }
    }

    /// The state must be the last of its address, and no other that can reach the display may be surely newer.
    fn wrong_state(&self, display: &str, glass: Option<Number>) -> Option<String> {
        let mine = self.evidence.events.iter().filter(|item| {
            item.what == What::State
                && self.known[item.number as usize].accepted.is_some()
                && self.reaches(&item.address, display)
        });
        let mut last: BTreeMap<&str, (u64, Number)> = BTreeMap::new();
        for item in mine {
            let offset = self.known[item.number as usize].places.first().map_or(0, |place| place.offset);
            let best = last.entry(&item.address).or_insert((offset, item.number));
            *best = (*best).max((offset, item.number));
        }
        if last.is_empty() {
            return None;
        }
        let Some(shown) = glass else { return Some(format!("{display} shows nothing, and owes {last:?}")) };
        if !last.values().any(|(_, number)| *number == shown) {
            let address = &self.item(shown).address;
            return Some(format!("{display} shows e{shown} of {address}; the last ones are {last:?}"));
        }
        let of = |number: Number| &self.known[number as usize];
        let stored = of(shown).accepted.filter(|_| !of(shown).by_broker)?;
        let newer = last.values().find(|(_, number)| of(*number).sent.is_some_and(|sent| sent > stored));
        newer.map(|(_, number)| format!("{display} shows e{shown}, and e{number} was sent after it was accepted"))
    }

    fn reaches(&self, address: &str, display: &str) -> bool {
        match address.split_once('/') {
            None => true,
            Some(("display", id)) => id == display,
            Some(("group", name)) => {
                let number = display.strip_prefix('d').and_then(|number| number.parse().ok());
                number.and_then(|number| self.evidence.size.group_of(number)).as_deref() == Some(name)
            }
            Some(_) => false,
        }
    }

    /// What one client's sockets brought: in order, without gaps, and with `recovered` telling the truth.
    fn sockets(&mut self, name: &str, log: &[Entry], is_display: bool) {
        let mut wrong = Vec::new();
        let mut heads = &BTreeMap::new();
        // By address: the epoch, and up to where the client has been given everything.
        let mut has: HashMap<&str, (&str, u64)> = HashMap::new();
        // Plain events that came, by address and epoch, for those whose gaps commands hide.
        let mut came: BTreeSet<Number> = BTreeSet::new();
        let mut starts: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
        for entry in log {
            match &entry.saw {
                Saw::Opened { heads: now } => {
                    heads = now;
                    has.clear();
                    for (address, head) in now {
                        has.insert(address, (&head.epoch, head.offset));
                        starts.entry(address).or_insert((&head.epoch, head.offset));
                    }
                }
                Saw::Resumed { asked, recovered } => {
                    for (address, asked) in asked {
                        let Some(head) = heads.get(address) else { continue };
                        let same = asked.epoch == head.epoch;
                        let is_short = head.offset.saturating_sub(asked.offset) < self.evidence.history_events;
                        match recovered.get(address) {
                            Some(true) if !same => wrong.push((
                                Rule::SilentGap,
                                format!("{name}: {address} `recovered` from another epoch ({asked:?}, {head:?})"),
                            )),
                            Some(true) => {
                                has.insert(address, (&head.epoch, asked.offset));
                            }
                            Some(false) if same && is_short && asked.offset <= head.offset => wrong.push((
                                Rule::FalseAlarm,
                                format!("{name}: {address} not recovered from {asked:?}, the head is {head:?}"),
                            )),
                            Some(false) => {
                                // Everything that is kept follows, from wherever that begins.
                                has.remove(address.as_str());
                                if !same {
                                    starts.insert(address, (&head.epoch, 0));
                                }
                            }
                            None => wrong.push((Rule::SilentGap, format!("{name}: no word on {address}"))),
                        }
                    }
                }
                Saw::Got(number, place) if is_display => {
                    if self.item(*number).what == What::Plain {
                        came.insert(*number);
                    }
                    let _ = place;
                }
                Saw::Got(number, place) => {
                    if let Some((epoch, offset)) = has.get(&*place.address).copied() {
                        if epoch != &*place.epoch {
                            let what = format!("{name} got e{number} {place:?} in the middle of epoch {epoch}");
                            wrong.push((Rule::SilentGap, what));
                        } else if place.offset <= offset {
                            wrong.push((Rule::Order, format!("{name} got e{number} {place:?} after {offset}")));
                        } else if place.offset > offset + 1 {
                            wrong.push((Rule::SilentGap, format!("{name} got e{number} {place:?} after {offset}")));
                        }
                    }
                    has.insert(&place.address, (&place.epoch, place.offset));
                }
                _ => {}
            }
        }
        if is_display {
            for (number, known) in self.known.iter().enumerate() {
                let number = Number::try_from(number).expect("a run is finite");
                let Some(place) = known.places.first().filter(|_| self.item(number).what == What::Plain) else {
                    continue;
                };
                let due = starts
                    .get(&*place.address)
                    .is_some_and(|(epoch, offset)| *epoch == &*place.epoch && place.offset > *offset);
                if due && known.accepted.is_some() && !came.contains(&number) {
                    wrong.push((Rule::SilentGap, format!("{name} never got e{number} {place:?}")));
                }
            }
        } else {
            for (address, (epoch, offset)) in &has {
                if let Some((last_epoch, last)) = self.evidence.heads.get(*address)
                    && (last_epoch != epoch || last != offset)
                {
                    let what = format!("{name} ends at {address} {epoch}:{offset}; the head is {last_epoch}:{last}");
                    wrong.push((Rule::SilentGap, what));
                }
            }
        }
        for (rule, what) in wrong {
            self.say(rule, what);
        }
    }
}

/// What one display did, by event.
struct Acts {
    acted: BTreeSet<Number>,
    killed_after: BTreeMap<Number, bool>,
    /// How often a socket was open after the event first came (or at all).
    given: HashMap<Number, usize>,
    said: HashMap<Number, Status>,
    /// When it answered first.
    said_at: HashMap<Number, u64>,
    sessions: usize,
}

impl Acts {
    fn of(log: &[Entry]) -> Acts {
        let mut acts = Acts {
            acted: BTreeSet::new(),
            killed_after: BTreeMap::new(),
            given: HashMap::new(),
            said: HashMap::new(),
            said_at: HashMap::new(),
            sessions: 0,
        };
        let mut kills = 0;
        let mut first: HashMap<Number, u32> = HashMap::new();
        for entry in log {
            match &entry.saw {
                Saw::Got(number, _) => {
                    first.entry(*number).or_insert(kills);
                    *acts.given.entry(*number).or_default() += 1;
                }
                Saw::Acted(number) => {
                    acts.acted.insert(*number);
                }
                Saw::Said(number, status) => {
                    acts.said.entry(*number).or_insert(*status);
                    acts.said_at.entry(*number).or_insert(entry.at);
                }
                Saw::Killed => kills += 1,
                Saw::Opened { .. } => acts.sessions += 1,
                _ => {}
            }
        }
        acts.killed_after = first.into_iter().map(|(number, before)| (number, kills > before)).collect();
        acts
    }

    /// Why this receipt cannot be, if so.
    fn contradict(&self, item: &Item, status: Status, error: Option<&str>) -> Option<String> {
        let number = item.number;
        let acted = self.acted.contains(&number);
        let said = self.said.get(&number).copied();
        let error = error.unwrap_or_default();
        match status {
            Status::Done if !acted => Some("it never acted".to_owned()),
            Status::Done if said != Some(Status::Done) => Some(format!("it said {said:?}")),
            Status::Done => None,
            Status::Superseded if item.what == What::State => None,
            Status::Expired if item.is_brief => None,
            Status::Failed if error == "interrupted" => {
                let killed = self.killed_after.get(&number).copied().unwrap_or(false);
                (!killed).then(|| "it was not killed after it got it".to_owned())
            }
            Status::Failed if error.contains("given 5 times") => {
                (self.sessions < 5).then(|| format!("it had {} sockets in all", self.sessions))
            }
            Status::Failed if error.contains("the display was removed") => None,
            _ => Some("nothing explains it".to_owned()),
        }
    }
}
