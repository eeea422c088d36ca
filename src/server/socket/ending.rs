//! The end of a connection: said, heard, and waited for, but not for long.

use std::{io, os::fd::AsRawFd, task::Poll, time::Duration};

use futures_util::future::poll_fn;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::time::timeout;

use crate::{
    event::frame::CloseCode,
    server::outbound::{Line, State, frame},
};

/// How long a close frame may take to go out, and how long its answer is waited for.
const WAIT: Duration = Duration::from_secs(2);
/// Bytes of a closing socket that are read and dropped, so that the client sees the close frame and not a reset.
const LINGER_MAX: usize = 1024 * 1024;

/// Says why, then ends the connection so that the client can read it. True if the client was there: it ended its side too.
pub async fn close(line: &Line, code: CloseCode, reason: &str) -> bool {
    // Whoever is slow is not helped by more of what it does not read: it resumes after what it has.
    line.shut(frame::close(code, reason), code != CloseCode::Slow);
    if is_flushed(line).await {
        return linger(line).await;
    }
    if let Some(stream) = line.stream() {
        // Nobody reads: the kernel need not keep what was written for minutes more.
        let _ = stream.set_zero_linger();
    }
    false
}

/// Ends a connection that the client closed: its close frame is answered already.
pub async fn end(line: &Line) {
    line.shut(Vec::new(), true);
    if is_flushed(line).await {
        let _ = linger(line).await;
    }
}

async fn is_flushed(line: &Line) -> bool {
    let flushed = poll_fn(|cx| {
        let Some(stream) = line.stream() else { return Poll::Ready(false) };
        line.register(cx.waker());
        loop {
            match line.state() {
                State::Empty => return Poll::Ready(true),
                State::Gone => return Poll::Ready(false),
                State::Closing(..) | State::Blocked { .. } => match stream.poll_write_ready(cx) {
                    Poll::Ready(Ok(())) => line.resume(),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    });
    timeout(WAIT, flushed).await.unwrap_or(false)
}

async fn linger(line: &Line) -> bool {
    let Some(stream) = line.stream() else { return false };
    let _ = shutdown(stream.as_raw_fd(), Shutdown::Write);
    let drain = async {
        let mut dropped = 0;
        let mut buffer = vec![0; 2048];
        while dropped < LINGER_MAX && stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(bytes) => dropped += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        false
    };
    timeout(WAIT, drain).await.unwrap_or(false)
}
