//! Things that are good once and for seconds: tickets and nonces. In memory.
//!
//! A row in the file would cost two fsyncs for each socket, and be worse: a ticket that was taken and not yet on disk
//! when the power went would open a second socket. After a restart every ticket is unknown; clients fetch another.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use super::StoreError;

/// Nothing here lives longer, in ms. What ends later is of a clock that was set back since: neither its tickets nor its nonces
/// count any more, and it would fill the place of others until that clock's time comes.
const LONGEST_MS: u64 = 10 * 60_000;

#[derive(Debug)]
pub struct OneTime {
    what: &'static str,
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    values: HashMap<String, (u64, String)>,
    /// In the order of their ends, since all live equally long.
    ends: VecDeque<(u64, String)>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} kept", self.values.len())
    }
}

impl OneTime {
    pub fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, kept: Mutex::default() }
    }

    /// Keeps a value until `end_ms`.
    pub fn put(&self, key: String, value: String, end_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_locked(kept, key, value, end_ms, now_ms)
    }

    fn put_locked(
        &self,
        kept: &mut Kept,
        key: String,
        value: String,
        end_ms: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let is_over = |end: u64| end <= now_ms || end > now_ms.saturating_add(LONGEST_MS);
        while kept.ends.front().is_some_and(|(end, _)| is_over(*end))
            && let Some((end, key)) = kept.ends.pop_front()
        {
            if kept.values.get(&key).is_some_and(|(its_end, _)| *its_end == end) {
                kept.values.remove(&key);
            }
        }
        // Taken ones still stand in the queue: it is what is bounded.
        if kept.ends.len() >= self.limit {
            return Err(StoreError::Full { what: self.what, limit: self.limit as u64 });
        }
        kept.ends.push_back((end_ms, key.clone()));
        kept.values.insert(key, (end_ms, value));
        Ok(())
    }

    /// Keeps a key until `end_ms`, if it is not kept already. True if it was not.
    pub fn put_new(&self, key: String, end_ms: u64, now_ms: u64) -> Result<bool, StoreError> {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.values.get(&key).is_some_and(|(end, _)| now_ms < *end) {
            return Ok(false);
        }
        self.put_locked(kept, key, String::new(), end_ms, now_ms).map(|()| true)
    }

    /// Takes a value out: whoever comes second gets nothing.
    pub fn take(&self, key: &str, now_ms: u64) -> Option<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, value) = kept.values.remove(key)?;
        (now_ms < end).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_taken_once_and_in_time() {
        let things = OneTime::new("tickets", 10);
        things.put("a".into(), "1".into(), 20, 0).unwrap();
        assert_eq!(things.take("a", 19), Some("1".into()));
        assert_eq!(things.take("a", 19), None);
        things.put("b".into(), "2".into(), 20, 0).unwrap();
        assert_eq!(things.take("b", 20), None, "too late");
        assert_eq!(things.take("b", 0), None, "and burnt by the attempt");
    }

    #[test]
    fn a_clock_that_is_set_back_by_an_hour_leaves_room_for_the_tickets_that_come_then() {
        const HOUR: u64 = 3_600_000;
        let things = OneTime::new("tickets", 2);
        things.put("a".into(), String::new(), HOUR + 20, HOUR).unwrap();
        things.put("b".into(), String::new(), HOUR + 21, HOUR).unwrap();
        for n in 0..10 {
            assert_eq!(things.put(n.to_string(), String::new(), n + 20, n * 20), Ok(()), "{n}");
        }
    }

    #[test]
    fn the_number_is_bounded_and_ends_make_room() {
        let things = OneTime::new("tickets", 2);
        things.put("a".into(), String::new(), 10, 0).unwrap();
        things.put("b".into(), String::new(), 11, 0).unwrap();
        assert_eq!(things.put("c".into(), String::new(), 12, 9), Err(StoreError::Full { what: "tickets", limit: 2 }));
        assert_eq!(things.put("c".into(), String::new(), 20, 10), Ok(()));
        assert!(things.take("b", 10).is_some() && things.take("a", 0).is_none());
    }
}
