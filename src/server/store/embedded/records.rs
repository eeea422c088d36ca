//! Small records of the server's own: operator keys, revocations, the audit log. Few, and read as a whole.

use redb::ReadableTable;

use super::{
    Record, StoreError,
    schema::{RECORDS, Rows},
    writer::Batch,
};

/// Keeps one; it replaces one of the same name.
pub fn put(batch: &mut Batch<'_, '_>, collection: &str, record: &Record) -> Result<(), StoreError> {
    let limit = batch.shared.limits.records;
    let mut records = batch.txn.open_table(RECORDS)?;
    let is_new = records.get((collection, record.key.as_str()))?.is_none();
    if is_new {
        let mut kept = 0;
        for row in records.range((collection, "")..=(collection, "\u{10ffff}"))? {
            row?;
            kept += 1;
        }
        if kept >= limit {
            return Err(StoreError::Full { what: "records of one kind", limit });
        }
    }
    records.insert((collection, record.key.as_str()), record.value.as_slice())?;
    batch.dirty = true;
    Ok(())
}

/// Removes one; true if it was there.
pub fn remove(batch: &mut Batch<'_, '_>, collection: &str, key: &str) -> Result<bool, StoreError> {
    let was = batch.txn.open_table(RECORDS)?.remove((collection, key))?.is_some();
    batch.dirty |= was;
    Ok(was)
}

/// Those with a key above `after`, in the order of their keys, at most `limit`.
pub fn read(rows: &impl Rows, collection: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
    let records = rows.rows(RECORDS)?;
    let mut found = Vec::new();
    for row in records.range((collection, after)..=(collection, "\u{10ffff}"))? {
        let (key, value) = row?;
        let (_, key) = key.value();
        if key == after {
            continue;
        }
        if found.len() >= limit {
            break;
        }
        found.push(Record { key: key.to_owned(), value: value.value().to_vec() });
    }
    Ok(found)
}
