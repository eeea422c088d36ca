//! How the server ends without its clients coming back all at once: sockets are closed one after the other, and each is
//! told over what time to spread its return.
//!
//! ```text
//!  SIGTERM --> no new sockets (503, Retry-After), requests go on --> closes at 1,000/s, at most `[limits] goodbye_seconds`
//!          --> the listening socket rests (systemd holds it: who connects waits) --> store closed --> the next process
//! ```
//!
//! The time is in the reason of the close frame (RFC 6455 §5.5.1 lets a reason pass information to the client's program):
//! only at the end does the server know how many it lets go, and a display that must come back for another reason, with
//! the same code, comes at once.
//!
//! Rejected: a wait that is told in `kiosk.hello`. It is chosen before anybody knows how many sockets there will be.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;

use super::hub::HubHandle;
use crate::event::frame::{CloseCode, going_away_within};

/// Sockets that are let go in a second, and so come back in one: a handshake with its ticket and backlog costs about a
/// millisecond of one core.
const PER_SECOND: usize = 1_000;
/// How often some are let go.
const TICK: Duration = Duration::from_millis(20);

/// How many sockets go when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    sockets: usize,
    over: Duration,
}

impl Pace {
    fn of(sockets: usize, most: Duration) -> Pace {
        let millis = u64::try_from(sockets.saturating_mul(1_000) / PER_SECOND).unwrap_or(u64::MAX);
        Pace { sockets, over: Duration::from_millis(millis).min(most) }
    }

    /// How many are gone when so much time has passed.
    fn gone_after(&self, passed: Duration) -> usize {
        if passed >= self.over {
            return self.sockets;
        }
        let part = passed.as_micros().saturating_mul(self.sockets as u128) / self.over.as_micros().max(1);
        usize::try_from(part).map_or(self.sockets, |gone| gone.min(self.sockets))
    }

    /// What the close frame says. Below a second a client's own jitter does.
    fn reason(&self) -> String {
        if self.over < Duration::from_secs(1) {
            CloseCode::GoingAway.reason().to_owned()
        } else {
            going_away_within(self.over)
        }
    }
}

/// Whether the server is ending, and until when it says goodbye.
#[derive(Debug, Default)]
pub struct Goodbye {
    ends: OnceLock<(Instant, Duration)>,
}

impl Goodbye {
    pub fn has_begun(&self) -> bool {
        self.ends.get().is_some()
    }

    /// For `Retry-After`: whoever wants a socket now comes back when the goodbye is over, spread like those that were let
    /// go. `random` is any number.
    pub fn retry_after_s(&self, now: Instant, random: u64) -> u64 {
        let Some((ends, over)) = self.ends.get() else { return 1 };
        let rest = ends.saturating_duration_since(now).as_secs();
        rest + 1 + random % over.as_secs().max(1)
    }

    /// Lets every socket go. Ends when the last was told.
    pub async fn say(&self, hub: &HubHandle, most: Duration) {
        let Ok(sockets) = hub.let_none_in().await else { return };
        let pace = Pace::of(sockets, most);
        let began = Instant::now();
        if self.ends.set((began + pace.over, pace.over)).is_err() {
            return;
        }
        tracing::info!(sockets, over_ms = pace.over.as_millis(), "sockets are told to come back");
        let reason = pace.reason();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut gone = 0;
        while gone < sockets {
            tick.tick().await;
            let due = pace.gone_after(began.elapsed());
            if hub.close_some(due - gone, CloseCode::GoingAway, &reason).await.is_err() {
                return;
            }
            gone = due;
        }
    }
}

/// Lets every socket go at once, each to come back soon, over as much time as a goodbye would take.
pub async fn come_back(hub: &HubHandle, most: Duration) {
    let Ok(counts) = hub.counts().await else { return };
    let reason = Pace::of(counts.sockets, most).reason();
    let _ = hub.close_some(usize::MAX, CloseCode::GoingAway, &reason).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::frame::come_back_within;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn ten_thousand_sockets_go_over_ten_seconds_evenly_and_a_few_at_once() {
        let pace = Pace::of(10_000, 10 * S);
        assert_eq!(pace.over, 10 * S);
        for (passed, gone) in [(Duration::ZERO, 0), (S, 1_000), (5 * S, 5_000), (10 * S, 10_000), (60 * S, 10_000)] {
            assert_eq!(pace.gone_after(passed), gone);
        }
        assert_eq!(come_back_within(&pace.reason()), Some(10 * S));
        assert_eq!(Pace::of(16_000, 2 * S).over, 2 * S, "the limit goes before the pace");
        let few = Pace::of(20, 10 * S);
        assert_eq!(few.over, Duration::from_millis(20));
        assert_eq!(come_back_within(&few.reason()), None, "their own jitter does");
        assert_eq!(Pace::of(0, 10 * S).gone_after(Duration::ZERO), 0);
        assert_eq!(Pace::of(5, Duration::ZERO).gone_after(Duration::ZERO), 5);
    }

    #[test]
    fn who_comes_in_the_meantime_is_sent_to_after_it_each_to_another_second() {
        let goodbye = Goodbye::default();
        let now = Instant::now();
        goodbye.ends.set((now + 4 * S, 10 * S)).unwrap();
        let asked: Vec<u64> = (0..20).map(|random| goodbye.retry_after_s(now, random)).collect();
        assert_eq!((asked.iter().min(), asked.iter().max()), (Some(&5), Some(&14)));
        assert_eq!(goodbye.retry_after_s(now + 60 * S, 0), 1);
    }
}
