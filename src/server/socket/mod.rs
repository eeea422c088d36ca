//! `GET /v1/ws` (and `/wsb`): who may open a WebSocket, and the upgrade.
//!
//! ```text
//!  request -> form of the credential -> is it an upgrade? -> Origin -> credential (ticket taken, JWT checked)
//!     401          (401)                   (426)            (403)           (401)
//!  -> display enrolled? -> place in the hub -> 101 -> run.rs: one task, its Session and its Wire
//!          (401)              (429)
//! ```
//!
//! An address that comes too often is told 429 before anything is looked at (see `rate`). The order keeps a ticket from being spent by a request that could never become a socket. Whoever is refused is told
//! one constant text; the log has the reason.
//!
//! **Origin**: a request with an `Origin` header comes from a web page. It must be listed in `[auth] origins`; without
//! that list it must be the server's own host. Programs send no `Origin` and are judged by their credential alone.
//!
//! Rejected: axum's `ws` extractor. Its buffers cost 130 KB a socket, and hyper's half of the connection stays; here the
//! accept loop reads the first head itself, and of a later one the bare `TcpStream` is taken back out of hyper.

mod credentials;
mod ending;
pub mod reader;
mod run;

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use self::credentials::Credential;
pub use self::credentials::bearer;
use super::{
    App,
    accept::{Peer, Rewind},
    http::Problem,
    hub::{CapError, EnterError, Entrant, Place},
    session::Terms,
};
use crate::{
    auth::{Principal, REFUSED},
    event::{Address, DisplayId, frame::SUBPROTOCOL},
};

/// A client that may open its WebSocket.
#[derive(Debug)]
pub struct Admitted {
    terms: Terms,
    place: Place,
    accept: HeaderValue,
    /// It offered our subprotocol.
    protocol: bool,
}

impl Admitted {
    fn switching(&self) -> Vec<u8> {
        let mut head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n".to_vec();
        let mut line = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        line("sec-websocket-accept", self.accept.as_bytes());
        if self.protocol {
            line("sec-websocket-protocol", SUBPROTOCOL.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Answers the handshake and serves the WebSocket until it ends. `early` came behind the request's head.
pub fn run(
    app: Arc<App>,
    admitted: Admitted,
    stream: TcpStream,
    early: Vec<u8>,
    peer: Peer,
) -> impl Future<Output = ()> + Send {
    // One write with `kiosk.hello`.
    admitted.place.line.say(admitted.switching());
    run::run(app, admitted.terms, admitted.place, stream, early, Some(peer))
}

/// The handler of `GET /v1/ws` as a later request of a kept connection; the first one does not come here.
pub async fn open(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match admit(&app, &parts).await {
        Err(problem) => problem.into_response(),
        Ok(Admitted { terms, place, accept, protocol }) => {
            let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
            let peer = parts.extensions.remove::<Peer>();
            let tracker = app.tasks.clone();
            tracker.spawn(async move {
                // hyper sets it for every request that asks for an upgrade.
                let Some(upgrade) = upgrade else { return };
                let Ok(upgraded) = upgrade.await else { return };
                // The accept loop gives hyper exactly this type.
                let Ok(bare) = upgraded.downcast::<TokioIo<Rewind>>() else { return };
                let (stream, unread) = bare.io.into_inner().into_parts();
                let early = [bare.read_buf, unread].concat();
                run::run(app, terms, place, stream, early, peer).await;
            });
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            if protocol {
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
            }
            response
        }
    }
}

/// Judges a request for a WebSocket; what it yields has its place in the hub, and its ticket is spent.
pub async fn admit(app: &App, request: &Parts) -> Result<Admitted, Problem> {
    let peer = request.extensions.get::<Peer>().map(|peer| peer.address);
    let now_ms = app.now_ms();
    if let Some(peer) = peer {
        let rated = app.rates.connect(peer.ip(), app.clock.running_ms());
        rated.inspect_err(|_| app.witness.metrics.refused("socket", "rate"))?;
    }
    let peer = peer.map(|peer| peer.to_string());
    let refused = |kind, why: &dyn std::fmt::Display| {
        tracing::info!(%why, peer, "a WebSocket is refused");
        app.witness.metrics.refused("socket", kind);
        Problem::unauthorized()
    };
    let headers = &request.headers;
    let credential = credentials::take(headers, request.uri.query()).map_err(|why| refused("credential", &why))?;
    let accept = handshake(&request.method, headers)?;
    if !origin_allowed(headers, &app.settings.origins) {
        tracing::info!(origin = ?headers.get(header::ORIGIN), "a WebSocket is refused: its Origin is not allowed");
        app.witness.metrics.refused("socket", "origin");
        return Err(Problem::new(StatusCode::FORBIDDEN, REFUSED));
    }
    let principal = match credential {
        Credential::Ticket(ticket) => {
            Principal::from_ticket(app.tickets.take(&ticket, now_ms).await.map_err(|why| refused("ticket", &why))?)
        }
        Credential::Jwt(token) => {
            let claims = app.trust.verify_patiently(&token, now_ms).await;
            Principal::from_claims(claims.map_err(|why| refused("token", &why))?)
        }
    };
    let (display, addresses) = addresses(app, &principal).await.map_err(|why| refused("display", &why))?;
    let session = app.store.random_id();
    let entrant = Entrant {
        session: session.clone(),
        token: principal.token.clone(),
        issued_ms: principal.issued_ms,
        name: principal.name.clone(),
        user: principal.user.clone(),
        display: display.clone(),
        addresses: addresses.clone(),
    };
    let place = app.hub.enter(entrant, now_ms).await.map_err(|error| match error {
        EnterError::Cap(CapError::GoingAway) => {
            let mut random = [0; 8];
            (app.store.randomness())(&mut random);
            let retry_s = app.goodbye.retry_after_s(Instant::now(), u64::from_le_bytes(random));
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(retry_s)
        }
        EnterError::Gone(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        EnterError::Cap(_) => {
            app.witness.metrics.refused("socket", "limit");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after(10)
        }
    })?;
    // Only now: what is revoked from here on ends the sockets that the hub knows.
    app.trust.stands(&principal, now_ms).map_err(|why| refused("revoked", &why))?;
    if let Some(id) = &display {
        // On every node: an older socket of this display ends there too. What cannot be told must not open.
        app.store.claim(id, &session).await?;
    }
    let terms = Terms {
        session,
        principal,
        display,
        addresses,
        heartbeat_ms: app.settings.heartbeat_ms,
        per_message: app.settings.per_message,
        grace_ms: app.settings.grace_ms,
    };
    tracing::debug!(session = terms.session, name = terms.principal.name, "a WebSocket opens");
    let protocol = credentials::subprotocols(headers).any(|entry| entry == SUBPROTOCOL);
    Ok(Admitted { terms, place, accept, protocol })
}

#[derive(Debug, thiserror::Error)]
enum AddressesError {
    #[error("display `{0}` is not enrolled")]
    NotEnrolled(DisplayId),
    #[error(transparent)]
    Store(#[from] super::store::StoreError),
}

/// What a socket receives from: its principal's addresses, and a display's own.
async fn addresses(app: &App, principal: &Principal) -> Result<(Option<DisplayId>, Vec<Address>), AddressesError> {
    let mut addresses = Vec::new();
    if let Some(id) = &principal.display {
        let row = app.store.display(id).await?.ok_or_else(|| AddressesError::NotEnrolled(id.clone()))?;
        addresses = row.addresses();
        // A ticket that the display asked for itself is for nobody else.
        if principal.name == id.as_str() {
            return Ok((Some(id.clone()), addresses));
        }
    }
    for address in &principal.receives {
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    Ok((principal.display.clone(), addresses))
}

/// RFC 6455 §4.2.1; the answer is `Sec-WebSocket-Accept`.
fn handshake(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name: header::HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|entry| entry.trim().eq_ignore_ascii_case(token))
    };
    let is_upgrade = method == Method::GET && has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|value| value.as_bytes() == b"13");
    if !is_upgrade || !version {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket, version 13 (RFC 6455)"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let key = key.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or malformed"))?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is malformed"))
}

fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if !allowed.is_empty() {
        return allowed.iter().any(|one| one.trim_end_matches('/').eq_ignore_ascii_case(origin));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (origin.split_once("://"), host) {
        (Some((_, authority)), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}
