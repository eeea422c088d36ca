//! The tables as a batch uses them: each is opened once, and what is changed is noted for the journal.
//!
//! ```text
//!  change: table's name (u8 + text), key (u32 + bytes), value (u32 + bytes; u32::MAX: removed)
//! ```
//!
//! What is noted is what the tables got, and not what was asked for: to apply it needs no rule, and twice is as good as once.

use std::{
    borrow::Borrow,
    cell::{RefCell, RefMut},
    ops::RangeBounds,
};

use redb::{
    AccessGuard, Range, ReadableTable, ReadableTableMetadata, StorageError, TableStats, Value, WriteTransaction,
};

use super::{
    StoreError,
    schema::{self, Open, Rows, TableOf},
};

/// In place of a value's length: the key is removed.
const REMOVED: u32 = u32::MAX;

/// See the module.
pub struct Tables<'t> {
    txn: &'t WriteTransaction,
    open: Open<'t>,
    changes: RefCell<Vec<u8>>,
}

impl<'t> Tables<'t> {
    pub fn new(txn: &'t WriteTransaction) -> Self {
        Tables { txn, open: Open::default(), changes: RefCell::default() }
    }

    /// A table, for reading and writing.
    pub fn open_table<T: TableOf>(&self, _: T) -> Result<Table<'_, 't, T>, StoreError> {
        let twice = |_| StoreError::Io(format!("the table `{}` is in use already", T::NAME));
        let mut slot = T::slot(&self.open).try_borrow_mut().map_err(twice)?;
        if slot.is_none() {
            *slot = Some(self.txn.open_table(T::DEF)?);
        }
        Ok(Table {
            table: RefMut::map(slot, |slot| slot.as_mut().expect("it was just opened")),
            changes: &self.changes,
        })
    }

    /// What was changed so far; the notes begin anew.
    pub fn changes(&self) -> Vec<u8> {
        self.changes.take()
    }
}

impl<'t> Rows for Tables<'t> {
    type Table<'a, T: TableOf>
        = Table<'a, 't, T>
    where
        Self: 'a;

    fn rows<T: TableOf>(&self, table: T) -> Result<Table<'_, 't, T>, StoreError> {
        self.open_table(table)
    }
}

/// A table whose changes are noted.
pub struct Table<'a, 't, T: TableOf> {
    table: RefMut<'a, redb::Table<'t, T::Key, T::Value>>,
    changes: &'a RefCell<Vec<u8>>,
}

impl<T: TableOf> Table<'_, '_, T> {
    pub fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<<T::Key as Value>::SelfType<'k>>,
        value: impl Borrow<<T::Value as Value>::SelfType<'v>>,
    ) -> Result<(), StoreError> {
        let bytes = T::Value::as_bytes(value.borrow());
        note::<T>(&mut self.changes.borrow_mut(), T::Key::as_bytes(key.borrow()).as_ref(), Some(bytes.as_ref()));
        self.table.insert(key, value.borrow())?;
        Ok(())
    }

    pub fn remove<'k>(
        &mut self,
        key: impl Borrow<<T::Key as Value>::SelfType<'k>>,
    ) -> Result<Option<AccessGuard<'_, T::Value>>, StoreError> {
        note::<T>(&mut self.changes.borrow_mut(), T::Key::as_bytes(key.borrow()).as_ref(), None);
        Ok(self.table.remove(key)?)
    }

    /// Removes a range.
    pub fn remove_in<'k, KR: Borrow<<T::Key as Value>::SelfType<'k>> + 'k>(
        &mut self,
        range: impl RangeBounds<KR> + 'k,
    ) -> Result<(), StoreError> {
        let mut changes = self.changes.borrow_mut();
        self.table.retain_in(range, |key, _| {
            note::<T>(&mut changes, T::Key::as_bytes(&key).as_ref(), None);
            false
        })?;
        Ok(())
    }

    /// Removes what `is_kept` does not want.
    pub fn retain(
        &mut self,
        mut is_kept: impl FnMut(<T::Value as Value>::SelfType<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let mut changes = self.changes.borrow_mut();
        self.table.retain(|key, value| {
            let kept = is_kept(value);
            if !kept {
                note::<T>(&mut changes, T::Key::as_bytes(&key).as_ref(), None);
            }
            kept
        })?;
        Ok(())
    }
}

impl<T: TableOf> ReadableTableMetadata for Table<'_, '_, T> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.table.stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.table.len()
    }
}

impl<T: TableOf> ReadableTable<T::Key, T::Value> for Table<'_, '_, T> {
    fn get<'k>(
        &self,
        key: impl Borrow<<T::Key as Value>::SelfType<'k>>,
    ) -> Result<Option<AccessGuard<'_, T::Value>>, StorageError> {
        self.table.get(key)
    }

    fn range<'k, KR: Borrow<<T::Key as Value>::SelfType<'k>> + 'k>(
        &self,
        range: impl RangeBounds<KR> + 'k,
    ) -> Result<Range<'_, T::Key, T::Value>, StorageError> {
        self.table.range(range)
    }

    fn first(&self) -> Result<Option<(AccessGuard<'_, T::Key>, AccessGuard<'_, T::Value>)>, StorageError> {
        self.table.first()
    }

    fn last(&self) -> Result<Option<(AccessGuard<'_, T::Key>, AccessGuard<'_, T::Value>)>, StorageError> {
        self.table.last()
    }
}

fn note<T: TableOf>(changes: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(REMOVED - 1).to_le_bytes();
    changes.push(u8::try_from(T::NAME.len()).unwrap_or(u8::MAX));
    changes.extend(T::NAME.as_bytes());
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
    schema::change(txn, name, key, value)
}

fn bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    bytes(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}
