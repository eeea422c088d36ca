//! The last picture, held over the glass while what is behind it changes: the page's process, Firefox as a whole, or the
//! item of a playlist. Pure.
//!
//! ```text
//!   Idle --Hold--> Asked --it is held, or cannot be--> Behind --painted--> Painted --a moment--> Idle: Release
//!                              the deed                   '--nothing was painted in time------> Idle: Release
//! ```
//!
//! Whoever looks at the glass sees one picture until the next is painted. Nobody sees behind it what is wrong: so each is
//! held for a few seconds at most, and the browser loop, whose window it is, keeps that bound too.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, AskError, AskId, Effect, Out, Supervisor, recovery::Rung};
use crate::display::screen::Order;

/// A browser loop that is there holds it at once.
const HELD_WITHIN: Duration = Duration::from_secs(3);
/// From a page's first paint until the rest of it is on the glass as well.
const FILLED_WITHIN: Duration = Duration::from_millis(700);
/// For so many seconds at most: a page in a new process...
const PAGE_S: u32 = 10;
/// ...a new Firefox...
const BROWSER_S: u32 = 15;
/// ...the next item of a playlist, before which Firefox leaves the last one there by itself.
const ITEM_S: u32 = 3;

/// The machine.
#[derive(Debug, Default)]
pub struct Swap {
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Idle,
    /// The loop is to hold the picture, and then this is done.
    Asked { ask: AskId, deed: Effect, held_s: u32 },
    /// It changes behind it.
    Behind { until: Instant },
    /// It is there; when the picture may go.
    Painted { release: Instant },
}

impl Swap {
    pub fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::Idle | Step::Asked { .. } => None,
            Step::Behind { until: at } | Step::Painted { release: at } => Some(at),
        }
    }

    /// What is wanted was painted, or a page of ours that says why not.
    pub fn painted(&mut self, now: Instant) {
        if let Step::Behind { .. } = self.step {
            self.step = Step::Painted { release: now + FILLED_WITHIN };
        }
    }

    fn behind(held_s: u32, now: Instant) -> Self {
        Swap { step: Step::Behind { until: now + Duration::from_secs(held_s.into()) } }
    }
}

impl Supervisor {
    /// Replaces the page's process behind the last picture.
    pub(super) fn swap_page(&mut self, why: &'static str, out: &mut Out) {
        self.hold_for(Effect::KillContent { why }, PAGE_S, out);
    }

    /// Starts Firefox again; behind the last picture, if there is one that is right.
    pub(super) fn swap_browser(&mut self, why: &'static str, out: &mut Out) {
        let deed = Effect::RestartBrowser { why, plain: false };
        if self.is_showing() { self.hold_for(deed, BROWSER_S, out) } else { out.push(deed) }
    }

    fn hold_for(&mut self, deed: Effect, held_s: u32, out: &mut Out) {
        let ask = out.screen(Order::Hold { seconds: held_s }, HELD_WITHIN);
        self.swap.step = Step::Asked { ask, deed, held_s };
    }

    /// The next item of a playlist comes: the last one is seen until it is painted. The picture is of the whole glass, and a
    /// second page would stand still with each change of the first.
    pub(super) fn swap_item(&mut self, out: &mut Out) {
        let changes = std::mem::take(&mut out.changes_item);
        if changes && self.attached && self.screen.second.is_none() && matches!(self.swap.step, Step::Idle) {
            // Firefox needs longer for the first byte of a page than the loop does for this.
            out.screen(Order::Hold { seconds: ITEM_S }, HELD_WITHIN);
            self.swap = Swap::behind(ITEM_S, out.now);
        }
    }

    /// True if the question was this machine's. A picture that cannot be held is no reason to leave the deed undone.
    pub(super) fn swap_answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        match &self.swap.step {
            Step::Asked { ask: asked, .. } if *asked == ask => {}
            _ => return false,
        }
        let Step::Asked { deed, held_s, .. } = std::mem::take(&mut self.swap.step) else { return false };
        let is_page = matches!(deed, Effect::KillContent { .. });
        // What is gone meanwhile is replaced by itself.
        if *answer == Err(AskError::Gone) || !self.attached || (is_page && !self.is_showing()) {
            self.release_picture(out);
            return true;
        }
        out.push(deed);
        if is_page {
            self.pulse.took(Rung::ReplaceContent, out.now);
        }
        self.swap = Swap::behind(held_s, out.now);
        true
    }

    /// What lies on the page is to be seen now.
    pub(super) fn unveil(&mut self, out: &mut Out) {
        if !matches!(self.swap.step, Step::Idle) {
            self.release_picture(out);
        }
    }

    pub(super) fn swap_due(&mut self, out: &mut Out) {
        if self.swap.deadline().is_some_and(|at| at <= out.now) {
            self.release_picture(out);
        }
    }

    fn release_picture(&mut self, out: &mut Out) {
        self.swap.step = Step::Idle;
        out.screen(Order::Release, HELD_WITHIN);
    }
}
