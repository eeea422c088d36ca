//! The link's shell: one select over orders, the attempt under way, the socket and the next deadline.

use std::{collections::BTreeMap, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    Error as WsError, Message,
    protocol::{CloseFrame, frame::coding::CloseCode as WsCloseCode},
};

use super::{
    identity::{self, Enrollment},
    machine::{Effect, Input, Link, LinkError, State},
    server::{Opened, Server, Socket},
};
use crate::event::{
    Address, DisplayId, Event, Position,
    frame::{Hello, Resume, ServerFrame},
};

/// A frame is at most 64 KiB: a server that does not take it in this time is not there.
const SEND_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What the link needs to know.
#[derive(Debug, Clone)]
pub struct LinkSetting {
    /// Where key and enrollment are kept.
    pub state: PathBuf,
    /// The id of `kiosk.toml`.
    pub display: Option<DisplayId>,
    /// The one-time code of `kiosk.toml`.
    pub code: Option<String>,
}

/// What the supervisor wants sent.
#[derive(Debug)]
pub enum Order {
    /// The answer to hello.
    Resume(BTreeMap<Address, Position>),
    /// `kiosk.receipt` or `kiosk.health`, with its data.
    Say { kind: &'static str, data: serde_json::Value },
}

/// What the supervisor is told.
#[derive(Debug)]
pub enum Told {
    /// Where the link stands now, and who we are if that is known.
    State {
        state: State,
        display: Option<DisplayId>,
    },
    /// A socket is open; the first order must be where to resume.
    Hello(Box<Hello>),
    Event(Box<Event>),
}

enum Done {
    Enrolled(Result<DisplayId, LinkError>),
    Opened(Result<Box<Opened>, LinkError>),
}

type Doing = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Holds the link until the orders end; then closes it and returns.
pub async fn run(
    setting: LinkSetting,
    server: Arc<Server>,
    mut orders: mpsc::Receiver<Order>,
    told: mpsc::Sender<Told>,
    rng: fastrand::Rng,
) {
    let kept = identity::load_enrollment(&setting.state);
    let display = identity::known_as(kept, setting.display.as_ref(), setting.code.as_deref());
    let (machine, first) = Link::new(display.is_some(), rng, Instant::now());
    let mut shell = Shell { setting, server, display, machine, socket: None, doing: None, said: 0 };
    shell.perform(Some(first)).await;
    let mut shown = None;
    loop {
        let state = (shell.machine.state().clone(), shell.display.clone());
        if is_news(shown.as_ref(), &state) {
            let news = Told::State { state: state.0.clone(), display: state.1.clone() };
            if told.send(news).await.is_err() {
                return shell.finish(orders).await;
            }
            shown = Some(state);
        }
        let deadline = shell.machine.deadline();
        let input = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => shell.say(order).await,
                None => return shell.close().await,
            },
            done = next_done(&mut shell.doing) => shell.done(done),
            message = next_message(&mut shell.socket) => match shell.heard(message) {
                (input, None) => input,
                (input, Some(news)) => {
                    if told.send(news).await.is_err() {
                        return shell.finish(orders).await;
                    }
                    input
                }
            },
            () = sleep_until(deadline) => Some(Input::Due),
        };
        if let Some(input) = input {
            let effect = shell.machine.step(input, Instant::now());
            shell.perform(effect).await;
        }
    }
}

/// What the socket is heard saying changes nothing that anybody else wants to know.
fn is_news(shown: Option<&(State, Option<DisplayId>)>, now: &(State, Option<DisplayId>)) -> bool {
    match (shown, now) {
        (Some((State::Live { since: a, .. }, _)), (State::Live { since: b, .. }, _)) => a != b,
        (shown, now) => shown != Some(now),
    }
}

async fn next_done(doing: &mut Option<Doing>) -> Done {
    match doing {
        Some(future) => {
            let done = future.await;
            *doing = None;
            done
        }
        None => std::future::pending().await,
    }
}

async fn next_message(socket: &mut Option<Box<Socket>>) -> Option<Result<Message, WsError>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

struct Shell {
    setting: LinkSetting,
    server: Arc<Server>,
    display: Option<DisplayId>,
    machine: Link,
    socket: Option<Box<Socket>>,
    doing: Option<Doing>,
    said: u64,
}

impl Shell {
    async fn perform(&mut self, effect: Option<Effect>) {
        match effect {
            None => {}
            Some(Effect::Drop) => {
                self.doing = None;
                self.close().await;
            }
            Some(Effect::Enroll) => {
                let (server, setting) = (self.server.clone(), self.setting.clone());
                self.doing = Some(Box::pin(async move { Done::Enrolled(enroll(&server, &setting).await) }));
            }
            Some(Effect::Connect) => {
                let Some(display) = self.display.clone() else { return };
                let server = self.server.clone();
                self.doing = Some(Box::pin(async move { Done::Opened(server.open(&display).await.map(Box::new)) }));
            }
        }
    }

    fn done(&mut self, done: Done) -> Option<Input> {
        Some(match done {
            Done::Enrolled(Ok(id)) => {
                tracing::info!(%id, "enrolled");
                self.display = Some(id);
                Input::Enrolled
            }
            Done::Opened(Ok(opened)) => {
                let Opened { socket, display } = *opened;
                self.socket = Some(Box::new(socket));
                if let Some(now) = display.filter(|now| self.display.as_ref() != Some(now)) {
                    self.renamed(now);
                }
                Input::Opened
            }
            Done::Enrolled(Err(error)) | Done::Opened(Err(error)) => {
                tracing::warn!(%error, "no link");
                Input::Failed(error)
            }
        })
    }

    /// The server calls this display something else now. That it is kept can wait: it is told again with every ticket.
    fn renamed(&mut self, now: DisplayId) {
        tracing::info!(was = self.display.as_ref().map(DisplayId::as_str), %now, "the server renamed this display");
        let was = self.display.replace(now.clone());
        let state = self.setting.state.clone();
        tokio::task::spawn_blocking(move || {
            let kept = identity::load_enrollment(&state);
            let kept = kept.or(was.map(|display| Enrollment { display, code_sha256: None, once: Vec::new() }));
            if let Some(Err(error)) = kept.map(|kept| identity::keep_enrollment(&state, &kept.renamed(now))) {
                tracing::error!(%error, "this display's new name is not kept");
            }
        });
    }

    fn heard(&mut self, message: Option<Result<Message, WsError>>) -> (Option<Input>, Option<Told>) {
        let lost = |why: String| (Some(Input::Failed(LinkError::Unreachable(why))), None);
        let text = match message {
            None => return lost("the connection ended".into()),
            Some(Err(error)) => {
                self.socket = None;
                return lost(error.to_string());
            }
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                tracing::warn!(code, reason, "the server closed the socket");
                return (Some(Input::Failed(LinkError::Closed { code, reason })), None);
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) => return (Some(Input::Heard), None),
        };
        match Event::from_json(text.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|event| ServerFrame::read(event).map_err(|error| error.to_string()))
        {
            Ok(ServerFrame::Hello(hello)) => {
                let heartbeat = Duration::from_secs(hello.heartbeat_s);
                (Some(Input::Greeted { heartbeat }), Some(Told::Hello(Box::new(hello))))
            }
            Ok(ServerFrame::Event(event)) => (Some(Input::Heard), Some(Told::Event(event))),
            Ok(ServerFrame::Resumed(resumed)) => {
                let lost: Vec<String> = resumed
                    .recovered
                    .iter()
                    .filter(|(_, kept)| !**kept)
                    .map(|(address, _)| address.to_string())
                    .collect();
                if !lost.is_empty() {
                    tracing::warn!(addresses = lost.join(", "), "the server no longer has all that was missed");
                }
                (Some(Input::Heard), None)
            }
            Ok(ServerFrame::Result(_)) => (Some(Input::Heard), None),
            Err(error) => {
                // A newer server may say what we do not know; it is no reason to lose the link.
                tracing::warn!(error, "the server sent what is no event");
                (Some(Input::Heard), None)
            }
        }
    }

    async fn say(&mut self, order: Order) -> Option<Input> {
        let socket = self.socket.as_mut()?;
        let (kind, data) = match order {
            Order::Resume(positions) => {
                ("kiosk.resume", serde_json::to_value(Resume { positions }).unwrap_or_default())
            }
            Order::Say { kind, data } => (kind, data),
        };
        self.said += 1;
        let source = self.display.as_ref().map_or_else(|| "display".to_owned(), |id| format!("display/{id}"));
        let event = Event::new(self.said.to_string(), source, kind).with_data(&data);
        match timeout(SEND_WITHIN, socket.send(Message::text(event.to_json()))).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Input::Failed(LinkError::Unreachable(error.to_string()))),
            Err(_) => Some(Input::Failed(LinkError::Silent)),
        }
    }

    /// The supervisor is ending: what it still ordered is sent.
    async fn finish(&mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            if self.say(order).await.is_some() {
                return;
            }
        }
        self.close().await;
    }

    /// Says goodbye and hears the answer out: a socket that is closed with unread frames in it is reset, and the reset
    /// would take our last receipts along.
    async fn close(&mut self) {
        let Some(mut socket) = self.socket.take() else { return };
        let goodbye = async {
            let frame = CloseFrame { code: WsCloseCode::Away, reason: "".into() };
            if socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        // The server may be gone: then there is nobody to be polite to.
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }
}

async fn enroll(server: &Server, setting: &LinkSetting) -> Result<DisplayId, LinkError> {
    let Some(code) = &setting.code else { return Err(LinkError::NoCode) };
    let display = server.enroll(code, setting.display.as_ref()).await?;
    let enrollment =
        Enrollment { display: display.clone(), code_sha256: Some(identity::hash_of(code)), once: Vec::new() };
    let state = setting.state.clone();
    let kept = tokio::task::spawn_blocking(move || identity::keep_enrollment(&state, &enrollment)).await;
    // Not kept: the same code with the same key gives the same answer after the next start.
    if let Ok(Err(error)) = kept {
        tracing::error!(%error, "what enrollment gave is not kept");
    }
    Ok(display)
}
