//! Every request is measured and, where it is wanted, logged: around each route, and around what answers where none is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::HttpBody,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::Response,
};

use crate::server::{
    App,
    accept::Peer,
    access::{self, noting},
};

/// What is said of a request that no route takes.
pub const NO_ROUTE: &str = "none";

/// A route that is observed.
#[derive(Debug, Clone)]
pub struct Observed {
    pub app: Arc<App>,
    pub route: &'static str,
}

pub async fn observed(State(Observed { app, route }): State<Observed>, request: Request, next: Next) -> Response {
    around(&app, route, request, |request| next.run(request)).await
}

/// Observes what answers a request.
pub async fn around<F: Future<Output = Response>>(
    app: &App,
    route: &'static str,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let asked = app.witness.access.is_on().then(|| Asked::of(&request));
    let (response, who) = match &asked {
        None => (answer(request).await, None),
        Some(_) => noting(answer(request)).await,
    };
    let (status, took) = (response.status(), began.elapsed());
    app.witness.metrics.request(plain(&method), route, status.as_u16(), took);
    // A socket that opens has a line of its own.
    if let (Some(asked), true) = (asked, status != StatusCode::SWITCHING_PROTOCOLS) {
        let line = access::Request {
            who: who.as_deref(),
            from: asked.from,
            method: method.as_str(),
            path: asked.uri.path(),
            query: asked.uri.query(),
            status: status.as_u16(),
            took,
            read: asked.bytes,
            written: response.body().size_hint().exact().unwrap_or_default(),
        };
        app.witness.request(&line, app.now_ms());
    }
    response
}

/// A handshake that the accept loop read and answered by itself.
pub fn refused(app: &App, parts: &Parts, took: Duration, status: StatusCode) {
    app.witness.metrics.request(plain(&parts.method), "/v1/ws", status.as_u16(), took);
    if app.witness.access.is_on() {
        let line = access::Request {
            who: None,
            from: parts.extensions.get::<Peer>().map(|peer| peer.address),
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            status: status.as_u16(),
            took,
            read: 0,
            written: 0,
        };
        app.witness.request(&line, app.now_ms());
    }
}

struct Asked {
    uri: Uri,
    from: Option<std::net::SocketAddr>,
    bytes: u64,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        let from = request.extensions().get::<Peer>().map(|peer| peer.address);
        Asked { uri: request.uri().clone(), from, bytes: declared(request.headers()) }
    }
}

fn declared(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

/// A client may make up methods; a label may not have any value.
fn plain(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
