//! Actions that are questions with an answer: screenshot, health, logs, a DOM event, clearing, a new browser. Pure.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    out::{Out, Outcome},
    port::{Answer, Ask, AskError, AskId, Effect, Gather},
};
use crate::{
    display::journal::EventKey,
    event::{
        Status,
        command::{ClearData, Fault, Logs, Screenshot},
    },
};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Capturing and scaling a full screen on a Pi 3 takes seconds.
const SCREENSHOT_WITHIN: Duration = Duration::from_secs(20);
/// What is too large for a receipt is put to the server first: 8 MiB over a slow uplink (link/server.rs), and the ticket.
const SENT_WITHIN: Duration = Duration::from_secs(150);
/// Firefox ends and starts; on a Pi 3 cold in most of a minute.
const BROWSER_WITHIN: Duration = Duration::from_secs(150);

/// Around the fault itself: longer than the drill's own limit, so that its word is the one that is told.
const DRILL_WITHIN: Duration = Duration::from_secs(180);

/// What a job waits for.
#[derive(Debug)]
enum Wait {
    Answer(AskId),
    /// Until the browser is there again and shows something.
    Browser {
        was_gone: bool,
    },
}

#[derive(Debug)]
struct Job {
    key: EventKey,
    wait: Wait,
    deadline: Instant,
    /// What is still to be asked after this answer.
    then: Vec<Ask>,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: Vec<Job>,
}

impl Jobs {
    pub fn screenshot(&mut self, key: EventKey, screenshot: &Screenshot, out: &mut Out) {
        let what = Ask::Screenshot { event: key.id.clone(), format: screenshot.format, width: screenshot.width };
        let ask = out.ask(what, SCREENSHOT_WITHIN);
        self.push(key, Wait::Answer(ask), Vec::new(), SCREENSHOT_WITHIN + SENT_WITHIN, out);
    }

    pub fn page_event(&mut self, key: EventKey, name: String, data: Value, out: &mut Out) {
        self.ask(key, Ask::PageEvent { name, data }, Vec::new(), ANSWER_WITHIN, out);
    }

    pub fn health(&mut self, key: EventKey, out: &mut Out) {
        let ask = out.gather(Gather::Health);
        self.push(key, Wait::Answer(ask), Vec::new(), ANSWER_WITHIN, out);
    }

    pub fn logs(&mut self, key: EventKey, logs: &Logs, out: &mut Out) {
        let ask = out.gather(Gather::Logs { event: key.id.clone(), lines: logs.lines, unit: logs.unit.clone() });
        self.push(key, Wait::Answer(ask), Vec::new(), ANSWER_WITHIN + SENT_WITHIN, out);
    }

    pub fn drill(&mut self, key: EventKey, fault: Fault, out: &mut Out) {
        let ask = out.gather(Gather::Drill { fault });
        self.push(key, Wait::Answer(ask), Vec::new(), fault.gives_up() + DRILL_WITHIN, out);
    }

    /// All three parts: a new browser, whose profile is new each time, is the surest. Less than all: what can be
    /// cleared in a running one.
    pub fn clear_data(&mut self, key: EventKey, what: &ClearData, out: &mut Out) {
        out.push(Effect::ForgetPictures);
        if what.cookies && what.storage {
            // Its last picture is not held over the glass meanwhile: that is data of a page too.
            out.push(Effect::RestartBrowser { why: "its data is to be cleared", plain: false });
            return self.await_browser(key, false, out);
        }
        let mut parts = Vec::new();
        if what.cache {
            parts.push(Ask::Reload { ignore_cache: true });
        }
        if what.storage {
            parts.push(Ask::ClearStorage);
        }
        if what.cookies {
            parts.push(Ask::ClearCookies);
        }
        match parts.pop() {
            Some(first) => self.ask(key, first, parts, ANSWER_WITHIN, out),
            None => out.end(key, Outcome::of(Status::Done)),
        }
    }

    /// Firefox is being started again; one without a session is gone already.
    pub fn await_browser(&mut self, key: EventKey, was_gone: bool, out: &mut Out) {
        self.push(key, Wait::Browser { was_gone }, Vec::new(), BROWSER_WITHIN, out);
    }

    pub fn detached(&mut self) {
        for job in &mut self.jobs {
            if let Wait::Browser { was_gone } = &mut job.wait {
                *was_gone = true;
            }
        }
    }

    /// Something of ours is painted.
    pub fn painted(&mut self, out: &mut Out) {
        let back = |job: &mut Job| matches!(job.wait, Wait::Browser { was_gone: true });
        for job in self.jobs.extract_if(.., back) {
            out.end(job.key, Outcome::of(Status::Done));
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let result = match answer {
            Ok(Answer::Result(result)) => Ok(Some(result.clone())),
            Ok(_) => Ok(None),
            Err(AskError::Lacking(why)) => Err(Outcome::refused(why)),
            Err(error) => Err(Outcome::failed(error.to_string())),
        };
        self.end(ask, result, out)
    }

    /// True if the question was this machine's.
    pub fn gathered(&mut self, ask: AskId, result: Result<Value, String>, out: &mut Out) -> bool {
        self.end(ask, result.map(Some).map_err(Outcome::failed), out)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.jobs.iter().map(|job| job.deadline).min()
    }

    pub fn due(&mut self, out: &mut Out) {
        let now = out.now;
        for job in self.jobs.extract_if(.., |job| job.deadline <= now) {
            let why = match job.wait {
                Wait::Answer(_) => "there was no answer in time",
                Wait::Browser { was_gone: false } => "the browser did not end in time",
                Wait::Browser { was_gone: true } => "the browser did not come back in time",
            };
            out.end(job.key, Outcome::failed(why));
        }
    }

    fn end(&mut self, ask: AskId, result: Result<Option<Value>, Outcome>, out: &mut Out) -> bool {
        let mine = |job: &Job| matches!(job.wait, Wait::Answer(waits) if waits == ask);
        let Some(at) = self.jobs.iter().position(mine) else { return false };
        let mut job = self.jobs.swap_remove(at);
        match (result, job.then.pop()) {
            (Ok(_), Some(next)) => {
                job.wait = Wait::Answer(out.ask(next, ANSWER_WITHIN));
                self.jobs.push(job);
            }
            (Ok(result), None) => out.end(job.key, Outcome { result, ..Outcome::of(Status::Done) }),
            (Err(outcome), _) => out.end(job.key, outcome),
        }
        true
    }

    fn ask(&mut self, key: EventKey, what: Ask, then: Vec<Ask>, within: Duration, out: &mut Out) {
        let ask = out.ask(what, within);
        self.push(key, Wait::Answer(ask), then, within, out);
    }

    fn push(&mut self, key: EventKey, wait: Wait, then: Vec<Ask>, within: Duration, out: &mut Out) {
        // One second after the question's own deadline: the answer "too late" is the better one.
        let parts = 1 + u32::try_from(then.len()).unwrap_or(u32::MAX);
        let deadline = out.now + within * parts + Duration::from_secs(1);
        self.jobs.push(Job { key, wait, deadline, then });
    }
}
