//! What stood on the glass of one display, in the order it came there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::{
        log::{Entry, Number, Saw},
        plan::What,
    },
    Judge, Rule,
};

impl Judge<'_> {
    /// What was done on one display: each action once, in order, and in the end the right state.
    pub(super) fn glass(&mut self, name: &str, log: &[Entry]) {
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
}
