//! Does the page's process answer, and does the browser? Pure: the first rungs of recovery.
//!
//! ```text
//!   every 3 s: two questions ----> page silent for 8 s: kill its processes, load again
//!                            \     still silent 12 s later: start the browser again
//!                             \--> browser silent for 10 s: start it again
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::{
    out::{Out, earlier},
    port::{Answer, Ask, AskError, AskId, Effect},
};

const EVERY: Duration = Duration::from_secs(3);
/// A browser whose main thread answers nothing for this long is hung.
const BROWSER_SILENT: Duration = Duration::from_secs(10);
/// From the kill to a page that answers: Firefox needs a second, a Pi a few.
const AFTER_KILL: Duration = Duration::from_secs(12);
/// Firefox says by itself that the process is gone; if it does not within this time, we load again anyway.
const CRASH_TOLD: Duration = Duration::from_secs(3);
/// A browser without a session by then is told to start again (a cold start on a Pi 3 takes most of a minute).
const RESTART_WITHIN: Duration = Duration::from_secs(120);

/// What is to be done with the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// Its processes were killed and the browser said nothing of it: load again.
    LoadAgain,
}

#[derive(Debug)]
enum Stage {
    /// No session; since when.
    Out {
        since: Instant,
    },
    Calm,
    Killed {
        at: Instant,
        loaded: bool,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Pulse {
    /// How long a page may be silent.
    hang: Duration,
    stage: Stage,
    page: Ear,
    browser: Ear,
    next: Instant,
}

/// One side that is asked.
#[derive(Debug)]
struct Ear {
    asked: Option<AskId>,
    heard: Instant,
}

impl Pulse {
    pub fn new(hang: Duration, now: Instant) -> Self {
        let ear = || Ear { asked: None, heard: now };
        Pulse { hang, stage: Stage::Out { since: now }, page: ear(), browser: ear(), next: now }
    }

    pub fn attached(&mut self, now: Instant) {
        self.stage = Stage::Calm;
        self.page = Ear { asked: None, heard: now };
        self.browser = Ear { asked: None, heard: now };
        self.next = now + EVERY;
    }

    pub fn detached(&mut self, now: Instant) {
        self.stage = Stage::Out { since: now };
    }

    /// The page's process said something.
    pub fn heard_page(&mut self, now: Instant) {
        self.page.heard = now;
        self.browser.heard = now;
        if let Stage::Killed { .. } = self.stage {
            self.stage = Stage::Calm;
        }
    }

    /// The browser said something.
    pub fn heard_browser(&mut self, now: Instant) {
        self.browser.heard = now;
    }

    /// The page's process is gone and another one is being loaded: it gets its time.
    pub fn crashed(&mut self, now: Instant) {
        self.page.heard = now;
        if let Stage::Killed { loaded, .. } = &mut self.stage {
            *loaded = true;
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, now: Instant) -> bool {
        let is_page = self.page.asked == Some(ask);
        if !is_page && self.browser.asked != Some(ask) {
            return false;
        }
        let ear = if is_page { &mut self.page } else { &mut self.browser };
        ear.asked = None;
        match answer {
            Ok(_) if is_page => self.heard_page(now),
            // An error is an answer of the browser: for the page it says nothing.
            Ok(_) | Err(AskError::Refused(_) | AskError::Lacking(_)) => self.heard_browser(now),
            Err(AskError::TimedOut | AskError::Gone) => {}
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Out { since } => Some(*since + RESTART_WITHIN),
            Stage::Calm => {
                let silent = (self.page.heard + self.hang).min(self.browser.heard + BROWSER_SILENT);
                earlier(Some(self.next), Some(silent))
            }
            Stage::Killed { at, loaded } => {
                let killed = if *loaded { *at + AFTER_KILL } else { *at + CRASH_TOLD };
                Some(killed.min(self.next).min(self.browser.heard + BROWSER_SILENT))
            }
        }
    }

    pub fn due(&mut self, out: &mut Out) -> Verdict {
        let now = out.now;
        match self.stage {
            Stage::Out { since } => {
                if now >= since + RESTART_WITHIN {
                    self.restart("it gave no session for two minutes", out);
                }
                return Verdict::Fine;
            }
            Stage::Calm | Stage::Killed { .. } if now >= self.browser.heard + BROWSER_SILENT => {
                self.restart("it does not answer", out);
                return Verdict::Fine;
            }
            Stage::Calm if now >= self.page.heard + self.hang => {
                out.push(Effect::KillContent { why: "the page does not answer" });
                self.stage = Stage::Killed { at: now, loaded: false };
                self.page.asked = None;
            }
            Stage::Killed { at, .. } if now >= at + AFTER_KILL => {
                self.restart("the page does not answer after its processes were killed", out);
                return Verdict::Fine;
            }
            Stage::Killed { at, loaded: false } if now >= at + CRASH_TOLD => {
                self.stage = Stage::Killed { at, loaded: true };
                return Verdict::LoadAgain;
            }
            Stage::Calm | Stage::Killed { .. } => {}
        }
        if now >= self.next {
            self.next = now + EVERY;
            if self.page.asked.is_none() {
                self.page.asked = Some(out.ask(Ask::Pulse, self.hang));
            }
            if self.browser.asked.is_none() {
                self.browser.asked = Some(out.ask(Ask::BrowserPulse, BROWSER_SILENT));
            }
        }
        Verdict::Fine
    }

    fn restart(&mut self, why: &'static str, out: &mut Out) {
        out.push(Effect::RestartBrowser { why });
        self.stage = Stage::Out { since: out.now };
    }
}
