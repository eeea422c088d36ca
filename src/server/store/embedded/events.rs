//! Publishing, and reading what was published.

use std::{collections::HashMap, sync::Arc};

use redb::{ReadableTable, ReadableTableMetadata};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    Committed, EventRecord, Fed, Head, History, Publish, Published, StoreError, ledger,
    schema::{
        self, ACTION, ADDRESSES, COUNTS, DEDUPE, DEDUPE_AGE, DISPLAYS, EVENTS, EXPIRY, EventHead, HISTORY, IDS, LEDGER,
        MEMBERS, META, PENDING, Rows, STATE,
    },
    writer::Batch,
};
use crate::{
    event::{Address, DisplayId, Event, Position, Receipt, Status, command::Kind, time::UtcMillis},
    server::store::{epoch, words},
};

/// How much text one piece of history carries at most, in bytes.
const HISTORY_BYTES: usize = 1024 * 1024;

/// What is to be done with one event of a batch; found out before anything is written.
enum Planned {
    Repeat(Published),
    /// The same event as an earlier one of this very batch.
    RepeatOf(usize),
    Fresh {
        hash: [u8; 16],
        address: Address,
        targets: Vec<DisplayId>,
        /// Reached through a group or `all`, with a full queue: they get their `failed` at once.
        full: Vec<DisplayId>,
    },
}

/// Stores a batch of events, all or nothing.
pub fn publish(batch: &mut Batch<'_, '_>, items: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let plans = plan(batch, &items)?;
    let mut published: Vec<Published> = Vec::with_capacity(items.len());
    for (item, plan) in items.into_iter().zip(plans) {
        let one = match plan {
            Planned::Repeat(first) => first,
            Planned::RepeatOf(index) => Published { fresh: false, ..published[index].clone() },
            Planned::Fresh { hash, address, targets, full } => {
                append(batch, item, hash, address, targets, &full, now_ms)?
            }
        };
        published.push(one);
    }
    Ok(published)
}

fn plan(batch: &Batch<'_, '_>, items: &[Publish]) -> Result<Vec<Planned>, StoreError> {
    let limits = &batch.shared.limits;
    let dedupe = batch.txn.rows(DEDUPE)?;
    let addresses = batch.txn.rows(ADDRESSES)?;
    let counts = batch.txn.rows(COUNTS)?;
    let mut waiting: HashMap<DisplayId, u64> = HashMap::new();
    let mut earlier: HashMap<[u8; 16], usize> = HashMap::new();
    let mut plans = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let hash = schema::dedupe_hash(&item.event.source, &item.event.id);
        if let Some(row) = dedupe.get(hash)? {
            plans.push(Planned::Repeat(first_publish(batch, &item.event.id, row.value())?));
            continue;
        }
        if let Some(first) = earlier.get(&hash) {
            plans.push(Planned::RepeatOf(*first));
            continue;
        }
        earlier.insert(hash, index);
        let address = item.event.subject.clone().unwrap_or(Address::All);
        let mut targets = targets(batch.txn, &address, item.command.is_some())?;
        let mut full = Vec::new();
        if item.command == Some(Kind::Action) {
            let mut overflow = None;
            for display in &targets {
                let in_batch = waiting.get(display).copied().unwrap_or(0);
                let kept = counts.get((display.as_str(), ACTION))?.map_or(0, |row| row.value());
                if kept + in_batch >= limits.pending_actions {
                    overflow = Some(display.clone());
                    full.push(display.clone());
                }
            }
            // One display that is gone must not silence its whole group.
            if let (Some(display), Address::Display(_)) = (overflow, &address) {
                return Err(StoreError::QueueFull { display, limit: limits.pending_actions });
            }
            targets.retain(|display| !full.contains(display));
            for display in &targets {
                *waiting.entry(display.clone()).or_default() += 1;
            }
        }
        plans.push(Planned::Fresh { hash, address, targets, full });
    }
    if !earlier.is_empty() {
        if batch.disk_low {
            return Err(StoreError::LowSpace);
        }
        if dedupe.len()? + earlier.len() as u64 > limits.dedupe_entries {
            return Err(StoreError::Full { what: "event ids", limit: limits.dedupe_entries });
        }
        if addresses.len()? + earlier.len() as u64 > limits.addresses {
            let new = plans.iter().filter_map(|plan| match plan {
                Planned::Fresh { address, .. } => Some(address.to_string()),
                _ => None,
            });
            for address in new {
                if addresses.get(address.as_str())?.is_none() {
                    return Err(StoreError::Full { what: "addresses", limit: limits.addresses });
                }
            }
        }
    }
    Ok(plans)
}

fn first_publish(batch: &Batch<'_, '_>, id: &str, row: (u64, u64, u64, &str)) -> Result<Published, StoreError> {
    let (commit, offset, generation, address) = row;
    let address = read_address(address)?;
    let epoch = epoch::of(batch.shared.seed(), &address, generation);
    Ok(Published { id: id.to_owned(), address, position: Position { epoch, offset }, commit, fresh: false })
}

/// The displays that a command to `address` reaches now; for other events only whether the display exists.
fn targets(rows: &impl Rows, address: &Address, is_command: bool) -> Result<Vec<DisplayId>, StoreError> {
    let displays = rows.rows(DISPLAYS)?;
    match address {
        Address::Display(id) => {
            if displays.get(id.as_str())?.is_none() {
                return Err(StoreError::NotEnrolled(id.clone()));
            }
            Ok(if is_command { vec![id.clone()] } else { Vec::new() })
        }
        Address::All if is_command => displays.iter()?.map(|row| read_id(row?.0.value())).collect(),
        Address::Group(name) if is_command => {
            let members = rows.rows(MEMBERS)?;
            let mut found = Vec::new();
            for row in members.range((name.as_str(), "")..)? {
                let (key, _) = row?;
                let (group, display) = key.value();
                if group != name.as_str() {
                    break;
                }
                found.push(read_id(display)?);
            }
            Ok(found)
        }
        Address::All | Address::Group(_) | Address::User(_) => Ok(Vec::new()),
    }
}

/// Writes one fresh event with everything that belongs to it.
fn append(
    batch: &mut Batch<'_, '_>,
    item: Publish,
    hash: [u8; 16],
    address: Address,
    targets: Vec<DisplayId>,
    full: &[DisplayId],
    now_ms: u64,
) -> Result<Published, StoreError> {
    let Publish { mut event, command, expires_ms } = item;
    let txn = batch.txn;
    let key = address.to_string();
    batch.commit += 1;
    batch.events += 1;
    batch.dirty = true;
    let commit = batch.commit;

    let (generation, last, first) = txn.open_table(ADDRESSES)?.get(key.as_str())?.map_or((0, 0, 1), |row| row.value());
    let position = Position { epoch: epoch::of(batch.shared.seed(), &address, generation), offset: last + 1 };
    event.position = Some(position.clone());
    event.subject = Some(address.clone());
    event.token = None;
    event.expirytime = event.expirytime.or(expires_ms.map(UtcMillis));
    let text = event.to_json();
    let head = EventHead { kind: command, expires_ms, stored_ms: now_ms };

    txn.open_table(EVENTS)?.insert(commit, schema::encode_event(&head, &text).as_slice())?;
    txn.open_table(IDS)?.insert((event.id.as_str(), commit), ())?;
    txn.open_table(DEDUPE)?.insert(hash, (commit, position.offset, generation, key.as_str()))?;
    txn.open_table(DEDUPE_AGE)?.insert(commit, (now_ms, hash))?;
    let mut history = txn.open_table(HISTORY)?;
    history.insert((key.as_str(), position.offset), commit)?;
    // Two at most: a limit that was lowered is reached soon, and no publish pays for all of it.
    let mut kept_from = first;
    while position.offset + 1 - kept_from > batch.shared.limits.history_events && kept_from < first + 2 {
        history.remove((key.as_str(), kept_from))?;
        kept_from += 1;
    }
    txn.open_table(ADDRESSES)?.insert(key.as_str(), (generation, position.offset, kept_from))?;

    let id = event.id.clone();
    let committed = Arc::new(Committed {
        commit,
        address: address.clone(),
        position: position.clone(),
        text: Utf8Bytes::from(text),
        kind: command,
        expires_ms,
        targets,
        event,
    });
    batch.fed.push(Fed::Event(committed.clone()));
    if let Some(kind) = command {
        queue_command(batch, &committed, kind, full, now_ms)?;
    }
    Ok(Published { id, address, position, commit, fresh: true })
}

/// Makes the ledger's rows of a command, one for each display that it reaches.
fn queue_command(
    batch: &mut Batch<'_, '_>,
    command: &Committed,
    kind: Kind,
    full: &[DisplayId],
    now_ms: u64,
) -> Result<(), StoreError> {
    let Committed { commit, expires_ms, .. } = *command;
    let queue = schema::queue_name(kind);
    if let Kind::State(_) = kind {
        let address = command.address.to_string();
        batch.txn.open_table(STATE)?.insert((address.as_str(), queue.as_str()), commit)?;
    }
    let mut overdue = Vec::new();
    {
        let mut ledger = batch.txn.open_table(LEDGER)?;
        let mut pending = batch.txn.open_table(PENDING)?;
        let mut expiry = batch.txn.open_table(EXPIRY)?;
        let mut counts = batch.txn.open_table(COUNTS)?;
        for id in &command.targets {
            let display = id.as_str();
            ledger.insert((commit, display), &[][..])?;
            pending.insert((display, commit), (expires_ms.unwrap_or(0), queue.as_str()))?;
            if let Some(expires_ms) = expires_ms {
                expiry.insert((expires_ms, commit, display), ())?;
            }
            let waiting = counts.get((display, queue.as_str()))?.map_or(0, |row| row.value()) + 1;
            counts.insert((display, queue.as_str()), waiting)?;
            if kind != Kind::Action && waiting > batch.shared.limits.pending_states {
                overdue.push(id);
            }
        }
    }
    for display in overdue {
        supersede_oldest(batch, display, &queue, now_ms)?;
    }
    for display in full {
        let receipt =
            Receipt::new(&command.event.id, &command.event.source, Status::Failed, 0).because(words::QUEUE_FULL);
        ledger::settle(batch, commit, display, receipt)?;
    }
    Ok(())
}

fn supersede_oldest(
    batch: &mut Batch<'_, '_>,
    display: &DisplayId,
    queue: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut oldest = None;
    {
        let pending = batch.txn.open_table(PENDING)?;
        for row in pending.range((display.as_str(), 0)..=(display.as_str(), u64::MAX))? {
            let (key, value) = row?;
            if value.value().1 == queue {
                oldest = Some(key.value().1);
                break;
            }
        }
    }
    match oldest {
        Some(commit) => ledger::supersede(batch, commit, display, now_ms).map(|_| ()),
        None => Ok(()),
    }
}

/// One event as it was committed; None if it is forgotten.
pub fn load(rows: &impl Rows, commit: u64) -> Result<Option<Committed>, StoreError> {
    let events = rows.rows(EVENTS)?;
    let Some(row) = events.get(commit)? else { return Ok(None) };
    let (head, text) = schema::decode_event(row.value())?;
    committed(commit, head, text).map(Some)
}

fn committed(commit: u64, head: EventHead, text: &str) -> Result<Committed, StoreError> {
    let damaged = |problem: String| StoreError::Damaged(format!("event {commit}: {problem}"));
    let event = Event::from_json(text.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    let (Some(address), Some(position)) = (event.subject.clone(), event.position.clone()) else {
        return Err(damaged("it has no address or position".into()));
    };
    let EventHead { kind, expires_ms, .. } = head;
    Ok(Committed {
        commit,
        address,
        position,
        text: Utf8Bytes::from(text),
        kind,
        expires_ms,
        targets: Vec::new(),
        event,
    })
}

/// The last commit number of a snapshot.
pub fn as_of(rows: &impl Rows) -> Result<u64, StoreError> {
    Ok(rows.rows(META)?.get("commit")?.map_or(0, |row| row.value()))
}

pub fn head(rows: &impl Rows, seed: &[u8; 32], address: &Address) -> Result<Head, StoreError> {
    let addresses = rows.rows(ADDRESSES)?;
    let (generation, last, first) = addresses.get(address.to_string().as_str())?.map_or((0, 0, 1), |row| row.value());
    Ok(Head { epoch: epoch::of(seed, address, generation), last, first })
}

pub fn history(
    rows: &impl Rows,
    seed: &[u8; 32],
    address: &Address,
    after: u64,
    limit: usize,
) -> Result<History, StoreError> {
    let head = head(rows, seed, address)?;
    let key = address.to_string();
    let mut found = History { head, events: Vec::new(), more: false, as_of: as_of(rows)? };
    let mut bytes = 0;
    let places = rows.rows(HISTORY)?;
    for row in places.range((key.as_str(), after.saturating_add(1))..=(key.as_str(), u64::MAX))? {
        if found.events.len() >= limit || bytes >= HISTORY_BYTES {
            found.more = true;
            break;
        }
        if let Some(event) = load(rows, row?.1.value())? {
            bytes += event.text.len();
            found.events.push(Arc::new(event));
        }
    }
    Ok(found)
}

/// The commit number of an event; without a source the newest of that id.
pub fn find(rows: &impl Rows, id: &str, source: Option<&str>) -> Result<Option<u64>, StoreError> {
    if let Some(source) = source {
        let dedupe = rows.rows(DEDUPE)?;
        return Ok(dedupe.get(schema::dedupe_hash(source, id))?.map(|row| row.value().0));
    }
    let ids = rows.rows(IDS)?;
    let newest = ids.range((id, 0)..=(id, u64::MAX))?.next_back();
    Ok(newest.transpose()?.map(|(key, _)| key.value().1))
}

pub fn record(rows: &impl Rows, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
    let Some(commit) = find(rows, id, source)? else { return Ok(None) };
    let Some(event) = load(rows, commit)? else { return Ok(None) };
    let mut record = EventRecord { event: Arc::new(event), receipts: Vec::new(), pending: Vec::new() };
    let ledger = rows.rows(LEDGER)?;
    for row in ledger.range((commit, "")..(commit + 1, ""))? {
        let (key, receipt) = row?;
        let display = read_id(key.value().1)?;
        match receipt.value() {
            [] => record.pending.push(display),
            receipt => record.receipts.push((display, schema::decode(receipt)?)),
        }
    }
    Ok(Some(record))
}

pub fn read_id(text: &str) -> Result<DisplayId, StoreError> {
    text.parse().map_err(|error| StoreError::Damaged(format!("a display's id: {error}")))
}

fn read_address(text: &str) -> Result<Address, StoreError> {
    text.parse().map_err(|error| StoreError::Damaged(format!("an address: {error}")))
}
