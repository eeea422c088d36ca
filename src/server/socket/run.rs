//! One socket's task: reads, carries out what its [`Session`] decides, and ends the connection.
//!
//! What the hub brings passes this task by (see `outbound`): it is woken by its client, its deadlines, a full kernel
//! buffer, and its end.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as Polled, Poll},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    ending,
    reader::{Reader, Seen},
};
use crate::{
    event::{
        DisplayId,
        frame::{CallResult, CloseCode},
    },
    server::{
        App,
        accept::Peer,
        access,
        hub::Place,
        metrics::By,
        outbound::{Line, State, frame},
        session::{Context, Effect, Input, Session, Terms},
        store::{ReceiptOutcome, StoreError},
        tasks::{CALLS_PER_SOCKET, OpenCalls},
    },
};

/// Reads and writes of the store that one socket may have under way; beyond this its frames wait in its connection.
const JOBS: usize = 64;
/// Bytes read at once; they are on the stack.
const READ: usize = 4096;
/// Events of history read at once.
const HISTORY: usize = 64;
/// When nothing of what waits went out for this long, nobody reads.
const WRITE_WAIT: Duration = Duration::from_secs(30);

type Jobs = FuturesUnordered<BoxFuture<'static, Option<Input>>>;

struct Socket {
    app: Arc<App>,
    place: Place,
    session: Session,
    reader: Reader,
    /// Made by the first job, gone with the last.
    jobs: Option<Box<Jobs>>,
    /// Calls of tasks, which may take minutes: unlike jobs, the end does not wait for them.
    calls: Option<Box<OpenCalls>>,
    since_ms: u64,
    /// Something was said that the session waits for.
    is_undrained: bool,
    /// When the client is given up, if nothing of what waits goes out until then.
    stuck_at: Option<Instant>,
    end: Option<(CloseCode, String)>,
    /// It counts as a connection.
    _peer: Option<Peer>,
}

/// What a task was woken for.
enum Woken {
    Seen(Seen),
    Job(Option<Input>),
    Called(CallResult),
    Drained,
    Time,
    /// The kernel took not all of what is said.
    Blocked,
    Closing(CloseCode, String),
    /// The client is gone.
    Gone,
}

/// Serves one opened WebSocket until it ends; `early` is what came behind its handshake.
///
/// The future is small, since each open socket holds it: what is only needed at the beginning or at the end is boxed and
/// gone, and the rest is in one box.
pub fn run(
    app: Arc<App>,
    terms: Terms,
    place: Place,
    stream: TcpStream,
    early: Vec<u8>,
    peer: Option<Peer>,
) -> impl Future<Output = ()> + Send {
    let begun = Box::pin(Socket::begin(app, terms, place, stream, early, peer));
    async move {
        let Some(mut socket) = begun.await else { return };
        let end = socket.converse().await;
        Box::pin(socket.end(end)).await;
    }
}

fn seen(terms: &Terms) -> access::Socket<'_> {
    access::Socket { who: &terms.principal.name, display: terms.display.as_ref(), session: &terms.session }
}

/// Tells the client why. One that was replaced and heard it was alive: so there are two.
async fn close(app: &App, display: Option<DisplayId>, line: &Line, code: CloseCode, reason: &str) {
    let was_alive = ending::close(line, code, reason).await;
    if was_alive
        && code == CloseCode::Replaced
        && let Some(display) = display
    {
        let now_ms = app.now_ms();
        if app.directory.replaced_alive(&display, now_ms).await {
            app.witness.copied(&display, now_ms);
        }
    }
}

impl Socket {
    async fn begin(
        app: Arc<App>,
        terms: Terms,
        place: Place,
        stream: TcpStream,
        early: Vec<u8>,
        peer: Option<Peer>,
    ) -> Option<Box<Socket>> {
        place.line.connect(stream);
        let heads = match app.store.heads(&terms.addresses).await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(session = terms.session, %error, "no hello: the store failed");
                ending::close(&place.line, CloseCode::GoingAway, "the store failed, come back").await;
                return None;
            }
        };
        let since_ms = app.now_ms();
        let from = place.line.stream().and_then(|stream| stream.peer_addr().ok());
        app.witness.opened(seen(&terms), from, since_ms);
        let (session, effects) = Session::begin(terms, &heads, since_ms);
        let reader = Reader::new(app.settings.frame_bytes);
        let mut socket = Box::new(Socket {
            app,
            place,
            session,
            reader,
            jobs: None,
            calls: None,
            since_ms,
            is_undrained: false,
            stuck_at: None,
            end: None,
            _peer: peer,
        });
        socket.apply(effects);
        if !early.is_empty() {
            socket.take(&early);
        }
        Some(socket)
    }

    async fn end(self: Box<Self>, end: Option<(CloseCode, String)>) {
        let Socket { app, place, session, jobs, calls, since_ms, _peer, .. } = *self;
        let line = place.line.clone();
        drop(calls);
        // What the client sent before the end still counts: receipts are written out.
        if let Some(mut jobs) = jobs {
            while jobs.next().await.is_some() {}
        }
        let code = end.as_ref().map(|(code, _)| *code);
        app.witness.closed(seen(session.terms()), code, since_ms, app.now_ms());
        let display = session.display().cloned();
        drop((place, session));
        match end {
            Some((code, reason)) => close(&app, display, &line, code, &reason).await,
            None => ending::end(&line).await,
        }
    }

    /// Returns why the socket is to be closed, or None if the client is gone.
    async fn converse(&mut self) -> Option<(CloseCode, String)> {
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            if let Some(end) = self.end.take() {
                return Some(end);
            }
            let now_ms = self.app.now_ms();
            let rest = self.session.deadline_ms().saturating_sub(now_ms);
            // Before the wait, not in it: a client that never stops talking does not outlive its token.
            if rest == 0 {
                self.step(Input::Tick);
                continue;
            }
            let now = Instant::now();
            let mut deadline = now + Duration::from_millis(rest);
            let is_blocked = matches!(self.place.line.state(), State::Blocked { .. });
            if !is_blocked || self.place.line.has_moved() {
                self.stuck_at = None;
            }
            if is_blocked {
                let at = *self.stuck_at.get_or_insert(now + WRITE_WAIT);
                if at <= now {
                    return Some((CloseCode::Slow, CloseCode::Slow.reason().to_owned()));
                }
                deadline = deadline.min(at);
            }
            alarm.as_mut().reset(deadline);
            match std::future::poll_fn(|cx| self.poll(alarm.as_mut(), cx)).await {
                Woken::Closing(code, reason) => return Some((code, reason)),
                Woken::Gone => return None,
                Woken::Time | Woken::Blocked => {}
                Woken::Drained => self.step(Input::Drained),
                Woken::Job(answer) => {
                    if let Some(input) = answer {
                        self.step(input);
                    }
                }
                Woken::Called(result) => self.step(Input::Called(Box::new(result))),
                Woken::Seen(Seen::Text(text)) => self.step(Input::Frame(text)),
                Woken::Seen(Seen::Sign) => self.step(Input::Heard),
                Woken::Seen(Seen::Bad(reason)) => return Some((CloseCode::BadFrame, reason)),
                Woken::Seen(Seen::Gone) => return None,
            }
        }
    }

    fn poll(&mut self, alarm: Pin<&mut Sleep>, cx: &mut Polled<'_>) -> Poll<Woken> {
        let line = self.place.line.clone();
        let Some(stream) = line.stream() else { return Poll::Ready(Woken::Gone) };
        line.register(cx.waker());
        let mut is_full = false;
        loop {
            match line.state() {
                State::Gone => return Poll::Ready(Woken::Gone),
                State::Closing(code, reason) => return Poll::Ready(Woken::Closing(code, reason)),
                State::Empty => {
                    if std::mem::take(&mut self.is_undrained) && !self.session.is_live() {
                        return Poll::Ready(Woken::Drained);
                    }
                }
                State::Blocked { is_full: full } => match stream.poll_write_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        line.resume();
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Woken::Gone),
                    // How long it may take is counted from here.
                    Poll::Pending if self.stuck_at.is_none() => return Poll::Ready(Woken::Blocked),
                    Poll::Pending => is_full = full,
                },
            }
            break;
        }
        if let Some(jobs) = &mut self.jobs {
            match jobs.poll_next_unpin(cx) {
                Poll::Ready(Some(answer)) => return Poll::Ready(Woken::Job(answer)),
                Poll::Ready(None) => self.jobs = None,
                Poll::Pending => {}
            }
        }
        if let Some(calls) = &mut self.calls {
            match calls.poll_next_unpin(cx) {
                Poll::Ready(Some(result)) => return Poll::Ready(Woken::Called(result)),
                Poll::Ready(None) => self.calls = None,
                Poll::Pending => {}
            }
        }
        while !is_full && self.jobs.as_ref().is_none_or(|jobs| jobs.len() < JOBS) {
            if let Some(seen) = self.reader.take_next() {
                return Poll::Ready(Woken::Seen(seen));
            }
            match stream.poll_read_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(Woken::Gone),
                Poll::Ready(Ok(())) => {}
            }
            let mut buffer = [0; READ];
            match stream.try_read(&mut buffer) {
                Ok(0) => return Poll::Ready(Woken::Gone),
                Ok(bytes) => self.take(&buffer[..bytes]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return Poll::Ready(Woken::Gone),
            }
        }
        alarm.poll(cx).map(|()| Woken::Time)
    }

    fn take(&mut self, bytes: &[u8]) {
        let answers = self.reader.take(bytes);
        if !answers.is_empty() {
            self.place.line.say(answers);
        }
    }

    fn step(&mut self, input: Input) {
        let context = Context { now_ms: self.app.now_ms(), keys: &self.app.trust };
        let effects = self.session.step(input, context);
        self.apply(effects);
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let mut frames = Vec::new();
        let mut cursor = None;
        for effect in effects {
            match effect {
                Effect::Send(text) => frame::text(&mut frames, &text),
                Effect::Ping => frames.extend_from_slice(&frame::PING),
                Effect::Close(code, reason) => self.end = Some((code, reason)),
                Effect::GoLive(live) => cursor = Some(live),
                effect => self.start(effect),
            }
        }
        // One piece, however many events of history: it is one write.
        if !frames.is_empty() {
            self.is_undrained = true;
            self.place.line.say(frames);
        }
        if let Some(cursor) = cursor {
            self.place.line.go_live(cursor);
        }
    }

    /// Starts what takes time; its answer is an input.
    fn start(&mut self, effect: Effect) {
        let app = self.app.clone();
        let now_ms = app.now_ms();
        let failed = |error: StoreError| Some(Input::StoreFailed(error.to_string()));
        let job: BoxFuture<'static, Option<Input>> = match effect {
            Effect::Send(_) | Effect::Ping | Effect::Close(..) | Effect::GoLive(_) => return,
            Effect::Call { id, caller, call } => {
                let calls = self.calls.get_or_insert_default();
                let has_room = calls.len() < CALLS_PER_SOCKET;
                let made = if has_room { app.calls.call(id, caller, *call) } else { app.calls.too_many(id) };
                calls.push(made);
                return;
            }
            Effect::Join => {
                let joined = self.place.go_live();
                Box::pin(async move { joined.await.ok().map(|()| Input::Joined) })
            }
            Effect::ReadHeads => {
                let addresses = self.session.addresses().to_vec();
                Box::pin(
                    async move { app.store.heads(&addresses).await.map_or_else(failed, |h| Some(Input::Heads(h))) },
                )
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
            Effect::Publish(reply_to, publish) => match app.rates.publish(self.session.principal(), 1, app.clock.running_ms()) {
                Err(often) => Box::pin(async move { Some(Input::Published(reply_to, Err(often.to_string()))) }),
                Ok(()) => Box::pin(async move {
                    let answer = match app.publish(By::Socket, vec![*publish], now_ms).await {
                        Ok(published) => published.into_iter().next().map(|one| one.position).ok_or_else(String::new),
                        Err(error) => Err(error.to_string()),
                    };
                    Some(Input::Published(reply_to, answer))
                }),
            },
        };
        self.jobs.get_or_insert_default().push(job);
    }
}
