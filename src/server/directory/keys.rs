//! Operators' keys: made, known, revoked.

use std::{collections::HashMap, path::Path};

use super::{Directory, PoisonError, StoreError};
use crate::{
    auth::{
        Principal,
        operator_key::{self, FIRST, KeyHash, OperatorKey},
    },
    io::store::write_durably,
};

/// The collection of the store's records.
pub const KEYS: &str = "key";

/// Every key, by what is known of it.
#[derive(Debug, Default)]
pub struct Operators(HashMap<KeyHash, Principal>);

impl Operators {
    pub fn new(all: Vec<(String, OperatorKey)>) -> Self {
        Self(all.into_iter().map(|(_, key)| (key.hash, Principal::from_key(&key))).collect())
    }
}

/// What became of a revocation of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRemoval {
    Done,
    Unknown,
    /// Without it nobody could make another.
    Last,
}

impl Directory {
    /// Whose key this is.
    pub fn operator(&self, key: &str) -> Option<Principal> {
        if !operator_key::has_form(key) {
            return None;
        }
        let operators = self.shared.operators.read().unwrap_or_else(PoisonError::into_inner).clone();
        operators.0.get(&operator_key::hash(key)).cloned()
    }

    /// Makes a key; returns its id, and its text, which is nowhere else.
    pub async fn make_key(&self, key: OperatorKey) -> Result<(String, String), StoreError> {
        let (id, text) = self.new_key();
        self.put(KEYS, &id, &OperatorKey { hash: operator_key::hash(&text), ..key }).await?;
        Ok((id, text))
    }

    pub async fn keys(&self) -> Result<Vec<(String, OperatorKey)>, StoreError> {
        self.all(KEYS).await
    }

    pub async fn remove_key(&self, id: &str) -> Result<KeyRemoval, StoreError> {
        let all = self.keys().await?;
        let Some((_, key)) = all.iter().find(|(known, _)| known == id) else { return Ok(KeyRemoval::Unknown) };
        if key.operator && all.iter().filter(|(_, key)| key.operator).count() == 1 {
            return Ok(KeyRemoval::Last);
        }
        Ok(if self.remove(KEYS, id).await? { KeyRemoval::Done } else { KeyRemoval::Unknown })
    }

    /// Makes the first key if the store holds none: its text goes to `file` (0600) before its hash goes to the store, so
    /// a crash between the two leaves no key that nobody knows. Two nodes that start at once on an empty store make one
    /// each. True if one was made. To be called before anything follows the store.
    pub async fn ensure_first_key(&self, file: &Path, now_ms: u64) -> Result<bool, StoreError> {
        if !self.keys().await?.is_empty() {
            return Ok(false);
        }
        let (id, text) = self.new_key();
        let hash = operator_key::hash(&text);
        let file = file.to_owned();
        let written = tokio::task::spawn_blocking(move || write_durably(&file, format!("{text}\n").as_bytes(), 0o600));
        written.await.map_err(|error| StoreError::Io(error.to_string()))??;
        let key = OperatorKey {
            name: FIRST.to_owned(),
            hash,
            made_ms: now_ms,
            operator: true,
            publishes: Default::default(),
            commands: Default::default(),
        };
        let value = serde_json::to_vec(&key).map_err(|error| StoreError::Io(error.to_string()))?;
        self.shared.store.put_record(KEYS, super::Record { key: id, value }).await?;
        self.shared.read(KEYS).await?;
        Ok(true)
    }

    fn new_key(&self) -> (String, String) {
        let mut random = [0; 32];
        (self.shared.store.randomness())(&mut random);
        let id = self.shared.store.random_id()[..12].to_owned();
        (id, operator_key::key_text(random))
    }
}
