//! Where the machines put what they want done.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    port::{Ask, AskId, Effect, Gather},
    recovery::Cause,
};
use crate::{
    display::{helper, journal::EventKey, screen},
    event::Status,
};

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub status: Status,
    pub error: Option<String>,
    pub result: Option<Value>,
}

impl Outcome {
    pub fn of(status: Status) -> Self {
        Outcome { status, error: None, result: None }
    }

    /// This display cannot do it, and says why.
    pub fn refused(why: impl Into<String>) -> Self {
        Outcome { error: Some(why.into()), ..Self::of(Status::Refused) }
    }

    pub fn failed(why: impl Into<String>) -> Self {
        Outcome { error: Some(why.into()), ..Self::of(Status::Failed) }
    }
}

/// One step's effects and endings, filled by the machines in turn.
#[derive(Debug)]
pub struct Out {
    pub now: Instant,
    pub effects: Vec<Effect>,
    pub ended: Vec<(EventKey, Outcome)>,
    /// The supervisor is to end after all else; by which command.
    pub restart: Option<&'static str>,
    /// Another item of a playlist is coming onto the glass, where none of its commands wait for that.
    pub changes_item: bool,
    /// What was found wrong; what is done about it is decided at the end of the step.
    pub faults: Vec<Cause>,
    next_ask: AskId,
}

impl Out {
    pub fn new(now: Instant, next_ask: AskId) -> Self {
        Out {
            now,
            effects: Vec::new(),
            ended: Vec::new(),
            restart: None,
            changes_item: false,
            faults: Vec::new(),
            next_ask,
        }
    }

    /// The first number that no question has had.
    pub fn next_ask(&self) -> AskId {
        self.next_ask
    }

    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Asks the browser; without an answer within that time there is one that says so.
    pub fn ask(&mut self, what: Ask, within: Duration) -> AskId {
        let ask = self.number();
        self.push(Effect::Ask { ask, what, within });
        ask
    }

    /// Orders something of the screen; without an answer within that time there is one that says so.
    pub fn screen(&mut self, order: screen::Order, within: Duration) -> AskId {
        let ask = self.number();
        self.push(Effect::Screen { ask, order, within });
        ask
    }

    pub fn system(&mut self, request: helper::Request) -> AskId {
        let ask = self.number();
        self.push(Effect::System { ask, request });
        ask
    }

    pub fn speak(&mut self, text: String, voice: String) -> AskId {
        let ask = self.number();
        self.push(Effect::Speak { ask, text, voice });
        ask
    }

    pub fn probe(&mut self, url: String) -> AskId {
        let ask = self.number();
        self.push(Effect::Probe { ask, url });
        ask
    }

    pub fn gather(&mut self, what: Gather) -> AskId {
        let ask = self.number();
        self.push(Effect::Gather { ask, what });
        ask
    }

    /// Something is wrong: recovery decides what is done about it.
    pub fn fault(&mut self, cause: Cause) {
        self.faults.push(cause);
    }

    pub fn end(&mut self, key: EventKey, outcome: Outcome) {
        self.ended.push((key, outcome));
    }

    fn number(&mut self) -> AskId {
        self.next_ask += 1;
        self.next_ask
    }
}

/// The earlier of two moments, where there are any.
pub fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
