//! The server's clock. It runs by the monotonic clock, which nobody sets, and is compared four times a second with the
//! machine's; with Redis, which any number of nodes share, with that of Redis, so that all of them have one.
//!
//! ```text
//!  the other is off by   <= 20 ms  nothing
//!                        <= 1 s    it is followed (a time service slews and steps so)
//!                        more      it was set: what waits is moved along in the store, this clock is set too, and every
//!                                  socket ends with 4000, to hear the new time in its next `kiosk.hello`
//! ```
//!
//! So a command that was published with 30 s to live has its 30 s, whatever becomes of the clock meanwhile, and the
//! `expirytime` of one that is published afterwards is judged by the clock as it is then. What an earlier process stored
//! keeps the moment that it was stored with: a machine that boots in 1970 is not believed against it.
//!
//! Rejected: a clock that keeps running as it began, with every moment turned into it and back. After a boot with a wrong
//! clock everything that the server says and stores would be wrong until its restart, and what it stored after that.
//! Rejected: a frame that tells displays the new time. Displays and pages that are out there do not know it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use super::{App, goodbye};

/// What the way of an answer, or the tick of a clock, may hide.
const SAME_MS: u64 = 20;
/// More than this no time service corrects without a step.
const SET_MS: u64 = 1_000;
/// A Redis that does not say what time it is by then is asked again; this clock runs on.
const ANSWER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    /// What it would have shown when it began, in ms since 1970.
    began_ms: AtomicU64,
    /// One looks at a time.
    looking: Mutex<()>,
}

impl Clock {
    pub fn new(unix_ms: u64) -> Self {
        Clock { began: Instant::now(), began_ms: AtomicU64::new(unix_ms), looking: Mutex::new(()) }
    }

    /// In ms since 1970.
    pub fn now_ms(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> u64 {
        self.began_ms.load(Ordering::Acquire).saturating_add(self.ran(now))
    }

    /// For how many ms it has run: for what only measures time, and that no setting of a clock is to touch.
    pub fn running_ms(&self) -> u64 {
        self.ran(Instant::now())
    }

    fn ran(&self, now: Instant) -> u64 {
        u64::try_from((now - self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// By how many ms the clock that it goes by was set since it was looked at last. What is less is followed.
    /// `shown_ms` may be off by `within_ms`.
    fn look(&self, shown_ms: u64, within_ms: u64, now: Instant) -> Option<i64> {
        let by_ms = i64::try_from(i128::from(shown_ms) - i128::from(self.at(now))).unwrap_or(i64::MAX);
        let sure_ms = by_ms.unsigned_abs().saturating_sub(within_ms);
        if sure_ms > SET_MS {
            return Some(by_ms);
        }
        if sure_ms > SAME_MS {
            self.set(by_ms.signum().saturating_mul(i64::try_from(sure_ms).unwrap_or(i64::MAX)));
        }
        None
    }

    fn set(&self, by_ms: i64) {
        let began_ms = self.began_ms.load(Ordering::Acquire).saturating_add_signed(by_ms);
        self.began_ms.store(began_ms, Ordering::Release);
    }
}

/// What the machine's own clock shows, in ms since 1970.
pub fn machine_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Before what somebody publishes is judged: their clock may be the one that was set just now. Redis' is only looked at now
/// and then.
pub async fn settle(app: &App) {
    if !app.store.is_shared() {
        follow(app).await;
    }
}

/// Looks whether the clock was set, and does what is to be done about it.
pub async fn follow(app: &App) {
    let _one = app.clock.looking.lock().await;
    let asked = Instant::now();
    let shown_ms = match timeout(ANSWER, app.store.time()).await {
        Ok(Ok(Some(shown_ms))) => shown_ms,
        Ok(Ok(None)) => machine_ms(),
        Ok(Err(_)) | Err(_) => return,
    };
    let now = Instant::now();
    let within_ms = u64::try_from((now - asked).as_millis()).unwrap_or(u64::MAX);
    let Some(by_ms) = app.clock.look(shown_ms, within_ms, now) else { return };
    tracing::warn!(
        by_ms,
        "the clock was set: what waits is moved along with it, and every socket comes back to hear the time"
    );
    // The later of the two comes first: meanwhile what waits has too much time left, and never too little.
    if by_ms < 0 {
        app.clock.set(by_ms);
    }
    if let Err(error) = app.store.clock_was_set(by_ms).await {
        tracing::error!(%error, "what waits could not be moved along: it expires by the new time");
    }
    if by_ms > 0 {
        app.clock.set(by_ms);
    }
    goodbye::come_back(&app.hub, app.settings.goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn it_runs_by_itself_follows_what_a_time_service_does_and_says_by_how_much_it_was_set() {
        let clock = Clock::new(T);
        let at = |seconds: u64| clock.began + Duration::from_secs(seconds);
        assert_eq!(clock.look(T + 10_015, 0, at(10)), None);
        assert_eq!(clock.at(at(10)), T + 10_000, "so little is noise");
        assert_eq!(clock.look(T + 10_400, 0, at(10)), None);
        assert_eq!(clock.at(at(10)), T + 10_400, "it is followed");
        assert_eq!(clock.look(T + 9_500, 0, at(10)), None);
        assert_eq!(clock.at(at(10)), T + 9_500, "also back");
        for by_ms in [HOUR, -HOUR, 1_021, -(T as i64)] {
            let shown_ms = (T + 9_500).saturating_add_signed(by_ms);
            assert_eq!(clock.look(shown_ms, 0, at(10)), Some(shown_ms as i64 - (T + 9_500) as i64));
            assert_eq!(clock.at(at(10)), T + 9_500, "it is set when the store has moved along");
        }
        clock.set(-HOUR);
        assert_eq!(clock.at(at(11)), T + 10_500 - HOUR as u64);
    }

    #[test]
    fn an_answer_that_was_long_on_its_way_moves_it_by_no_more_than_is_sure() {
        for (shown_ms, by_ms, moved_ms) in [
            (T - 900, None, T),
            (T + 1_900, None, T + 1_000),
            (T - 1_900, None, T - 1_000),
            (T - 1_901, Some(-1_901), T),
        ] {
            let clock = Clock::new(T);
            assert_eq!(clock.look(shown_ms, 900, clock.began), by_ms);
            assert_eq!(clock.at(clock.began), moved_ms);
        }
    }
}
