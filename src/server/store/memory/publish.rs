//! Publishing, and reading what was published.

use std::{
    collections::{HashMap, hash_map},
    hash::BuildHasherDefault,
    sync::Arc,
};

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    Committed, EventRecord, Fed, History, Publish, Published, StoreError, ledger,
    log::{Entry, Rows},
    prune,
    state::{AsItIs, Owed, State},
};
use crate::{
    event::{Address, DisplayId, Position, Receipt, Status, command::Kind, time::UtcMillis},
    server::store::words,
};

/// How much text one piece of history carries at most, in bytes.
const HISTORY_BYTES: usize = 1024 * 1024;

/// What is to be done with one event of a batch; found out before anything is changed.
enum Planned {
    /// A repeat of what has this commit number.
    Repeat(u64),
    /// The same event as an earlier one of this very batch.
    RepeatOf(usize),
    Fresh {
        fingerprint: u128,
        targets: Vec<DisplayId>,
        /// Reached through a group or `all`, with a full queue: they get their `failed` at once.
        full: Vec<DisplayId>,
    },
}

/// Stores a batch of events, all or nothing.
pub fn publish(state: &mut State, items: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
    let plans = plan(state, &items)?;
    let mut published: Vec<Published> = Vec::with_capacity(items.len());
    for (item, plan) in items.into_iter().zip(plans) {
        let one = match plan {
            Planned::Repeat(commit) => first_publish(state, item.event.id, commit)?,
            Planned::RepeatOf(index) => Published { fresh: false, ..published[index].clone() },
            Planned::Fresh { fingerprint, targets, full } => append(state, item, fingerprint, targets, &full, now_ms)?,
        };
        published.push(one);
    }
    Ok(published)
}

fn plan(state: &mut State, items: &[Publish]) -> Result<Vec<Planned>, StoreError> {
    let mut waiting: HashMap<&DisplayId, u64> = HashMap::new();
    let mut earlier: HashMap<u128, usize, BuildHasherDefault<AsItIs>> = HashMap::default();
    let mut plans = Vec::with_capacity(items.len());
    let mut bytes = 0;
    for (index, item) in items.iter().enumerate() {
        let fingerprint = state.fingerprints.of(&item.event.source, &item.event.id);
        if let Some(commit) = state.dedupe.get(&fingerprint) {
            plans.push(Planned::Repeat(*commit));
            continue;
        }
        match earlier.entry(fingerprint) {
            hash_map::Entry::Occupied(first) => {
                plans.push(Planned::RepeatOf(*first.get()));
                continue;
            }
            hash_map::Entry::Vacant(place) => place.insert(index),
        };
        bytes += item.event.json_bytes_at_most();
        let address = address_of(item)?;
        let mut targets = targets(state, address, item.command.is_some())?;
        let mut full = Vec::new();
        if item.command == Some(Kind::Action) {
            let limit = state.limits.pending_actions;
            let has_room = |display: &DisplayId| {
                let (in_batch, kept) = (waiting.get(display), state.displays.get(display));
                in_batch.copied().unwrap_or(0) + kept.map_or(0, |kept| kept.actions) < limit
            };
            (targets, full) = targets.into_iter().partition(has_room);
            // One display that is gone must not silence its whole group.
            if let (Some(display), Address::Display(_)) = (full.first(), address) {
                return Err(StoreError::QueueFull { display: display.clone(), limit });
            }
            for display in &targets {
                if let Some((display, _)) = state.displays.get_key_value(display) {
                    *waiting.entry(display).or_default() += 1;
                }
            }
        }
        plans.push(Planned::Fresh { fingerprint, targets, full });
    }
    let fresh = earlier.len();
    if fresh > 0 {
        check_room(state, items, &plans, fresh)?;
        if !prune::make_room(state, bytes) {
            let limit = state.limits.memory_bytes as u64;
            return Err(StoreError::Full { what: "bytes of events that are still needed", limit });
        }
    }
    Ok(plans)
}

fn check_room(state: &State, items: &[Publish], plans: &[Planned], fresh: usize) -> Result<(), StoreError> {
    let limits = &state.limits;
    if (state.dedupe.len() + fresh) as u64 > limits.dedupe_entries {
        return Err(StoreError::Full { what: "event ids", limit: limits.dedupe_entries });
    }
    if (state.places.len() + fresh) as u64 > limits.addresses {
        let fresh = items.iter().zip(plans).filter(|(_, plan)| matches!(plan, Planned::Fresh { .. }));
        for (item, _) in fresh {
            if state.places.get(address_of(item)?).is_none() {
                return Err(StoreError::Full { what: "addresses", limit: limits.addresses });
            }
        }
    }
    Ok(())
}

fn address_of(item: &Publish) -> Result<&Address, StoreError> {
    // The facade has looked already.
    item.event.subject.as_ref().ok_or_else(|| StoreError::Io("an event without an address".into()))
}

fn first_publish(state: &State, id: String, commit: u64) -> Result<Published, StoreError> {
    let lost = || StoreError::Damaged(format!("publish {commit} is known and not kept"));
    let entry = state.log.get(commit).ok_or_else(lost)?;
    let place = state.places.at(entry.place);
    let epoch = place.epoch_of(&state.seed, entry.generation);
    let position = Position { epoch, offset: entry.offset };
    Ok(Published { id, address: place.address.clone(), position, commit, fresh: false })
}

/// The displays that a command to `address` reaches now; for other events only whether the display exists.
fn targets(state: &State, address: &Address, is_command: bool) -> Result<Vec<DisplayId>, StoreError> {
    Ok(match address {
        Address::Display(id) if !state.displays.contains_key(id) => return Err(StoreError::NotEnrolled(id.clone())),
        Address::Display(id) if is_command => vec![id.clone()],
        Address::All if is_command => state.displays.keys().cloned().collect(),
        Address::Group(name) if is_command => state.members.get(name).into_iter().flatten().cloned().collect(),
        _ => Vec::new(),
    })
}

/// Takes in one fresh event with everything that belongs to it. Nothing here fails: what could was found out before.
fn append(
    state: &mut State,
    item: Publish,
    fingerprint: u128,
    targets: Vec<DisplayId>,
    full: &[DisplayId],
    now_ms: u64,
) -> Result<Published, StoreError> {
    let address = address_of(&item)?.clone();
    let Publish { mut event, command, expires_ms } = item;
    state.commit += 1;
    state.published += 1;
    let commit = state.commit;
    let number = state.places.number_or_new(&address, &state.seed);
    let history_events = usize::try_from(state.limits.history_events).unwrap_or(usize::MAX);
    let place = state.places.at_mut(number);
    place.last += 1;
    let position = Position { epoch: place.epoch.clone(), offset: place.last };
    event.position = Some(position.clone());
    event.token = None;
    event.expirytime = event.expirytime.or(expires_ms.map(UtcMillis));
    let committed = Arc::new(Committed {
        commit,
        address: address.clone(),
        position: position.clone(),
        text: Utf8Bytes::from(event.to_json()),
        kind: command,
        expires_ms,
        targets,
        event,
    });
    place.history.push_back(committed.clone());
    while place.history.len() > history_events {
        place.history.pop_front();
    }
    if let Some(Kind::State(slot)) = command {
        place.state.insert(slot, commit);
    }
    let entry = Entry {
        fingerprint,
        stored_ms: now_ms,
        offset: position.offset,
        place: number,
        generation: place.generation,
        rows: None,
        event: Some(committed.clone()),
    };
    state.keep(entry, commit);
    state.fed.push(Fed::Event(committed.clone()));
    if let Some(kind) = command {
        queue_command(state, &committed, kind, full, now_ms);
    }
    Ok(Published { id: committed.event.id.clone(), address, position, commit, fresh: true })
}

/// Makes the ledger's rows of a command, one for each display that it reaches.
fn queue_command(state: &mut State, command: &Committed, kind: Kind, full: &[DisplayId], now_ms: u64) {
    let Committed { commit, expires_ms, .. } = *command;
    let slot = match kind {
        Kind::Action => None,
        Kind::State(slot) => Some(slot),
    };
    if let Some(entry) = state.log.get_mut(commit) {
        let rows: Rows = command.targets.iter().map(|display| (display.clone(), None)).collect();
        entry.rows = Some(Box::new(rows));
    }
    let mut overdue = Vec::new();
    for id in &command.targets {
        let Some(display) = state.displays.get_mut(id) else { continue };
        display.owes(commit, Owed { slot, expires_ms, attempts: 0 });
        if let Some(expires_ms) = expires_ms {
            state.expiry.insert((expires_ms, commit, id.clone()));
        }
        if let Some(slot) = slot
            && display.states.get(&slot).is_some_and(|waiting| *waiting > state.limits.pending_states)
        {
            let oldest = display.pending.iter().find(|(_, owed)| owed.slot == Some(slot));
            overdue.extend(oldest.map(|(oldest, _)| (*oldest, id)));
        }
    }
    for (oldest, display) in overdue {
        ledger::supersede(state, oldest, display, now_ms);
    }
    for display in full {
        let receipt =
            Receipt::new(&command.event.id, &command.event.source, Status::Failed, 0).because(words::QUEUE_FULL);
        ledger::settle(state, commit, display, receipt);
    }
}

/// Events of one address above `after`.
pub fn history(state: &State, address: &Address, after: u64, limit: usize) -> History {
    let mut found = History { head: state.head(address), events: Vec::new(), more: false, as_of: state.commit };
    let Some(place) = state.places.get(address) else { return found };
    let skip = usize::try_from(after.saturating_add(1).saturating_sub(place.first())).unwrap_or(usize::MAX);
    let mut bytes = 0;
    for event in place.history.iter().skip(skip) {
        if found.events.len() >= limit || bytes >= HISTORY_BYTES {
            found.more = true;
            break;
        }
        bytes += event.text.len();
        found.events.push(event.clone());
    }
    found
}

/// An event with its receipts.
pub fn record(state: &State, id: &str, source: Option<&str>) -> Option<EventRecord> {
    let entry = state.log.get(state.find(id, source)?)?;
    let mut record = EventRecord { event: entry.event.clone()?, receipts: Vec::new(), pending: Vec::new() };
    for (display, receipt) in entry.rows.iter().flat_map(|rows| rows.iter()) {
        match receipt {
            Some(receipt) => record.receipts.push((display.clone(), receipt.clone())),
            None => record.pending.push(display.clone()),
        }
    }
    Some(record)
}
