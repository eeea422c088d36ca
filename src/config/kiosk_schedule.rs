//! `[schedule]`: when the screen is on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::Refusals;
use crate::event::command::{Schedule, ScheduleException, ScheduleRule, Timetable};

/// When the screen is on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// `None`: nothing is said, so always.
    pub timetable: Option<Timetable>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ScheduleFile {
    /// Dates on which no rule begins: one date, one of every year, or several days in a row.
    #[schemars(extend("examples" = [["2026-12-25", "01-01", "12-24..01-02"]]))]
    holidays: Vec<String>,
    /// Hours on days of the week, one [[schedule.rules]] for each. Hours may overlap and go past midnight.
    rules: Vec<RuleFile>,
    /// Hours on dates, in place of rules and holidays, one [[schedule.exceptions]] for each.
    exceptions: Vec<ExceptionFile>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct RuleFile {
    /// Days of the week: "mon-fri", "sat", "mon, wed, fri-sun".
    days: String,
    /// When the screen goes on, in local time. Required.
    #[schemars(extend("examples" = ["07:30"]))]
    on: Option<String>,
    /// When it goes off, up to "24:00"; a time before "on" is of the next day. Required.
    #[schemars(extend("examples" = ["18:00"]))]
    off: Option<String>,
}

impl Default for RuleFile {
    fn default() -> Self {
        Self { days: "mon-sun".to_owned(), on: None, off: None }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct ExceptionFile {
    /// A date, written as a holiday is. Required.
    #[schemars(extend("examples" = ["12-24"]))]
    date: Option<String>,
    /// When the screen goes on, in local time. Required.
    #[schemars(extend("examples" = ["09:00"]))]
    on: Option<String>,
    /// When it goes off. Required.
    #[schemars(extend("examples" = ["14:00"]))]
    off: Option<String>,
}

impl ScheduleFile {
    pub(super) fn every_key() -> Self {
        Self { holidays: Vec::new(), rules: vec![RuleFile::default()], exceptions: vec![ExceptionFile::default()] }
    }
}

pub(super) fn settings(file: ScheduleFile, refusals: &mut Refusals<'_>) -> ScheduleSettings {
    if file.rules.is_empty() && file.exceptions.is_empty() && file.holidays.is_empty() {
        return ScheduleSettings::default();
    }
    let mut required = |list: &str, n: usize, key: &str, value: Option<String>| {
        if value.is_none() {
            refusals.refuse(
                &format!("schedule.{list}[{n}]"),
                format!("{key} is missing"),
                format!("write {key} = \"…\""),
            );
        }
        value
    };
    let rules = file.rules.into_iter().enumerate().filter_map(|(n, rule)| {
        let (on, off) = (required("rules", n, "on", rule.on), required("rules", n, "off", rule.off));
        Some(ScheduleRule { days: rule.days, on: on?, off: off? })
    });
    let rules: Vec<_> = rules.collect();
    let exceptions = file.exceptions.into_iter().enumerate().filter_map(|(n, exception)| {
        let date = required("exceptions", n, "date", exception.date);
        let (on, off) =
            (required("exceptions", n, "on", exception.on), required("exceptions", n, "off", exception.off));
        Some(ScheduleException { date: date?, on: on?, off: off? })
    });
    let exceptions: Vec<_> = exceptions.collect();
    // The same words as in the command `schedule`, and the same reader.
    match (Schedule { rules, holidays: file.holidays, exceptions }).timetable() {
        Ok(timetable) => ScheduleSettings { timetable: Some(timetable) },
        Err(problem) => {
            let mut parts = problem.splitn(3, ": ");
            let (key, says) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("it makes no sense"));
            refusals.refuse(&format!("schedule.{key}"), says, parts.next().unwrap_or("put it right"));
            ScheduleSettings::default()
        }
    }
}
