//! Is there anything in the page to see? Pure.
//!
//! A page may be white on purpose, and a page may still be filling itself. So one that never had anything in it is only
//! loaded again, less and less often; one that had, and lost it, is at fault soon.

use std::time::Duration;

use tokio::time::Instant;

use super::port::Looked;

// A look comes every three seconds: each of these ends half a second before one.

/// A page that had something in it and has lost everything, its scripts among it.
const LOST: Duration = Duration::from_millis(5500);
/// The same, and its scripts are still there: one that changes what it shows is not empty for so long.
const EMPTIED: Duration = Duration::from_millis(8500);
/// A page that has loaded, is empty, and has nothing in it that could fill it.
const BARE: Duration = Duration::from_millis(8500);
/// A page whose scripts have not filled it yet: they may wait for a slow server.
const UNFILLED: Duration = Duration::from_secs(30);
/// The longest that an empty page is left alone: the server may be mended by then.
const LONGEST: Duration = Duration::from_secs(300);

/// The machine.
#[derive(Debug, Default)]
pub struct Look {
    /// The address that is wanted.
    page: String,
    had: bool,
    since: Option<Instant>,
    /// How often in a row it was loaded again for it.
    again: u32,
}

impl Look {
    /// Another document is on the glass; `page` is what is wanted there.
    pub fn painted(&mut self, page: String) {
        let again = if self.page == page { self.again } else { 0 };
        *self = Look { page, again, ..Look::default() };
    }

    /// True if the page is at fault.
    pub fn looked(&mut self, looked: Looked, now: Instant) -> bool {
        if !looked.empty {
            (self.had, self.since, self.again) = (true, None, 0);
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let patience = match (self.had, looked.may_fill) {
            (true, false) => LOST,
            (true, true) => EMPTIED,
            (false, false) => BARE,
            (false, true) => UNFILLED,
        };
        let patience = patience.saturating_mul(1 << self.again.min(8)).min(LONGEST);
        let at_fault = now >= since + patience;
        if at_fault {
            (self.since, self.again) = (None, self.again + 1);
        }
        at_fault
    }

    /// Since when the page is empty.
    pub fn empty_since(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const FULL: Looked = Looked { empty: false, may_fill: true, beats: None };
    const EMPTY: Looked = Looked { empty: true, may_fill: false, beats: None };
    const FILLING: Looked = Looked { empty: true, may_fill: true, beats: None };

    /// After how many seconds of looks, one every three seconds, it is at fault.
    fn faults(look: &mut Look, looked: Looked, now: &mut Instant) -> u64 {
        let began = *now;
        while !look.looked(looked, *now) {
            *now += 3 * S;
        }
        (*now - began).as_secs()
    }

    #[test]
    fn a_page_that_lost_what_it_had_is_at_fault_within_ten_seconds() {
        let (mut look, mut now) = (Look::default(), Instant::now());
        assert!(!look.looked(FULL, now));
        assert_eq!(faults(&mut look, EMPTY, &mut now), 6);
        look.looked(FULL, now);
        assert_eq!(faults(&mut look, FILLING, &mut now), 9, "its scripts may be changing what it shows");
    }

    #[test]
    fn a_page_that_fills_itself_slowly_is_left_alone() {
        let (mut look, mut now) = (Look::default(), Instant::now());
        for _ in 0..9 {
            assert!(!look.looked(FILLING, now));
            now += 3 * S;
        }
        assert!(!look.looked(FULL, now));
    }

    #[test]
    fn a_page_that_is_white_on_purpose_is_loaded_again_less_and_less_often() {
        let (mut look, mut now) = (Look::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            look.painted("http://a/".into());
            waits.push(faults(&mut look, EMPTY, &mut now));
        }
        assert!(waits.is_sorted() && waits[0] < 12 && waits[7] >= 300, "{waits:?}");
        assert!(waits[7] < 310, "{waits:?}");
    }
}
