//! One socket's task: carries out what its [`Session`] decides.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::wire::{Seen, Wire};
use crate::{
    event::frame::CloseCode,
    server::{
        App,
        hub::Place,
        session::{Context, Effect, Input, Session, Terms},
        store::{Committed, ReceiptOutcome, StoreError},
    },
};

/// Reads and writes of the store that one socket may have under way; beyond this its frames wait in its connection.
const JOBS: usize = 64;
/// Answers that wait for a client which asks and does not read; beyond this it is not read either.
const OUTBOX: usize = 64;
/// Events taken from the hub's queue in one round.
const ROUND: usize = 32;
/// Events of history read at once.
const HISTORY: usize = 64;
/// A flush that takes longer than this means that nobody reads.
const WRITE_WAIT: Duration = Duration::from_secs(30);

struct Socket {
    app: Arc<App>,
    place: Place,
    session: Session,
    /// What is to be sent and was not fed yet.
    outbox: VecDeque<Utf8Bytes>,
    ping: bool,
    jobs: FuturesUnordered<BoxFuture<'static, Option<Input>>>,
    end: Option<(CloseCode, String)>,
}

/// Serves one opened WebSocket until it ends.
pub async fn run(app: Arc<App>, terms: Terms, place: Place, stream: TcpStream, early: Vec<u8>) {
    let mut wire = Box::pin(Wire::new(stream, early, app.settings.frame_bytes)).await;
    let heads = match Box::pin(app.store.heads(&terms.addresses)).await {
        Ok(heads) => heads,
        Err(error) => {
            tracing::warn!(session = terms.session, %error, "no hello: the store failed");
            return Box::pin(wire.close(CloseCode::GoingAway, "the store failed, come back")).await;
        }
    };
    let (session, effects) = Session::begin(terms, &heads, app.now_ms());
    let mut socket =
        Socket { app, place, session, outbox: VecDeque::new(), ping: false, jobs: FuturesUnordered::new(), end: None };
    socket.apply(effects);
    let end = socket.converse(&mut wire).await;
    // What the client sent before the end still counts: receipts are written out.
    while socket.jobs.next().await.is_some() {}
    drop(socket);
    match end {
        // Boxed: what is only needed at the end is not part of every open socket.
        Some((code, reason)) => Box::pin(wire.close(code, &reason)).await,
        None => Box::pin(wire.end()).await,
    }
}

impl Socket {
    /// Returns why the socket is to be closed, or None if the client is gone.
    async fn converse(&mut self, wire: &mut Wire) -> Option<(CloseCode, String)> {
        let mut batch: Vec<Arc<Committed>> = Vec::new();
        let mut stuck_since: Option<Instant> = None;
        loop {
            if let Some(end) = self.end.take() {
                // What was said before goes out before the close frame.
                for text in self.outbox.drain(..) {
                    wire.feed(text).ok()?;
                }
                return Some(end);
            }
            while let Some(text) = if wire.has_room() { self.outbox.pop_front() } else { None } {
                wire.feed(text).ok()?;
            }
            if std::mem::take(&mut self.ping) {
                wire.ping().ok()?;
            }
            stuck_since = wire.is_dirty().then(|| stuck_since.unwrap_or_else(Instant::now));
            if stuck_since.is_some_and(|since| since.elapsed() > WRITE_WAIT) {
                return Some((CloseCode::Slow, CloseCode::Slow.reason().to_owned()));
            }
            let takes = self.session.is_live() && self.outbox.is_empty() && !wire.is_dirty();
            let now_ms = self.app.now_ms();
            let mut rest = Duration::from_millis(self.session.deadline_ms().saturating_sub(now_ms));
            // Before the select, not in it: a client that never stops talking does not outlive its token.
            if rest.is_zero() {
                self.step(Input::Tick);
                continue;
            }
            if stuck_since.is_some() {
                rest = rest.min(WRITE_WAIT);
            }
            tokio::select! {
                biased;
                (code, reason) = self.place.closing.wanted() => return Some((code, reason)),
                seen = wire.next(self.jobs.len() < JOBS && self.outbox.len() < OUTBOX) => match seen {
                    Seen::Text(text) => self.step(Input::Frame(text)),
                    Seen::Sign => self.step(Input::Heard),
                    Seen::Bad(reason) => return Some((CloseCode::BadFrame, reason)),
                    Seen::Gone => return None,
                    Seen::Flushed => {
                        stuck_since = None;
                        if self.outbox.is_empty() && !self.session.is_live() {
                            self.step(Input::Drained);
                        }
                    }
                },
                Some(answer) = self.jobs.next(), if !self.jobs.is_empty() => {
                    if let Some(input) = answer {
                        self.step(input);
                    }
                }
                taken = self.place.queue.recv_many(&mut batch, ROUND), if takes => {
                    if taken == 0 {
                        // The hub let go of this socket, and says why.
                        let (code, reason) = self.place.closing.wanted().await;
                        return Some((code, reason));
                    }
                    for event in batch.drain(..) {
                        self.step(Input::Live(event));
                    }
                }
                () = sleep(rest) => self.step(Input::Tick),
            }
        }
    }

    fn step(&mut self, input: Input) {
        let context = Context { now_ms: self.app.now_ms(), keys: &self.app.trust };
        let effects = self.session.step(input, context);
        self.apply(effects);
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(text) => self.outbox.push_back(text),
                Effect::Ping => self.ping = true,
                Effect::Close(code, reason) => self.end = Some((code, reason)),
                effect => self.start(effect),
            }
        }
    }

    /// Starts what takes time; its answer is an input.
    fn start(&mut self, effect: Effect) {
        let app = self.app.clone();
        let now_ms = app.now_ms();
        let failed = |error: StoreError| Some(Input::StoreFailed(error.to_string()));
        self.jobs.push(match effect {
            Effect::Send(_) | Effect::Ping | Effect::Close(..) => return,
            Effect::Join => {
                let joined = self.place.go_live();
                Box::pin(async move { joined.await.ok().map(|()| Input::Joined) })
            }
            Effect::ReadHeads => {
                let addresses = self.session.addresses().to_vec();
                Box::pin(async move { app.store.heads(&addresses).await.map_or_else(failed, |h| Some(Input::Heads(h))) })
            }
            Effect::ReadHistory(address, after) => Box::pin(async move {
                match app.store.history(&address, after, HISTORY).await {
                    Ok(history) => Some(Input::History(address, history)),
                    Err(error) => failed(error),
                }
            }),
            Effect::ReadBacklog(display) => Box::pin(async move {
                let backlog = app.store.backlog(&display, now_ms).await;
                backlog.map_or_else(failed, |backlog| Some(Input::Backlog(Box::new(backlog))))
            }),
            Effect::Receipt(id, receipt) => Box::pin(async move {
                match app.store.receipt(&id, receipt.clone(), now_ms).await {
                    Ok(ReceiptOutcome::UnknownEvent) => {
                        tracing::info!(display = %id, event = receipt.event, "a receipt for an event that was not sent there");
                        None
                    }
                    Ok(_) => None,
                    // Not kept, so it is not lost silently: the display comes back and sends it again.
                    Err(error) => failed(error),
                }
            }),
            Effect::Seen(display, health) => {
                app.store.seen(&display, health.map(|health| *health), now_ms);
                return;
            }
            Effect::Retell(principal) => {
                let retold = self.place.retell(&principal);
                Box::pin(async move { retold.await.ok().map(|()| Input::Retold) })
            }
            Effect::Publish(reply_to, publish) => Box::pin(async move {
                let answer = match app.store.publish(vec![*publish], now_ms).await {
                    Ok(published) => published.into_iter().next().map(|one| one.position).ok_or_else(String::new),
                    Err(error) => Err(error.to_string()),
                };
                Some(Input::Published(reply_to, answer))
            }),
        });
    }
}
