//! What a display asks its server over HTTP: enrollment, tickets, the socket's opening, large results.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};
use url::Url;

use super::{machine::LinkError, words};
use crate::{
    auth::display_key::DisplayKey,
    event::{
        DisplayId,
        frame::{FRAME_MAX, SUBPROTOCOL},
    },
    io::http::{self, Redirects},
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// 8 MiB over a slow uplink.
const UPLOAD_WITHIN: Duration = Duration::from_secs(120);
/// Answers of ours are under 1 KiB, problems under a few.
const ANSWER_MAX: usize = 64 * 1024;

/// An open socket.
pub type Socket = WebSocketStream<reqwest::Upgraded>;

/// The server, as one display with its key sees it.
pub struct Server {
    base: Url,
    origin: String,
    key: DisplayKey,
    client: tokio::sync::OnceCell<reqwest::Client>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.origin).finish()
    }
}

#[derive(Deserialize)]
struct Enrolled {
    display: DisplayId,
}

#[derive(Deserialize)]
struct Nonce {
    nonce: String,
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
    /// What this display is called now. Older servers do not say.
    display: Option<DisplayId>,
}

/// An open socket, and what the server calls the display on it.
#[derive(Debug)]
pub struct Opened {
    pub socket: Socket,
    pub display: Option<DisplayId>,
}

impl Server {
    /// Scheme, host and port.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `base` is the `[server] url`: scheme, host and port.
    pub fn new(base: Url, key: DisplayKey) -> Self {
        let origin = base.origin().ascii_serialization();
        Self { base, origin, key, client: tokio::sync::OnceCell::new() }
    }

    /// Makes this display's key known. The same code with the same key may be tried again.
    pub async fn enroll(&self, code: &str, display: Option<&DisplayId>) -> Result<DisplayId, LinkError> {
        let mut body = BTreeMap::from([("code", json!(code)), ("public_key", json!(self.key.public_text()))]);
        if let Some(display) = display {
            body.insert("display", json!(display));
        }
        let answer: Enrolled = self.post("v1/enroll", &json!(body)).await?;
        Ok(answer.display)
    }

    /// A ticket, good for one socket or one request within 20 s.
    async fn ticket(&self, display: &DisplayId) -> Result<Ticket, LinkError> {
        let request = self.client().await?.get(self.url("v1/nonce"));
        let Nonce { nonce } = read(send(request, ANSWER_WITHIN).await?).await?;
        let signature = self
            .key
            .sign_ticket_request(&self.origin, display, &nonce)
            .map_err(|error| LinkError::Protocol(error.to_string()))?;
        let body = json!({ "display": display, "nonce": nonce, "signature": signature });
        self.post("v1/tickets", &body).await
    }

    /// Opens the socket (RFC 6455 §4). The ticket travels in a header: a URL would end in logs.
    pub async fn open(&self, display: &DisplayId) -> Result<Opened, LinkError> {
        let Ticket { ticket, display } = self.ticket(display).await?;
        let key = generate_key();
        let request = self
            .client()
            .await?
            .get(self.url("v1/ws"))
            .bearer_auth(ticket)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let answer = send(request, ANSWER_WITHIN).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(LinkError::Protocol(format!("it answered {} to an upgrade", answer.status())));
        }
        let said = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        if said(header::SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str()) {
            return Err(LinkError::Protocol("its upgrade does not answer our key".into()));
        }
        if said(header::SEC_WEBSOCKET_PROTOCOL) != Some(SUBPROTOCOL) {
            return Err(LinkError::Protocol(format!("it does not speak {SUBPROTOCOL}")));
        }
        let stream = answer.upgrade().await.map_err(|error| LinkError::Unreachable(http::in_words(&error)))?;
        let limits = WebSocketConfig::default().max_message_size(Some(FRAME_MAX)).max_frame_size(Some(FRAME_MAX));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await;
        Ok(Opened { socket, display })
    }

    /// Puts what is too large for a receipt; returns the path under which an operator gets it.
    pub async fn put_result(
        &self,
        display: &DisplayId,
        event: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<String, LinkError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["v1", "displays", display.as_str(), "results", event]);
        }
        let Ticket { ticket, .. } = self.ticket(display).await?;
        let request = self.client().await?.put(url.clone()).bearer_auth(ticket);
        send(request.header(header::CONTENT_TYPE, content_type).body(bytes), UPLOAD_WITHIN).await?;
        Ok(url.path().to_owned())
    }

    async fn client(&self) -> Result<&reqwest::Client, LinkError> {
        // Reading the machine's certificates takes a Pi a moment: not on the loop's thread.
        let make = || async {
            let made = tokio::task::spawn_blocking(|| http::client(Redirects::Refused, CONNECT_WITHIN)).await;
            let made = made.map_err(|error| LinkError::Unreachable(error.to_string()))?;
            made.map_err(|error| LinkError::Unreachable(http::in_words(&error)))
        };
        self.client.get_or_try_init(make).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    async fn post<T: for<'de> Deserialize<'de>>(&self, path: &str, body: &Value) -> Result<T, LinkError> {
        let request = self.client().await?.post(self.url(path)).json(body);
        read(send(request, ANSWER_WITHIN).await?).await
    }
}

fn unreachable(error: &reqwest::Error) -> LinkError {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = u64::try_from(wall.as_millis()).unwrap_or_default();
    LinkError::Unreachable(words::in_words(http::in_words(error), wall_ms))
}

async fn send(request: reqwest::RequestBuilder, within: Duration) -> Result<reqwest::Response, LinkError> {
    let answered = tokio::time::timeout(within, request.send()).await;
    let late = || LinkError::Unreachable("it did not answer in time".into());
    let answer = answered.map_err(|_| late())?.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(LinkError::Busy { retry_after: seconds.map(Duration::from_secs) });
    }
    let why = match body(answer).await.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) {
        Some(problem) => {
            ["detail", "title"].iter().find_map(|name| problem[name].as_str()).unwrap_or_default().to_owned()
        }
        None => String::new(),
    };
    let why = if why.is_empty() { status.to_string() } else { format!("{why} ({})", status.as_u16()) };
    Err(if status.is_client_error() { LinkError::Refused(why) } else { LinkError::Unreachable(why) })
}

async fn read<T: for<'de> Deserialize<'de>>(answer: reqwest::Response) -> Result<T, LinkError> {
    let bytes = body(answer).await?;
    serde_json::from_slice(&bytes).map_err(|error| LinkError::Protocol(error.to_string()))
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, LinkError> {
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX {
                break;
            }
        }
        Ok::<_, reqwest::Error>(())
    };
    match tokio::time::timeout(ANSWER_WITHIN, reading).await {
        Ok(Ok(())) if bytes.len() <= ANSWER_MAX => Ok(bytes),
        Ok(Ok(())) => Err(LinkError::Protocol("its answer is too long".into())),
        Ok(Err(error)) => Err(LinkError::Unreachable(http::in_words(&error))),
        Err(_) => Err(LinkError::Unreachable("it did not finish its answer in time".into())),
    }
}

// The test's server is axum, which only the server brings along.
#[cfg(feature = "server")]
#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
