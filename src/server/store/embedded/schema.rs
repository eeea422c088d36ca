//! The tables of the file, and their rows. Whoever changes one raises [`SCHEMA`] and writes the way over.
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

use std::cell::RefCell;

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, Value, WriteTransaction,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::event::command::{Kind, Slot};

/// Version of everything in this file.
///
/// 2: operators' keys moved from OPERATORS to RECORDS. 3: what the last batches changed is in the journal.
pub const SCHEMA: u64 = 3;

/// One table of the file: what it is called, what is in it, and where a batch has it open.
pub trait TableOf: Copy + 'static {
    type Key: Key + 'static;
    type Value: Value + 'static;
    const DEF: TableDefinition<'static, Self::Key, Self::Value>;
    const NAME: &'static str;
    fn slot<'o, 't>(open: &'o Open<'t>) -> &'o Place<'t, Self>;
}

/// Where a batch keeps a table once it was opened: to open and to close one costs as much as to write a row.
pub type Place<'t, T> = RefCell<Option<redb::Table<'t, <T as TableOf>::Key, <T as TableOf>::Value>>>;

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident, $slot:ident: $key:ty => $value:ty;)+) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "it stands where a value does")]
        pub struct $table;

        impl TableOf for $table {
            type Key = $key;
            type Value = $value;
            const DEF: TableDefinition<'static, $key, $value> = TableDefinition::new(stringify!($slot));
            const NAME: &'static str = stringify!($slot);
            fn slot<'o, 't>(open: &'o Open<'t>) -> &'o Place<'t, Self> {
                &open.$slot
            }
        })+

        /// The tables that a batch has open.
        #[derive(Default)]
        pub struct Open<'t> {
            $($slot: Place<'t, $table>,)+
        }

        /// Makes every table, so that readers find them.
        pub fn make_tables(txn: &WriteTransaction) -> Result<(), StoreError> {
            $(txn.open_table($table::DEF)?;)+
            Ok(())
        }

        /// Puts a key and its value, as they are in the file, into the table of that name; None removes the key.
        pub fn change(txn: &WriteTransaction, name: &[u8], key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
            $(if name == $table::NAME.as_bytes() {
                return change_in($table, txn, key, value);
            })+
            Err(StoreError::Damaged(format!("a change of the journal to `{}`", String::from_utf8_lossy(name))))
        }
    };
}

fn change_in<T: TableOf>(_: T, txn: &WriteTransaction, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
    let mut table = txn.open_table(T::DEF)?;
    let key = T::Key::from_bytes(key);
    match value {
        Some(value) => drop(table.insert(key, T::Value::from_bytes(value))?),
        None => drop(table.remove(key)?),
    }
    Ok(())
}

tables! {
    /// `schema`, `commit` (the last commit number), `journal` (the last record that is in here).
    META, meta: &'static str => u64;
    /// `seed`: 32 random bytes that the epochs come from.
    SECRETS, secrets: &'static str => &'static [u8];
    EVENTS, events: u64 => &'static [u8];
    IDS, ids: (&'static str, u64) => ();
    HISTORY, history: (&'static str, u64) => u64;
    ADDRESSES, addresses: &'static str => (u64, u64, u64);
    STATE, state: (&'static str, &'static str) => u64;
    DEDUPE, dedupe: [u8; 16] => (u64, u64, u64, &'static str);
    DEDUPE_AGE, dedupe_age: u64 => (u64, [u8; 16]);
    LEDGER, ledger: (u64, &'static str) => &'static [u8];
    PENDING, pending: (&'static str, u64) => (u64, &'static str);
    EXPIRY, expiry: (u64, u64, &'static str) => ();
    /// How often a backlog gave an owed action.
    ATTEMPTS, attempts: (&'static str, u64) => u64;
    COUNTS, counts: (&'static str, &'static str) => u64;
    DISPLAYS, displays: &'static str => &'static [u8];
    MEMBERS, members: (&'static str, &'static str) => ();
    OFFERS, offers: [u8; 32] => &'static [u8];
    /// Empty since schema 2.
    OPERATORS, operators: [u8; 32] => u64;
    RECORDS, records: (&'static str, &'static str) => &'static [u8];
}

/// What can be read in a snapshot and in the writer's batch alike. In the latter a table is in use once at a time: take it,
/// use it, drop it.
pub trait Rows {
    type Table<'a, T: TableOf>: ReadableTable<T::Key, T::Value>
    where
        Self: 'a;

    fn rows<T: TableOf>(&self, table: T) -> Result<Self::Table<'_, T>, StoreError>;
}

impl Rows for ReadTransaction {
    type Table<'a, T: TableOf> = ReadOnlyTable<T::Key, T::Value>;

    fn rows<T: TableOf>(&self, _: T) -> Result<Self::Table<'_, T>, StoreError> {
        Ok(self.open_table(T::DEF)?)
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
