//! Waiting on conditions, never for a time.

use std::time::{Duration, Instant};

/// How often a condition is looked at again.
pub const LOOK: Duration = Duration::from_millis(5);

/// Looks until there is something, and returns it with the time it took. Panics when the limit has passed.
#[track_caller]
pub fn timed<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// [`timed`], where the time does not matter.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    timed(what, limit, look).0
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
