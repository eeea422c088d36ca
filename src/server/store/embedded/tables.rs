//! A transaction that notes what it changes, for the journal; and how such notes are applied.
//!
//! ```text
//!  change: table's name (u8 + text), key (u32 + bytes), value (u32 + bytes; u32::MAX: removed)
//! ```
//!
//! What is noted is what the tables got, and not what was asked for: to apply it needs no rule, and twice is as good as once.

use std::{
    borrow::Borrow,
    cell::RefCell,
    ops::{Deref, RangeBounds},
};

use redb::{AccessGuard, Key, TableHandle, Value, WriteTransaction};

use super::{
    StoreError,
    schema::{
        ADDRESSES, ATTEMPTS, COUNTS, DEDUPE, DEDUPE_AGE, DISPLAYS, Def, EVENTS, EXPIRY, HISTORY, IDS, LEDGER, MEMBERS,
        META, OFFERS, OPERATORS, PENDING, RECORDS, Rows, SECRETS, STATE,
    },
};

/// In place of a value's length: the key is removed.
const REMOVED: u32 = u32::MAX;

/// See the module. As in any transaction a table is open once at a time: open it, use it, drop it.
pub struct Tables {
    txn: WriteTransaction,
    changes: RefCell<Vec<u8>>,
}

impl Tables {
    pub fn new(txn: WriteTransaction) -> Self {
        Tables { txn, changes: RefCell::default() }
    }

    pub fn open_table<K: Key + 'static, V: Value + 'static>(
        &self,
        def: Def<K, V>,
    ) -> Result<Table<'_, K, V>, StoreError> {
        Ok(Table { table: self.txn.open_table(def)?, name: name_of(&def), changes: &self.changes })
    }

    /// What was changed so far; the notes begin anew.
    pub fn changes(&self) -> Vec<u8> {
        self.changes.take()
    }

    pub fn into_inner(self) -> WriteTransaction {
        self.txn
    }
}

impl Rows for Tables {
    type Table<'a, K: Key + 'static, V: Value + 'static> = redb::Table<'a, K, V>;

    fn rows<K: Key + 'static, V: Value + 'static>(
        &self,
        table: Def<K, V>,
    ) -> Result<redb::Table<'_, K, V>, StoreError> {
        self.txn.rows(table)
    }
}

/// A table whose changes are noted.
pub struct Table<'a, K: Key + 'static, V: Value + 'static> {
    table: redb::Table<'a, K, V>,
    name: &'static str,
    changes: &'a RefCell<Vec<u8>>,
}

impl<'a, K: Key + 'static, V: Value + 'static> Deref for Table<'a, K, V> {
    type Target = redb::Table<'a, K, V>;
    fn deref(&self) -> &Self::Target {
        &self.table
    }
}

impl<K: Key + 'static, V: Value + 'static> Table<'_, K, V> {
    pub fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<(), StoreError> {
        let bytes = V::as_bytes(value.borrow());
        note(&mut self.changes.borrow_mut(), self.name, K::as_bytes(key.borrow()).as_ref(), Some(bytes.as_ref()));
        drop(bytes);
        self.table.insert(key, value)?;
        Ok(())
    }

    pub fn remove<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>) -> Result<Option<AccessGuard<'_, V>>, StoreError> {
        note(&mut self.changes.borrow_mut(), self.name, K::as_bytes(key.borrow()).as_ref(), None);
        Ok(self.table.remove(key)?)
    }

    /// Removes a range.
    pub fn remove_in<'k, KR: Borrow<K::SelfType<'k>> + 'k>(
        &mut self,
        range: impl RangeBounds<KR> + 'k,
    ) -> Result<(), StoreError> {
        let (name, mut changes) = (self.name, self.changes.borrow_mut());
        self.table.retain_in(range, |key, _| {
            note(&mut changes, name, K::as_bytes(&key).as_ref(), None);
            false
        })?;
        Ok(())
    }

    /// Removes what `is_kept` does not want.
    pub fn retain(&mut self, mut is_kept: impl FnMut(V::SelfType<'_>) -> bool) -> Result<(), StoreError> {
        let (name, mut changes) = (self.name, self.changes.borrow_mut());
        self.table.retain(|key, value| {
            let kept = is_kept(value);
            if !kept {
                note(&mut changes, name, K::as_bytes(&key).as_ref(), None);
            }
            kept
        })?;
        Ok(())
    }
}

fn name_of<K: Key + 'static, V: Value + 'static>(def: &Def<K, V>) -> &'static str {
    // The handle's own method ties the name to the borrow of the handle, although it is 'static.
    ALL.iter().find(|name| **name == def.name()).copied().unwrap_or("?")
}

fn note(changes: &mut Vec<u8>, table: &str, key: &[u8], value: Option<&[u8]>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(REMOVED - 1).to_le_bytes();
    changes.push(u8::try_from(table.len()).unwrap_or(u8::MAX));
    changes.extend(table.as_bytes());
    changes.extend(length(key));
    changes.extend(key);
    match value {
        Some(value) => {
            changes.extend(length(value));
            changes.extend(value);
        }
        None => changes.extend(REMOVED.to_le_bytes()),
    }
}

/// Applies what was noted.
pub fn apply(txn: &WriteTransaction, changes: &[u8]) -> Result<(), StoreError> {
    let mut rest = changes;
    while !rest.is_empty() {
        one(txn, &mut rest)?;
    }
    Ok(())
}

fn one(txn: &WriteTransaction, rest: &mut &[u8]) -> Result<(), StoreError> {
    let damaged = || StoreError::Damaged("a change of the journal".into());
    let (length, after) = rest.split_first().ok_or_else(damaged)?;
    *rest = after;
    let name = bytes(rest, usize::from(*length)).ok_or_else(damaged)?;
    let length = number(rest).ok_or_else(damaged)?;
    let key = bytes(rest, length as usize).ok_or_else(damaged)?;
    let value = match number(rest).ok_or_else(damaged)? {
        REMOVED => None,
        length => Some(bytes(rest, length as usize).ok_or_else(damaged)?),
    };
    change(txn, name, key, value)
}

fn bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    bytes(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn set<K: Key + 'static, V: Value + 'static>(
    txn: &WriteTransaction,
    def: Def<K, V>,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), StoreError> {
    let mut table = txn.open_table(def)?;
    match value {
        Some(value) => drop(table.insert(K::from_bytes(key), V::from_bytes(value))?),
        None => drop(table.remove(K::from_bytes(key))?),
    }
    Ok(())
}

macro_rules! tables {
    ($($table:ident = $name:literal),+ $(,)?) => {
        const ALL: &[&str] = &[$($name),+];

        /// Makes every table, so that readers find them.
        pub fn make(txn: &WriteTransaction) -> Result<(), StoreError> {
            $(debug_assert_eq!($table.name(), $name);
            txn.open_table($table)?;)+
            Ok(())
        }

        fn change(txn: &WriteTransaction, name: &[u8], key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
            $(if name == $name.as_bytes() {
                return set(txn, $table, key, value);
            })+
            Err(StoreError::Damaged(format!("a change of the journal to `{}`", String::from_utf8_lossy(name))))
        }
    };
}

tables! {
    META = "meta",
    SECRETS = "secrets",
    EVENTS = "events",
    IDS = "ids",
    HISTORY = "history",
    ADDRESSES = "addresses",
    STATE = "state",
    DEDUPE = "dedupe",
    DEDUPE_AGE = "dedupe_age",
    LEDGER = "ledger",
    PENDING = "pending",
    EXPIRY = "expiry",
    ATTEMPTS = "attempts",
    COUNTS = "counts",
    DISPLAYS = "displays",
    MEMBERS = "members",
    OFFERS = "offers",
    OPERATORS = "operators",
    RECORDS = "records",
}
