//! When a picture of the glass is taken: small for the black box, and as the last good one of its page. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{Supervisor, out::Out, port::Ask};

/// The first one, once a page has had time to fill.
const AFTER: Duration = Duration::from_secs(15);
/// The item of a playlist that goes before that has so much of its time, in hundredths, and at least so long.
const AFTER_PART: u32 = 60;
const AFTER_MIN: Duration = Duration::from_secs(2);
/// Of one page, however often it comes. Each costs a Pi 3 a second or two.
const EVERY: Duration = Duration::from_secs(600);
const WITHIN: Duration = Duration::from_secs(10);
/// So many pages are remembered: those of a playlist, and what is no page.
const PAGES_MAX: usize = 20;

/// The machine.
#[derive(Debug, Default)]
pub struct Camera {
    next: Option<Instant>,
    /// When the picture of each page was taken last, latest last; `None`: one that is only for the black box.
    taken: Vec<(Option<String>, Instant)>,
}

impl Camera {
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// When a picture of this page is to be taken that came onto the glass then, and stands for so long; it may have gone by
    /// then.
    fn at(&self, page: Option<&str>, came: Instant, stands: Option<Duration>) -> Instant {
        let wait = stands.map_or(AFTER, |stands| (stands * AFTER_PART / 100).clamp(AFTER_MIN, AFTER));
        let last = self.taken.iter().find(|(of, _)| of.as_deref() == page);
        last.map_or(came + wait, |(_, last)| (came + wait).max(*last + EVERY))
    }

    fn took(&mut self, page: Option<String>, now: Instant) {
        self.taken.retain(|(of, _)| *of != page);
        self.taken.push((page, now));
        if self.taken.len() > PAGES_MAX {
            self.taken.remove(0);
        }
    }
}

/// Words in the path of a page on which people sign in.
const SIGN_IN: [&str; 7] = ["login", "logon", "signin", "sign-in", "sign_in", "auth", "password"];

/// True if the page that came has another host than the one that was asked for, or is one to sign in: sites lead a
/// display there that they do not know any more, and `[browser] login` names it only where somebody thought of it.
fn is_elsewhere(came: &str, asked: &str) -> bool {
    let (Ok(came), Ok(asked)) = (url::Url::parse(came), url::Url::parse(asked)) else { return true };
    let host = |url: &url::Url| url.host_str().map(|host| host.strip_prefix("www.").unwrap_or(host).to_owned());
    let path = came.path().to_lowercase();
    host(&came) != host(&asked) || SIGN_IN.iter().any(|word| path.contains(word))
}

impl Supervisor {
    /// Nothing is taken while nothing is shown.
    pub(super) fn take_picture(&mut self, out: &mut Out) {
        let now = out.now;
        let of = self.picture_of(now).map(str::to_owned);
        let stands = self.content.page().and_then(|(_, stands)| stands);
        let came = self.content.shown_for(now).filter(|_| self.attached).and_then(|shown| now.checked_sub(shown));
        self.camera.next = came.map(|came| self.camera.at(of.as_deref(), came, stands));
        if self.camera.next.is_none_or(|at| now < at) {
            return;
        }
        // A glass on which nothing has moved since the last one looks as it did.
        let still = self.screen.frame.is_some_and(|frame| u128::from(frame.still_ms) >= EVERY.as_millis());
        let is_last = self.camera.taken.last().is_some_and(|(last, _)| *last == of);
        if !(still && is_last) {
            let ask = out.ask(Ask::FrameHash { of: of.clone() }, WITHIN);
            self.hashing.push((ask, Vec::new()));
        }
        self.camera.took(of, now);
        self.camera.next = Some(now + EVERY);
    }

    /// The page whose last good picture is on the glass now: it is what was told to be shown and no page it led to,
    /// nothing lies over it, and nobody has touched it, for then there may be on it what they wrote.
    pub fn picture_of(&self, now: Instant) -> Option<&str> {
        let (url, _) = self.content.page()?;
        let since = self.content.alone_since()?;
        let touched = self.touched.is_some_and(|at| at > since);
        let clean = self.held.is_none() && !touched && !self.overlays.cover(now) && self.truth(now).is_right();
        (clean && !is_elsewhere(self.content.landed(), url)).then_some(url)
    }
}
