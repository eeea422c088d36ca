//! The tables of the file, and their rows. Whoever changes one raises [`SCHEMA`] and writes the way
//! over; a new one is named in `tables.rs` too.
//!
//! ```text
//!  EVENTS commit -> head, text          DEDUPE hash(source, id) -> commit, offset, generation, address
//!  IDS (id, commit)                     DEDUPE_AGE commit -> stored, hash     (what the pruner walks along)
//!  HISTORY (address, offset) -> commit  ADDRESSES address -> generation, last, first
//!  STATE (address, slot) -> commit      the retained state command
//!  LEDGER (commit, display) -> receipt, or nothing while it is pending
//!  PENDING (display, commit) -> expires, queue    EXPIRY (expires, commit, display)    COUNTS (display, queue)
//!  ATTEMPTS (display, commit) -> how often it was given
//!  DISPLAYS id -> row   MEMBERS (group, display)   OFFERS code hash -> offer   RECORDS (collection, key) -> anything small
//! ```

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, Value,
    WriteTransaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::event::command::{Kind, Slot};

/// Version of everything in this file.
///
/// 2: operators' keys moved from OPERATORS to RECORDS. 3: what the last batches changed is in the journal.
pub const SCHEMA: u64 = 3;

pub type Def<K, V> = TableDefinition<'static, K, V>;

/// `schema`, `commit` (the last commit number), `journal` (the last record that is in here).
pub const META: Def<&str, u64> = Def::new("meta");
/// `seed`: 32 random bytes that the epochs come from.
pub const SECRETS: Def<&str, &[u8]> = Def::new("secrets");
pub const EVENTS: Def<u64, &[u8]> = Def::new("events");
pub const IDS: Def<(&str, u64), ()> = Def::new("ids");
pub const HISTORY: Def<(&str, u64), u64> = Def::new("history");
pub const ADDRESSES: Def<&str, (u64, u64, u64)> = Def::new("addresses");
pub const STATE: Def<(&str, &str), u64> = Def::new("state");
pub const DEDUPE: Def<[u8; 16], (u64, u64, u64, &str)> = Def::new("dedupe");
pub const DEDUPE_AGE: Def<u64, (u64, [u8; 16])> = Def::new("dedupe_age");
pub const LEDGER: Def<(u64, &str), &[u8]> = Def::new("ledger");
pub const PENDING: Def<(&str, u64), (u64, &str)> = Def::new("pending");
pub const EXPIRY: Def<(u64, u64, &str), ()> = Def::new("expiry");
/// How often a backlog gave an owed action.
pub const ATTEMPTS: Def<(&str, u64), u64> = Def::new("attempts");
pub const COUNTS: Def<(&str, &str), u64> = Def::new("counts");
pub const DISPLAYS: Def<&str, &[u8]> = Def::new("displays");
pub const MEMBERS: Def<(&str, &str), ()> = Def::new("members");
pub const OFFERS: Def<[u8; 32], &[u8]> = Def::new("offers");
/// Empty since schema 2.
pub const OPERATORS: Def<[u8; 32], u64> = Def::new("operators");
pub const RECORDS: Def<(&str, &str), &[u8]> = Def::new("records");

/// What can be read in a snapshot and in the writer's transaction alike. In the latter a table is open once at a time:
/// open it, use it, drop it.
pub trait Rows {
    type Table<'a, K: Key + 'static, V: Value + 'static>: ReadableTable<K, V>
    where
        Self: 'a;

    fn rows<K: Key + 'static, V: Value + 'static>(&self, table: Def<K, V>)
    -> Result<Self::Table<'_, K, V>, StoreError>;
}

impl Rows for ReadTransaction {
    type Table<'a, K: Key + 'static, V: Value + 'static> = ReadOnlyTable<K, V>;

    fn rows<K: Key + 'static, V: Value + 'static>(
        &self,
        table: Def<K, V>,
    ) -> Result<Self::Table<'_, K, V>, StoreError> {
        Ok(self.open_table(table)?)
    }
}

impl Rows for WriteTransaction {
    type Table<'a, K: Key + 'static, V: Value + 'static> = Table<'a, K, V>;

    fn rows<K: Key + 'static, V: Value + 'static>(
        &self,
        table: Def<K, V>,
    ) -> Result<Self::Table<'_, K, V>, StoreError> {
        Ok(self.open_table(table)?)
    }
}

/// A snapshot, for reading.
pub fn snapshot(db: &redb::Database) -> Result<ReadTransaction, StoreError> {
    Ok(db.begin_read()?)
}

/// What is kept of an event beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHead {
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    #[serde(rename = "t")]
    pub stored_ms: u64,
}

/// One line of JSON, then the event's text.
pub fn encode_event(head: &EventHead, text: &str) -> Vec<u8> {
    let mut row = encode(head);
    row.push(b'\n');
    row.extend_from_slice(text.as_bytes());
    row
}

pub fn decode_event(row: &[u8]) -> Result<(EventHead, &str), StoreError> {
    let damaged = || StoreError::Damaged("a row of `events`".into());
    let end = row.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
    Ok((decode(&row[..end])?, std::str::from_utf8(&row[end + 1..]).map_err(|_| damaged())?))
}

pub fn encode(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows have string keys and no failing serialiser")
}

pub fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(row).map_err(|error| StoreError::Damaged(format!("a row: {error}")))
}

/// The name of the queue a command waits in: `action`, or its slot. Also the second half of a key of `STATE`.
pub fn queue_name(kind: Kind) -> String {
    match kind {
        Kind::Action => ACTION.to_owned(),
        Kind::State(slot) => slot_name(slot),
    }
}

pub const ACTION: &str = "action";

pub fn slot_name(slot: Slot) -> String {
    match serde_json::to_value(slot) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{slot:?}").to_lowercase(),
    }
}

/// The first 16 bytes of SHA-256 over source and id, which cannot hold a NUL.
pub fn dedupe_hash(source: &str, id: &str) -> [u8; 16] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(source.as_bytes());
    context.update(b"\0");
    context.update(id.as_bytes());
    context.finish().as_ref()[..16].try_into().expect("SHA-256 has more than 16 bytes")
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                StoreError::from(redb::Error::from(error))
            }
        })*
    };
}
from_redb!(
    redb::TableError,
    redb::StorageError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => StoreError::from(error),
            redb::Error::Corrupted(problem) => StoreError::Damaged(problem),
            error @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }) => StoreError::Damaged(error.to_string()),
            error => StoreError::Io(error.to_string()),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
            std::io::ErrorKind::InvalidData => StoreError::Damaged(error.to_string()),
            _ => StoreError::Io(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_row_reads_back_whatever_its_text_holds() {
        let head = EventHead { kind: Some(Kind::State(Slot::Content)), expires_ms: None, stored_ms: 7 };
        let row = encode_event(&head, "{\"data\":\"a\\nb\"}\n");
        assert_eq!(decode_event(&row).unwrap(), (head, "{\"data\":\"a\\nb\"}\n"));
        assert!(matches!(decode_event(b"{}"), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn source_and_id_are_told_apart() {
        assert_ne!(dedupe_hash("a", "bc"), dedupe_hash("ab", "c"));
    }
}
