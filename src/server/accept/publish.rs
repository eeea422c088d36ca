//! A publish without hyper: what comes thousands of times a second, on connections that are kept.
//!
//! hyper hands a body over by a channel within the connection's own task. That wakes the task while it runs, and the
//! runtime wakes another thread for it, for every request: a lone event was with its display a third later, and cost
//! twice the processor time.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{Request, request::Parts},
    response::Response,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::Peer;
use crate::server::{
    App,
    http::{self, BODY_WAIT},
};

/// A request whose head was read.
pub struct Asked {
    pub request: Box<Parts>,
    /// Bytes of its head, with which what was read begins.
    pub head: usize,
    /// Bytes of its body.
    pub body: usize,
    pub peer: Peer,
}

/// Takes the request out of what was read, and the rest of it from the connection; returns the answer.
///
/// # Errors
/// The connection is over; `TimedOut`: its client is still to be told that the rest took too long.
pub async fn serve(app: &Arc<App>, asked: Asked, stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Response> {
    let Asked { mut request, head, body, peer } = asked;
    let whole = head + body;
    if read.len() < whole {
        timeout(BODY_WAIT, read_to(stream, read, whole)).await??;
    }
    let body = Bytes::copy_from_slice(&read[head..whole]);
    read.drain(..whole);
    request.extensions.insert(peer);
    Ok(http::publish(app, Request::from_parts(*request, Body::from(body))).await)
}

async fn read_to(stream: &mut TcpStream, read: &mut Vec<u8>, whole: usize) -> io::Result<()> {
    while read.len() < whole {
        read.reserve(whole - read.len());
        if stream.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
