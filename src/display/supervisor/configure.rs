//! The command `configure`: settings on trial until the display is well with them, or taken back. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Supervisor,
    out::{Out, Outcome},
    port::{AskId, Effect, Gather},
};
use crate::{
    display::{
        configured::Fate,
        journal::{EventKey, Journal, Record},
    },
    event::{Status, receipt::INTERRUPTED},
};

/// In which a display that was well before is well again: Firefox of a Pi 3, cold, takes one of them.
const WELL_WITHIN: Duration = Duration::from_secs(300);
/// Well for so long is well.
const STEADY: Duration = Duration::from_secs(10);
/// Stands in the journal where other commands name a boot.
const LIFE: &str = "configure";

/// The machine.
#[derive(Debug, Default)]
pub struct Configure {
    asked: Option<(AskId, EventKey)>,
    trial: Option<Trial>,
}

#[derive(Debug)]
struct Trial {
    key: EventKey,
    deadline: Instant,
    well_since: Option<Instant>,
}

impl Configure {
    /// What the last run of the supervisor began.
    pub fn resume(&mut self, journal: &Journal, fate: impl Fn(&EventKey) -> Fate, out: &mut Out) {
        for (taken, _) in journal.leaving().filter(|(taken, _)| taken.name == "configure") {
            let key = taken.key.clone();
            match fate(&key) {
                Fate::OnTrial => {
                    self.trial = Some(Trial { key, deadline: out.now + WELL_WITHIN, well_since: None });
                }
                Fate::Kept => out.end(key, Outcome::of(Status::Done)),
                Fate::TakenBack(why) => out.end(key, taken_back(&why)),
                Fate::Unknown => out.end(key, Outcome::failed(INTERRUPTED)),
            }
        }
    }

    /// True if the answer was to this machine's question.
    pub fn gathered(&mut self, ask: AskId, result: &Result<Value, String>, out: &mut Out) -> bool {
        let Some((_, key)) = self.asked.take_if(|(asked, _)| *asked == ask) else { return false };
        match result {
            Ok(Value::String(refused)) => out.end(key, Outcome::refused(refused.as_str())),
            // It is on disk: the next run tries it.
            Ok(_) => out.restart = Some("configure"),
            Err(why) => out.end(key, Outcome::failed(why.as_str())),
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        let trial = self.trial.as_ref()?;
        Some(trial.well_since.map_or(trial.deadline, |since| trial.deadline.min(since + STEADY)))
    }

    /// How the display is after each step; `sentence` says it in words.
    pub fn look(&mut self, well: bool, sentence: impl FnOnce() -> String, out: &mut Out) {
        let Some(trial) = &mut self.trial else { return };
        trial.well_since = well.then(|| trial.well_since.unwrap_or(out.now));
        if trial.well_since.is_some_and(|since| out.now >= since + STEADY) {
            let result = Some(json!({ "status": sentence() }));
            out.push(Effect::Configured { undo: None });
            out.end(trial.key.clone(), Outcome { result, ..Outcome::of(Status::Done) });
            self.trial = None;
        } else if out.now >= trial.deadline {
            let why = format!("the display was not well again in {} s: {}", WELL_WITHIN.as_secs(), sentence());
            out.end(trial.key.clone(), taken_back(&why));
            out.push(Effect::Configured { undo: Some(why) });
            out.restart = Some("configure");
            self.trial = None;
        }
    }
}

fn taken_back(why: &str) -> Outcome {
    Outcome::failed(format!("taken back, the settings of before are in force: {why}"))
}

impl Supervisor {
    pub(super) fn configure(&mut self, text: String, key: EventKey, out: &mut Out) {
        if self.configure.asked.is_some() || self.configure.trial.is_some() {
            return out.end(key, Outcome::failed("other settings are being tried: wait for their receipt"));
        }
        self.keep(vec![Record::Leaving { key: key.clone(), boot: LIFE.to_owned() }], out);
        let ask = out.gather(Gather::Configure { key: key.clone(), text });
        self.configure.asked = Some((ask, key));
    }

    /// Whether settings on trial have proved themselves: something of ours is on the glass, and the server is there if
    /// there shall be one.
    pub(super) fn look_at_trial(&mut self, out: &mut Out) {
        let well = self.content.paints() > 0 && (self.linked || !self.setting.machine.server);
        let (mut configure, now) = (std::mem::take(&mut self.configure), out.now);
        configure.look(well, || self.sentence(now), out);
        self.configure = configure;
    }
}
