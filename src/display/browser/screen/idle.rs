//! For how long nobody has touched anything. Pure.
//!
//! X tells it in 32 bits of milliseconds: after 49.7 days it begins again at nothing, as if somebody had come.

use std::time::Duration;

use tokio::time::Instant;

/// X has counted so far when it begins again, in milliseconds.
const ROUND_MS: u64 = 1 << 32;
/// X and this machine's clock may differ by so much from one question to the next: a busy X answers late.
const LATE_MS: u64 = 2_000;

/// What was told last, and how often X has begun again since somebody was there.
#[derive(Debug, Default)]
pub struct Idle {
    rounds: u64,
    last: Option<(u32, Instant)>,
}

impl Idle {
    /// X tells this; for how long it has really been.
    pub fn told(&mut self, ms: u32, now: Instant) -> Duration {
        if let Some((before, at)) = self.last.replace((ms, now)) {
            let passed = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
            // What it would be if nobody came.
            let alone = u64::from(before).saturating_add(passed);
            if alone.checked_sub(ROUND_MS).is_some_and(|over| over.abs_diff(ms.into()) <= LATE_MS) {
                self.rounds += 1;
            } else if u64::from(ms) + LATE_MS < alone {
                self.rounds = 0;
            }
        }
        Duration::from_millis(self.rounds * ROUND_MS + u64::from(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// What X tells after so long.
    fn ms(idle: Duration) -> u32 {
        u32::try_from(idle.as_millis() % u128::from(ROUND_MS)).unwrap()
    }

    #[test]
    fn a_glass_that_nobody_touches_for_half_a_year_is_untouched_for_half_a_year() {
        let start = Instant::now();
        let mut idle = Idle::default();
        let mut since = Duration::ZERO;
        while since < 180 * DAY {
            since += Duration::from_secs(10);
            assert_eq!(idle.told(ms(since), start + since), since);
        }
    }

    #[test]
    fn a_touch_counts_whenever_it_comes() {
        let start = Instant::now();
        for days in [0, 1, 49, 50, 100] {
            let (mut idle, mut since) = (Idle::default(), Duration::ZERO);
            while since < days * DAY + Duration::from_secs(60) {
                since += Duration::from_secs(10);
                idle.told(ms(since), start + since);
            }
            let touched = idle.told(300, start + since + Duration::from_secs(10));
            assert_eq!(touched, Duration::from_millis(300), "after {days} days");
        }
    }
}
