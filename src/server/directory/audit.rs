//! Who did what to whom: every act of management, in the order of time. Publishing is not in it: events have their own
//! ledger. The number of entries is bounded; the oldest go.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Directory, Record, StoreError};

/// The collection of the store's records.
const AUDIT: &str = "audit";
/// Entries that go at once when there is no more room.
const GO: usize = 500;

/// One act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// ms since 1970.
    pub at_ms: u64,
    /// `key/<name>`, `user/<sub>`, or `display/<id>`.
    pub who: String,
    /// Such as `key.create`.
    pub what: String,
    /// What it was done to; empty where it is nothing in particular.
    pub on: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub more: Value,
}

impl Directory {
    /// Notes an act that was done. That it cannot be noted is told in the log, where the act itself is told anyway: it
    /// was done.
    pub async fn note(&self, entry: Entry) {
        let Entry { who, what, on, more, .. } = &entry;
        tracing::info!(who, what, on, %more, "managed");
        if let Err(error) = self.write_down(&entry).await {
            tracing::warn!(%error, what, "an act of management is missing in the audit log");
        }
    }

    async fn write_down(&self, entry: &Entry) -> Result<(), StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let store = &self.shared.store;
        // In the order of time, of this node's acts within a millisecond, and different on every node.
        let count = NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        let key = format!("{:015}-{count:06}-{}", entry.at_ms, &store.random_id()[..6]);
        let value = serde_json::to_vec(entry).map_err(|error| StoreError::Io(error.to_string()))?;
        let record = Record { key, value };
        match store.put_record(AUDIT, record.clone()).await {
            Err(StoreError::Full { .. }) => {
                let oldest = store.records(AUDIT, "", GO).await?;
                let removals = oldest.iter().map(|old| store.remove_record(AUDIT, &old.key));
                join_all(removals).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                store.put_record(AUDIT, record).await
            }
            written => written,
        }
    }

    /// Entries after this one (empty: from the oldest), at most `limit`, with their ids.
    pub async fn audit(&self, after: &str, limit: usize) -> Result<Vec<(String, Entry)>, StoreError> {
        let records = self.shared.store.records(AUDIT, after, limit).await?;
        let read = |record: Record| Some((record.key, serde_json::from_slice(&record.value).ok()?));
        Ok(records.into_iter().filter_map(read).collect())
    }
}
