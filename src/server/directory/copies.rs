//! A card that was copied: two displays with one key, of which each newer socket throws the other out.
//!
//! A display that comes back replaces its own old socket too, but that one is dead by then: it does not end its side when
//! it is told why. Two that are alive replace one another every minute or so (4003 says: come back after 60 s or more),
//! so a few replaced sockets that were alive are the sign.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Directory, Entry, PoisonError, StoreError};
use crate::event::{DisplayId, time::UtcMillis};

/// The collection of the store's records; their key is the display.
pub const COPIES: &str = "copy";
/// So many sockets that were alive, replaced within so long, mean a copy.
const TIMES: usize = 3;
const WITHIN_MS: u64 = 10 * 60_000;
/// Displays that are counted at a time; a thing of a moment, so the oldest may go.
const COUNTED: usize = 10_000;

/// A copy that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub first_ms: u64,
    pub last_ms: u64,
    /// Replaced sockets that were alive, of those that counted.
    pub times: u64,
}

/// When sockets were replaced that were alive.
#[derive(Debug, Default)]
pub struct Replacements(HashMap<DisplayId, VecDeque<u64>>);

impl Replacements {
    /// Counts one. True if by now there are too many for one display.
    fn count(&mut self, display: &DisplayId, now_ms: u64) -> bool {
        let is_recent = |at_ms: u64| at_ms + WITHIN_MS > now_ms;
        if !self.0.contains_key(display) && self.0.len() >= COUNTED {
            self.0.retain(|_, times| times.back().is_some_and(|at_ms| is_recent(*at_ms)));
            if self.0.len() >= COUNTED {
                return false;
            }
        }
        let times = self.0.entry(display.clone()).or_default();
        times.push_back(now_ms);
        while times.len() > TIMES || times.front().is_some_and(|at_ms| !is_recent(*at_ms)) {
            times.pop_front();
        }
        times.len() >= TIMES
    }
}

impl Directory {
    /// A socket of this display was replaced, and was alive. True if a copy is seen that was not seen before.
    pub async fn replaced_alive(&self, id: &DisplayId, now_ms: u64) -> bool {
        let is_copied = {
            let mut counted = self.shared.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            counted.count(id, now_ms)
        };
        if !is_copied {
            return false;
        }
        let told = self.tell_copied(id, now_ms).await;
        told.unwrap_or_else(|error| {
            tracing::warn!(%id, %error, "that this display's key is on two cards is not kept");
            false
        })
    }

    async fn tell_copied(&self, id: &DisplayId, now_ms: u64) -> Result<bool, StoreError> {
        let known = self.copied(id).await?;
        let first_ms = known.map_or(now_ms, |known| known.first_ms);
        let times = known.map_or(TIMES as u64, |known| known.times + 1);
        self.put(COPIES, id.as_str(), &Copied { first_ms, last_ms: now_ms, times }).await?;
        if known.is_some() {
            return Ok(false);
        }
        tracing::warn!(%id, "two displays are alive with one key: this card was copied; enroll it again");
        let more = serde_json::json!({ "seen": UtcMillis(now_ms) });
        let what = "display.copied".to_owned();
        self.note(Entry { at_ms: now_ms, who: "server".to_owned(), what, on: id.to_string(), more }).await;
        Ok(true)
    }

    /// Whether a copy of this display's card was seen, since it was enrolled.
    pub async fn copied(&self, display: &DisplayId) -> Result<Option<Copied>, StoreError> {
        Ok(self.all_copied().await?.remove(display))
    }

    pub async fn all_copied(&self) -> Result<HashMap<DisplayId, Copied>, StoreError> {
        let all = self.all(COPIES).await?;
        Ok(all.into_iter().filter_map(|(id, copied)| Some((id.parse().ok()?, copied))).collect())
    }

    /// The key that is on two cards has another name now.
    pub async fn move_copied(&self, from: &DisplayId, to: &DisplayId, copied: &Copied) -> Result<(), StoreError> {
        self.put(COPIES, to.as_str(), copied).await?;
        self.forget_copied(from).await
    }

    /// It has a new key, or is gone, or somebody knows better.
    pub async fn forget_copied(&self, display: &DisplayId) -> Result<(), StoreError> {
        self.shared.store.remove_record(COPIES, display.as_str()).await?;
        self.shared.replaced.lock().unwrap_or_else(PoisonError::into_inner).0.remove(display);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_replace_one_another_again_and_again_are_seen_and_one_that_comes_back_is_not() {
        let (lobby, foyer) = ("lobby".parse().unwrap(), "foyer".parse().unwrap());
        let mut replaced = Replacements::default();
        assert!(!replaced.count(&lobby, 0));
        assert!(!replaced.count(&foyer, 1));
        assert!(!replaced.count(&lobby, 60_000));
        assert!(replaced.count(&lobby, 120_000), "the third within ten minutes");
        assert!(replaced.count(&lobby, 180_000), "and it goes on");
        let mut rare = Replacements::default();
        for hour in 0..20 {
            assert!(!rare.count(&lobby, hour * 3_600_000), "now and then is no copy");
        }
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut replaced = Replacements::default();
        for n in 0..=COUNTED {
            replaced.count(&format!("d{n}").parse().unwrap(), 0);
        }
        assert_eq!(replaced.0.len(), COUNTED);
        replaced.count(&"late".parse().unwrap(), WITHIN_MS);
        assert_eq!(replaced.0.len(), 1, "what is long over made room");
    }
}
