//! The calls that are open: whose result is waited for, and how all of them ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use super::outcome::Outcome;

/// Open calls in all. Each is a result that somebody waits for; more than this and the workers are not keeping up.
const OPEN_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub struct Desk {
    open: Mutex<HashMap<String, Open>>,
    /// Calls that ended, in the order of [`STATES`].
    ended: [AtomicU64; 7],
}

/// A call whose result is waited for.
#[derive(Debug)]
struct Open {
    waits: oneshot::Sender<Outcome>,
    /// The broker may have its task.
    sent: bool,
}

/// Every way in which a call ends, in the words of `kiosk.result`.
pub const STATES: [&str; 7] = ["SUCCESS", "FAILURE", "REVOKED", "refused", "timeout", "unavailable", "too_large"];

/// The place of one open call; dropping it ends the wait.
#[derive(Debug)]
pub struct Seat {
    id: String,
    desk: Arc<Desk>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the task of this id; None if all are taken.
    pub fn seat(self: &Arc<Self>, id: String) -> Option<Seat> {
        let (waits, outcome) = oneshot::channel();
        let mut open = self.open();
        if open.len() >= OPEN_MAX {
            return None;
        }
        open.insert(id.clone(), Open { waits, sent: false });
        Some(Seat { id, desk: self.clone(), outcome })
    }

    /// A task ended. One that nobody waits for is nobody's.
    pub fn settle(&self, id: &str, outcome: Outcome) {
        if let Some(call) = self.open().remove(id) {
            // The caller went away just now.
            let _ = call.waits.send(outcome);
        }
    }

    /// From now on the broker may have the task of this call.
    pub fn sent(&self, id: &str) {
        if let Some(call) = self.open().get_mut(id) {
            call.sent = true;
        }
    }

    /// No result will come of the tasks that were sent so far; returns how many those are.
    pub fn give_up(&self, why: &str) -> usize {
        let mut given_up = 0;
        for (_, call) in self.open().extract_if(|_, call| call.sent) {
            let _ = call.waits.send(Outcome::Unavailable(why.to_owned()));
            given_up += 1;
        }
        given_up
    }

    /// The tasks whose result is waited for.
    pub fn ids(&self) -> Vec<String> {
        self.open().keys().cloned().collect()
    }

    pub fn is_open(&self, id: &str) -> bool {
        self.open().contains_key(id)
    }

    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// Notes how a call ended.
    pub fn note(&self, state: &str) {
        if let Some(place) = STATES.iter().position(|known| *known == state) {
            self.ended[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls ended in each of [`STATES`].
    pub fn ended(&self) -> [u64; 7] {
        std::array::from_fn(|place| self.ended[place].load(Ordering::Relaxed))
    }
}

impl Seat {
    /// Waits for the end of the task.
    pub async fn outcome(&mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unavailable("the server is going away".to_owned()),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.open().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_reaches_the_one_who_waits_and_a_place_that_is_left_is_free_again() {
        let desk = Arc::new(Desk::default());
        let mut seat = desk.seat("a".into()).unwrap();
        desk.settle("b", Outcome::Timeout);
        desk.settle("a", Outcome::Success(1.into()));
        assert_eq!(seat.outcome().await, Outcome::Success(1.into()));
        let others: Vec<Seat> = (0..OPEN_MAX).map(|n| desk.seat(n.to_string()).unwrap()).collect();
        assert!(desk.seat("one more".into()).is_none());
        drop(others);
        assert_eq!(desk.count(), 0);
        let (mut sent, mut waits) = (desk.seat("c".into()).unwrap(), desk.seat("d".into()).unwrap());
        desk.sent("c");
        assert_eq!(desk.give_up("lost"), 1);
        assert_eq!(sent.outcome().await, Outcome::Unavailable("lost".into()));
        desk.settle("d", Outcome::Success(2.into()));
        assert_eq!(waits.outcome().await, Outcome::Success(2.into()), "this one waited for the broker");
        desk.note("timeout");
        assert_eq!(desk.ended(), [0, 0, 0, 0, 1, 0, 0]);
    }
}
