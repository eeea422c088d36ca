//! What comes, ends and comes again without ever having shown anything: a browser loop, or a Firefox. Pure.
//!
//! Whoever keeps it starts it again for ever (tty1 the session, the browser loop Firefox), and each one that comes looks
//! like the cure of the one before. So its time runs from the first end on, until something is painted.

use std::time::Duration;

use tokio::time::Instant;

/// So many ends in a row are no accident, nor one restart that somebody asked for.
const TIMES: u32 = 3;

#[derive(Debug, Default)]
pub struct Ends {
    times: u32,
    first: Option<Instant>,
}

impl Ends {
    pub fn one_more(&mut self, now: Instant) {
        self.times = self.times.saturating_add(1);
        self.first.get_or_insert(now);
    }

    /// When it is a fault: there were enough of them, and nothing was painted for so long.
    pub fn deadline(&self, within: Duration) -> Option<Instant> {
        self.first.filter(|_| self.times >= TIMES).map(|first| first + within)
    }

    /// True if it is one; then the count begins anew.
    pub fn are_too_many(&mut self, within: Duration, now: Instant) -> bool {
        let too_many = self.deadline(within).is_some_and(|at| now >= at);
        if too_many {
            *self = Ends::default();
        }
        too_many
    }
}
