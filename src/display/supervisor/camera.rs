//! When a picture of the glass is taken: small for the black box, and as the last good one of its page. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{Show, Supervisor, out::Out, port::Ask};

/// The first one, once a page has had time to fill.
const AFTER: Duration = Duration::from_secs(15);
/// Each costs a Pi 3 a second or two.
const EVERY: Duration = Duration::from_secs(600);
const WITHIN: Duration = Duration::from_secs(10);

/// The machine.
#[derive(Debug, Default)]
pub struct Camera {
    next: Option<Instant>,
    /// The page whose picture was taken last, to be kept.
    last: Option<String>,
}

impl Camera {
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// True when a picture is to be taken. Nothing is while nothing is shown.
    fn is_due(&mut self, showing: bool, now: Instant) -> bool {
        match self.next {
            _ if !showing => {
                self.next = None;
                false
            }
            None => {
                self.next = Some(now + AFTER);
                false
            }
            Some(at) if at <= now => {
                self.next = Some(now + EVERY);
                true
            }
            Some(_) => false,
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
    pub(super) fn take_picture(&mut self, out: &mut Out) {
        let (showing, now) = (self.is_showing(), out.now);
        if !self.camera.is_due(showing, now) {
            return;
        }
        let of = self.picture_of(now).map(str::to_owned);
        // A glass on which nothing has moved since the last one looks as it did.
        let still = self.screen.frame.is_some_and(|frame| u128::from(frame.still_ms) >= EVERY.as_millis());
        let is_new = of.is_some() && of != self.camera.last;
        if !still || is_new {
            self.camera.last.clone_from(&of);
            let ask = out.ask(Ask::FrameHash { of }, WITHIN);
            self.hashing.push((ask, Vec::new()));
        }
    }

    /// The page whose last good picture is on the glass now: it is what was told to be shown and no page it led to,
    /// nothing lies over it, and nobody has touched it, for then there may be on it what they wrote.
    pub fn picture_of(&self, now: Instant) -> Option<&str> {
        let Show::Url(url) = self.content.show() else { return None };
        let since = self.content.alone_since()?;
        let touched = self.touched.is_some_and(|at| at > since);
        let clean = self.held.is_none() && !touched && !self.overlays.cover(now) && self.truth(now).is_right();
        (clean && !is_elsewhere(self.content.landed(), url)).then_some(url)
    }
}
