//! One connection: its requests' heads are read here, so that a WebSocket never meets hyper and a publish seldom does;
//! whatever else is asked, hyper answers from there on.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{http::StatusCode, response::IntoResponse};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Peer, answer,
    head::{HEAD_MAX, Head},
    publish,
    rewind::Rewind,
};
use crate::server::{
    App,
    http::{Problem, observed},
    socket,
};

/// Room for a usual head; it grows for others.
const USUAL_HEAD: usize = 1024;
/// How long a first head is waited for when the server ends.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// What every connection of one server needs.
#[derive(Debug, Clone)]
pub struct Host {
    pub app: Arc<App>,
    pub router: axum::Router,
    pub head_wait: Duration,
    pub stop: CancellationToken,
}

/// Serves a connection until it ends, or until it is a WebSocket, which has a task of its own.
pub async fn serve(host: Host, mut stream: TcpStream, peer: Peer) {
    let mut bytes = Vec::with_capacity(USUAL_HEAD);
    let Some(mut head) = next_head(&host, &mut stream, &mut bytes, false).await else { return };
    if let Head::Publish(first, lengths) = head {
        let kept = publish::Kept { host: &host, stream: &mut stream, read: &mut bytes, peer: &peer };
        let Some(other) = Box::pin(kept.serve(first, lengths)).await else { return };
        head = other;
    }
    match head {
        // Nothing was asked, or its end came: nobody is there to be answered.
        Head::Partial | Head::Publish(..) => {}
        Head::Bad(status, why) => Box::pin(answer::last(&mut stream, Problem::new(status, why).into_response())).await,
        Head::Other => Box::pin(http(host, Rewind::new(bytes, stream), peer)).await,
        Head::Socket(mut parts, length) => {
            parts.extensions.insert(peer.clone());
            let began = Instant::now();
            match Box::pin(socket::admit(&host.app, &parts)).await {
                Ok(admitted) => {
                    let early = bytes.split_off(length);
                    host.app.tasks.spawn(socket::run(host.app.clone(), admitted, stream, early, peer));
                }
                Err(problem) => {
                    observed::refused(&host.app, &parts, began.elapsed(), problem.status);
                    Box::pin(answer::last(&mut stream, problem.into_response())).await;
                }
            }
        }
    }
}

/// The head of the next request; None where the connection is over. `is_kept`: it is not the first, so that nobody is
/// waited for at the end of the server who has not begun to ask.
pub async fn next_head(host: &Host, stream: &mut TcpStream, bytes: &mut Vec<u8>, is_kept: bool) -> Option<Head> {
    let read = {
        let mut reading = pin!(timeout(host.head_wait, read_head(stream, bytes)));
        tokio::select! {
            biased;
            read = &mut reading => Some(read),
            () = host.stop.cancelled() => if is_kept { None } else {
                // Whoever was let in just before the end has asked already, or is about to.
                timeout(LAST_HEAD, reading).await.ok()
            },
        }
    };
    match read? {
        Ok(head) => head.ok(),
        Err(_) if bytes.is_empty() => None,
        Err(_) => {
            let late = "the request's head took too long to arrive";
            Some(Head::Bad(StatusCode::REQUEST_TIMEOUT, late.to_owned()))
        }
    }
}

/// Reads until the head is complete or cannot become one; `Partial` if the connection ended first.
async fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        // A client may ask again before it is answered.
        if !bytes.is_empty() {
            match Head::read(bytes) {
                Head::Partial => {}
                head => return Ok(head),
            }
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().min(HEAD_MAX));
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(Head::Partial);
        }
    }
}

async fn http(host: Host, stream: Rewind, peer: Peer) {
    let Host { router, head_wait, stop, .. } = host;
    let address = peer.address;
    let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let response = tower::ServiceExt::oneshot(router.clone(), request);
        async move { response.await.map_err(|never: Infallible| never) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_wait)
        .max_buf_size(HEAD_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            // It first: hyper drops a connection that is to end before it has read anything.
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%address, %error, "a connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
