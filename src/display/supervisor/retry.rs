//! How long to wait before a site that failed is tried again. Pure.

use std::time::Duration;

use crate::display::page::{SiteFault, fault::Blame};

/// The first wait after a failed try. It stays short for the first minutes: most outages are shorter than that, and a
/// site that is back is to be on the glass within five seconds.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_SOON: Duration = Duration::from_millis(3500);
/// So many tries are soon ones: five minutes of them.
const SOON: u32 = 85;
/// After that it doubles up to this.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A page that takes the display down with it is not tried every few seconds; but it may have been the machine that was
/// too busy for it, and a service page on a good page's place is no better than a bad page.
const RETRY_PAGE_MAX: Duration = Duration::from_secs(30);
/// A wrong setting mends itself by a new command; this is in case it does not.
const RETRY_SETTING: Duration = Duration::from_secs(60);

/// Spread by a fifth to either side. `tries` counts from 1.
pub fn retry_after(fault: &SiteFault, tries: u32, rng: &mut fastrand::Rng) -> Duration {
    let doubled = |first: Duration, times: u32| first.saturating_mul(1 << times.min(8));
    let wait = match fault.blame() {
        Blame::Setting => RETRY_SETTING,
        Blame::Page => doubled(RETRY_FIRST, tries.saturating_sub(1)).min(RETRY_PAGE_MAX),
        Blame::Site | Blame::Network if tries <= 1 => RETRY_FIRST,
        Blame::Site | Blame::Network => doubled(RETRY_SOON, tries.saturating_sub(SOON)).min(RETRY_MAX),
    };
    wait.mul_f64(0.8 + 0.4 * rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_tried_every_few_seconds_for_minutes_then_less_often_and_never_no_more() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut wait = |fault: &SiteFault, tries| retry_after(fault, tries, &mut rng).as_secs_f64();
        for (tries, seconds) in [(1, 2.0), (2, 3.5), (85, 3.5), (86, 7.0), (87, 14.0), (89, 30.0), (u32::MAX, 30.0)] {
            let wait = wait(&SiteFault::Refused, tries);
            assert!((seconds * 0.8..=seconds * 1.2).contains(&wait), "{tries}: {wait}");
        }
        let first_minutes: f64 = (1..=85).map(|tries| wait(&SiteFault::Refused, tries)).sum();
        assert!((240.0..360.0).contains(&first_minutes), "{first_minutes}");
        for (tries, seconds) in [(1, 2.0), (3, 8.0), (20, 30.0)] {
            let wait = wait(&SiteFault::Crashed, tries);
            assert!((seconds * 0.8..=seconds * 1.2).contains(&wait), "{tries}: {wait}");
        }
        assert!(wait(&SiteFault::BadAddress, 1) >= 48.0);
    }
}
