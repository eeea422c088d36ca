//! Waiting on conditions, never for a time.
//!
//! A limit is one for a machine that has time. Where somebody waits for a processor (other tests, a busy machine of CI) it
//! grows: what comes late then is not what the test is about. Where nobody does, it holds: a wait that is too long by itself
//! is found. The figures themselves are the business of `make bench`.

use std::{
    fs,
    time::{Duration, Instant},
};

/// How often a condition is looked at again.
pub const LOOK: Duration = Duration::from_millis(5);
/// The limit of a busy machine, in limits of one that has time.
const BUSY: u32 = 6;
/// A machine is busy when something waited for a processor in at least one of so many parts of the time.
const SHARE: u32 = 5;

/// Since when something is waited for, and how busy the machine is meanwhile.
#[derive(Debug)]
pub struct Patience {
    began: Instant,
    held_up: Option<Duration>,
}

impl Patience {
    pub fn begin() -> Patience {
        Patience { began: Instant::now(), held_up: held_up() }
    }

    /// What this limit has come to.
    pub fn limit(&self, limit: Duration) -> Duration {
        let busy = self.held_up.zip(held_up()).is_none_or(|(before, now)| {
            let held_up = now.saturating_sub(before);
            held_up * SHARE >= self.began.elapsed()
        });
        if busy { limit * BUSY } else { limit }
    }

    /// True while the limit has not passed.
    pub fn lasts(&self, limit: Duration) -> bool {
        let elapsed = self.began.elapsed();
        elapsed < limit || elapsed < self.limit(limit)
    }
}

/// How long something has waited for a processor since the machine began, or a guest for its host's. None where the kernel
/// does not say; then every machine counts as busy.
fn held_up() -> Option<Duration> {
    let pressure = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    let waited_us = some.rsplit_once("total=")?.1.trim().parse().ok()?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    // user nice system idle iowait irq softirq steal, in ticks of USER_HZ, which is 100.
    let stolen: u64 = stat.lines().next()?.split_whitespace().nth(8)?.parse().ok()?;
    Some(Duration::from_micros(waited_us) + Duration::from_millis(stolen * 10))
}

/// Looks until there is something, and returns it with the time it took. Panics when the limit has passed.
#[track_caller]
pub fn timed<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let patience = Patience::begin();
    loop {
        if let Some(found) = look() {
            return (found, patience.began.elapsed());
        }
        assert!(patience.lasts(limit), "not within {limit:?} ({:?} by now): {what}", patience.began.elapsed());
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
