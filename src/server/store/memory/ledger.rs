//! The ledger: one row per command and display, from owed to its one final receipt. The same rules as the file's.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Backlog, Committed, Fed, ReceiptOutcome, Settled, StoreError, state::State};
use crate::{
    event::{DisplayId, Receipt, Status, command::Slot},
    server::store::words,
};

/// How many rows one `expire` ends at most; the rest are next.
const EXPIRE_MAX: usize = 2_000;
/// How many events of one id (and different sources) are looked at for a receipt that names no source.
const SAME_ID_MAX: usize = 64;

/// Writes a final receipt into a row and takes the row off every queue.
pub fn settle(state: &mut State, commit: u64, display: &DisplayId, receipt: Receipt) -> Settled {
    if let Some(entry) = state.log.get_mut(commit) {
        entry.rows.get_or_insert_default().insert(display.clone(), Some(receipt.clone()));
    }
    let owed = state.displays.get_mut(display).and_then(|display| display.owes_no_more(commit));
    if let Some(expires_ms) = owed.and_then(|owed| owed.expires_ms) {
        state.expiry.remove(&(expires_ms, commit, display.clone()));
    }
    let settled = Settled { event: commit, display: display.clone(), receipt };
    state.fed.push(Fed::Receipt(Arc::new(settled.clone())));
    settled
}

/// Settles with a receipt of the store's own. None if the event is forgotten.
fn settle_own(
    state: &mut State,
    commit: u64,
    display: &DisplayId,
    status: Status,
    error: &str,
    now_ms: u64,
) -> Option<Settled> {
    let entry = state.log.get(commit)?;
    let event = &entry.event.as_ref()?.event;
    let took_ms = now_ms.saturating_sub(entry.stored_ms);
    let receipt = Receipt::new(&event.id, &event.source, status, took_ms).because(error);
    Some(settle(state, commit, display, receipt))
}

pub fn supersede(state: &mut State, commit: u64, display: &DisplayId, now_ms: u64) -> Option<Settled> {
    settle_own(state, commit, display, Status::Superseded, words::SUPERSEDED, now_ms)
}

/// Takes a display's receipt.
pub fn receipt(state: &mut State, display: &DisplayId, receipt: Receipt) -> ReceiptOutcome {
    let Some((commit, row)) = find_row(state, display, &receipt) else { return ReceiptOutcome::UnknownEvent };
    let Some(mut kept) = row else {
        settle(state, commit, display, receipt);
        return ReceiptOutcome::First;
    };
    let completes = kept.is_completed_by(&receipt)
        || (kept.status == receipt.status && kept.result.is_none() && receipt.result.is_some());
    if !completes {
        return ReceiptOutcome::AlreadyFinal;
    }
    kept.frame_sha256 = kept.frame_sha256.or(receipt.frame_sha256);
    kept.result = kept.result.or(receipt.result);
    settle(state, commit, display, kept);
    ReceiptOutcome::Updated
}

/// The row that a receipt is about: its commit number, and the final receipt if it has one.
fn find_row(state: &State, display: &DisplayId, receipt: &Receipt) -> Option<(u64, Option<Receipt>)> {
    let commits: Vec<u64> = match &receipt.source {
        Some(source) => state.find(&receipt.event, Some(source)).into_iter().collect(),
        None => state.of_id(&receipt.event).take(SAME_ID_MAX).collect(),
    };
    let mut settled = None;
    for commit in &commits {
        match state.log.get(*commit).and_then(|entry| entry.rows.as_ref()?.get(display)) {
            Some(None) => return Some((*commit, None)),
            Some(Some(kept)) if settled.is_none() => settled = Some((*commit, Some(kept.clone()))),
            _ => {}
        }
    }
    if settled.is_some() {
        return settled;
    }
    // State that was published before the display joined its group has no row yet.
    let addresses = state.displays.get(display)?.kept.addresses(display);
    let answers = |event: &Committed| event.kind.is_some() && addresses.contains(&event.address);
    commits
        .into_iter()
        .find(|commit| state.log.event(*commit).is_some_and(|event| answers(event)))
        .map(|commit| (commit, None))
}

/// Whether a display was ever given an event of this id.
pub fn has_row(state: &State, id: &str, display: &DisplayId) -> bool {
    let has = |commit| state.log.get(commit).and_then(|entry| entry.rows.as_ref()?.get(display)).is_some();
    state.of_id(id).take(SAME_ID_MAX).any(has)
}

/// What a display that connects is given, with the receipts of what lost, and of what it was given too often.
pub fn backlog(state: &mut State, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
    let not_enrolled = || StoreError::NotEnrolled(display.clone());
    let addresses = state.displays.get(display).ok_or_else(not_enrolled)?.kept.addresses(display);
    let mut winners: BTreeMap<Slot, &Arc<Committed>> = BTreeMap::new();
    for place in addresses.iter().filter_map(|address| state.places.get(address)) {
        for (slot, commit) in &place.state {
            let Some(event) = state.log.event(*commit) else { continue };
            let alive = event.expires_ms.is_none_or(|end| end > now_ms);
            if alive && winners.get(slot).is_none_or(|winner| winner.commit < event.commit) {
                winners.insert(*slot, event);
            }
        }
    }
    let mut backlog = Backlog { as_of: state.commit, ..Backlog::default() };
    let (mut lost, mut poison) = (Vec::new(), Vec::new());
    let Some(row) = state.displays.get_mut(display) else { return Err(not_enrolled()) };
    for (commit, owed) in &mut row.pending {
        match owed.slot {
            Some(slot) if winners.get(&slot).is_some_and(|winner| winner.commit > *commit) => {
                lost.push((*commit, words::SUPERSEDED));
            }
            Some(_) if state.log.event(*commit).is_some_and(|event| !addresses.contains(&event.address)) => {
                lost.push((*commit, words::LEFT));
            }
            Some(_) => {}
            None if owed.expires_ms.is_some_and(|end| end <= now_ms) => {}
            None if owed.attempts >= state.limits.attempts => poison.push(*commit),
            None => {
                owed.attempts += 1;
                backlog.pending_actions.extend(state.log.event(*commit).cloned());
            }
        }
    }
    backlog.state = winners.into_values().cloned().collect();
    backlog.state.sort_by_key(|event| event.commit);
    for (commit, why) in lost {
        backlog.settled.extend(settle_own(state, commit, display, Status::Superseded, why, now_ms));
    }
    for commit in poison {
        let error = words::poison(state.limits.attempts);
        backlog.settled.extend(settle_own(state, commit, display, Status::Failed, &error, now_ms));
    }
    Ok(backlog)
}

/// Ends what is overdue: at once, or with the grace for a display that is connected and may be acting.
pub fn expire(state: &mut State, connected: &HashSet<DisplayId>, now_ms: u64) -> Vec<Settled> {
    let grace = state.limits.expiry_grace_ms;
    let due = state.expiry.iter().take_while(|(expires_ms, ..)| *expires_ms <= now_ms);
    let over = due
        .filter(|(expires_ms, _, display)| !connected.contains(display) || expires_ms.saturating_add(grace) <= now_ms);
    let overdue: Vec<(u64, DisplayId)> =
        over.take(EXPIRE_MAX).map(|(_, commit, display)| (*commit, display.clone())).collect();
    let end = |(commit, display)| settle_own(state, commit, &display, Status::Expired, words::EXPIRED, now_ms);
    overdue.into_iter().filter_map(end).collect()
}

/// Ends everything that waits for a display that is removed.
pub fn abandon(state: &mut State, display: &DisplayId, now_ms: u64) {
    let pending = state.displays.get(display).map(|display| display.pending.keys().copied().collect::<Vec<_>>());
    for commit in pending.into_iter().flatten() {
        settle_own(state, commit, display, Status::Failed, words::REMOVED, now_ms);
    }
}
