//! What renamed displays were called before: a display asks for its tickets by the name it knows, until it has learned
//! the new one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Directory, PoisonError, StoreError};
use crate::event::DisplayId;

/// The collection of the store's records; their key is the old name.
pub const ALIASES: &str = "alias";

/// By the old name.
pub type Aliases = HashMap<DisplayId, DisplayId>;

/// What an old name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    pub to: DisplayId,
    pub at_ms: u64,
}

impl Directory {
    /// What a display is called now that was called so; None if this is nobody's old name.
    pub fn renamed(&self, old: &DisplayId) -> Option<DisplayId> {
        self.aliases().get(old).cloned()
    }

    /// From now on `old`, and what led to it, leads to `to`.
    pub async fn rename(&self, old: &DisplayId, to: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        let alias = Alias { to: to.clone(), at_ms: now_ms };
        for earlier in self.names_of(old) {
            self.put(ALIASES, earlier.as_str(), &alias).await?;
        }
        self.put(ALIASES, old.as_str(), &alias).await?;
        // Back to a name it had: that one is no old name any more.
        self.remove(ALIASES, to.as_str()).await.map(|_| ())
    }

    /// Forgets what this display was called before: it has learned its name, or is gone.
    pub async fn forget_names_of(&self, id: &DisplayId) -> Result<(), StoreError> {
        for old in self.names_of(id) {
            self.remove(ALIASES, old.as_str()).await?;
        }
        Ok(())
    }

    fn names_of(&self, id: &DisplayId) -> Vec<DisplayId> {
        self.aliases().iter().filter(|(_, to)| *to == id).map(|(old, _)| old.clone()).collect()
    }

    fn aliases(&self) -> std::sync::Arc<Aliases> {
        self.shared.aliases.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A record's key is a text; one that is no display's name is nobody's.
pub fn read(all: Vec<(String, Alias)>) -> Aliases {
    all.into_iter().filter_map(|(old, alias)| Some((old.parse().ok()?, alias.to))).collect()
}
