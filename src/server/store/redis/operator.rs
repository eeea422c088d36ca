//! The operator's first key, until the directory keeps it as a record.

use std::{path::Path, sync::PoisonError};

use super::{Record, Redis, StoreError, engine::hex};
use crate::server::store::secret_file;
use crate::auth::operator_key::{self, KeyHash};

impl Redis {
    pub async fn ensure_operator_key(&self, file: &Path, _now_ms: u64) -> Result<bool, StoreError> {
        let kept = self.records("operator", "", 100).await?;
        let known = kept.into_iter().filter_map(|record| KeyHash::try_from(record.value).ok());
        let known: Vec<KeyHash> = known.collect();
        let made = known.is_empty();
        *self.operators.write().unwrap_or_else(PoisonError::into_inner) = known;
        if made {
            let key = operator_key::key_text(self.random());
            let hash = operator_key::hash(&key);
            secret_file::write(file, key).await?;
            self.put_record("operator", Record { key: hex(&hash), value: hash.to_vec() }).await?;
            self.operators.write().unwrap_or_else(PoisonError::into_inner).push(hash);
        }
        Ok(made)
    }

    pub fn is_operator_key(&self, key: &str) -> bool {
        let known = self.operators.read().unwrap_or_else(PoisonError::into_inner);
        operator_key::is_one_of(key, known.iter())
    }
}
