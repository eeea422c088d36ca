//! How long events are under way: a bounded sample of those whose arrival this node saw.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::super::store::{Fed, Publish};

/// Publishes that are followed at a time: enough for a distribution, little enough to cost nothing in a flood.
const FOLLOWED: usize = 256;
/// Commands whose receipts are waited for; the oldest make room.
const COMMANDS: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Delays {
    hasher: RandomState,
    /// How many are followed, so that a round without any takes no lock.
    following: AtomicUsize,
    followed: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    /// By the hash of `source` and `id`.
    publishes: HashMap<u64, Instant>,
    /// By commit number.
    commands: BTreeMap<u64, Instant>,
}

impl Delays {
    fn key(&self, source: &str, id: &str) -> u64 {
        self.hasher.hash_one((source, id))
    }

    /// The first event of a batch is followed, while there is room.
    pub fn began(&self, batch: &[Publish], now: Instant) {
        let Some(first) = batch.first() else { return };
        if self.following.load(Ordering::Relaxed) >= FOLLOWED {
            // Refused publishes and repeats never come back by the feed: from time to time all are forgotten.
            self.lock().publishes.retain(|_, began| now.saturating_duration_since(*began).as_secs() < 10);
            self.count();
            return;
        }
        self.lock().publishes.insert(self.key(&first.event.source, &first.event.id), now);
        self.count();
    }

    /// Takes those out that a round brings.
    pub fn fed<'a>(&self, round: impl IntoIterator<Item = &'a Fed>) -> Vec<Instant> {
        let mut began = Vec::new();
        if self.following.load(Ordering::Relaxed) == 0 {
            return began;
        }
        let mut followed = self.lock();
        for item in round {
            let Fed::Event(event) = item else { continue };
            let Some(at) = followed.publishes.remove(&self.key(&event.event.source, &event.event.id)) else { continue };
            began.push(at);
            if event.kind.is_some() {
                if followed.commands.len() >= COMMANDS {
                    followed.commands.pop_first();
                }
                followed.commands.insert(event.commit, at);
            }
        }
        drop(followed);
        self.count();
        began
    }

    /// When the command arrived that a receipt is for, if it is followed.
    pub fn command(&self, commit: u64) -> Option<Instant> {
        self.lock().commands.get(&commit).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        self.following.store(self.lock().publishes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        event::{Address, Event, Position, command::Kind},
        server::store::Committed,
    };

    fn publish(id: &str) -> Publish {
        let event = Event::new(id, "test", "t").to(Address::All);
        Publish { event, command: None, expires_ms: None }
    }

    fn fed(id: &str, commit: u64, kind: Option<Kind>) -> Fed {
        let event = Event::new(id, "test", "t").to(Address::All);
        let position = Position { epoch: "e".into(), offset: commit };
        let text = "".into();
        Fed::Event(Arc::new(Committed {
            commit,
            address: Address::All,
            position,
            event,
            text,
            kind,
            expires_ms: None,
            targets: Vec::new(),
        }))
    }

    #[test]
    fn a_publish_is_followed_to_the_round_that_brings_it_and_a_command_to_its_receipts() {
        let (delays, now) = (Delays::default(), Instant::now());
        delays.began(&[publish("1"), publish("2")], now);
        assert!(delays.fed([&fed("2", 1, None)]).is_empty(), "only the first of a batch");
        assert_eq!(delays.fed([&fed("1", 2, Some(Kind::Action))]), [now]);
        assert_eq!((delays.command(2), delays.command(1)), (Some(now), None));
        assert!(delays.fed([&fed("1", 2, None)]).is_empty(), "once");
    }

    #[test]
    fn so_many_are_followed_and_those_that_never_come_are_forgotten() {
        let (delays, now) = (Delays::default(), Instant::now());
        for n in 0..2 * FOLLOWED {
            delays.began(&[publish(&n.to_string())], now);
        }
        assert_eq!(delays.following.load(Ordering::Relaxed), FOLLOWED);
        delays.began(&[publish("x")], now + Duration::from_secs(11));
        assert_eq!(delays.following.load(Ordering::Relaxed), 0);
        for n in 0..3 * COMMANDS as u64 {
            delays.began(&[publish("c")], now);
            delays.fed([&fed("c", n, Some(Kind::Action))]);
        }
        assert_eq!(delays.lock().commands.len(), COMMANDS);
    }
}
