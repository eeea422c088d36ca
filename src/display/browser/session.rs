//! One BiDi session of one supervisor: a WebSocket of its own, opened, relayed, and ended on every way out.
//!
//! Each supervisor gets a new WebSocket, so that late replies to the last one's commands cannot reach the next.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error as WsError, Message, protocol::WebSocketConfig},
};

use super::wire::LINE_MAX;

/// Firefox answers `session.new` only once it has started whole: 2 to 8 s on a PC, several times that on a Pi 3.
const NEW_WITHIN: Duration = Duration::from_secs(90);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const END_WITHIN: Duration = Duration::from_secs(2);
/// Ids of the loop's own commands. A supervisor counts from 1 and never comes here (2^53 is the protocol's limit).
const NEW_ID: u64 = (1 << 53) - 2;
const END_ID: u64 = (1 << 53) - 1;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("its remote control cannot be reached: {0}")]
    Connect(String),
    #[error("it gave no session within {} s", NEW_WITHIN.as_secs())]
    TimedOut,
    /// A client that died holds the one session; only a new Firefox frees it.
    #[error("it refused a session: {0}")]
    Refused(String),
}

/// A session that is ready.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Firefox's version.
    pub firefox: String,
}

#[derive(Deserialize)]
struct Reply {
    id: Option<u64>,
    message: Option<String>,
    result: Option<NewResult>,
}

#[derive(Deserialize)]
struct NewResult {
    capabilities: Capabilities,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    browser_version: String,
}

impl Session {
    /// Opens the session at `url` (`ws://127.0.0.1:PORT`). Dialogs that a page opens are dismissed at once.
    pub async fn open(url: &str) -> Result<Self, SessionError> {
        let config = WebSocketConfig::default().max_message_size(Some(LINE_MAX)).max_frame_size(Some(LINE_MAX));
        let connect = connect_async_with_config(format!("{url}/session"), Some(config), true);
        let (socket, _) = timeout(CONNECT_WITHIN, connect)
            .await
            .map_err(|_| SessionError::Connect("no answer".to_owned()))?
            .map_err(|error| SessionError::Connect(error.to_string()))?;
        let mut session = Session { socket, firefox: String::new() };
        match timeout(NEW_WITHIN, session.new_session()).await {
            Ok(Ok(firefox)) => session.firefox = firefox,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(SessionError::TimedOut),
        }
        Ok(session)
    }

    /// Relays until the supervisor's side closes or Firefox's does, then ends the session. True if Firefox's ended.
    pub async fn relay(
        mut self,
        mut commands: mpsc::Receiver<Box<RawValue>>,
        told: mpsc::Sender<Box<RawValue>>,
    ) -> bool {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => {
                        if self.socket.send(Message::text(command.get())).await.is_err() {
                            return true;
                        }
                    }
                    None => break,
                },
                message = self.next() => match text(message) {
                    Ok(Some(raw)) => {
                        if told.send(raw).await.is_err() {
                            break;
                        }
                    }
                    Ok(None) => {}
                    Err(()) => return true,
                },
            }
        }
        timeout(END_WITHIN, self.end()).await.is_err()
    }

    /// Firefox's side of the socket waits for our acknowledgement before it sends a second small message (Nagle), and
    /// the kernel holds ours back for 40 ms unless it is told not to, each time anew (tcp(7), TCP_QUICKACK).
    /// Measured: a local page's paint was told 46 ms after its navigation began, and 30 ms with this.
    async fn next(&mut self) -> Option<Result<Message, WsError>> {
        if let MaybeTlsStream::Plain(stream) = self.socket.get_ref() {
            let _ = stream.set_quickack(true);
        }
        self.socket.next().await
    }

    async fn new_session(&mut self) -> Result<String, SessionError> {
        let wanted = json!({ "alwaysMatch": { "unhandledPromptBehavior": { "default": "dismiss" } } });
        let command = json!({ "id": NEW_ID, "method": "session.new", "params": { "capabilities": wanted } });
        let lost = || SessionError::Connect("it closed the connection".to_owned());
        self.socket.send(Message::text(command.to_string())).await.map_err(|_| lost())?;
        loop {
            let Some(raw) = text(self.next().await).map_err(|()| lost())? else { continue };
            let Ok(reply) = serde_json::from_str::<Reply>(raw.get()) else { continue };
            if reply.id == Some(NEW_ID) {
                let refused = reply.message.unwrap_or_else(|| "no reason given".to_owned());
                return reply
                    .result
                    .map(|result| result.capabilities.browser_version)
                    .ok_or(SessionError::Refused(refused));
            }
        }
    }

    async fn end(&mut self) {
        let command = json!({ "id": END_ID, "method": "session.end", "params": {} });
        if self.socket.send(Message::text(command.to_string())).await.is_err() {
            return;
        }
        while let Ok(message) = text(self.next().await) {
            let reply = message.and_then(|raw| serde_json::from_str::<Reply>(raw.get()).ok());
            if reply.is_some_and(|reply| reply.id == Some(END_ID)) {
                break;
            }
        }
        let _ = self.socket.close(None).await;
    }
}

/// A text message; none for pings and the like; an error once the socket is over.
fn text(message: Option<Result<Message, WsError>>) -> Result<Option<Box<RawValue>>, ()> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(RawValue::from_string(text.as_str().to_owned()).ok()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(()),
        Some(Ok(_)) => Ok(None),
    }
}
