//! Enrolled displays, their groups, the codes that enroll them, and the server's own records.

use super::{
    DisplayPatch, DisplayRow, EnrollError, Enrolled, KeptDisplay, Record, Redeem, StoreError, ledger,
    state::{Display, State},
};
use crate::{
    auth::enrollment::{self, CodeHash, Offer, Refusal, Spent, Verdict},
    event::{Address, DisplayId, GroupName},
};

pub fn row(id: &DisplayId, display: &Display) -> DisplayRow {
    let KeptDisplay { label, groups, public_key, enrolled_ms, last_seen_ms } = display.kept.clone();
    DisplayRow { id: id.clone(), label, groups, public_key, enrolled_ms, last_seen_ms, health: display.health.clone() }
}

pub fn patch(state: &mut State, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
    let State { displays, members, .. } = state;
    let display = displays.get_mut(id).ok_or_else(|| StoreError::NotEnrolled(id.clone()))?;
    if let Some(label) = patch.label {
        display.kept.label = label;
    }
    if let Some(groups) = patch.groups {
        for left in display.kept.groups.difference(&groups) {
            if let Some(of_group) = members.get_mut(left) {
                of_group.remove(id);
                if of_group.is_empty() {
                    members.remove(left);
                }
            }
        }
        for joined in groups.difference(&display.kept.groups) {
            members.entry(joined.clone()).or_default().insert(id.clone());
        }
        display.kept.groups = groups;
    }
    Ok(row(id, display))
}

/// Takes in a display as it was under another id; false if the id is taken.
pub fn adopt(state: &mut State, id: &DisplayId, kept: KeptDisplay) -> bool {
    if state.displays.contains_key(id) {
        return false;
    }
    for group in &kept.groups {
        state.members.entry(group.clone()).or_default().insert(id.clone());
    }
    state.displays.insert(id.clone(), Display::new(kept));
    true
}

/// Forgets a display. The history of its own address goes too, so a display of the same id begins with a new epoch.
pub fn remove(state: &mut State, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
    let display = state.displays.get(id).ok_or_else(|| StoreError::NotEnrolled(id.clone()))?;
    let groups: Vec<GroupName> = display.kept.groups.iter().cloned().collect();
    ledger::abandon(state, id, now_ms);
    for group in groups {
        if let Some(members) = state.members.get_mut(&group) {
            members.remove(id);
            if members.is_empty() {
                state.members.remove(&group);
            }
        }
    }
    state.displays.remove(id);
    let seed = state.seed;
    if let Some(place) = state.places.get_mut(&Address::Display(id.clone())) {
        place.begin_anew(&seed);
    }
    Ok(())
}

pub fn add_offer(state: &mut State, hash: CodeHash, offer: Offer, now_ms: u64) -> Result<(), StoreError> {
    let limit = state.limits.enrollments;
    if state.offers.len() as u64 >= limit {
        state.offers.retain(|_, offer| !offer.is_forgettable(now_ms));
        if state.offers.len() as u64 >= limit {
            return Err(StoreError::Full { what: "enrollment codes", limit });
        }
    }
    state.offers.insert(hash, offer);
    Ok(())
}

/// Judges a code and enrolls its display.
pub fn redeem(state: &mut State, redeem: &Redeem, made_up: DisplayId, now_ms: u64) -> Result<Enrolled, EnrollError> {
    let hash = enrollment::code_hash(&redeem.code).ok_or(EnrollError::Code("it has not the form of a code"))?;
    let State { offers, displays, limits, .. } = state;
    let offer = offers.get_mut(&hash).ok_or(EnrollError::Code("no such code"))?;
    let key_of = |id: &DisplayId| displays.get(id).map(|display| display.kept.public_key);
    let id = match offer.judge(&redeem.public_key, redeem.display.as_ref(), key_of, now_ms) {
        Verdict::Repeat(display) => return Ok(Enrolled { display, replaced: false }),
        Verdict::Enroll(display) => display.unwrap_or(made_up),
        Verdict::Refuse(refusal) => {
            if matches!(refusal, Refusal::Taken(_) | Refusal::ForAnother(_)) {
                offer.tries += 1;
            }
            return Err(refusal.into());
        }
    };
    let (public_key, limit) = (redeem.public_key, limits.displays);
    let is_full = displays.len() as u64 >= limit;
    let replaced = match displays.get_mut(&id) {
        Some(known) => {
            let replaced = known.kept.public_key != public_key;
            (known.kept.public_key, known.kept.enrolled_ms) = (public_key, now_ms);
            replaced
        }
        None if is_full => return Err(StoreError::Full { what: "displays", limit }.into()),
        None => {
            let kept = KeptDisplay {
                label: String::new(),
                groups: Default::default(),
                public_key,
                enrolled_ms: now_ms,
                last_seen_ms: None,
            };
            displays.insert(id.clone(), Display::new(kept));
            false
        }
    };
    offer.spent = Some(Spent { display: id.clone(), public_key });
    Ok(Enrolled { display: id, replaced })
}

/// Keeps a record; it replaces one of the same key.
pub fn put_record(state: &mut State, collection: &str, record: Record) -> Result<(), StoreError> {
    let limit = state.limits.records;
    let records = state.records.entry(collection.to_owned()).or_default();
    if records.len() as u64 >= limit && !records.contains_key(&record.key) {
        return Err(StoreError::Full { what: "records of one kind", limit });
    }
    records.insert(record.key, record.value);
    Ok(())
}

/// Removes one; true if it was there.
pub fn remove_record(state: &mut State, collection: &str, key: &str) -> bool {
    state.records.get_mut(collection).is_some_and(|records| records.remove(key).is_some())
}

/// Those with a key above `after`, in the order of their keys, at most `limit`.
pub fn records(state: &State, collection: &str, after: &str, limit: usize) -> Vec<Record> {
    let Some(records) = state.records.get(collection) else { return Vec::new() };
    let above = records.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
    above.take(limit).map(|(key, value)| Record { key: key.clone(), value: value.clone() }).collect()
}
