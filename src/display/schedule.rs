//! Whether a timetable wants the screen on at a moment, and when that changes. Pure: clock and zone are passed in.
//!
//! ```text
//!   a date's spans (local time) --zone--> moments --merged--> on or off now, until when
//!     fri 18:00-02:00                     sat 00:00Z
//! ```
//!
//! A span is on from the first moment at which the local clock shows its beginning or later, to the last moment at
//! which the clock goes over its end. So an hour that comes twice is on as long as any of the two, and one that does not
//! come at all begins and ends where the clock jumps over it.
//!
//! Rejected: the local time of each minute held against the spans. In the hour that comes twice, hours that end in it
//! would go off, on and off again.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::event::command::{Span, Timetable};

/// How far ahead a change is looked for: over the longest holidays that come every year.
const DAYS_AHEAD: i32 = 400;
/// A span lasts to the end of the next day, and there are zones that left out a day (Apia, 2011-12-30).
const DAYS_BEHIND: i32 = 3;

/// What a timetable wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub on: bool,
    /// When it wants the other; none: not within a year.
    pub until: Option<Timestamp>,
}

/// What is wanted at this moment.
pub fn wanted(timetable: &Timetable, zone: &TimeZone, now: Timestamp) -> Wanted {
    let today = zone.to_datetime(now).date();
    // The end of what is on now, as far as it is known.
    let mut on_until = None;
    for days in -DAYS_BEHIND..=DAYS_AHEAD {
        let Ok(date) = today.checked_add(days.days()) else { break };
        for (begins, ends) in timetable.spans(date).into_iter().filter_map(|span| moments(span, date, zone)) {
            match on_until {
                _ if ends <= now || ends <= begins => {}
                None if begins > now => return Wanted { on: false, until: Some(begins) },
                None => on_until = Some(ends),
                // Spans come in the order in which they begin.
                Some(until) if begins > until => return Wanted { on: true, until: Some(until) },
                Some(until) => on_until = Some(until.max(ends)),
            }
        }
    }
    let far = now + (i64::from(DAYS_AHEAD - DAYS_BEHIND) * 24).hours();
    Wanted { on: on_until.is_some(), until: on_until.filter(|until| *until < far) }
}

/// When a date's span begins and ends.
fn moments(span: Span, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let at = |minutes: u16| date.to_datetime(jiff::civil::Time::midnight()).checked_add(i64::from(minutes).minutes());
    Some((moment(at(span.on).ok()?, zone, Which::First)?, moment(at(span.off).ok()?, zone, Which::Last)?))
}

/// Of a local time that comes twice.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Which {
    First,
    Last,
}

fn moment(local: DateTime, zone: &TimeZone, which: Which) -> Option<Timestamp> {
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, after } => {
            // What the clock is put back to it shows a second time, and less than that no more: the first was the end.
            let second = after.to_timestamp(local).ok()?;
            let is_put_back_to = zone.to_datetime(second - 1.second()) > local;
            if which == Which::First || is_put_back_to { before } else { after }
        }
        // Read with the offset that comes, it lies before the jump.
        AmbiguousOffset::Gap { after, .. } => {
            let before = after.to_timestamp(local).ok()?;
            return zone.following(before).next().map(|jump| jump.timestamp());
        }
    };
    offset.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests;
