//! Forgetting, a little with each call, by the rules of the file's engine: what left its address's history, is not owed,
//! is no retained state, and is older than what is promised (or over what is kept).
//!
//! And the bound in bytes: over it the oldest events leave their histories before their time.

use super::state::State;
use crate::event::command::Kind;

/// Entries looked at in every call, and for each event that the call brought.
const STEPS: u64 = 64;
const STEPS_PER_EVENT: u64 = 4;
/// How long the pruner rests after it came to entries that are all to be kept, in ms.
const REST_MS: u64 = 60_000;
/// How long it is believed that there is no room, in ms: to find that out took a walk over everything.
const NO_ROOM_MS: u64 = 1_000;

/// Where the walks stand.
#[derive(Debug, Default)]
pub struct Pruner {
    cursor: u64,
    rests_until_ms: u64,
    room_cursor: u64,
    no_room_until_ms: u64,
}

/// What became of one entry that was looked at.
#[derive(PartialEq)]
enum Look {
    /// Nothing from here on is old enough.
    Young,
    Done,
}

/// One call's share of the walk. `events`: the fresh ones of the call.
pub fn step(state: &mut State, events: u64) {
    let now_ms = state.now_ms;
    if now_ms < state.pruner.rests_until_ms && state.events <= state.limits.detail_events {
        return;
    }
    for _ in 0..STEPS + STEPS_PER_EVENT * events {
        let next = state.log.next(state.pruner.cursor);
        let Some(commit) = next.filter(|commit| look(state, *commit, false) == Look::Done) else {
            state.pruner.cursor = 0;
            state.pruner.rests_until_ms = now_ms.saturating_add(REST_MS);
            return;
        };
        state.pruner.cursor = commit + 1;
    }
}

/// Makes room for `bytes` of new events; false if what is left is all needed.
pub fn make_room(state: &mut State, bytes: usize) -> bool {
    let fits = |state: &State| state.event_bytes.saturating_add(bytes) <= state.limits.memory_bytes;
    if fits(state) {
        return true;
    }
    if state.now_ms < state.pruner.no_room_until_ms {
        return false;
    }
    // On from where the last call found room; what lies before was needed then, so it is looked at last.
    let start = state.pruner.room_cursor;
    for (mut from, end) in [(start, u64::MAX), (0, start)] {
        while let Some(commit) = state.log.next(from).filter(|commit| *commit < end) {
            look(state, commit, true);
            from = commit + 1;
            if fits(state) {
                state.pruner.room_cursor = from;
                return true;
            }
        }
    }
    state.pruner.no_room_until_ms = state.now_ms.saturating_add(NO_ROOM_MS);
    false
}

/// Looks at one entry; `urgent` if there is no room, whatever its age.
fn look(state: &mut State, commit: u64, urgent: bool) -> Look {
    let Some(entry) = state.log.get(commit) else { return Look::Done };
    let limits = &state.limits;
    let age = state.age_ms(entry.stored_ms);
    let crowded = urgent || state.events > limits.detail_events;
    let aged = age >= limits.dedupe_ms;
    if !aged && !crowded && age < limits.history_ms {
        return Look::Young;
    }
    if let Some(event) = &entry.event {
        let place = state.places.at_mut(entry.place);
        let is_current = place.generation == entry.generation;
        // Only the oldest, so that what is left has no gap.
        if (urgent || age >= limits.history_ms) && is_current && place.first() == entry.offset {
            place.history.pop_front();
        }
        let in_history = is_current && place.first() <= entry.offset;
        let is_state = matches!(event.kind, Some(Kind::State(slot)) if place.state.get(&slot) == Some(&commit));
        let is_owed = || entry.rows.iter().any(|rows| rows.values().any(Option::is_none));
        if (aged || crowded) && !in_history && !is_state && !is_owed() {
            state.forget(commit);
        }
    }
    if aged
        && let Some(entry) = state.log.get(commit)
        && entry.event.is_none()
    {
        state.dedupe.remove(&entry.fingerprint);
        state.log.remove(commit);
    }
    Look::Done
}
