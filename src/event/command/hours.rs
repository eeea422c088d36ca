//! The data of `schedule`: texts that people write, and what they mean. The same words stand in `kiosk.toml`.

use jiff::civil::{Date, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::CommandData;

/// Seven days of a busy place, each with its own breaks.
pub const RULES_MAX: usize = 64;
/// Holidays and exceptions of years ahead.
pub const DATES_MAX: usize = 400;

/// The data of `schedule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When the screen is on; none: always.
    #[schemars(length(max = 64))]
    pub rules: Vec<ScheduleRule>,
    /// Dates on which no rule begins: `2026-12-25`, `12-25` for every year, `12-24..01-02` for several days.
    #[serde(default)]
    #[schemars(length(max = 400))]
    pub holidays: Vec<String>,
    /// Dates with hours of their own, in place of rules and holidays.
    #[serde(default)]
    #[schemars(length(max = 400))]
    pub exceptions: Vec<ScheduleException>,
}

/// Hours on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRule {
    /// `mon-fri`, `sat`, `mon, wed, fri-sun`.
    #[serde(default = "every_day")]
    pub days: String,
    /// Local time, `07:30`.
    pub on: String,
    /// Local time, up to `24:00`; one before `on` is of the next day.
    pub off: String,
}

/// Hours on some dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleException {
    /// As a holiday is written.
    pub date: String,
    pub on: String,
    pub off: String,
}

impl CommandData for Schedule {
    fn check(&self) -> Result<(), String> {
        self.timetable().map(|_| ())
    }
}

/// What a schedule means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timetable {
    /// None: every day, all day.
    pub rules: Vec<(Days, Span)>,
    pub holidays: Vec<Dates>,
    pub exceptions: Vec<(Dates, Span)>,
}

/// Some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(u8);

/// Minutes since the midnight with which a day begins. `on` is less than a day, and less than `off`, which is at most
/// the end of the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub on: u16,
    pub off: u16,
}

/// One date, or several in a row; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    Once(Date, Date),
    /// Month and day. The end may lie before the beginning: over the new year.
    EveryYear((i8, i8), (i8, i8)),
}

impl Schedule {
    /// What it means. The error names the place and fits after "the data of `schedule`: ".
    pub fn timetable(&self) -> Result<Timetable, String> {
        for (name, len, max) in [
            ("rules", self.rules.len(), RULES_MAX),
            ("holidays", self.holidays.len(), DATES_MAX),
            ("exceptions", self.exceptions.len(), DATES_MAX),
        ] {
            if len > max {
                return Err(format!("{name}: it has {len} lines: at most {max} are taken"));
            }
        }
        let rules = self.rules.iter().enumerate().map(|(n, rule)| {
            let at = |problem: String| format!("rules[{n}].{problem}");
            let days = days(&rule.days).map_err(|problem| at(format!("days: {problem}")))?;
            Ok((days, span(&rule.on, &rule.off).map_err(at)?))
        });
        let holidays = self.holidays.iter().enumerate();
        let holidays = holidays.map(|(n, text)| dates(text).map_err(|problem| format!("holidays[{n}]: {problem}")));
        let exceptions = self.exceptions.iter().enumerate().map(|(n, exception)| {
            let at = |problem: String| format!("exceptions[{n}].{problem}");
            let dates = dates(&exception.date).map_err(|problem| at(format!("date: {problem}")))?;
            Ok((dates, span(&exception.on, &exception.off).map_err(at)?))
        });
        Ok(Timetable {
            rules: rules.collect::<Result<_, String>>()?,
            holidays: holidays.collect::<Result<_, String>>()?,
            exceptions: exceptions.collect::<Result<_, String>>()?,
        })
    }
}

impl Timetable {
    /// What begins on a date, in the order of time.
    pub fn spans(&self, date: Date) -> Vec<Span> {
        let exceptions = self.exceptions.iter().filter(|(dates, _)| dates.contain(date));
        let mut spans: Vec<Span> = exceptions.map(|(_, span)| *span).collect();
        if spans.is_empty() && !self.holidays.iter().any(|dates| dates.contain(date)) {
            let rules = self.rules.iter().filter(|(days, _)| days.contain(date.weekday()));
            spans.extend(rules.map(|(_, span)| *span));
            if self.rules.is_empty() {
                spans.push(Span { on: 0, off: DAY });
            }
        }
        spans.sort();
        spans
    }
}

impl Days {
    pub fn contain(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

impl Dates {
    pub fn contain(self, date: Date) -> bool {
        match self {
            Dates::Once(first, last) => (first..=last).contains(&date),
            Dates::EveryYear(first, last) => {
                let day = (date.month(), date.day());
                if first <= last { (first..=last).contains(&day) } else { day >= first || day <= last }
            }
        }
    }
}

const DAY: u16 = 24 * 60;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn every_day() -> String {
    "mon-sun".to_owned()
}

fn days(text: &str) -> Result<Days, String> {
    let problem = || format!("`{}` names no days: write them such as mon-fri or sat, sun", short(text));
    let day = |name: &str| NAMES.iter().position(|known| known.eq_ignore_ascii_case(name.trim())).ok_or_else(problem);
    let mut found = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // `fri-mon` goes over the end of the week.
        let many = (last + 7 - first) % 7;
        (0..=many).for_each(|n| found |= 1 << ((first + n) % 7));
    }
    Ok(Days(found))
}

fn span(on: &str, off: &str) -> Result<Span, String> {
    let begins = minutes(on).filter(|minutes| *minutes < DAY);
    let begins = begins.ok_or_else(|| format!("on: `{}` is no time: write it such as 07:30", short(on)))?;
    let ends = minutes(off).ok_or_else(|| format!("off: `{}` is no time: write it such as 18:00", short(off)))?;
    match ends.cmp(&begins) {
        std::cmp::Ordering::Greater => Ok(Span { on: begins, off: ends }),
        std::cmp::Ordering::Less => Ok(Span { on: begins, off: ends + DAY }),
        std::cmp::Ordering::Equal => Err("off: it is the same as on: a whole day is 00:00 to 24:00".to_owned()),
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let is_time = (hours < 24 && minutes < 60) || (hours, minutes) == (24, 0);
    is_time.then_some(hours * 60 + minutes)
}

fn dates(text: &str) -> Result<Dates, String> {
    let problem = || {
        let text = short(text);
        format!("`{text}` is no date: write it such as 2026-12-25, 12-25 for every year, or 12-24..01-02")
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.trim(), last.trim());
    if let Some((first, last)) = day_of_year(first).zip(day_of_year(last)) {
        return Ok(Dates::EveryYear(first, last));
    }
    let date = |text: &str| text.parse::<Date>().ok().filter(|_| text.len() == "2026-12-25".len());
    match date(first).zip(date(last)) {
        Some((first, last)) if first <= last => Ok(Dates::Once(first, last)),
        Some(_) => Err(format!("`{}` ends before it begins: write the first day first", short(text))),
        None => Err(problem()),
    }
}

/// `12-25`; the 29th of February is one.
fn day_of_year(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let (month, day) = (number(month, 2..=2)?, number(day, 2..=2)?);
    let leap = Date::new(2024, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some((leap.month(), leap.day()))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_times_and_dates_are_read_as_people_write_them() {
        let on = |text: &str| {
            let days = days(text).unwrap();
            NAMES.iter().enumerate().filter(|(n, _)| days.0 & (1 << n) != 0).map(|(_, name)| *name).collect::<Vec<_>>()
        };
        assert_eq!(on("mon-fri"), ["mon", "tue", "wed", "thu", "fri"]);
        assert_eq!(on("Fri-mon, wed"), ["mon", "wed", "fri", "sat", "sun"]);
        assert_eq!(on("sun"), ["sun"]);
        assert_eq!(on("mon-sun").len(), 7);
        assert_eq!(span("7:30", "18:00"), Ok(Span { on: 450, off: 1080 }));
        assert_eq!(span("18:00", "02:00"), Ok(Span { on: 1080, off: 1560 }), "of the next day");
        assert_eq!(span("00:00", "24:00"), Ok(Span { on: 0, off: DAY }));
        let day = |text: &str| text.parse::<Date>().unwrap();
        let new_year = dates("12-24..01-02").unwrap();
        assert!(new_year.contain(day("2026-12-31")) && new_year.contain(day("2027-01-02")));
        assert!(!new_year.contain(day("2026-12-23")) && !new_year.contain(day("2027-01-03")));
        let once = dates("2026-07-01..2026-07-14").unwrap();
        assert!(once.contain(day("2026-07-14")) && !once.contain(day("2027-07-14")));
        assert!(dates("02-29").unwrap().contain(day("2028-02-29")));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place_and_the_cure() {
        let rule = |days: &str, on: &str, off: &str| ScheduleRule { days: days.into(), on: on.into(), off: off.into() };
        let with = |rule: ScheduleRule| Schedule { rules: vec![rule], ..Schedule::default() };
        let off = |date: &str| Schedule { holidays: vec!["12-25".into(), date.into()], ..Schedule::default() };
        for (schedule, says) in [
            (with(rule("mo-fr", "07:00", "18:00")), "rules[0].days: `mo-fr` names no days"),
            (with(rule("", "07:00", "18:00")), "rules[0].days"),
            (with(rule("mon", "7", "18:00")), "rules[0].on: `7` is no time: write it such as 07:30"),
            (with(rule("mon", "24:00", "18:00")), "rules[0].on"),
            (with(rule("mon", "07:00", "24:01")), "rules[0].off"),
            (with(rule("mon", "07:00", "7:00")), "a whole day is 00:00 to 24:00"),
            (off("2026-02-30"), "holidays[1]: `2026-02-30` is no date"),
            (off("13-01"), "holidays[1]"),
            (off("2026-12-25..2026-12-24"), "ends before it begins"),
            (off("2026-12-25..12-26"), "is no date"),
            (off("2026-12-25T10:00:00"), "is no date"),
        ] {
            let error = schedule.timetable().unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let many = Schedule { rules: vec![rule("mon", "07:00", "18:00"); 65], ..Schedule::default() };
        assert!(many.timetable().unwrap_err().contains("at most 64"));
    }

    #[test]
    fn an_exception_goes_over_a_holiday_and_a_holiday_over_the_rules() {
        let schedule: Schedule = serde_json::from_str(
            r#"{"rules":[{"on":"12:00","off":"14:00"},{"days":"mon-fri","on":"08:00","off":"10:00"}],
                "holidays":["12-24..12-26"],"exceptions":[{"date":"12-24","on":"09:00","off":"12:00"}]}"#,
        )
        .unwrap();
        let timetable = schedule.timetable().unwrap();
        let on = |date: &str| {
            let spans = timetable.spans(date.parse().unwrap());
            spans.iter().map(|span| span.on / 60).collect::<Vec<_>>()
        };
        assert_eq!(on("2026-12-23"), [8, 12], "a Wednesday, in the order of time");
        assert_eq!(on("2026-12-24"), [9]);
        assert_eq!(on("2026-12-25"), [0; 0]);
        assert_eq!(on("2026-12-27"), [12], "a Sunday");
        assert_eq!(Timetable::default().spans("2026-01-01".parse().unwrap()), [Span { on: 0, off: DAY }]);
    }
}
