//! Held against every minute of years, in zones whose clocks do odd things.

use proptest::prelude::*;

use super::*;
use crate::event::command::{Schedule, ScheduleException, ScheduleRule};

/// Half-hour steps, midnight jumps, a day that was left out, clocks that go back over midnight, no jumps at all.
const ZONES: [&str; 9] = [
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "UTC",
];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("this machine has the time zone database")
}

fn moment_of(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn on_week(rules: &[(&str, &str, &str)]) -> Timetable {
    let rule = |(days, on, off): &(&str, &str, &str)| ScheduleRule {
        days: (*days).into(),
        on: (*on).into(),
        off: (*off).into(),
    };
    Schedule { rules: rules.iter().map(rule).collect(), ..Schedule::default() }.timetable().unwrap()
}

/// What is wanted in each minute from a moment on, by definition and without any arithmetic of zones but "what does the
/// clock show now": a span is on once the clock has shown its beginning, until the clock shows less than its end no more.
fn minute_by_minute(timetable: &Timetable, zone: &TimeZone, from: Timestamp, minutes: usize) -> Vec<bool> {
    // Three days on either side, for spans and jumps that reach in.
    let margin = 3 * 24 * 60;
    let first = from - (margin as i64).minutes();
    let shown: Vec<DateTime> =
        (0..minutes + 2 * margin).map(|minute| zone.to_datetime(first + (minute as i64).minutes())).collect();
    let mut latest = shown.clone();
    (1..latest.len()).for_each(|at| latest[at] = latest[at].max(latest[at - 1]));
    let mut earliest_to_come = shown.clone();
    (0..earliest_to_come.len() - 1)
        .rev()
        .for_each(|at| earliest_to_come[at] = earliest_to_come[at].min(earliest_to_come[at + 1]));
    let (mut date, last) = (shown[0].date(), shown[shown.len() - 1].date());
    let mut on = vec![false; shown.len()];
    while date <= last {
        for span in timetable.spans(date) {
            let midnight = date.to_datetime(jiff::civil::Time::midnight());
            let (begins, ends) = (midnight + i64::from(span.on).minutes(), midnight + i64::from(span.off).minutes());
            let from = latest.partition_point(|shown| *shown < begins);
            let to = earliest_to_come.partition_point(|shown| *shown < ends);
            (from..to).for_each(|at| on[at] = true);
        }
        date = date.tomorrow().unwrap();
    }
    on[margin..margin + minutes].to_vec()
}

/// Follows `wanted` from change to change, and tells each minute.
fn change_by_change(timetable: &Timetable, zone: &TimeZone, from: Timestamp, minutes: usize) -> Vec<bool> {
    let end = from + (minutes as i64).minutes();
    let (mut now, mut on) = (from, Vec::new());
    while now < end {
        let wanted = wanted(timetable, zone, now);
        let until = wanted.until.unwrap_or(end).min(end);
        assert!(until > now, "it stands still at {now}");
        let seconds = until.as_second() - now.as_second();
        assert_eq!(seconds % 60, 0, "changes come with the minute");
        on.extend(std::iter::repeat_n(wanted.on, usize::try_from(seconds / 60).unwrap()));
        if let Some(until) = wanted.until.filter(|until| *until < end) {
            assert_ne!(super::wanted(timetable, zone, until).on, wanted.on, "{until} is no change");
        }
        now = until;
    }
    on
}

fn time() -> impl Strategy<Value = String> {
    // Quarter hours, and often the hours in which clocks jump.
    prop_oneof![(0..24u32, 0..4u32), (0..4u32, 0..4u32), (22..24u32, 0..4u32)]
        .prop_map(|(hour, quarter)| format!("{hour:02}:{:02}", quarter * 15))
}

fn rule() -> impl Strategy<Value = ScheduleRule> {
    let days = prop::sample::select(vec!["mon-sun", "mon-fri", "sat, sun", "sun", "fri-sun", "wed"]);
    (days, time(), time()).prop_map(|(days, on, off)| {
        let off = if on == off { "24:00".to_owned() } else { off };
        ScheduleRule { days: days.to_owned(), on, off }
    })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let dates = || prop::sample::select(vec!["03-29", "10-25", "12-30..01-02", "2026-04-05", "02-29", "07-01..08-20"]);
    let exception = (dates(), rule()).prop_map(|(date, rule)| ScheduleException {
        date: date.to_owned(),
        on: rule.on,
        off: rule.off,
    });
    let holidays = prop::collection::vec(dates().prop_map(str::to_owned), 0..3);
    let (rules, exceptions) = (prop::collection::vec(rule(), 0..4), prop::collection::vec(exception, 0..3));
    (rules, holidays, exceptions).prop_map(|(rules, holidays, exceptions)| Schedule { rules, holidays, exceptions })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_change_is_the_one_that_a_look_at_the_clock_in_every_minute_finds(
        schedule in schedule(),
        name in prop::sample::select(ZONES.to_vec()),
        year in prop::sample::select(vec![2011, 2018, 2024, 2026, 2027]),
        minute in 0..60 * 24 * 28i64,
    ) {
        let (timetable, zone) = (schedule.timetable().unwrap(), zone(name));
        let from = moment_of(&format!("{year}-01-01T00:00:00Z")) + minute.minutes();
        let minutes = 400 * 24 * 60;
        let naive = minute_by_minute(&timetable, &zone, from, minutes);
        let found = change_by_change(&timetable, &zone, from, minutes);
        let differs = naive.iter().zip(&found).position(|(naive, found)| naive != found);
        prop_assert!(
            differs.is_none() && naive.len() == found.len(),
            "{name}, {schedule:?}: differs at {:?}", differs.map(|at| zone.to_datetime(from + (at as i64).minutes()))
        );
    }
}

#[test]
fn a_bar_is_lit_past_midnight_and_through_the_hour_that_comes_twice() {
    let (bar, zurich) = (on_week(&[("sat", "18:00", "02:30")]), zone("Europe/Zurich"));
    let at = |text: &str| wanted(&bar, &zurich, moment_of(text));
    let ends = Some(moment_of("2026-10-25T01:30:00Z"));
    assert_eq!(at("2026-10-24T16:00:00Z"), Wanted { on: true, until: ends }, "the second 02:30, in winter time");
    assert_eq!(at("2026-10-25T00:45:00Z"), Wanted { on: true, until: ends }, "after the first");
    assert_eq!(at("2026-10-25T01:30:00Z").until, Some(moment_of("2026-10-31T17:00:00Z")));
}

#[test]
fn what_ends_at_the_time_that_the_clock_is_put_back_to_ends_when_it_shows_it_first() {
    let (rules, zurich) = (on_week(&[("sat, sun", "00:00", "02:00")]), zone("Europe/Zurich"));
    let ends = wanted(&rules, &zurich, moment_of("2011-10-29T23:00:00Z")).until;
    assert_eq!(ends, Some(moment_of("2011-10-30T00:00:00Z")), "02:00 in summer time, and not an hour later again");
    let (rules, havana) = (on_week(&[("sat, sun", "23:45", "24:00")]), zone("America/Havana"));
    let ends = wanted(&rules, &havana, moment_of("2011-11-13T03:50:00Z")).until;
    assert_eq!(ends, Some(moment_of("2011-11-13T04:00:00Z")), "the first midnight of two");
}

/// Chance finds the edges of a jump seldom: here is every half hour around each.
#[test]
fn around_every_jump_every_pair_of_times_is_as_a_look_in_every_minute_finds() {
    let times = ["22:30", "23:00", "23:45", "00:00", "00:30", "01:00", "01:30", "02:00", "02:30", "03:00"];
    for (name, days) in [
        ("Europe/Zurich", ["2026-03-28", "2026-10-24"]),
        ("America/Havana", ["2011-03-12", "2011-11-12"]),
        ("Australia/Lord_Howe", ["2026-04-04", "2026-10-03"]),
        ("America/Santiago", ["2026-04-04", "2026-09-05"]),
    ] {
        let zone = zone(name);
        let pairs: Vec<(&str, &str)> = times.iter().flat_map(|on| times.iter().map(move |off| (*on, *off))).collect();
        for (day, (on, off)) in days.iter().flat_map(|day| pairs.iter().map(move |pair| (*day, *pair))) {
            if on == off {
                continue;
            }
            let timetable = on_week(&[("mon-sun", on, off)]);
            let from = moment_of(&format!("{day}T00:00:00Z"));
            let minutes = 2 * 24 * 60;
            let naive = minute_by_minute(&timetable, &zone, from, minutes);
            assert_eq!(change_by_change(&timetable, &zone, from, minutes), naive, "{name} {day}: {on} to {off}");
        }
    }
}

#[test]
fn what_begins_in_the_hour_that_is_left_out_begins_where_the_clock_jumps() {
    let (rules, zurich) = (on_week(&[("sun", "02:30", "09:00")]), zone("Europe/Zurich"));
    let at = |text: &str| wanted(&rules, &zurich, moment_of(text));
    assert_eq!(at("2026-03-29T00:59:59Z"), Wanted { on: false, until: Some(moment_of("2026-03-29T01:00:00Z")) });
    assert_eq!(at("2026-03-29T01:00:00Z"), Wanted { on: true, until: Some(moment_of("2026-03-29T07:00:00Z")) });
}

#[test]
fn hours_that_touch_are_one_and_a_week_without_end_never_changes() {
    let utc = zone("UTC");
    let touching = on_week(&[("mon-fri", "07:00", "12:00"), ("mon-fri", "12:00", "18:00"), ("fri", "17:00", "20:00")]);
    let friday = wanted(&touching, &utc, moment_of("2026-11-20T08:00:00Z"));
    assert_eq!(friday, Wanted { on: true, until: Some(moment_of("2026-11-20T20:00:00Z")) });
    let always = wanted(&Timetable::default(), &utc, moment_of("2026-11-20T08:00:00Z"));
    assert_eq!(always, Wanted { on: true, until: None });
    let closed = Schedule { holidays: vec!["01-01..12-31".into()], ..Schedule::default() }.timetable().unwrap();
    assert_eq!(wanted(&closed, &utc, moment_of("2026-11-20T08:00:00Z")), Wanted { on: false, until: None });
}

#[test]
fn a_school_is_dark_through_six_weeks_of_holidays_and_knows_when_they_end() {
    let school = Schedule {
        rules: vec![ScheduleRule { days: "mon-fri".into(), on: "07:00".into(), off: "17:00".into() }],
        holidays: vec!["2026-07-06..2026-08-16".into()],
        exceptions: vec![],
    };
    let at = moment_of("2026-07-04T12:00:00Z");
    let wanted = wanted(&school.timetable().unwrap(), &zone("Europe/Zurich"), at);
    assert_eq!(wanted, Wanted { on: false, until: Some(moment_of("2026-08-17T05:00:00Z")) });
}
