//! How long to wait before trying again. Pure: the caller brings the randomness.

use std::time::Duration;

/// Doubles up to a limit, and spreads, so that many who lost the same thing do not come back at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// The next wait: half of it for sure, the other half by `random` (0 to 1).
    pub fn wait(&mut self, random: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.limit);
        whole / 2 + (whole / 2).mul_f64(random.clamp(0.0, 1.0))
    }

    /// True once something had to wait, and until it worked.
    pub fn is_waiting(&self) -> bool {
        self.next != self.first
    }

    /// It worked: the next wait is a short one again.
    pub fn worked(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_are_spread_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let longest: Vec<u128> = (0..4).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 350, 350]);
        assert_eq!(backoff.wait(0.0), Duration::from_millis(175));
        backoff.worked();
        assert_eq!(backoff.wait(0.5), Duration::from_millis(75));
    }
}
