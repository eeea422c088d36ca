//! What the browser told, given to whom it is for.

use tokio::time::Instant;

use super::{Answer, Ask, AskError, AskId, HASH_WITHIN, Out, Seen, Supervisor, recovery::Cause};
use crate::display::page::SiteFault;

impl Supervisor {
    pub(super) fn attached(&mut self, out: &mut Out) {
        self.attached = true;
        self.detached_why = None;
        self.care.no_profile = None;
        self.pulse.attached(out.now);
        self.overlays.attached(out);
        self.devices.attached(out);
        self.content.attached(out);
        self.second.iter_mut().for_each(|second| second.attached(out.now));
    }

    pub(super) fn detached(&mut self, why: String, now: Instant) {
        self.pulse.detached(now);
        self.attached = false;
        self.detached_why = Some(why);
        self.content.detached(now);
        self.overlays.detached();
        self.jobs.detached();
    }

    pub(super) fn seen(&mut self, seen: Seen, out: &mut Out) {
        match seen {
            Seen::Committed { navigation, url } => {
                if SiteFault::from_error_document(&url) == Some(SiteFault::Crashed) {
                    self.pulse.crashed(out.now);
                }
                self.pulse.heard_browser(out.now);
                match self.is_stray(&url) {
                    true => self.content.strayed(&url, out),
                    false if self.is_sign_in(&url, &self.content.url()) => self.content.give_up(SiteFault::Login, out),
                    false => self.content.committed(navigation.as_deref(), &url, out),
                }
            }
            Seen::Jumped { navigation, .. } => self.content.jumped(navigation.as_deref(), out),
            Seen::Painted(painted) => {
                self.pulse.painted(out.now);
                self.content.painted(&painted, out);
            }
            Seen::Opened { context } if self.sounds.expects(&context) => {}
            Seen::Opened { context } if self.second.as_mut().is_some_and(|second| second.expects(&context)) => {}
            Seen::Left { context } if self.second.is_some() => {
                self.second.iter_mut().for_each(|second| second.left(context.clone(), out));
            }
            Seen::Opened { context } | Seen::Left { context } => self.care.strays.opened(context, out),
            Seen::Prompted { context } => {
                out.ask(Ask::DismissPrompt { context }, HASH_WITHIN);
            }
            Seen::Closed => out.fault(Cause::WindowClosed),
            Seen::Elsewhere { context, seen } => self.seen_elsewhere(&context, &seen, out),
            Seen::Alive => self.pulse.heard_browser(out.now),
        }
    }

    pub(super) fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) {
        if !matches!(answer, Err(AskError::TimedOut | AskError::Gone)) {
            self.pulse.heard_browser(out.now);
        }
        if let Some(at) = self.hashing.iter().position(|(asked, _)| *asked == ask) {
            let (_, keys) = self.hashing.swap_remove(at);
            if let Ok(Answer::FrameHash(hash)) = answer {
                keys.into_iter().for_each(|key| self.hashed(&key, hash, out));
            }
            return;
        }
        let _taken = self.pulse_answered(ask, answer, out)
            || self.content.answered(ask, answer, out)
            || self.second.as_mut().is_some_and(|second| second.answered(ask, answer, out))
            || self.overlays.answered(ask, answer, out)
            || self.devices.answered(ask, answer, out)
            || self.sounds.answered(ask, answer, out)
            || self.swap_answered(ask, answer, out)
            || self.jobs.answered(ask, answer, out);
    }
}
