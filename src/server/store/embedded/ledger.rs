//! The ledger: one row per command and display, from pending to its one final receipt.
//!
//! ```text
//!  publish -> pending --receipt of the display--> final   (the first stays; the frame's hash may follow)
//!                     --a newer state of its slot--> superseded
//!                     --its time is over-----------> expired
//!                     --the display is removed-----> failed
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use redb::ReadableTable;

use super::{
    Backlog, Committed, Fed, Limits, ReceiptOutcome, Settled, StoreError, displays,
    events::{self, load, read_id},
    schema::{self, ACTION, ATTEMPTS, COUNTS, EVENTS, EXPIRY, IDS, LEDGER, PENDING, Rows, STATE},
    writer::Batch,
};
use crate::{
    event::{Address, DisplayId, Receipt, Status},
    server::store::words,
};

/// How many rows one `expire` ends at most; the rest are next.
const EXPIRE_MAX: usize = 2_000;
/// How many events of one id (and different sources) are looked at for a receipt that names no source.
const SAME_ID_MAX: usize = 64;

/// Writes a final receipt into a row and takes the row off every queue.
pub fn settle(
    batch: &mut Batch<'_, '_>,
    commit: u64,
    display: &DisplayId,
    receipt: Receipt,
) -> Result<Settled, StoreError> {
    let (txn, name) = (batch.txn, display.as_str());
    batch.dirty = true;
    txn.open_table(LEDGER)?.insert((commit, name), schema::encode(&receipt).as_slice())?;
    let waited = txn.open_table(PENDING)?.remove((name, commit))?.map(|row| {
        let (expires_ms, queue) = row.value();
        (expires_ms, queue.to_owned())
    });
    if let Some((expires_ms, queue)) = waited {
        if expires_ms > 0 {
            txn.open_table(EXPIRY)?.remove((expires_ms, commit, name))?;
        }
        txn.open_table(ATTEMPTS)?.remove((name, commit))?;
        let mut counts = txn.open_table(COUNTS)?;
        let left = counts.get((name, queue.as_str()))?.map_or(0, |row| row.value()).saturating_sub(1);
        if left == 0 {
            counts.remove((name, queue.as_str()))?;
        } else {
            counts.insert((name, queue.as_str()), left)?;
        }
    }
    let settled = Settled { event: commit, display: display.clone(), receipt };
    batch.fed.push(Fed::Receipt(Arc::new(settled.clone())));
    Ok(settled)
}

/// Settles with a receipt of the store's own. None if the event is forgotten.
fn settle_own(
    batch: &mut Batch<'_, '_>,
    commit: u64,
    display: &DisplayId,
    status: Status,
    error: &str,
    now_ms: u64,
) -> Result<Option<Settled>, StoreError> {
    let stored_ms = {
        let events = batch.txn.open_table(EVENTS)?;
        let Some(row) = events.get(commit)? else { return Ok(None) };
        schema::decode_event(row.value())?.0.stored_ms
    };
    let Some(command) = load(batch.txn, commit)? else { return Ok(None) };
    let took_ms = now_ms.saturating_sub(stored_ms);
    let receipt = Receipt::new(command.event.id, command.event.source, status, took_ms).because(error);
    settle(batch, commit, display, receipt).map(Some)
}

pub fn supersede(
    batch: &mut Batch<'_, '_>,
    commit: u64,
    display: &DisplayId,
    now_ms: u64,
) -> Result<Option<Settled>, StoreError> {
    settle_own(batch, commit, display, Status::Superseded, words::SUPERSEDED, now_ms)
}

/// Takes a display's receipt.
pub fn receipt(
    batch: &mut Batch<'_, '_>,
    display: &DisplayId,
    receipt: Receipt,
    now_ms: u64,
) -> Result<ReceiptOutcome, StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let Some((commit, row)) = find_row(batch, display, &receipt)? else { return Ok(ReceiptOutcome::UnknownEvent) };
    let Some(mut kept) = row else {
        settle(batch, commit, display, receipt)?;
        return Ok(ReceiptOutcome::First);
    };
    let completes = kept.is_completed_by(&receipt)
        || (kept.status == receipt.status && kept.result.is_none() && receipt.result.is_some());
    if !completes {
        return Ok(ReceiptOutcome::AlreadyFinal);
    }
    kept.frame_sha256 = kept.frame_sha256.or(receipt.frame_sha256);
    kept.result = kept.result.or(receipt.result);
    settle(batch, commit, display, kept)?;
    Ok(ReceiptOutcome::Updated)
}

/// The row that a receipt is about: its commit number, and the final receipt if it has one.
fn find_row(
    batch: &Batch<'_, '_>,
    display: &DisplayId,
    receipt: &Receipt,
) -> Result<Option<(u64, Option<Receipt>)>, StoreError> {
    let commits: Vec<u64> = match &receipt.source {
        Some(source) => events::find(batch.txn, &receipt.event, Some(source))?.into_iter().collect(),
        None => {
            let ids = batch.txn.open_table(IDS)?;
            let range = ids.range((receipt.event.as_str(), 0)..=(receipt.event.as_str(), u64::MAX))?;
            range.rev().take(SAME_ID_MAX).map(|row| Ok(row?.0.value().1)).collect::<Result<_, StoreError>>()?
        }
    };
    let mut settled = None;
    {
        let ledger = batch.txn.open_table(LEDGER)?;
        for commit in &commits {
            let Some(row) = ledger.get((*commit, display.as_str()))? else { continue };
            match row.value() {
                [] => return Ok(Some((*commit, None))),
                text if settled.is_none() => settled = Some((*commit, Some(schema::decode(text)?))),
                _ => {}
            }
        }
    }
    if settled.is_some() {
        return Ok(settled);
    }
    // State that was published before the display joined its group has no row yet.
    let Some(row) = displays::get(batch.txn, display)? else { return Ok(None) };
    let addresses = row.addresses(display);
    for commit in commits {
        if let Some(event) = load(batch.txn, commit)?
            && event.kind.is_some()
            && addresses.contains(&event.address)
        {
            return Ok(Some((commit, None)));
        }
    }
    Ok(None)
}

/// Whether a display was ever given an event of this id.
pub fn has_row(rows: &impl Rows, id: &str, display: &DisplayId) -> Result<bool, StoreError> {
    let (ids, ledger) = (rows.rows(IDS)?, rows.rows(LEDGER)?);
    for row in ids.range((id, 0)..=(id, u64::MAX))?.rev().take(SAME_ID_MAX) {
        if ledger.get((row?.0.value().1, display.as_str()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a display that connects is given.
pub struct View {
    pub state: Vec<Arc<Committed>>,
    pub pending_actions: Vec<Arc<Committed>>,
    /// State that waits and lost, and why.
    lost: Vec<(u64, &'static str)>,
    /// Actions that it was given too often.
    poison: Vec<u64>,
}

impl View {
    /// True if giving it changes nothing: state is given without being counted.
    pub fn is_only_read(&self) -> bool {
        self.lost.is_empty() && self.poison.is_empty() && self.pending_actions.is_empty()
    }
}

pub fn view(
    rows: &impl Rows,
    addresses: &[Address],
    display: &DisplayId,
    limits: &Limits,
    now_ms: u64,
) -> Result<View, StoreError> {
    let mut winners: BTreeMap<String, Arc<Committed>> = BTreeMap::new();
    {
        let state = rows.rows(STATE)?;
        for address in addresses {
            let key = address.to_string();
            for row in state.range((key.as_str(), "")..)? {
                let (place, commit) = row?;
                let (owner, slot) = place.value();
                if owner != key {
                    break;
                }
                let Some(event) = load(rows, commit.value())? else { continue };
                let alive = event.expires_ms.is_none_or(|end| end > now_ms);
                if alive && winners.get(slot).is_none_or(|winner| winner.commit < event.commit) {
                    winners.insert(slot.to_owned(), Arc::new(event));
                }
            }
        }
    }
    let mut view = View { state: Vec::new(), pending_actions: Vec::new(), lost: Vec::new(), poison: Vec::new() };
    let (pending, attempts) = (rows.rows(PENDING)?, rows.rows(ATTEMPTS)?);
    for row in pending.range((display.as_str(), 0)..=(display.as_str(), u64::MAX))? {
        let (key, value) = row?;
        let (commit, (expires_ms, queue)) = (key.value().1, value.value());
        if queue != ACTION {
            if winners.get(queue).is_some_and(|winner| winner.commit > commit) {
                view.lost.push((commit, words::SUPERSEDED));
            } else if load(rows, commit)?.is_some_and(|event| !addresses.contains(&event.address)) {
                view.lost.push((commit, words::LEFT));
            }
        } else if expires_ms == 0 || expires_ms > now_ms {
            let given = attempts.get((display.as_str(), commit))?.map_or(0, |row| row.value());
            if given >= limits.attempts.into() {
                view.poison.push(commit);
            } else if let Some(event) = load(rows, commit)? {
                view.pending_actions.push(Arc::new(event));
            }
        }
    }
    view.state = winners.into_values().collect();
    view.state.sort_by_key(|event| event.commit);
    Ok(view)
}

/// The view in the writer's transaction: with the receipts of what lost and of what was given too often, and with one more
/// attempt for each action that it gives.
pub fn backlog(batch: &mut Batch<'_, '_>, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let row = displays::get(batch.txn, display)?.ok_or_else(|| StoreError::NotEnrolled(display.clone()))?;
    let limits = &batch.shared.limits;
    let view = view(batch.txn, &row.addresses(display), display, limits, now_ms)?;
    let mut settled = Vec::new();
    for (commit, why) in view.lost {
        settled.extend(settle_own(batch, commit, display, Status::Superseded, why, now_ms)?);
    }
    for commit in view.poison {
        let error = words::poison(limits.attempts);
        settled.extend(settle_own(batch, commit, display, Status::Failed, &error, now_ms)?);
    }
    let mut attempts = batch.txn.open_table(ATTEMPTS)?;
    for action in &view.pending_actions {
        let key = (display.as_str(), action.commit);
        let given = attempts.get(key)?.map_or(0, |row| row.value());
        attempts.insert(key, given + 1)?;
        batch.dirty = true;
    }
    Ok(Backlog { state: view.state, pending_actions: view.pending_actions, settled, as_of: batch.commit })
}

/// Ends what is overdue: at once, or with the grace for a display that is connected and may be acting.
pub fn expire(
    batch: &mut Batch<'_, '_>,
    connected: &HashSet<DisplayId>,
    now_ms: u64,
) -> Result<Vec<Settled>, StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let grace = batch.shared.limits.expiry_grace_ms;
    let mut overdue = Vec::new();
    {
        let expiry = batch.txn.open_table(EXPIRY)?;
        for row in expiry.range(..(now_ms.saturating_add(1), 0, ""))? {
            let (expires_ms, commit, display) = {
                let (key, ()) = row.map(|(key, _)| (key, ()))?;
                let (expires_ms, commit, display) = key.value();
                (expires_ms, commit, read_id(display)?)
            };
            if !connected.contains(&display) || expires_ms.saturating_add(grace) <= now_ms {
                overdue.push((commit, display));
                if overdue.len() >= EXPIRE_MAX {
                    break;
                }
            }
        }
    }
    let mut settled = Vec::with_capacity(overdue.len());
    for (commit, display) in overdue {
        settled.extend(settle_own(batch, commit, &display, Status::Expired, words::EXPIRED, now_ms)?);
    }
    Ok(settled)
}

/// Ends everything that waits for a display that is removed.
pub fn abandon(batch: &mut Batch<'_, '_>, display: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
    let commits: Vec<u64> = {
        let pending = batch.txn.open_table(PENDING)?;
        let range = pending.range((display.as_str(), 0)..=(display.as_str(), u64::MAX))?;
        range.map(|row| Ok(row?.0.value().1)).collect::<Result<_, StoreError>>()?
    };
    for commit in commits {
        settle_own(batch, commit, display, Status::Failed, words::REMOVED, now_ms)?;
    }
    Ok(())
}
