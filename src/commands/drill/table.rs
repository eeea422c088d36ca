//! What a drill found, a line as soon as it is known; for programs one document at the end.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::DrillFailure;
use crate::{
    commands::{
        failure::{Exit, Failure},
        output,
    },
    display::drill::{Ended, Outcome},
    event::command::Fault,
};

/// The table as it grows.
#[derive(Debug)]
pub struct Table {
    is_json: bool,
    outcomes: Vec<Outcome>,
}

impl Table {
    pub fn new(is_json: bool) -> Self {
        Table { is_json, outcomes: Vec::new() }
    }

    /// Says what is drilled.
    pub fn opening(&self, what: &str) -> Result<(), Failure> {
        if self.is_json {
            return Ok(());
        }
        self.line(what)?;
        output::line("")?;
        output::line(&format!("{:<18} {:<12} {:>6}", "fault", "right after", "limit"))
    }

    /// A person who waits sees what for.
    pub fn begins(&self, fault: Fault) {
        self.waits(&format!("{:<18} {}", fault.name(), fault.words()));
    }

    /// Taken back by the next line; where it cannot be written, nobody waits.
    pub fn waits(&self, what: &str) {
        let mut stderr = std::io::stderr();
        if !self.is_json && stderr.is_terminal() {
            let _ = write!(stderr, "{what} ...\r");
            let _ = stderr.flush();
        }
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        output::line(text)
    }

    pub fn row(&mut self, outcome: Outcome) -> Result<(), Failure> {
        let text = row(&outcome);
        self.outcomes.push(outcome);
        if self.is_json {
            return Ok(());
        }
        self.line(&text)
    }

    /// The verdict.
    pub fn close(&self) -> Result<Exit, Failure> {
        if self.is_json {
            output::json(&document(&self.outcomes))?;
        } else {
            output::line("")?;
            output::line(&summary(&self.outcomes))?;
        }
        let run = self.outcomes.iter().filter(|outcome| outcome.was_run()).count();
        let bad = self.outcomes.iter().filter(|outcome| outcome.was_run() && !outcome.is_ok()).count();
        match (run, bad) {
            (0, _) => Err(DrillFailure::NothingRun.into()),
            (_, 0) => Ok(Exit::Done),
            _ => Err(DrillFailure::Late { bad, run }.into()),
        }
    }
}

fn row(outcome: &Outcome) -> String {
    let fault = outcome.fault;
    let limit = format!("{} s", fault.limit().as_secs());
    let (after, verdict) = match &outcome.ended {
        Ended::Recovered(took) if outcome.is_ok() => {
            let what = if fault.right_is_offline_page() { "ok (the offline page)" } else { "ok" };
            (format!("{:.1} s", took.as_secs_f64()), what.to_owned())
        }
        Ended::Recovered(took) => (format!("{:.1} s", took.as_secs_f64()), "TOO LATE".to_owned()),
        Ended::Never { waited, says } => {
            (format!("not in {} s", waited.as_secs()), format!("FAILED; the supervisor says: {says}"))
        }
        Ended::NotHere(why) => return format!("{:<18} not here: {why}", fault.name()),
        Ended::Broken(why) => ("-".to_owned(), format!("FAILED: {why}")),
    };
    format!("{:<18} {after:<12} {limit:>6}  {verdict}", fault.name())
}

fn summary(outcomes: &[Outcome]) -> String {
    let run: Vec<_> = outcomes.iter().filter(|outcome| outcome.was_run()).collect();
    let good = run.iter().filter(|outcome| outcome.is_ok()).count();
    let rest = match outcomes.len() - run.len() {
        0 => String::new(),
        left => format!(" {left} could not be made here."),
    };
    format!("{good} of {} faults recovered from in time, without hands.{rest}", run.len())
}

/// What was not made is no fault that was recovered from: it stands apart.
fn document(outcomes: &[Outcome]) -> Value {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (mut faults, mut not_here) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let fault = outcome.fault.name();
        let mut entry = json!({
            "fault": fault,
            "recovered_ms": null,
            "ok": outcome.is_ok(),
            "limit_ms": millis(outcome.fault.limit()),
        });
        match &outcome.ended {
            Ended::Recovered(took) => entry["recovered_ms"] = json!(millis(*took)),
            Ended::Never { says, .. } => entry["why"] = json!(says),
            Ended::Broken(why) => entry["why"] = json!(why),
            Ended::NotHere(why) => {
                not_here.push(json!({ "fault": fault, "why": why }));
                continue;
            }
        }
        faults.push(entry);
    }
    json!({ "faults": faults, "not_here": not_here })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let outcome = |fault, ended| Outcome { fault, ended };
        vec![
            outcome(Fault::BrowserKilled, Ended::Recovered(Duration::from_millis(4210))),
            outcome(Fault::ContentKilled, Ended::Recovered(Duration::from_millis(1510))),
            outcome(Fault::PageWhite, Ended::Never { waited: Duration::from_secs(60), says: "Showing a".into() }),
            outcome(Fault::DiskFull, Ended::NotHere("only root can fill it".into())),
        ]
    }

    #[test]
    fn a_row_says_how_long_it_took_and_what_is_not_made_is_never_ok() {
        let rows: Vec<String> = outcomes().iter().map(row).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        browser-killed     4.2 s           8 s  ok
        content-killed     1.5 s           1 s  TOO LATE
        page-white         not in 60 s    15 s  FAILED; the supervisor says: Showing a
        disk-full          not here: only root can fill it
        ");
        assert_eq!(
            summary(&outcomes()),
            "1 of 3 faults recovered from in time, without hands. 1 could not be made here."
        );
    }

    #[test]
    fn programs_get_the_contracts_members() {
        let document = document(&outcomes());
        let faults = document["faults"].as_array().unwrap();
        assert_eq!(faults.len(), 3, "what was not made is no fault that was recovered from");
        assert_eq!(faults[0], json!({"fault": "browser-killed", "recovered_ms": 4210, "ok": true, "limit_ms": 8000}));
        assert_eq!((&faults[1]["ok"], &faults[2]["recovered_ms"]), (&json!(false), &Value::Null));
        assert_eq!(document["not_here"][0]["fault"], "disk-full");
    }

    #[test]
    fn the_exit_code_is_0_only_if_every_fault_that_was_made_was_recovered_from_in_time() {
        let closed = |outcomes: &[Outcome]| Table { is_json: false, outcomes: outcomes.to_vec() }.close();
        let all = outcomes();
        assert!(matches!(closed(&[all[0].clone(), all[3].clone()]), Ok(Exit::Done)), "what is not here is no failure");
        let failed = closed(&all).unwrap_err();
        assert!(failed.rendered().contains("2 of 3 faults were not recovered from in time"), "{}", failed.rendered());
        assert_eq!(failed.exit(), Exit::NotShown);
        assert!(closed(&all[3..]).unwrap_err().rendered().contains("none of these faults can be made here"));
    }
}
