//! When a small picture of the glass is taken for the black box. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{Supervisor, out::Out, port::Ask};

/// The first one, once a page has had time to fill.
const AFTER: Duration = Duration::from_secs(60);
/// Each costs a Pi 3 a second or two.
const EVERY: Duration = Duration::from_secs(600);
const WITHIN: Duration = Duration::from_secs(10);

/// The machine.
#[derive(Debug, Default)]
pub struct Camera {
    next: Option<Instant>,
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

impl Supervisor {
    pub(super) fn take_picture(&mut self, out: &mut Out) {
        let (showing, now) = (self.is_showing(), out.now);
        if !self.camera.is_due(showing, now) {
            return;
        }
        // A glass on which nothing has moved since the last one looks as it did.
        let still = self.screen.frame.is_some_and(|frame| u128::from(frame.still_ms) >= EVERY.as_millis());
        if !still {
            let ask = out.ask(Ask::FrameHash, WITHIN);
            self.hashing.push((ask, Vec::new()));
        }
    }
}
