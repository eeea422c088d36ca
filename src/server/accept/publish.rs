//! Publishes without hyper: what comes thousands of times a second, on connections that are kept.
//!
//! hyper hands a body over by a channel within the connection's own task. That wakes the task while it runs, for which
//! the runtime wakes another thread, for every request: a futex, and a processor that was asleep, on the way of a lone
//! event to its display.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, request::Parts},
    response::IntoResponse,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::{
    Peer, answer,
    connection::{Host, next_head},
    head::{Head, Lengths},
};
use crate::server::http::{self, BODY_LATE, BODY_WAIT, Problem};

/// A connection on which something is published.
pub struct Kept<'a> {
    pub host: &'a Host,
    pub stream: &'a mut TcpStream,
    /// What was read and is not yet served.
    pub read: &'a mut Vec<u8>,
    pub peer: &'a Peer,
}

impl Kept<'_> {
    /// Serves publishes, one after the other; returns the head of the first request that is none. None: the connection is
    /// over.
    pub async fn serve(mut self, mut request: Box<Parts>, mut lengths: Lengths) -> Option<Head> {
        loop {
            match timeout(BODY_WAIT, self.read_to(lengths.head + lengths.body)).await {
                Ok(whole) => whole.ok()?,
                Err(_) => {
                    let late = Problem::new(StatusCode::REQUEST_TIMEOUT, BODY_LATE);
                    answer::last(self.stream, late.into_response()).await;
                    return None;
                }
            }
            let response = http::publish(&self.host.app, self.take(*request, lengths)).await;
            if self.host.stop.is_cancelled() {
                answer::last(self.stream, response).await;
                return None;
            }
            answer::kept(self.stream, response).await.ok()?;
            match next_head(self.host, self.stream, self.read, true).await? {
                Head::Publish(next, its_lengths) => (request, lengths) = (next, its_lengths),
                other => return Some(other),
            }
        }
    }

    async fn read_to(&mut self, whole: usize) -> io::Result<()> {
        while self.read.len() < whole {
            self.read.reserve(whole - self.read.len());
            if self.stream.read_buf(self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Takes the request out of what was read.
    fn take(&mut self, mut parts: Parts, Lengths { head, body }: Lengths) -> Request<Body> {
        let bytes = Bytes::copy_from_slice(&self.read[head..head + body]);
        self.read.drain(..head + body);
        parts.extensions.insert(self.peer.clone());
        Request::from_parts(parts, Body::from(bytes))
    }
}
