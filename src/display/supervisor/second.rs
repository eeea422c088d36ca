//! The page of a second screen (`[screen] second`). Pure.
//!
//! ```text
//!              the second output is there, and a session
//!   Closed ------------------------------------------------> Opening --its window--> Open: a Content of its own
//!     ^ |                                                       |                     ^ |
//!     | +---- a window that the last supervisor left: it is taken over ---------------+ |
//!     +---------------- refused, closed, no session ------------+-----------------------+
//! ```
//!
//! A window is closed by the browser loop, through X, when there is no output for it any more: the loop knows at once,
//! and with no session as well.
//!
//! It is loaded, watched and tried again by the same machine as the first page ([`Content`]); what that asks goes to its
//! own window, and the browser loop lays that window on the second output. Commands are for the first page.
//!
//! Both pages are in one process of Firefox: one that hangs is found by the pulse of the first page, and both are loaded
//! again. So the second page has no pulse and no ladder of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Content, Show, Supervisor,
    out::Out,
    port::{Answer, Ask, AskError, AskId, Effect, Seen},
    recovery::Cause,
};
use crate::display::{
    page::{SiteFault, Urls},
    screen::Facts,
};

const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// A window that did not open, or was closed, is opened again after so long.
const OPEN_AGAIN: Duration = Duration::from_secs(5);
/// What an earlier supervisor left is told by then.
const LEFT_WITHIN: Duration = Duration::from_millis(300);

/// The machine.
#[derive(Debug)]
pub struct Second {
    content: Content,
    /// The output it belongs on, while there is one.
    output: Option<String>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Closed {
        /// Not before.
        again: Option<Instant>,
    },
    Opening {
        ask: AskId,
        /// The window that opened meanwhile: nothing else opens any.
        opened: Option<String>,
    },
    Open {
        context: String,
    },
}

impl Second {
    pub fn new(url: String, urls: &Urls, rng: fastrand::Rng) -> Self {
        let content = Content::new(urls.of_second(), Show::Url(url), rng);
        Second { content, output: None, step: Step::Closed { again: None } }
    }

    pub fn content(&self) -> &Content {
        &self.content
    }

    /// There is a session: nothing of it is known yet.
    pub fn attached(&mut self, now: Instant) {
        self.step = Step::Closed { again: Some(now + LEFT_WITHIN) };
    }

    /// True if a window that opened may be ours: then it is not to be closed.
    pub fn expects(&mut self, context: &str) -> bool {
        match &mut self.step {
            Step::Opening { opened, .. } => {
                *opened = Some(context.to_owned());
                true
            }
            Step::Open { context: ours } => ours == context,
            Step::Closed { .. } => false,
        }
    }

    /// A window was there when the session began: the last supervisor's.
    pub fn left(&mut self, context: String, out: &mut Out) {
        if let Step::Closed { .. } = self.step {
            self.open(context, out);
        }
    }

    /// Opens the window if it is to be there now.
    pub fn settle(&mut self, output: Option<&String>, attached: bool, out: &mut Out) {
        self.output = output.cloned();
        match &self.step {
            Step::Closed { again: None } if !attached => {}
            // What was open is gone with the session, or is told anew by the next one.
            _ if !attached => self.closed(None, out),
            Step::Closed { again } if attached && output.is_some() && again.is_none_or(|at| at <= out.now) => {
                let ask = out.ask(Ask::OpenBeside, OPEN_WITHIN);
                self.step = Step::Opening { ask, opened: None };
            }
            Step::Closed { .. } | Step::Opening { .. } | Step::Open { .. } => {}
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        match &mut self.step {
            Step::Opening { ask: asked, opened } if *asked == ask => {
                let ours = match answer {
                    Ok(Answer::Opened { context }) => Some(context.clone()),
                    // It may be there all the same.
                    Ok(_) | Err(_) => opened.take(),
                };
                match ours {
                    Some(context) => self.open(context, out),
                    None => {
                        tracing::warn!(?answer, "the second screen has no window");
                        self.closed(Some(out.now + OPEN_AGAIN), out);
                    }
                }
                true
            }
            Step::Open { .. } => self.decide(out, |content, out| content.answered(ask, answer, out)).unwrap_or(false),
            Step::Opening { .. } | Step::Closed { .. } => false,
        }
    }

    /// True if the question was this machine's.
    pub fn probed(&mut self, ask: AskId, result: Result<(), SiteFault>, out: &mut Out) -> bool {
        self.decide(out, |content, out| content.probed(ask, result, out)).unwrap_or(false)
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.step {
            Step::Closed { again } => again.filter(|_| self.output.is_some()),
            Step::Opening { .. } => None,
            Step::Open { .. } => self.content.deadline(),
        }
    }

    pub fn due(&mut self, out: &mut Out) {
        self.decide(out, Content::due);
    }

    /// What the second screen shows, or why not. `screen`: as the browser loop sees it.
    pub fn sentence(&self, screen: &Facts) -> String {
        let url = self.content.url();
        let is_there = screen.outputs.iter().filter(|output| output.connected).count() > 1;
        match (&self.output, self.content.trouble()) {
            (None, _) if is_there => {
                "the second screen shows no page of its own: the X screen has no room for it beside the first or below it"
                    .to_owned()
            }
            (None, _) => "no second screen is connected".to_owned(),
            (Some(output), Some(trouble)) => {
                format!(
                    "{url} is not on {output} ({}), tried {}",
                    trouble.fault.code(),
                    super::times(trouble.tries.into())
                )
            }
            (Some(output), None) if self.content.is_showing() => format!("{output} shows {url}"),
            (Some(output), None) => format!("{output} is loading {url}"),
        }
    }

    fn open(&mut self, context: String, out: &mut Out) {
        self.step = Step::Open { context };
        self.decide(out, Content::attached);
    }

    fn is(&self, context: &str) -> bool {
        matches!(&self.step, Step::Open { context: ours } if ours == context)
    }

    fn closed(&mut self, again: Option<Instant>, out: &Out) {
        self.content.detached(out.now);
        self.step = Step::Closed { again };
    }

    /// The page's own machine decides, and what it asks goes to its own window; `None` while there is none.
    fn decide<T>(&mut self, out: &mut Out, how: impl FnOnce(&mut Content, &mut Out) -> T) -> Option<T> {
        let Step::Open { context } = &self.step else { return None };
        let (effects, faults) = (out.effects.len(), out.faults.len());
        let decided = how(&mut self.content, out);
        // It dies whenever it is loaded: it waits. Anything else that is wrong is found by the first page.
        for cause in out.faults.split_off(faults) {
            match cause {
                Cause::PageCrashed => self.content.give_up(SiteFault::Crashed, out),
                Cause::PageStays => self.content.put_aside(out),
                _ => {}
            }
        }
        for effect in &mut out.effects[effects..] {
            if let Effect::Ask { what, .. } = effect {
                let inner = Box::new(what.clone());
                *what = Ask::Beside { context: context.clone(), what: inner };
            }
        }
        Some(decided)
    }
}

impl Supervisor {
    /// Something happened in a window, or a frame, that is not the first page's.
    pub(super) fn seen_elsewhere(&mut self, context: &str, seen: &Seen, out: &mut Out) {
        self.pulse.heard_browser(out.now);
        let wanted = match &self.second {
            Some(second) if second.is(context) => second.content.url(),
            _ => return,
        };
        let strays = |url: &String| (self.is_stray(url), self.is_sign_in(url, &wanted));
        let leads = if let Seen::Committed { url, .. } = seen { strays(url) } else { (false, false) };
        let Some(second) = &mut self.second else { return };
        if *seen == Seen::Closed {
            tracing::warn!("the window of the second screen was closed");
            return second.closed(Some(out.now + OPEN_AGAIN), out);
        }
        second.decide(out, |content, out| match (seen, leads) {
            (Seen::Committed { url, .. }, (true, _)) => content.strayed(url, out),
            (Seen::Committed { .. }, (_, true)) => content.give_up(SiteFault::Login, out),
            (Seen::Committed { navigation, url }, _) => content.committed(navigation.as_deref(), url, out),
            (Seen::Jumped { navigation, .. }, _) => content.jumped(navigation.as_deref(), out),
            (Seen::Painted(painted), _) => content.painted(painted, out),
            _ => {}
        });
    }

    /// What the second screen shows, where kiosk.toml wants a page for it.
    pub fn second(&self) -> Option<&Second> {
        self.second.as_ref()
    }

    pub(super) fn settle_second(&mut self, out: &mut Out) {
        if let Some(second) = &mut self.second {
            second.settle(self.screen.second.as_ref(), self.attached, out);
        }
    }
}
