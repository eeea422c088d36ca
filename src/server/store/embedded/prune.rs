//! Forgetting, a little with each batch: what left its address's history, is not pending, is not retained state, and is
//! older than what is promised (or over what is kept).
//!
//! The pruner walks along the events in commit order, some steps for each batch and more for a batch that brought
//! more, so it keeps up with any rate and no publish waits for it.

use redb::{ReadableTable, ReadableTableMetadata};

use super::{
    StoreError, displays, events,
    schema::{self, ADDRESSES, DEDUPE, DEDUPE_AGE, EVENTS, HISTORY, IDS, LEDGER, STATE},
    writer::Batch,
};
use crate::event::command::Kind;

/// Events looked at in every batch, and for each event that the batch brought.
const STEPS: u64 = 64;
const STEPS_PER_EVENT: u64 = 4;
/// How long the pruner rests after it came to events that are all to be kept, in ms.
const REST_MS: u64 = 60_000;
/// How often the times at which displays were last heard of are written, in ms.
const SAVE_SEEN_MS: u64 = 300_000;

/// Where the pruner stands. Lost with the process, which costs one walk.
#[derive(Debug, Default)]
pub struct Pruner {
    cursor: u64,
    rests_until_ms: u64,
    seen_saved_ms: u64,
}

/// What became of one event that was looked at.
enum Look {
    /// Nothing from here on is old enough.
    Young,
    Kept,
    Forgotten,
}

impl Pruner {
    pub fn step(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), StoreError> {
        let now_ms = batch.now_ms;
        // The clock was set back: until when it was to rest is a moment of the old one. 0: a batch that knows no time.
        if now_ms > 0 && self.rests_until_ms > now_ms.saturating_add(REST_MS) {
            *self = Pruner::default();
        }
        if now_ms >= self.seen_saved_ms.saturating_add(SAVE_SEEN_MS) {
            self.seen_saved_ms = now_ms;
            displays::save_seen(batch)?;
        }
        let crowded = batch.txn.open_table(EVENTS)?.len()? > batch.shared.limits.detail_events;
        if now_ms < self.rests_until_ms && !crowded {
            return Ok(());
        }
        let mut steps = STEPS + STEPS_PER_EVENT * batch.events;
        while steps > 0 {
            steps -= 1;
            let next = {
                let ages = batch.txn.open_table(DEDUPE_AGE)?;
                let row = ages.range(self.cursor..)?.next().transpose()?;
                row.map(|(commit, row)| (commit.value(), row.value()))
            };
            let Some((commit, (stored_ms, hash))) = next else {
                self.rest(now_ms);
                break;
            };
            self.cursor = commit + 1;
            match look(batch, commit, stored_ms, hash)? {
                Look::Young => {
                    self.rest(now_ms);
                    break;
                }
                Look::Kept => {}
                Look::Forgotten => batch.dirty = true,
            }
        }
        Ok(())
    }

    fn rest(&mut self, now_ms: u64) {
        self.cursor = 0;
        self.rests_until_ms = now_ms.saturating_add(REST_MS);
    }
}

fn look(batch: &Batch<'_, '_>, commit: u64, stored_ms: u64, hash: [u8; 16]) -> Result<Look, StoreError> {
    let (txn, limits) = (batch.txn, &batch.shared.limits);
    let age = batch.shared.age_ms(stored_ms, batch.now_ms);
    let crowded = txn.open_table(EVENTS)?.len()? > limits.detail_events;
    let aged = age >= limits.dedupe_ms;
    if !aged && !crowded && age < limits.history_ms {
        return Ok(Look::Young);
    }
    let place = txn.open_table(DEDUPE)?.get(hash)?.map(|row| {
        let (commit, offset, generation, address) = row.value();
        (commit, offset, generation, address.to_owned())
    });
    let mut changed = false;
    let mut there = txn.open_table(EVENTS)?.get(commit)?.is_some();
    if there && let Some((_, offset, generation, address)) = &place {
        let address = address.as_str();
        if age >= limits.history_ms {
            changed |= leave_history(batch, address, *generation, *offset)?;
        }
        let in_history = txn.open_table(HISTORY)?.get((address, *offset))?.is_some_and(|row| row.value() == commit);
        if (aged || crowded) && !in_history && !is_needed(batch, commit, address)? {
            forget(batch, commit)?;
            there = false;
            changed = true;
        }
    }
    if aged && !there {
        txn.open_table(DEDUPE)?.remove(hash)?;
        txn.open_table(DEDUPE_AGE)?.remove(commit)?;
        changed = true;
    }
    Ok(if changed { Look::Forgotten } else { Look::Kept })
}

/// Takes the oldest event out of an address's history; only the oldest, so that what is left has no gap.
fn leave_history(batch: &Batch<'_, '_>, address: &str, generation: u64, offset: u64) -> Result<bool, StoreError> {
    let mut addresses = batch.txn.open_table(ADDRESSES)?;
    let Some(head) = addresses.get(address)?.map(|row| row.value()) else { return Ok(false) };
    if (head.0, head.2) != (generation, offset) {
        return Ok(false);
    }
    addresses.insert(address, (generation, head.1, offset + 1))?;
    batch.txn.open_table(HISTORY)?.remove((address, offset))?;
    Ok(true)
}

/// Retained state, or still owed by a display.
fn is_needed(batch: &Batch<'_, '_>, commit: u64, address: &str) -> Result<bool, StoreError> {
    let kind = {
        let events = batch.txn.open_table(EVENTS)?;
        let Some(row) = events.get(commit)? else { return Ok(false) };
        schema::decode_event(row.value())?.0.kind
    };
    if let Some(kind @ Kind::State(_)) = kind {
        let state = batch.txn.open_table(STATE)?;
        if state.get((address, schema::queue_name(kind).as_str()))?.is_some_and(|row| row.value() == commit) {
            return Ok(true);
        }
    }
    if kind.is_none() {
        return Ok(false);
    }
    let ledger = batch.txn.open_table(LEDGER)?;
    for row in ledger.range((commit, "")..(commit + 1, ""))? {
        if row?.1.value().is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn forget(batch: &Batch<'_, '_>, commit: u64) -> Result<(), StoreError> {
    let txn = batch.txn;
    if let Some(event) = events::load(txn, commit)? {
        txn.open_table(IDS)?.remove((event.event.id.as_str(), commit))?;
    }
    txn.open_table(EVENTS)?.remove(commit)?;
    txn.open_table(LEDGER)?.remove_in((commit, "")..(commit + 1, ""))?;
    Ok(())
}
