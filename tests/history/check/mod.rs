//! The judge. Pure: logs and ledger in, violations out. Each rule is a promise of the contract, by name.
//!
//! ```text
//!  here      one event, one place; who was accepted first stands first
//!  receipts  every accepted event is kept, with one true receipt of each display
//!  glass     each action once and in order; in the end the right state
//!  sockets   what came over each client's sockets: in order, without a gap that nobody told
//! ```
//!
//! Rejected: a judge of each file for itself. What is wrong shows only where two of them contradict one another.

mod glass;
mod receipts;
mod sockets;
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use super::{
    log::{Entry, Kept, Number, Place, Saw},
    plan::{Item, Size},
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

    fn is_reborn(&self, id: &str) -> bool {
        id.strip_prefix('d').and_then(|n| n.parse().ok()).is_some_and(|n| self.evidence.size.is_reborn(n))
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
}
