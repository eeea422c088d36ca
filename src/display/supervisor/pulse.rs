//! Does the page's process answer, and does the browser? Pure: what is heard here are causes; what is done about them is
//! [`recovery`](super::recovery)'s.
//!
//! ```text
//!   every 3 s: two questions ----> page silent for 8 s: its processes are replaced
//!                            \     no document at all, for 2 s: no order for one is taken, it gets another tab
//!                            \     still silent 12 s later: they do not come back
//!                             \--> browser silent for 10 s: it is hung
//!   a machine that is too busy for a page is too busy for a new one as well, and killing it again would keep it so: from
//!   the fourth alarm in a row on, the silence is twice as long each time, until a page has answered promptly
//!   no session for two minutes: it is lost; no browser loop at all: the X session is
//!   sessions, or browser loops, that end one after the other and nothing was painted in as long: the same (ends.rs)
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::{
    ends::Ends,
    out::{Out, earlier},
    port::{Answer, Ask, AskError, AskId},
    recovery::{Cause, Rung},
};

const EVERY: Duration = Duration::from_secs(3);
/// After a process that runs pages has ended the page is asked this soon, and so often, until it answers: Firefox itself
/// needs a moment to find out, and says it by itself by then, but for a page that it was started with.
const SOON: Duration = Duration::from_millis(250);
const SOON_TIMES: u32 = 4;
/// A page that was just painted is asked so soon: what ends right after its birth is not seen by anybody.
const PAINTED: Duration = Duration::from_secs(1);
/// A browser whose main thread answers nothing for this long is hung.
const BROWSER_SILENT: Duration = Duration::from_secs(10);
/// From the kill to a page that answers: Firefox needs a second, a Pi a few.
const AFTER_KILL: Duration = Duration::from_secs(12);
/// Firefox says by itself that the process is gone; if it does not within this time, we load again anyway.
const CRASH_TOLD: Duration = Duration::from_secs(3);
/// Silences double this often at most.
const PATIENCE_MAX: u32 = 3;
/// A page that answers within this time has a machine that has time for it.
const PROMPT: Duration = Duration::from_secs(1);
/// A browser without a session by then is told to start again (a cold start on a Pi 3 takes most of a minute).
const RESTART_WITHIN: Duration = Duration::from_secs(120);
/// The X session, and the loop in it, come up within two minutes of a Pi 3's start.
const LOOP_WITHIN: Duration = Duration::from_secs(180);

/// Between two documents there is none for a moment, and of a process that was killed before it had one there is none
/// for ever: no page about the crash either, and every order to load one is refused.
const FRAMELESS_FOR: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// Its processes were killed and the browser said nothing of it: load again.
    LoadAgain,
}

#[derive(Debug)]
enum Stage {
    /// No browser loop; since when.
    Alone {
        since: Instant,
    },
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
    /// So often more the page is asked at once.
    soon: u32,
    /// Since when every answer has been that there is no document.
    frameless: Option<Instant>,
    /// Alarms since a page answered promptly.
    alarms: u32,
    /// Browser loops that ended, and sessions of this one's, since something was painted.
    loops: Ends,
    sessions: Ends,
}

/// One side that is asked.
#[derive(Debug)]
struct Ear {
    asked: Option<(AskId, Instant)>,
    heard: Instant,
}

impl Pulse {
    pub fn new(hang: Duration, now: Instant) -> Self {
        let ear = || Ear { asked: None, heard: now };
        let stage = Stage::Alone { since: now };
        let (loops, sessions) = (Ends::default(), Ends::default());
        let (next, soon, frameless, alarms) = (now, 0, None, 0);
        Pulse { hang, stage, page: ear(), browser: ear(), next, soon, frameless, alarms, loops, sessions }
    }

    /// The browser loop is there; it begins with no session.
    pub fn loop_came(&mut self, now: Instant) {
        // One that takes another's place has ended it.
        self.loop_gone(now);
        self.stage = Stage::Out { since: now };
        self.sessions = Ends::default();
    }

    pub fn loop_gone(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Alone { .. }) {
            self.stage = Stage::Alone { since: now };
            self.loops.one_more(now);
        }
    }

    /// There is somebody who can start Firefox again.
    pub fn has_loop(&self) -> bool {
        !matches!(self.stage, Stage::Alone { .. })
    }

    pub fn attached(&mut self, now: Instant) {
        self.stage = Stage::Calm;
        self.page = Ear { asked: None, heard: now };
        self.browser = Ear { asked: None, heard: now };
        self.next = now + PAINTED;
        self.soon = 0;
        self.frameless = None;
    }

    /// A browser that fails again and again says so again and again: the two minutes run from the first.
    pub fn detached(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Calm | Stage::Killed { .. }) {
            self.stage = Stage::Out { since: now };
            self.sessions.one_more(now);
        }
    }

    /// The page's process said something.
    pub fn heard_page(&mut self, now: Instant) {
        self.page.heard = now;
        self.browser.heard = now;
        self.soon = 0;
        self.frameless = None;
        if let Stage::Killed { .. } = self.stage {
            self.stage = Stage::Calm;
        }
    }

    /// A document of the page told that it is painted.
    pub fn painted(&mut self, now: Instant) {
        self.heard_page(now);
        self.next = self.next.min(now + PAINTED);
        (self.loops, self.sessions) = (Ends::default(), Ends::default());
    }

    /// A process that runs pages ended.
    pub fn content_ended(&mut self, now: Instant) {
        self.soon = SOON_TIMES;
        self.next = self.next.min(now + SOON);
    }

    /// When the page's process was heard last.
    pub fn page_heard(&self) -> Instant {
        self.page.heard
    }

    /// How long a silence may be, of one that may be so long at the first three alarms.
    fn patience(&self, silence: Duration) -> Duration {
        silence * (1 << self.alarms.saturating_sub(2).min(PATIENCE_MAX))
    }

    fn alarm(&mut self, cause: Cause, out: &mut Out) {
        self.alarms += 1;
        out.fault(cause);
    }

    /// The browser said something.
    pub fn heard_browser(&mut self, now: Instant) {
        self.browser.heard = now;
    }

    /// The page's process is gone and another one is being loaded: it gets its time.
    pub fn crashed(&mut self, now: Instant) {
        self.page.heard = now;
        self.soon = 0;
        self.frameless = None;
        if let Stage::Killed { loaded, .. } = &mut self.stage {
            *loaded = true;
        }
    }

    /// A rung was taken: what it ends gets its time to come back.
    pub fn took(&mut self, rung: Rung, now: Instant) {
        self.frameless = None;
        match (&self.stage, rung) {
            // The disk's: nothing that is asked here was touched.
            (_, Rung::MakeRoom) => {}
            (Stage::Alone { .. }, _) => self.stage = Stage::Alone { since: now },
            (_, Rung::ReplaceContent) => {
                self.stage = Stage::Killed { at: now, loaded: false };
                self.page.asked = None;
            }
            (_, Rung::RestartBrowser | Rung::PlainProfile | Rung::RestartSession | Rung::Reboot) => {
                self.stage = Stage::Out { since: now };
            }
            (Stage::Out { .. }, Rung::SaySo | Rung::Navigate) => self.stage = Stage::Out { since: now },
            // Nothing was done about it: it is told again after another silence.
            (_, Rung::SaySo | Rung::Navigate) => {
                self.heard_page(now);
                self.stage = Stage::Calm;
            }
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let now = out.now;
        let is_mine = |asked: &mut (AskId, Instant)| asked.0 == ask;
        let of_page = self.page.asked.take_if(is_mine);
        let is_page = of_page.is_some();
        if !is_page && self.browser.asked.take_if(is_mine).is_none() {
            return false;
        }
        match answer {
            Err(AskError::Frameless) if is_page => {
                self.heard_browser(now);
                let since = *self.frameless.get_or_insert(now);
                (self.soon, self.next) = (self.soon.max(1), now + SOON);
                if now >= since + FRAMELESS_FOR {
                    self.alarm(Cause::TabLost, out);
                }
            }
            Ok(Answer::Pageless) if is_page => {
                self.frameless = None;
                self.heard_browser(now);
            }
            Ok(_) if is_page => {
                self.heard_page(now);
                if of_page.is_some_and(|(_, asked)| now <= asked + PROMPT) {
                    self.alarms = 0;
                }
            }
            // An error is an answer of the browser: for the page it says nothing.
            Ok(_) | Err(AskError::Refused(_) | AskError::Lacking(_) | AskError::Frameless) => self.heard_browser(now),
            Err(AskError::TimedOut | AskError::Gone) => {}
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Alone { since } => earlier(Some(*since + LOOP_WITHIN), self.loops.deadline(LOOP_WITHIN)),
            Stage::Out { since } => {
                let ends = earlier(self.loops.deadline(LOOP_WITHIN), self.sessions.deadline(RESTART_WITHIN));
                earlier(Some(*since + RESTART_WITHIN), ends)
            }
            Stage::Calm => {
                let silent = (self.page.heard + self.patience(self.hang))
                    .min(self.browser.heard + self.patience(BROWSER_SILENT));
                earlier(Some(self.next), Some(silent))
            }
            Stage::Killed { at, loaded } => {
                let killed = if *loaded { *at + self.patience(AFTER_KILL) } else { *at + CRASH_TOLD };
                Some(killed.min(self.next).min(self.browser.heard + self.patience(BROWSER_SILENT)))
            }
        }
    }

    /// A fault that is told is answered with [`took`](Self::took).
    pub fn due(&mut self, out: &mut Out) -> Verdict {
        let now = out.now;
        match self.stage {
            Stage::Alone { since } => {
                if now >= since + LOOP_WITHIN {
                    out.fault(Cause::SessionLost);
                } else if self.loops.are_too_many(LOOP_WITHIN, now) {
                    out.fault(Cause::SessionEnds);
                }
                return Verdict::Fine;
            }
            Stage::Out { since } => {
                if now >= since + RESTART_WITHIN {
                    out.fault(Cause::BrowserLost);
                } else if self.loops.are_too_many(LOOP_WITHIN, now) {
                    out.fault(Cause::SessionEnds);
                } else if self.sessions.are_too_many(RESTART_WITHIN, now) {
                    out.fault(Cause::BrowserEnds);
                }
                return Verdict::Fine;
            }
            Stage::Calm | Stage::Killed { .. } if now >= self.browser.heard + self.patience(BROWSER_SILENT) => {
                self.alarm(Cause::BrowserHung, out);
                return Verdict::Fine;
            }
            Stage::Calm if now >= self.page.heard + self.patience(self.hang) => self.alarm(Cause::PageHung, out),
            Stage::Killed { at, .. } if now >= at + self.patience(AFTER_KILL) => {
                self.alarm(Cause::ContentLost, out);
                return Verdict::Fine;
            }
            Stage::Killed { at, loaded: false } if now >= at + CRASH_TOLD => {
                self.stage = Stage::Killed { at, loaded: true };
                return Verdict::LoadAgain;
            }
            Stage::Calm | Stage::Killed { .. } => {}
        }
        if now >= self.next {
            // Of a process that is gone no answer comes: it is asked once more.
            let again = self.soon > 0;
            self.soon = self.soon.saturating_sub(1);
            self.next = now + if again { SOON } else { EVERY };
            if again || self.page.asked.is_none() {
                self.page.asked = Some((out.ask(Ask::Pulse, self.patience(self.hang)), now));
            }
            if self.browser.asked.is_none() {
                self.browser.asked = Some((out.ask(Ask::BrowserPulse, self.patience(BROWSER_SILENT)), now));
            }
        }
        Verdict::Fine
    }
}
