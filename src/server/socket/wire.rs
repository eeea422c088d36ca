//! Frames in and out of one WebSocket: the only place that knows tungstenite. Feed many, flush once.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Sink, Stream, future::poll_fn};
use std::pin::Pin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode as WireCode},
    },
};

use crate::event::frame::{CloseCode, FRAME_MAX};

/// tungstenite fills this buffer with zeros before every read, and keeps it: 128 KiB by default.
const READ_BUFFER: usize = 2048;
/// It never shrinks again, so it is small; a larger frame grows it for as long as the socket lives.
const WRITE_BUFFER: usize = 4096;
/// Bytes given to one flush. Beyond this a socket waits for its client.
const FEED_MAX: usize = 8192;
/// How long a close frame may take to go out, and how long its answer is waited for.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Bytes of a closing socket that are read and dropped, so that the client sees the close frame and not a reset.
const LINGER_MAX: usize = 1024 * 1024;

/// What happened on the wire.
#[derive(Debug)]
pub enum Seen {
    Text(Utf8Bytes),
    /// A ping or pong.
    Sign,
    /// The client broke a rule: close with 4500 and this reason.
    Bad(String),
    /// The client closed, or is gone.
    Gone,
    /// All that was fed is out.
    Flushed,
}

/// One WebSocket.
#[derive(Debug)]
pub struct Wire {
    stream: WebSocketStream<TcpStream>,
    fed: usize,
}

impl Wire {
    /// Takes over a connection whose handshake is done; `early` are bytes that came behind it.
    pub async fn new(stream: TcpStream, early: Vec<u8>, frame_max: usize) -> Wire {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            // One feed and the frame that went over its bound, and a pong.
            .max_write_buffer_size(FEED_MAX + 2 * FRAME_MAX)
            .max_message_size(Some(frame_max))
            .max_frame_size(Some(frame_max));
        let stream = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
        Wire { stream, fed: 0 }
    }

    /// True while more may be fed before the next flush.
    pub fn has_room(&self) -> bool {
        self.fed < FEED_MAX
    }

    /// True while something waits to be flushed.
    pub fn is_dirty(&self) -> bool {
        self.fed > 0
    }

    pub fn feed(&mut self, text: Utf8Bytes) -> Result<(), Error> {
        let bytes = text.len();
        self.start(Message::Text(text), bytes)
    }

    pub fn ping(&mut self) -> Result<(), Error> {
        self.start(Message::Ping(bytes::Bytes::new()), 0)
    }

    fn start(&mut self, message: Message, bytes: usize) -> Result<(), Error> {
        self.fed += bytes + 14;
        Pin::new(&mut self.stream).start_send(message)
    }

    /// Flushes what was fed and, if `reads`, takes the next frame. Safe to drop and call again.
    pub async fn next(&mut self, reads: bool) -> Seen {
        poll_fn(|cx| self.poll(reads, cx)).await
    }

    fn poll(&mut self, reads: bool, cx: &mut Context<'_>) -> Poll<Seen> {
        if self.fed > 0 {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.fed = 0;
                    return Poll::Ready(Seen::Flushed);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Seen::Gone),
                Poll::Pending => {}
            }
        }
        if !reads {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_next(cx).map(|item| match item {
            None | Some(Ok(Message::Close(_))) => Seen::Gone,
            Some(Ok(Message::Text(text))) => Seen::Text(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Seen::Sign,
            Some(Ok(Message::Binary(_))) => Seen::Bad("only text frames are understood".to_owned()),
            Some(Ok(Message::Frame(_))) => Seen::Bad("a raw frame".to_owned()),
            Some(Err(error)) => broken(&error),
        })
    }

    /// Says why, then ends the connection so that the client can read it.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame { code: WireCode::from(code.code()), reason: shortened(reason).into() };
        let said = timeout(CLOSE_WAIT, self.stream.close(Some(frame))).await;
        if matches!(said, Ok(Ok(()))) {
            self.linger().await;
        } else {
            // Nobody reads: the kernel need not keep what was written for minutes more.
            let _ = self.stream.get_ref().set_zero_linger();
        }
    }

    /// Ends a connection that the client closed: its close frame is answered.
    pub async fn end(mut self) {
        let _ = timeout(CLOSE_WAIT, poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx))).await;
        self.linger().await;
    }

    async fn linger(mut self) {
        let socket = self.stream.get_mut();
        let _ = socket.shutdown().await;
        let mut dropped = 0;
        // On the heap: in the future it would be 2 KB of every open socket.
        let mut buffer = vec![0; 2048];
        let drain = async {
            while dropped < LINGER_MAX {
                match socket.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(bytes) => dropped += bytes,
                }
            }
        };
        let _ = timeout(CLOSE_WAIT, drain).await;
    }
}

fn broken(error: &Error) -> Seen {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            Seen::Bad(format!("a message has at most {max_size} bytes"))
        }
        Error::Protocol(problem) if !is_reset(error) => Seen::Bad(problem.to_string()),
        Error::Utf8(_) => Seen::Bad("a text frame is not UTF-8".to_owned()),
        Error::Io(problem) if problem.kind() == io::ErrorKind::InvalidData => Seen::Bad(problem.to_string()),
        _ => Seen::Gone,
    }
}

fn is_reset(error: &Error) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
}

/// RFC 6455 §5.5: a close frame's reason has at most 123 bytes.
fn shortened(reason: &str) -> String {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}
