//! What came over the sockets of one client, display or reader.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::{
        log::{Entry, Number, Saw},
        plan::What,
    },
    Judge, Rule,
};

impl Judge<'_> {
    /// What one client's sockets brought: in order, without gaps, and with `recovered` telling the truth.
    pub(super) fn sockets(&mut self, name: &str, log: &[Entry], is_display: bool) {
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
