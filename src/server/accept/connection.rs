//! One connection: its first request's head is read here, so that a WebSocket never meets hyper.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Peer,
    head::{HEAD_MAX, Head},
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
/// How long an answer may take to go out, and how long its reader is waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

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
    let first = {
        let mut first = pin!(timeout(host.head_wait, read_head(&mut stream, &mut bytes)));
        tokio::select! {
            first = &mut first => Some(first),
            // Whoever was let in just before the end has asked already, or is about to.
            () = host.stop.cancelled() => timeout(LAST_HEAD, first).await.ok(),
        }
    };
    let Some(first) = first else { return };
    match first {
        // Nothing was asked, or its end came: nobody is there to be answered.
        Ok(Err(_) | Ok(Head::Partial)) => {}
        Err(_) if bytes.is_empty() => {}
        Err(_) => {
            let late = Problem::new(StatusCode::REQUEST_TIMEOUT, "the request's head took too long to arrive");
            Box::pin(answer(stream, late.into_response())).await;
        }
        Ok(Ok(Head::Bad(status, why))) => {
            Box::pin(answer(stream, Problem::new(status, why).into_response())).await;
        }
        Ok(Ok(Head::Other)) => Box::pin(http(host, Rewind::new(bytes, stream), peer)).await,
        Ok(Ok(Head::Socket(mut parts, length))) => {
            parts.extensions.insert(peer.clone());
            let began = Instant::now();
            match Box::pin(socket::admit(&host.app, &parts)).await {
                Ok(admitted) => {
                    let early = bytes.split_off(length);
                    host.app.tasks.spawn(socket::run(host.app.clone(), admitted, stream, early, peer));
                }
                Err(problem) => {
                    observed::refused(&host.app, &parts, began.elapsed(), problem.status);
                    Box::pin(answer(stream, problem.into_response())).await;
                }
            }
        }
    }
}

/// Reads until the head is complete or cannot become one; `Partial` if the connection ended first.
async fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().min(HEAD_MAX));
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(Head::Partial);
        }
        match Head::read(bytes) {
            Head::Partial => {}
            head => return Ok(head),
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

/// Answers and ends the connection, so that the answer is read and not lost in a reset.
async fn answer(mut stream: TcpStream, response: Response<Body>) {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else { return };
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    parts.headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let mut out = format!("{:?} {}\r\n", Version::HTTP_11, parts.status).into_bytes();
    if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()) {
        out.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    for (name, value) in &parts.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    let said = async {
        stream.write_all(&out).await?;
        stream.shutdown().await?;
        // What it still sends is read, and dropped.
        let mut dropped = vec![0; 2048];
        while stream.read(&mut dropped).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(ANSWER_WAIT, said).await;
}
