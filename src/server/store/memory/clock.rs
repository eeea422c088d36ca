//! The clock was set: what still waits or is retained is moved along with it.

use std::{collections::BTreeSet, sync::Arc};

use super::{moved, state::State};

pub fn was_set(state: &mut State, by_ms: i64) {
    let mut commits: BTreeSet<u64> = state.places.retained().collect();
    for (expires_ms, commit, id) in std::mem::take(&mut state.expiry) {
        let later_ms = moved(expires_ms, by_ms);
        if let Some(owed) = state.displays.get_mut(&id).and_then(|display| display.pending.get_mut(&commit)) {
            owed.expires_ms = Some(later_ms);
        }
        state.expiry.insert((later_ms, commit, id));
        commits.insert(commit);
    }
    for commit in commits {
        let Some(entry) = state.log.get_mut(commit) else { continue };
        let event = entry.event.as_ref().and_then(|event| Some((event, event.expires_ms?)));
        let Some((event, expires_ms)) = event else { continue };
        let event = Arc::new(event.expiring_at(moved(expires_ms, by_ms)));
        entry.stored_ms = moved(entry.stored_ms, by_ms);
        entry.event = Some(event.clone());
        let place = state.places.at_mut(entry.place);
        let is_current = place.generation == entry.generation;
        let kept = entry.offset.checked_sub(place.first()).filter(|_| is_current);
        if let Some(kept) = kept.and_then(|at| place.history.get_mut(usize::try_from(at).ok()?)) {
            *kept = event;
        }
    }
    state.was_set(by_ms);
}
