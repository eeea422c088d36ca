//! When the panel is cared for: what stands in one place for days stays there as a shadow, unless all points are moved
//! now and then. Pure.
//!
//! Once a night, while nobody is there and light comes out of the panel: a panel that is off rests anyway.
//!
//! Rejected: moving the whole picture by a point or two every few minutes. X could do it by laying out the page a little
//! larger than the screen, which breaks pages that are made for its very size; by a transformation, which costs a copy
//! of each frame; the page's own styles, which break whatever it has fixed in place; or the window, which is
//! the window manager's to place.

use std::time::Duration;

use jiff::civil::{Date, DateTime};

use crate::display::screen::Panel;

/// Nobody looks then, and nobody is at work yet; no clock is ever put forward or back at that time.
const FROM: (i8, i8) = (3, 30);
const MINUTES: i8 = 15;
/// Whoever touched it a moment ago is there.
const ALONE: Duration = Duration::from_secs(600);

/// How long the bars move.
pub const CARE: Duration = Duration::from_secs(60);

/// True if the panel is to be cared for now; `last` is the day on which it was.
pub fn is_due(local: DateTime, last: Option<Date>, idle: Option<Duration>, panel: Panel) -> bool {
    let minute = local.hour() == FROM.0 && (FROM.1..FROM.1 + MINUTES).contains(&local.minute());
    minute && last != Some(local.date()) && panel != Panel::Off && idle.is_none_or(|idle| idle >= ALONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_is_cared_for_once_a_night_when_nobody_is_there_and_it_is_on() {
        let at = |hour, minute| jiff::civil::date(2026, 11, 22).at(hour, minute, 0, 0);
        let night = at(3, 31);
        let long = Some(Duration::from_secs(3600));
        assert!(is_due(night, None, long, Panel::On));
        assert!(is_due(night, None, None, Panel::Unknown), "a server that cannot say");
        assert!(is_due(night, night.date().yesterday().ok(), long, Panel::On));
        assert!(!is_due(night, Some(night.date()), long, Panel::On), "it was, this night");
        assert!(!is_due(night, None, Some(Duration::from_secs(5)), Panel::On), "somebody is there");
        assert!(!is_due(night, None, long, Panel::Off), "it rests");
        assert!(!is_due(at(3, 29), None, long, Panel::On) && !is_due(at(15, 31), None, long, Panel::On));
    }
}
