//! The ledger: every accepted event is kept, with one receipt of each display that it was for, and a true one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pikiosk::event::Status;

use super::{
    super::{
        log::{Entry, Kept, Number, Saw},
        plan::{Item, What},
    },
    Judge, Rule,
};

/// Actions that may wait for one display: `[limits] display_queue`.
const QUEUE: usize = 1_000;

impl Judge<'_> {
    /// Every accepted event is kept, with exactly one final receipt of each display that it was for, and a true one.
    pub(super) fn ledger(&mut self) {
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
        let waits = |other: &&Item| {
            let before = self.known[other.number as usize].sent.is_some_and(|at| at <= accepted);
            let owed = acts.said_at.get(&other.number).is_none_or(|said| *said >= sent);
            other.what == What::Action && before && owed && self.reaches(&other.address, display)
        };
        self.evidence.events.iter().filter(waits).count()
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
