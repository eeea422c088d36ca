//! How long to wait before a site that failed is tried again. Pure.

use std::time::Duration;

use crate::display::page::{SiteFault, fault::Blame};

/// The first wait after a failed try; it doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A wrong setting mends itself by a new command; this is in case it does not.
const RETRY_SETTING: Duration = Duration::from_secs(60);

/// Doubles up to its limit, spread by a fifth to either side. `tries` counts from 1.
pub fn retry_after(fault: &SiteFault, tries: u32, rng: &mut fastrand::Rng) -> Duration {
    let wait = match fault.blame() {
        Blame::Setting => RETRY_SETTING,
        Blame::Site | Blame::Network | Blame::Page => {
            RETRY_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(RETRY_MAX)
        }
    };
    wait.mul_f64(0.8 + 0.4 * rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_less_and_less_often_and_never_stop() {
        let mut rng = fastrand::Rng::with_seed(3);
        for (tries, seconds) in [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0), (5, 30.0), (u32::MAX, 30.0)] {
            let wait = retry_after(&SiteFault::Refused, tries, &mut rng).as_secs_f64();
            assert!((seconds * 0.8..=seconds * 1.2).contains(&wait), "{tries}: {wait}");
        }
        let wait = retry_after(&SiteFault::BadAddress, 1, &mut rng);
        assert!(wait >= Duration::from_secs(48), "{wait:?}");
    }
}
