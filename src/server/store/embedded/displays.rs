//! Enrolled displays, their groups, and the codes that enroll them.

use redb::{ReadableTable, ReadableTableMetadata};

use super::{
    DisplayPatch, EnrollError, Enrolled, KeptDisplay, Redeem, StoreError,
    events::read_id,
    ledger,
    schema::{self, ADDRESSES, DISPLAYS, HISTORY, MEMBERS, OFFERS, Rows, STATE},
    writer::Batch,
};
use crate::{
    auth::enrollment::{self, CodeHash, Offer, Refusal, Spent, Verdict},
    event::{Address, DisplayId},
};

pub fn get(rows: &impl Rows, id: &DisplayId) -> Result<Option<KeptDisplay>, StoreError> {
    let displays = rows.rows(DISPLAYS)?;
    displays.get(id.as_str())?.map(|row| schema::decode(row.value())).transpose()
}

pub fn all(rows: &impl Rows) -> Result<Vec<(DisplayId, KeptDisplay)>, StoreError> {
    let displays = rows.rows(DISPLAYS)?;
    let mut found = Vec::new();
    for row in displays.iter()? {
        let (id, row) = row?;
        found.push((read_id(id.value())?, schema::decode(row.value())?));
    }
    Ok(found)
}

fn put(batch: &mut Batch<'_, '_>, id: &DisplayId, row: &KeptDisplay) -> Result<(), StoreError> {
    batch.dirty = true;
    batch.txn.open_table(DISPLAYS)?.insert(id.as_str(), schema::encode(row).as_slice())?;
    Ok(())
}

pub fn patch(batch: &mut Batch<'_, '_>, id: &DisplayId, patch: DisplayPatch) -> Result<KeptDisplay, StoreError> {
    let mut row = get(batch.txn, id)?.ok_or_else(|| StoreError::NotEnrolled(id.clone()))?;
    if let Some(label) = patch.label {
        row.label = label;
    }
    if let Some(groups) = patch.groups {
        let mut members = batch.txn.open_table(MEMBERS)?;
        for left in row.groups.difference(&groups) {
            members.remove((left.as_str(), id.as_str()))?;
        }
        for joined in groups.difference(&row.groups) {
            members.insert((joined.as_str(), id.as_str()), ())?;
        }
        row.groups = groups;
    }
    put(batch, id, &row)?;
    Ok(row)
}

/// Takes in a display as it was under another id; false if the id is taken.
pub fn adopt(batch: &mut Batch<'_, '_>, id: &DisplayId, row: &KeptDisplay) -> Result<bool, StoreError> {
    if get(batch.txn, id)?.is_some() {
        return Ok(false);
    }
    {
        let mut members = batch.txn.open_table(MEMBERS)?;
        for group in &row.groups {
            members.insert((group.as_str(), id.as_str()), ())?;
        }
    }
    put(batch, id, row)?;
    Ok(true)
}

/// Forgets a display. The history of its own address goes too, so a display of the same id begins with a new epoch.
pub fn remove(batch: &mut Batch<'_, '_>, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let row = get(batch.txn, id)?.ok_or_else(|| StoreError::NotEnrolled(id.clone()))?;
    ledger::abandon(batch, id, now_ms)?;
    batch.dirty = true;
    let txn = batch.txn;
    {
        let mut members = txn.open_table(MEMBERS)?;
        for group in &row.groups {
            members.remove((group.as_str(), id.as_str()))?;
        }
    }
    txn.open_table(DISPLAYS)?.remove(id.as_str())?;
    let address = Address::Display(id.clone()).to_string();
    let mut state = txn.open_table(STATE)?;
    // `display/<id>` and a NUL-free slot name: the next key after all slots is the address and a character above them.
    state.remove_in((address.as_str(), "")..(address.as_str(), "\u{10ffff}"))?;
    let mut history = txn.open_table(HISTORY)?;
    history.remove_in((address.as_str(), 0)..=(address.as_str(), u64::MAX))?;
    let mut addresses = txn.open_table(ADDRESSES)?;
    let generation = addresses.get(address.as_str())?.map(|row| row.value().0);
    if let Some(generation) = generation {
        addresses.insert(address.as_str(), (generation + 1, 0, 1))?;
    }
    Ok(())
}

pub fn add_offer(batch: &mut Batch<'_, '_>, hash: CodeHash, offer: &Offer, now_ms: u64) -> Result<(), StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let limit = batch.shared.limits.enrollments;
    let mut offers = batch.txn.open_table(OFFERS)?;
    if offers.len()? >= limit {
        offers.retain(|row| schema::decode::<Offer>(row).is_ok_and(|offer| !offer.is_forgettable(now_ms)))?;
        if offers.len()? >= limit {
            return Err(StoreError::Full { what: "enrollment codes", limit });
        }
    }
    offers.insert(hash, schema::encode(offer).as_slice())?;
    batch.dirty = true;
    Ok(())
}

/// Judges a code and enrolls its display. The inner error is an answer too: a try that was counted is written.
pub fn redeem(
    batch: &mut Batch<'_, '_>,
    redeem: &Redeem,
    made_up: &DisplayId,
    now_ms: u64,
) -> Result<Result<Enrolled, EnrollError>, StoreError> {
    batch.now_ms = batch.now_ms.max(now_ms);
    let refuse = |why: &'static str| Ok(Err(EnrollError::Code(why)));
    let Some(hash) = enrollment::code_hash(&redeem.code) else { return refuse("it has not the form of a code") };
    let offer = {
        let offers = batch.txn.open_table(OFFERS)?;
        offers.get(hash)?.map(|row| schema::decode::<Offer>(row.value())).transpose()?
    };
    let Some(mut offer) = offer else { return refuse("no such code") };
    let wanted = redeem.display.as_ref();
    let issued_or_wanted = [offer.display.as_ref(), wanted, offer.spent.as_ref().map(|spent| &spent.display)];
    let mut keys = Vec::new();
    for id in issued_or_wanted.into_iter().flatten() {
        keys.push((id.clone(), get(batch.txn, id)?.map(|row| row.public_key)));
    }
    let key_of = |id: &DisplayId| keys.iter().find(|(known, _)| known == id).and_then(|(_, key)| *key);
    let verdict = offer.judge(&redeem.public_key, wanted, key_of, now_ms);
    let display = match verdict {
        Verdict::Repeat(display) => return Ok(Ok(Enrolled { display, replaced: false })),
        Verdict::Enroll(display) => display.unwrap_or_else(|| made_up.clone()),
        Verdict::Refuse(refusal) => {
            if matches!(refusal, Refusal::Taken(_) | Refusal::ForAnother(_)) {
                offer.tries += 1;
                batch.txn.open_table(OFFERS)?.insert(hash, schema::encode(&offer).as_slice())?;
                batch.dirty = true;
            }
            return Ok(Err(refusal.into()));
        }
    };
    let known = get(batch.txn, &display)?;
    if known.is_none() && batch.txn.open_table(DISPLAYS)?.len()? >= batch.shared.limits.displays {
        return Err(StoreError::Full { what: "displays", limit: batch.shared.limits.displays });
    }
    let replaced = known.as_ref().is_some_and(|row| row.public_key != redeem.public_key);
    let row = match known {
        Some(row) => KeptDisplay { public_key: redeem.public_key, enrolled_ms: now_ms, ..row },
        None => KeptDisplay {
            label: String::new(),
            groups: Default::default(),
            public_key: redeem.public_key,
            enrolled_ms: now_ms,
            last_seen_ms: None,
        },
    };
    put(batch, &display, &row)?;
    offer.spent = Some(Spent { display: display.clone(), public_key: redeem.public_key });
    batch.txn.open_table(OFFERS)?.insert(hash, schema::encode(&offer).as_slice())?;
    Ok(Ok(Enrolled { display, replaced }))
}

/// Writes when displays were last heard of.
pub fn save_seen(batch: &mut Batch<'_, '_>) -> Result<(), StoreError> {
    let fresh: Vec<(DisplayId, u64)> = {
        let seen = batch.shared.seen();
        seen.iter().filter(|(_, seen)| !seen.saved).map(|(id, seen)| (id.clone(), seen.at_ms)).collect()
    };
    for (id, at_ms) in fresh {
        if let Some(row) = get(batch.txn, &id)? {
            put(batch, &id, &KeptDisplay { last_seen_ms: Some(at_ms), ..row })?;
        }
        if let Some(seen) = batch.shared.seen().get_mut(&id)
            && seen.at_ms == at_ms
        {
            seen.saved = true;
        }
    }
    Ok(())
}
