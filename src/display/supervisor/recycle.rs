//! When a page that has grown large is loaded anew: before it is too large, and when nobody minds. Pure.
//!
//! Most pages that run for weeks grow. At their limit the browser loop ends them, whatever is on the glass just then; so
//! once a page has most of it, the next moment is taken at which the picture stands still and nobody touches anything.
//! Whoever looks at the glass sees the last picture until the same page is painted again ([`swap`](super::swap)).

use std::time::Duration;

use tokio::time::Instant;

use super::{Out, Supervisor};
use crate::display::screen::Facts;

/// The picture has stood still for so long...
const STILL: Duration = Duration::from_secs(10);
/// ...and nobody has touched a key, a mouse or the glass.
const UNTOUCHED: Duration = Duration::from_secs(60);
/// A page that is large again at once is so by nature.
const EVERY: Duration = Duration::from_secs(900);
/// The loop says every minute that a page is large; what was said longer ago is no longer so.
const SAID: Duration = Duration::from_secs(150);

/// The machine.
#[derive(Debug, Default)]
pub struct Recycle {
    large: Option<Instant>,
    last: Option<Instant>,
}

impl Recycle {
    /// The page has most of what it may have.
    pub fn large(&mut self, now: Instant) {
        self.large = Some(now);
    }

    /// True if the page is to be loaded anew in a new process, now. `shows`: what is wanted is on the glass.
    pub fn now(&mut self, facts: &Facts, shows: bool, now: Instant) -> bool {
        let is_large = self.large.is_some_and(|at| now < at + SAID);
        let is_rested = self.last.is_none_or(|at| now >= at + EVERY);
        if !(is_large && is_rested && shows && is_quiet(facts)) {
            return false;
        }
        (self.large, self.last) = (None, Some(now));
        true
    }
}

impl Supervisor {
    /// Loads a page that has grown large anew, if this is the moment for it.
    pub(super) fn recycle(&mut self, out: &mut Out) {
        let shows = self.is_showing() && !self.is_held();
        if self.care.recycle.now(&self.screen, shows, out.now) {
            self.swap_page("the page has grown large, and this is a quiet moment", out);
        }
    }
}

/// Nothing moves, and nobody is at it. A glass that cannot be seen is not known to be quiet.
fn is_quiet(facts: &Facts) -> bool {
    let long = |ms: u64, least: Duration| Duration::from_millis(ms) >= least;
    facts.frame.is_some_and(|frame| long(frame.still_ms, STILL)) && facts.idle_ms.is_none_or(|ms| long(ms, UNTOUCHED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::screen::Frame;

    fn facts(still_s: u64, idle_s: u64) -> Facts {
        let frame = Frame { uniform: None, hash: 1, still_ms: still_s * 1000, beat_still_ms: Some(100) };
        Facts { frame: Some(frame), idle_ms: Some(idle_s * 1000), ..Facts::default() }
    }

    #[test]
    fn a_large_page_is_loaded_anew_when_nothing_moves_and_nobody_is_there() {
        let now = Instant::now();
        let mut recycle = Recycle::default();
        assert!(!recycle.now(&facts(60, 600), true, now), "it is not large");
        recycle.large(now);
        assert!(!recycle.now(&facts(2, 600), true, now), "something moves");
        assert!(!recycle.now(&facts(60, 5), true, now), "somebody is at it");
        assert!(!recycle.now(&facts(60, 600), false, now), "something else is on the glass");
        assert!(!recycle.now(&Facts::default(), true, now), "nobody sees the glass");
        assert!(recycle.now(&facts(60, 600), true, now));
    }

    #[test]
    fn a_page_that_is_large_by_nature_is_not_loaded_anew_all_the_time() {
        let mut now = Instant::now();
        let mut recycle = Recycle::default();
        let mut times = 0;
        for _ in 0..120 {
            recycle.large(now);
            times += u32::from(recycle.now(&facts(60, 600), true, now));
            now += Duration::from_secs(60);
        }
        assert!((7..=9).contains(&times), "{times} times in two hours");
    }
}
