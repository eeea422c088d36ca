//! One socket's conversation, from `kiosk.hello` to the close code. Pure: what it needs read or written is an effect.
//!
//! ```text
//!  Waiting --resume | other frame | 2 s--> Replay (bulk, only if far behind) --> Joining --hub says live-->
//!     Catching up (heads, what is missing, a display's backlog) --> Live
//! ```
//!
//! Buffer, then merge: the socket joins the hub *before* its last read, so what is committed meanwhile waits in its
//! queue, and what both brought is known by its offset (a display's commands: by the backlog's commit number). Only the
//! last, short read overlaps with the queue; whoever is far behind reads most of it first, so the queue stays small.
//! Once live, events pass the session by: a `Cursor` with what the client has decides (see `outbound`).
//!
//! Rejected: one replay that joins first and reads everything. A thousand events of history would overflow the queue of
//! a socket that did nothing wrong.

mod merge;
mod said;

use std::collections::BTreeMap;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::merge::{Merge, Step};
use super::{
    directory::Trust,
    outbound::Cursor,
    store::{Backlog, Head, History, Publish},
};
use crate::{
    auth::{Principal, jwt::LEEWAY_S},
    event::{
        Address, DisplayId, Event, Position, Receipt,
        frame::{Call, CallResult, CloseCode, Hello, PublishAnswer, RESUME_WAIT_MS, Resume, Resumed},
        health::Health,
        time::UtcMillis,
    },
};

/// A socket further behind than this (in events, over its addresses) reads most of it before it joins the hub.
const BULK: u64 = 64;
/// The `source` of what the server says by itself.
const SOURCE: &str = "pikiosk-server";

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A text frame.
    Frame(Utf8Bytes),
    /// Any sign of life: a ping, a pong.
    Heard,
    /// Everything given out was sent.
    Drained,
    /// The hub has the socket among its live ones.
    Joined,
    Heads(Vec<(Address, Head)>),
    History(Address, History),
    Backlog(Box<Backlog>),
    /// What became of a [`Effect::Publish`].
    Published(String, Result<Position, String>),
    /// What became of a [`Effect::Call`].
    Called(Box<CallResult>),
    /// [`Effect::Retell`] is done.
    Retold,
    /// A read or write of the store failed.
    StoreFailed(String),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    Send(Utf8Bytes),
    Ping,
    Close(CloseCode, String),
    Join,
    /// Everything up to here was sent: what the hub brings follows, by this cursor.
    GoLive(Cursor),
    ReadHeads,
    ReadHistory(Address, u64),
    ReadBacklog(DisplayId),
    Receipt(DisplayId, Receipt),
    Seen(DisplayId, Option<Box<Health>>),
    /// Publish, and answer the client's event of this id.
    Publish(String, Box<Publish>),
    /// Call a task, for `user/<name>` or `display/<id>`, and answer the client's event of this id.
    Call {
        id: String,
        caller: String,
        call: Box<Call>,
    },
    /// From now on the socket is held by another token of the same principal: whoever ends sockets by their tokens is to
    /// know, and answer with [`Input::Retold`].
    Retell(Box<Principal>),
}

/// What a step may look at, besides its input.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub now_ms: u64,
    pub keys: &'a Trust,
}

/// How one socket is treated.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Random; names the session in logs.
    pub session: String,
    pub principal: Principal,
    /// Set if it is this (enrolled) display.
    pub display: Option<DisplayId>,
    pub addresses: Vec<Address>,
    pub heartbeat_ms: u64,
    /// Every client frame carries a token.
    pub per_message: bool,
    /// How long the socket stays after the end of its token, for `kiosk.auth` to bring another; in ms.
    pub grace_ms: u64,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        until_ms: u64,
    },
    Resuming(Resume),
    Bulk(Merge),
    Joining,
    /// The merge runs once the heads, and for a display its backlog, are here.
    CatchingUp {
        merge: Option<Merge>,
        heads: Option<Vec<(Address, Head)>>,
        backlog: Option<Box<Backlog>>,
    },
    Live,
    Closed,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    terms: Terms,
    phase: Phase,
    /// Up to where the client has each address; the cursor's once it is live.
    has: BTreeMap<Address, Position>,
    /// Commands up to this commit came with the backlog.
    backlog_as_of: u64,
    heard_ms: u64,
    ping_ms: u64,
    /// When its token ends.
    ends_ms: u64,
    said: u64,
}

impl Session {
    /// Begins: the first effect is `kiosk.hello`.
    pub fn begin(terms: Terms, heads: &[(Address, Head)], now_ms: u64) -> (Session, Vec<Effect>) {
        let positions: BTreeMap<Address, Position> =
            heads.iter().map(|(address, head)| (address.clone(), head.position())).collect();
        let hello = Hello {
            session: terms.session.clone(),
            addresses: terms.addresses.clone(),
            server_time: UtcMillis(now_ms),
            heartbeat_s: terms.heartbeat_ms.div_ceil(1000),
            positions: positions.clone(),
        };
        let mut session = Session {
            phase: Phase::Waiting { until_ms: now_ms + RESUME_WAIT_MS },
            has: positions,
            backlog_as_of: 0,
            heard_ms: now_ms,
            ping_ms: now_ms + terms.heartbeat_ms,
            ends_ms: ends_ms(&terms, now_ms),
            said: 0,
            terms,
        };
        let mut out = vec![session.say("kiosk.hello", &hello)];
        if let Some(display) = &session.terms.display {
            out.push(Effect::Seen(display.clone(), None));
        }
        (session, out)
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// When to step with [`Input::Tick`] at the latest, in ms since 1970.
    pub fn deadline_ms(&self) -> u64 {
        let resume = if let Phase::Waiting { until_ms } = self.phase { until_ms } else { u64::MAX };
        resume.min(self.ends_ms).min(self.ping_ms).min(self.idle_ms())
    }

    pub fn display(&self) -> Option<&DisplayId> {
        self.terms.display.as_ref()
    }

    pub fn principal(&self) -> &Principal {
        &self.terms.principal
    }

    pub fn addresses(&self) -> &[Address] {
        &self.terms.addresses
    }

    /// True while events from the hub are taken.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    fn idle_ms(&self) -> u64 {
        self.heard_ms.saturating_add(self.terms.heartbeat_ms.saturating_mul(5) / 2)
    }

    pub fn step(&mut self, input: Input, context: Context<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        if !matches!(self.phase, Phase::Closed) {
            self.take(input, context, &mut out);
        }
        out
    }

    fn take(&mut self, input: Input, context: Context<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Frame(text) => {
                self.heard_ms = context.now_ms;
                self.frame(&text, context, out);
            }
            Input::Heard => self.heard_ms = context.now_ms,
            Input::Tick => self.tick(context, out),
            Input::Drained => self.pull(out),
            Input::Joined => {
                if matches!(self.phase, Phase::Joining) {
                    self.phase = Phase::CatchingUp { merge: None, heads: None, backlog: None };
                    out.push(Effect::ReadHeads);
                    out.extend(self.terms.display.clone().map(Effect::ReadBacklog));
                }
            }
            Input::Heads(new) => match &mut self.phase {
                Phase::Resuming(resume) => {
                    let resume = std::mem::take(resume);
                    self.resume(&resume, &new, out);
                }
                Phase::CatchingUp { heads, .. } => {
                    *heads = Some(new);
                    self.catch_up(out);
                }
                _ => {}
            },
            Input::Backlog(new) => {
                if let Phase::CatchingUp { backlog, .. } = &mut self.phase {
                    *backlog = Some(new);
                    self.catch_up(out);
                }
            }
            Input::History(address, history) => {
                let taken = match &mut self.phase {
                    Phase::Bulk(merge) | Phase::CatchingUp { merge: Some(merge), .. } => merge.take(&address, history),
                    _ => return,
                };
                match taken {
                    Ok(()) => self.send_ready(out),
                    Err(gap) => self.close(CloseCode::Slow, format!("{gap}: come back and resume"), out),
                }
            }
            Input::Published(reply_to, result) => {
                let answer = match result {
                    Ok(position) => PublishAnswer { event: reply_to, position: Some(position), error: None },
                    Err(error) => PublishAnswer { event: reply_to, position: None, error: Some(error) },
                };
                out.push(self.say("kiosk.published", &answer));
            }
            Input::Called(result) => out.push(self.say("kiosk.result", &result)),
            Input::Retold => {
                // Revoked between the two: whoever ended sockets did not know this one's token yet.
                if let Err(why) = context.keys.stands(&self.terms.principal, context.now_ms) {
                    tracing::info!(session = self.terms.session, %why, "a socket's new token is void already");
                    self.not_allowed(crate::auth::REFUSED, out);
                }
            }
            Input::StoreFailed(problem) => {
                self.close(CloseCode::GoingAway, "the store failed, come back".to_owned(), out);
                tracing::warn!(session = self.terms.session, problem, "a socket ends because the store failed");
            }
        }
    }

    fn tick(&mut self, context: Context<'_>, out: &mut Vec<Effect>) {
        let now_ms = context.now_ms;
        if self.ends_ms <= now_ms {
            return self.close_plain(CloseCode::TokenExpired, out);
        }
        if self.idle_ms() <= now_ms {
            return self.close_plain(CloseCode::Idle, out);
        }
        if self.ping_ms <= now_ms {
            self.ping_ms = now_ms + self.terms.heartbeat_ms;
            out.push(Effect::Ping);
            if now_ms.saturating_sub(self.heard_ms) <= self.terms.heartbeat_ms {
                out.extend(self.terms.display.clone().map(|id| Effect::Seen(id, None)));
            }
        }
        if let Phase::Waiting { until_ms } = self.phase
            && until_ms <= now_ms
        {
            self.join(out);
        }
    }

    /// From here on it is known what the client has; whoever is far behind reads before it joins.
    fn resume(&mut self, resume: &Resume, heads: &[(Address, Head)], out: &mut Vec<Effect>) {
        let mut resumed = Resumed::default();
        let mut behind = 0;
        let mut sources = Vec::new();
        for (address, head) in heads {
            if let Some(position) = resume.positions.get(address) {
                let recovered = head.recovers(position);
                // What is lost is lost: everything that is kept follows, and the client knows by `false`.
                let from = if recovered { position.offset } else { head.first.saturating_sub(1) };
                resumed.recovered.insert(address.clone(), recovered);
                self.has.insert(address.clone(), Position { epoch: head.epoch.clone(), offset: from });
            }
            let has = self.has.get(address).map_or(head.last, |position| position.offset);
            behind += head.last.saturating_sub(has);
            if head.last > has {
                sources.push((address.clone(), has));
            }
        }
        for address in resume.positions.keys() {
            resumed.recovered.entry(address.clone()).or_insert(false);
        }
        out.push(self.say("kiosk.resumed", &resumed));
        if behind > BULK {
            self.phase = Phase::Bulk(Merge::new(sources, self.terms.display.is_some()));
            self.pull(out);
        } else {
            self.join(out);
        }
    }

    fn join(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Joining;
        out.push(Effect::Join);
    }

    /// Once heads (and backlog) of after the join are here, what is missing is known.
    fn catch_up(&mut self, out: &mut Vec<Effect>) {
        let Phase::CatchingUp { merge, heads, backlog } = &mut self.phase else { return };
        if merge.is_some() || heads.is_none() || (self.terms.display.is_some() && backlog.is_none()) {
            return;
        }
        let mut sources = Vec::new();
        for (address, head) in heads.take().unwrap_or_default() {
            match self.has.get(&address) {
                Some(has) if has.epoch != head.epoch => {
                    let reason = "the history was lost meanwhile: come back and resume".to_owned();
                    return self.close(CloseCode::Slow, reason, out);
                }
                Some(has) if has.offset < head.last => sources.push((address, has.offset)),
                _ => {}
            }
        }
        let mut fresh = Merge::new(sources, self.terms.display.is_some());
        if let Some(backlog) = backlog.take() {
            fresh.add_backlog(&backlog);
            self.backlog_as_of = backlog.as_of;
        }
        *merge = Some(fresh);
        self.send_ready(out);
    }

    /// Gives out what is ready; reads on at once if there was nothing.
    fn send_ready(&mut self, out: &mut Vec<Effect>) {
        let (Phase::Bulk(merge) | Phase::CatchingUp { merge: Some(merge), .. }) = &mut self.phase else { return };
        let ready = merge.ready();
        if ready.is_empty() {
            return self.pull(out);
        }
        out.extend(ready.iter().map(|event| Effect::Send(event.text.clone())));
    }

    /// Everything given out was sent: reads on, or ends the replay.
    fn pull(&mut self, out: &mut Vec<Effect>) {
        let (Phase::Bulk(merge) | Phase::CatchingUp { merge: Some(merge), .. }) = &mut self.phase else { return };
        match merge.next() {
            Step::Read(reads) => {
                out.extend(reads.into_iter().map(|(address, after)| Effect::ReadHistory(address, after)));
            }
            Step::Wait => {}
            Step::Done => {
                for (address, read) in merge.read_to() {
                    if let Some(has) = self.has.get_mut(address) {
                        has.offset = has.offset.max(read);
                    }
                }
                if matches!(self.phase, Phase::Bulk(_)) { self.join(out) } else { self.go_live(out) }
            }
        }
    }

    fn go_live(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Live;
        let mut has = std::mem::take(&mut self.has);
        // An address without a head has no events; with the first it is closed, to be on the safe side.
        let unknown = || Position { epoch: String::new(), offset: 0 };
        let of_each = self.terms.addresses.iter().map(|address| has.remove(address).unwrap_or_else(unknown));
        let commands_after = self.terms.display.is_some().then_some(self.backlog_as_of);
        out.push(Effect::GoLive(Cursor::new(of_each, commands_after)));
    }

    fn close_plain(&mut self, code: CloseCode, out: &mut Vec<Effect>) {
        self.close(code, code.reason().to_owned(), out);
    }

    fn not_allowed(&mut self, reason: &str, out: &mut Vec<Effect>) {
        self.close(CloseCode::NotAllowed, reason.to_owned(), out);
    }

    fn close(&mut self, code: CloseCode, reason: String, out: &mut Vec<Effect>) {
        self.phase = Phase::Closed;
        out.push(Effect::Close(code, reason));
    }

    fn say(&mut self, kind: &str, data: &impl serde::Serialize) -> Effect {
        self.said += 1;
        let id = format!("{}-{}", self.terms.session, self.said);
        Effect::Send(Event::new(id, SOURCE, kind).with_data(data).to_json().into())
    }
}

/// When a socket ends that got no newer token: the grace after its token's end. A token that was taken in the leeway after
/// its end is good for the rest of the leeway.
fn ends_ms(terms: &Terms, now_ms: u64) -> u64 {
    match terms.principal.expires_ms {
        None => u64::MAX,
        Some(end) if end > now_ms => end.saturating_add(terms.grace_ms),
        Some(end) => end.saturating_add(terms.grace_ms.max(LEEWAY_S * 1000)),
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
