//! Whether the wanted site answers while there is no session with the browser yet. Pure.
//!
//! Firefox takes no orders until long after it could paint. So its first request, to our own page, is led on to the site
//! if that is there by then; and if not, it shows the splash. Nothing waits for the network.

use std::time::Duration;

use tokio::time::Instant;

use super::{out::Out, port::AskId};

/// A site that does not answer is asked again after so long, then twice as long, up to [`SLOWEST`].
const AGAIN: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(30);

/// The machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Early {
    url: String,
    step: Step,
    pause: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// There is a session, or nothing of the network's is wanted.
    Idle,
    AskAt(Instant),
    Asked(AskId),
    There,
}

impl Default for Early {
    fn default() -> Self {
        Early { url: String::new(), step: Step::Idle, pause: AGAIN }
    }
}

impl Early {
    /// There is no session now, and this is wanted; `None`: nothing that would have to be asked.
    pub fn want(&mut self, url: Option<&str>, now: Instant) {
        *self = Early::default();
        if let Some(url) = url {
            (self.url, self.step) = (url.to_owned(), Step::AskAt(now));
        }
    }

    /// There is a session. What the browser was led to by then, if it was.
    pub fn attached(&mut self) -> Option<String> {
        let before = std::mem::take(self);
        (before.step == Step::There).then_some(before.url)
    }

    /// Where the browser's first request is led.
    pub fn there(&self) -> Option<&str> {
        (self.step == Step::There).then_some(self.url.as_str())
    }

    pub fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::AskAt(at) => Some(at),
            Step::Idle | Step::Asked(_) | Step::There => None,
        }
    }

    pub fn due(&mut self, out: &mut Out) {
        if self.deadline().is_some_and(|at| at <= out.now) {
            self.step = Step::Asked(out.probe(self.url.clone()));
        }
    }

    /// True if the question was this machine's.
    pub fn probed(&mut self, ask: AskId, answers: bool, now: Instant) -> bool {
        if self.step != Step::Asked(ask) {
            return false;
        }
        self.step = if answers { Step::There } else { Step::AskAt(now + self.pause) };
        self.pause = (self.pause * 2).min(SLOWEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_asked_until_it_answers_and_ever_more_seldom() {
        let mut now = Instant::now();
        let mut early = Early::default();
        early.want(Some("http://a/"), now);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(early.deadline(), Some(now));
            let mut out = Out::new(now, 6);
            early.due(&mut out);
            assert_eq!((early.there(), early.deadline()), (None, None));
            assert!(!early.probed(6, true, now), "another's question");
            assert!(early.probed(7, false, now));
            now += Duration::from_secs(pause);
        }
        early.due(&mut Out::new(now, 6));
        early.probed(7, true, now);
        assert_eq!(early.there(), Some("http://a/"));
        assert_eq!(early.attached().as_deref(), Some("http://a/"));
        assert_eq!(early.there(), None);
        assert_eq!(early.attached(), None);
    }

    #[test]
    fn a_session_that_comes_first_finds_the_splash() {
        let now = Instant::now();
        let mut early = Early::default();
        early.want(Some("http://a/"), now);
        assert_eq!(early.attached(), None);
        assert_eq!(early.deadline(), None);
        early.want(None, now);
        assert_eq!(early.deadline(), None);
    }
}
