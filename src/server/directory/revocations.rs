//! Revocations: made, listed, lifted, and forgotten when they are over.

use super::{Directory, StoreError};
use crate::auth::revocation::Revocation;

/// The collection of the store's records.
pub const REVOCATIONS: &str = "revocation";

impl Directory {
    /// Revokes; returns the revocation's id. A second one of the same replaces the first. On this node whom it voids is
    /// out when this returns.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<String, StoreError> {
        let id = revocation.of.id();
        self.forget_what_is_over(revocation.at_ms).await?;
        self.put(REVOCATIONS, &id, revocation).await?;
        Ok(id)
    }

    pub async fn revocations(&self) -> Result<Vec<(String, Revocation)>, StoreError> {
        self.all(REVOCATIONS).await
    }

    /// Lifts one; false if there is none of this id.
    pub async fn lift(&self, id: &str) -> Result<bool, StoreError> {
        self.remove(REVOCATIONS, id).await
    }

    /// Makes room: the number of records is bounded.
    async fn forget_what_is_over(&self, now_ms: u64) -> Result<(), StoreError> {
        for (id, revocation) in self.revocations().await? {
            if revocation.is_over(now_ms) {
                self.shared.store.remove_record(REVOCATIONS, &id).await?;
            }
        }
        Ok(())
    }
}
