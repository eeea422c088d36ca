//! What lies over the page: the message, the display's id, the zoom. Pure.
//!
//! A document that goes takes its overlays with it: what is still due is laid again over the next one.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    out::{Out, Outcome},
    port::{Answer, Ask, AskError, AskId},
};
use crate::{
    display::{journal::EventKey, page::overlay},
    event::{Status, command::Message},
};

/// An overlay is in the page within milliseconds; a page that is being replaced may swallow it, and then it is laid
/// again over the next, or a little later.
const LAID_WITHIN: Duration = Duration::from_secs(4);
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Long enough for a hung page to be found out and replaced; then the receipt says failed.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// What is being laid; the answer ends a command.
#[derive(Debug)]
struct Laying {
    key: EventKey,
    what: What,
    turn: Turn,
    give_up: Instant,
}

#[derive(Debug)]
enum Turn {
    Asked(AskId),
    AgainAt(Instant),
}

#[derive(Debug, Clone)]
enum What {
    Message(Value),
    Clear,
    Identify(Value),
    Zoom(u32),
}

/// Something that stays for a while.
#[derive(Debug)]
struct Lasting {
    argument: Value,
    until: Instant,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Overlays {
    message: Option<Lasting>,
    identify: Option<Lasting>,
    zoom: Option<u32>,
    laying: Vec<Laying>,
    attached: bool,
}

impl Overlays {
    pub fn message(&mut self, key: EventKey, message: &Message, out: &mut Out) {
        let argument = json!(message);
        self.message = Some(lasting(argument.clone(), message.seconds, out.now));
        self.lay(key, What::Message(argument), out);
    }

    pub fn clear_message(&mut self, key: EventKey, out: &mut Out) {
        self.message = None;
        self.lay(key, What::Clear, out);
    }

    /// `lines` stand under the display's id.
    pub fn identify(&mut self, key: EventKey, display: &str, lines: &[String], seconds: u32, out: &mut Out) {
        let argument = json!({ "display": display, "lines": lines, "seconds": seconds });
        self.identify = Some(lasting(argument.clone(), seconds, out.now));
        self.lay(key, What::Identify(argument), out);
    }

    /// `key` is whose receipt waits for it; none after a restart of a display that said so already.
    pub fn zoom(&mut self, percent: u32, key: Option<EventKey>, out: &mut Out) {
        self.laying.retain(|laying| !matches!(laying.what, What::Zoom(_)));
        self.zoom = Some(percent);
        match key {
            Some(key) => self.lay(key, What::Zoom(percent), out),
            None if self.attached => {
                out.ask(Ask::Zoom { percent }, LAID_WITHIN);
            }
            None => {}
        }
    }

    /// True while a message or the display's id may be over the page.
    pub fn cover(&self, now: Instant) -> bool {
        let mut lasting = [&self.message, &self.identify].into_iter().flatten();
        lasting.any(|lasting| now < lasting.until + LAID_WITHIN) || !self.laying.is_empty()
    }

    /// Before the first page is loaded.
    pub fn attached(&mut self, out: &mut Out) {
        self.attached = true;
        if let Some(percent) = self.zoom {
            out.ask(Ask::Zoom { percent }, LAID_WITHIN);
        }
    }

    pub fn detached(&mut self) {
        self.attached = false;
    }

    /// A new document is painted: what is due is laid over it.
    pub fn painted(&mut self, out: &mut Out) {
        let now = out.now;
        for lasting in [&mut self.message, &mut self.identify] {
            if lasting.as_ref().is_some_and(|lasting| lasting.until <= now) {
                *lasting = None;
            }
        }
        let is_laid = |wanted: fn(&What) -> bool| self.laying.iter().any(|laying| wanted(&laying.what));
        let message = self.message.as_ref().filter(|_| !is_laid(|what| matches!(what, What::Message(_))));
        let identify = self.identify.as_ref().filter(|_| !is_laid(|what| matches!(what, What::Identify(_))));
        for (lasting, script) in [(message, overlay::MESSAGE), (identify, overlay::IDENTIFY)] {
            if let Some(Lasting { argument, until }) = lasting {
                let mut argument = argument.clone();
                argument["seconds"] = json!((*until - now).as_secs_f64());
                out.ask(Ask::Overlay { script, argument }, LAID_WITHIN);
            }
        }
        for laying in &mut self.laying {
            laying.ask(out);
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let mine = |laying: &Laying| matches!(laying.turn, Turn::Asked(asked) if asked == ask);
        let Some(at) = self.laying.iter().position(mine) else { return false };
        match answer {
            Ok(_) => out.end(self.laying.remove(at).key, Outcome::of(Status::Shown)),
            // The document went while the overlay was laid: the next paint, or a moment later, tries again.
            Err(_) if out.now + AGAIN_AFTER < self.laying[at].give_up => {
                self.laying[at].turn = Turn::AgainAt(out.now + AGAIN_AFTER);
            }
            Err(error) => out.end(self.laying.remove(at).key, Outcome::failed(error.to_string())),
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        let turn = |laying: &Laying| match laying.turn {
            Turn::Asked(_) => laying.give_up,
            Turn::AgainAt(at) => at.min(laying.give_up),
        };
        self.laying.iter().map(turn).min()
    }

    pub fn due(&mut self, out: &mut Out) {
        let now = out.now;
        for laying in self.laying.extract_if(.., |laying| laying.give_up <= now) {
            out.end(laying.key, Outcome::failed("the page on the glass did not take it"));
        }
        let is_due = |laying: &&mut Laying| matches!(laying.turn, Turn::AgainAt(at) if at <= now);
        self.laying.iter_mut().filter(is_due).for_each(|laying| laying.ask(out));
    }

    fn lay(&mut self, key: EventKey, what: What, out: &mut Out) {
        let mut laying = Laying { key, what, turn: Turn::AgainAt(out.now), give_up: out.now + GIVE_UP_AFTER };
        laying.ask(out);
        self.laying.push(laying);
    }
}

impl Laying {
    fn ask(&mut self, out: &mut Out) {
        let what = match &self.what {
            What::Message(argument) => Ask::Overlay { script: overlay::MESSAGE, argument: argument.clone() },
            What::Clear => Ask::Overlay { script: overlay::CLEAR_MESSAGE, argument: json!({}) },
            What::Identify(argument) => Ask::Overlay { script: overlay::IDENTIFY, argument: argument.clone() },
            What::Zoom(percent) => Ask::Zoom { percent: *percent },
        };
        self.turn = Turn::Asked(out.ask(what, LAID_WITHIN));
    }
}

fn lasting(argument: Value, seconds: u32, now: Instant) -> Lasting {
    Lasting { argument, until: now + Duration::from_secs(seconds.into()) }
}
