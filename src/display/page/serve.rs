//! The shell: accepts, asks the guard, answers, closes. One request a connection: on loopback a new connection costs
//! nothing, and none can be held.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    guard::{Guard, Route},
    media::{self, Body},
    state::PageState,
};
use crate::display::offline::Offline;

/// Firefox opens at most 6 connections to a host; the rest is for a technician's curl and for what is just closing.
const CONNECTIONS_MAX: usize = 32;
/// A head that takes longer is not a browser on the same machine.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a question for a newer state is held before it is answered with the old one.
const HOLD: Duration = Duration::from_secs(25);
/// A whole connection: head, hold, and the time to take the answer.
const CONNECTION_WITHIN: Duration = Duration::from_secs(35);
/// A film is read as it is played, and an item of a playlist stands for a day at most.
const FILM_WITHIN: Duration = Duration::from_secs(86_400);
/// Ours are under 1 KiB, but for the address of a picture or film, which has 4 KiB at most before it is encoded.
const HEAD_MAX: usize = 16 * 1024;

/// The state and how often it has changed. The first revision is 1, so that 0 is never current.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) rev: u64,
    pub(super) state: PageState,
}

impl Default for Current {
    fn default() -> Self {
        Self { rev: 1, state: PageState::default() }
    }
}

/// What is served, and to whom.
#[derive(Clone)]
struct Site {
    guard: Arc<Guard>,
    state: watch::Receiver<Current>,
    offline: Offline,
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, guard: Guard, state: watch::Receiver<Current>, offline: Offline) {
    let site = Site { guard: Arc::new(guard), state, offline };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Without a place, the next caller waits in the kernel's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or a caller that is gone already: neither ends the page.
                tracing::warn!(%error, "the page could not accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let site = site.clone();
        tokio::spawn(async move {
            // A caller that is too slow or breaks off has only itself to answer.
            let is_film = AtomicBool::new(false);
            let mut connection = pin!(connection(stream, &site, &is_film));
            let ended = timeout(CONNECTION_WITHIN, &mut connection).await.is_ok();
            if !ended && is_film.load(Ordering::Relaxed) {
                let _ = timeout(FILM_WITHIN, connection).await;
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, site: &Site, is_film: &AtomicBool) -> Result<(), hyper::Error> {
    let service =
        service_fn(
            |request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request, site, is_film).await) },
        );
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(request: &Request<Incoming>, site: &Site, is_film: &AtomicBool) -> Response<Body> {
    let Site { guard, state, offline } = site;
    let uri = request.uri();
    let judged = match uri.authority() {
        // `GET http://elsewhere/ HTTP/1.1` is for a proxy, which this is not.
        Some(_) => Err(super::guard::Refusal::ForeignHost),
        None => guard.judge(request.method(), uri.path(), uri.query(), request.headers()),
    };
    if let Ok(Route::Media { file }) = &judged {
        let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        if let Some((mut response, content_type)) = media::answer(offline, file.clone(), range).await {
            is_film.store(true, Ordering::Relaxed);
            harden(response.headers_mut(), content_type, MEDIA);
            return response;
        }
    }
    let mut location = None;
    let (status, content_type, csp, body) = match judged {
        Ok(Route::Asset(asset)) if asset.path == super::START && state.borrow().state.leads_to.is_some() => {
            location = state.borrow().state.leads_to.as_deref().and_then(led_to);
            (StatusCode::FOUND, "text/plain; charset=utf-8", NOTHING, Bytes::new())
        }
        Ok(Route::Asset(asset)) => {
            let body =
                if request.method() == Method::HEAD { Bytes::new() } else { Bytes::from_static(asset.body.as_bytes()) };
            (StatusCode::OK, asset.content_type, asset.csp, body)
        }
        Ok(Route::State { since }) => {
            (StatusCode::OK, "application/json", NOTHING, state_json(since, state.clone()).await)
        }
        Ok(Route::Picture { name }) => match picture(offline, name).await {
            Some(jpeg) => (StatusCode::OK, "image/jpeg", NOTHING, jpeg),
            None => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", NOTHING, Bytes::from_static(b"no\n")),
        },
        Ok(Route::Find { src }) => {
            let path = media::find(offline, guard, src).await;
            (StatusCode::OK, "application/json", NOTHING, Bytes::from(json!({ "path": path }).to_string()))
        }
        Ok(Route::Media { .. }) => {
            (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", NOTHING, Bytes::from_static(b"no\n"))
        }
        Err(refusal) => {
            tracing::debug!(method = %request.method(), path = uri.path(), %refusal, "the page refused a request");
            (refusal.status(), "text/plain; charset=utf-8", NOTHING, Bytes::from_static(b"no\n"))
        }
    };
    let mut response = Response::new(media::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    harden(headers, HeaderValue::from_static(content_type), csp);
    if let Some(location) = location {
        headers.insert(LOCATION, location);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// With a fragment, if only an empty one: a redirect without one would take ours along, and with it the secret (Fetch,
/// "HTTP-redirect fetch", step 4).
fn led_to(url: &str) -> Option<HeaderValue> {
    let url = if url.contains('#') { url.to_owned() } else { format!("{url}#") };
    HeaderValue::try_from(url).ok()
}

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// A picture may be a drawing (SVG) with styles of its own; as a document it could do nothing.
const MEDIA: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox";

/// On every answer. There is no `Access-Control-*`: to other origins it stays closed.
fn harden(headers: &mut HeaderMap, content_type: HeaderValue, csp: &'static str) {
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, csp),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn picture(offline: &Offline, name: String) -> Option<Bytes> {
    let pictures = offline.pictures.clone();
    let read = tokio::task::spawn_blocking(move || pictures.read(&name)).await;
    read.ok().flatten().map(Bytes::from)
}

/// The state, once it is another one than the asker has.
async fn state_json(since: Option<u64>, mut state: watch::Receiver<Current>) -> Bytes {
    // An error means that the page is ending, and then the last state is the answer.
    let _ = timeout(HOLD, state.wait_for(|current| Some(current.rev) != since)).await;
    let current = state.borrow();
    let view = current.state.view(current.rev, Instant::now());
    serde_json::to_vec(&view).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
}
