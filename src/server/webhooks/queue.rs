//! What waits for one receiver, and when it is tried again. Pure.

use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Happenings that wait for one receiver: an hour of a fleet of thousands, some 5 MB. Beyond it the oldest goes.
pub const WAITING_MAX: usize = 10_000;
/// Happenings in one POST.
pub const BATCH: usize = 100;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// What a receiver made of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// It is away or busy: the same again, later.
    Again,
    /// It says that it will never take it.
    Refused,
}

impl Verdict {
    /// Of an HTTP status; none came where the connection failed.
    pub fn of(status: Option<u16>) -> Verdict {
        match status {
            Some(200..=299) => Verdict::Taken,
            // 408 and 425 ask for another try as 429 does.
            None | Some(408 | 425 | 429 | 500..=599) => Verdict::Again,
            Some(_) => Verdict::Refused,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Arc<str>>,
    /// How many at the front are being posted.
    posting: usize,
    failures: u32,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True where another had to go for it. What is being posted stays.
    pub fn push(&mut self, event: Arc<str>) -> bool {
        let is_full = self.waiting.len() >= WAITING_MAX;
        if is_full {
            self.waiting.remove(self.posting);
        }
        self.waiting.push_back(event);
        is_full
    }

    /// What is to be posted now: the same until [`Queue::done`].
    pub fn batch(&mut self) -> Vec<Arc<str>> {
        if self.posting == 0 {
            self.posting = self.waiting.len().min(BATCH);
        }
        self.waiting.iter().take(self.posting).cloned().collect()
    }

    /// How the batch went. How long to rest before the next; `jitter` is from 0 to 1.
    pub fn done(&mut self, verdict: Verdict, jitter: f64) -> Option<Duration> {
        match verdict {
            Verdict::Again => {
                let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
                self.failures += 1;
                // Between half of it and all of it.
                Some(rest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))
            }
            Verdict::Taken | Verdict::Refused => {
                self.waiting.drain(..self.posting);
                (self.posting, self.failures) = (0, 0);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize) -> Arc<str> {
        n.to_string().into()
    }

    #[test]
    fn a_batch_is_the_same_until_it_is_taken_and_the_order_stays() {
        let mut queue = Queue::default();
        (0..150).for_each(|n| assert!(!queue.push(text(n))));
        let first = queue.batch();
        assert_eq!((first.len(), &*first[0], &*first[99]), (BATCH, "0", "99"));
        queue.push(text(150));
        queue.done(Verdict::Again, 0.5);
        assert_eq!(queue.batch(), first, "what came meanwhile does not slip in");
        assert_eq!(queue.done(Verdict::Taken, 0.5), None);
        let second = queue.batch();
        assert_eq!((second.len(), &*second[0], &*second[50]), (51, "100", "150"));
        queue.push(text(151));
        queue.done(Verdict::Again, 0.5);
        assert_eq!(queue.batch(), second, "also where there is room for it");
        queue.done(Verdict::Refused, 0.5);
        assert_eq!((queue.batch().len(), queue.len()), (1, 1));
    }

    #[test]
    fn a_receiver_that_stays_away_costs_the_oldest_that_wait_and_never_what_is_under_way() {
        let mut queue = Queue::default();
        (0..WAITING_MAX).for_each(|n| assert!(!queue.push(text(n))));
        let posted = queue.batch();
        assert!(queue.push(text(WAITING_MAX)), "the oldest that waits goes");
        assert_eq!((queue.len(), queue.batch()), (WAITING_MAX, posted));
        queue.done(Verdict::Taken, 0.0);
        assert_eq!(&*queue.batch()[0], "101", "the 100th went");
    }

    #[test]
    fn rests_grow_from_a_second_to_five_minutes_and_begin_anew_after_a_success() {
        let mut queue = Queue::default();
        queue.push(text(1));
        queue.batch();
        let rests: Vec<u64> = (0..12).map(|_| queue.done(Verdict::Again, 1.0).unwrap().as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        queue.done(Verdict::Taken, 1.0);
        assert_eq!(queue.done(Verdict::Again, 0.0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn what_can_come_right_is_tried_again_and_what_cannot_is_not() {
        for (status, verdict) in [
            (Some(204), Verdict::Taken),
            (None, Verdict::Again),
            (Some(429), Verdict::Again),
            (Some(503), Verdict::Again),
            (Some(301), Verdict::Refused),
            (Some(401), Verdict::Refused),
            (Some(410), Verdict::Refused),
        ] {
            assert_eq!(Verdict::of(status), verdict, "{status:?}");
        }
    }
}
