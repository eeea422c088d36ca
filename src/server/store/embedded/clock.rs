//! The clock was set: what this process stored, and what still waits or is retained, is moved along with it.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use redb::ReadableTable;

use super::{
    StoreError, events, moved,
    schema::{self, EVENTS, EXPIRY, EventHead, PENDING, STATE},
    writer::Batch,
};

pub fn was_set(batch: &mut Batch<'_, '_>, by_ms: i64) -> Result<(), StoreError> {
    let since = batch.shared.opened_at.load(Ordering::Relaxed);
    let mut commits = move_owed(batch, since, by_ms)?;
    {
        let state = batch.txn.open_table(STATE)?;
        for row in state.range(("", "")..)? {
            commits.insert(row?.1.value());
        }
    }
    for commit in commits.into_iter().filter(|commit| *commit > since) {
        let head = {
            let rows = batch.txn.open_table(EVENTS)?;
            let Some(row) = rows.get(commit)? else { continue };
            schema::decode_event(row.value())?.0
        };
        let (Some(event), Some(expires_ms)) = (events::load(batch.txn, commit)?, head.expires_ms) else { continue };
        let event = event.expiring_at(moved(expires_ms, by_ms));
        let head = EventHead { expires_ms: event.expires_ms, stored_ms: moved(head.stored_ms, by_ms), ..head };
        let row = schema::encode_event(&head, &event.text);
        batch.txn.open_table(EVENTS)?.insert(commit, row.as_slice())?;
        batch.dirty = true;
    }
    batch.shared.was_set(by_ms);
    Ok(())
}

/// What displays owe; returns the commits that it is about.
fn move_owed(batch: &mut Batch<'_, '_>, since: u64, by_ms: i64) -> Result<BTreeSet<u64>, StoreError> {
    let mut expiry = batch.txn.open_table(EXPIRY)?;
    let mut pending = batch.txn.open_table(PENDING)?;
    let mut owed = Vec::new();
    for row in expiry.range((0, 0, "")..)? {
        let (key, _) = row?;
        let (expires_ms, commit, display) = key.value();
        if commit > since {
            owed.push((expires_ms, commit, display.to_owned()));
        }
    }
    for (expires_ms, commit, display) in &owed {
        let (display, later_ms) = (display.as_str(), moved(*expires_ms, by_ms));
        expiry.remove((*expires_ms, *commit, display))?;
        expiry.insert((later_ms, *commit, display), ())?;
        let queue = pending.get((display, *commit))?.map(|row| row.value().1.to_owned());
        if let Some(queue) = queue {
            pending.insert((display, *commit), (later_ms, queue.as_str()))?;
        }
        batch.dirty = true;
    }
    Ok(owed.into_iter().map(|(_, commit, _)| commit).collect())
}
