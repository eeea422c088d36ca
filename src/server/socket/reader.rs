//! From bytes to what the client says: the only place that knows tungstenite. Pure.
//!
//! tungstenite gets whole frames only, and lives only while it has something to remember, which is a fragmented message:
//! an idle socket keeps neither its state nor a buffer (2.5 KB otherwise, and 27 KB after a large frame).

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read, Write},
};

use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    },
};

/// What tungstenite reads at once, and zero-fills before. Most frames of clients are receipts and pongs.
const READ_BUFFER: usize = 512;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Text(Utf8Bytes),
    /// A ping or pong.
    Sign,
    /// The client broke a rule: close with 4500 and this reason.
    Bad(String),
    /// The client closed.
    Gone,
}

/// Reads one WebSocket.
#[derive(Debug)]
pub struct Reader {
    frame_max: usize,
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// Set while a fragmented message is under way.
    context: Option<Box<WebSocketContext>>,
    seen: VecDeque<Seen>,
    has_ended: bool,
}

impl Reader {
    /// `frame_max`: bytes of a message; a larger one is refused from its declared length.
    pub fn new(frame_max: usize) -> Self {
        Reader { frame_max, partial: Vec::new(), context: None, seen: VecDeque::new(), has_ended: false }
    }

    /// The next thing that was seen.
    pub fn take_next(&mut self) -> Option<Seen> {
        let next = self.seen.pop_front();
        if self.seen.is_empty() && self.seen.capacity() > 0 {
            self.seen = VecDeque::new();
        }
        next
    }

    /// Takes what came; returns the frames to answer with (pongs, the echo of a close). After [`Seen::Bad`] and
    /// [`Seen::Gone`] nothing is seen any more.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        if self.has_ended {
            return answers;
        }
        let mut partial = std::mem::take(&mut self.partial);
        let input = if partial.is_empty() {
            bytes
        } else {
            partial.extend_from_slice(bytes);
            &partial
        };
        // What was said before a broken frame counts, also when the network brought both at once.
        let (whole, error) = self.whole_frames(input);
        if whole.bytes > 0 {
            self.read(&input[..whole.bytes], whole.ends_open, &mut answers);
        }
        if let Some(error) = error {
            if !self.has_ended {
                self.end(broken(&error, self.frame_max));
            }
            return answers;
        }
        if whole.bytes < input.len() && !self.has_ended {
            let rest = input[whole.bytes..].to_vec();
            self.partial = rest;
        }
        answers
    }

    /// The whole frames that it begins with, and what is wrong with the one after them.
    fn whole_frames(&self, input: &[u8]) -> (Whole, Option<Error>) {
        let mut cursor = Cursor::new(input);
        let mut whole = Whole { bytes: 0, ends_open: self.context.is_some() };
        loop {
            let (header, length) = match FrameHeader::parse(&mut cursor) {
                Ok(Some(head)) => head,
                Ok(None) => return (whole, None),
                Err(error) => return (whole, Some(error)),
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > self.frame_max {
                let error = CapacityError::MessageTooLong { size: length, max_size: self.frame_max };
                return (whole, Some(error.into()));
            }
            let end = usize::try_from(cursor.position()).unwrap_or(usize::MAX).saturating_add(length);
            if end > input.len() {
                return (whole, None);
            }
            cursor.set_position(end as u64);
            whole.bytes = end;
            if let OpCode::Data(Data::Text | Data::Binary | Data::Continue) = header.opcode {
                whole.ends_open = !header.is_final;
            }
        }
    }

    fn read(&mut self, frames: &[u8], ends_open: bool, answers: &mut Vec<u8>) {
        let fresh = || {
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(0)
                .max_message_size(Some(self.frame_max))
                .max_frame_size(Some(self.frame_max));
            Box::new(WebSocketContext::new(Role::Server, Some(config)))
        };
        let mut context = self.context.take().unwrap_or_else(fresh);
        let mut pipe = Pipe { input: frames, answers };
        loop {
            let seen = match context.read(&mut pipe) {
                Ok(Message::Text(text)) => Seen::Text(text),
                Ok(Message::Ping(_) | Message::Pong(_)) => Seen::Sign,
                Ok(Message::Binary(_)) => Seen::Bad("only text frames are understood".to_owned()),
                Ok(Message::Frame(_)) => Seen::Bad("a raw frame".to_owned()),
                Ok(Message::Close(_)) => {
                    // Its echo; that it ends with `ConnectionClosed` is known.
                    let _ = context.flush(&mut pipe);
                    Seen::Gone
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => broken(&error, self.frame_max),
            };
            if matches!(seen, Seen::Bad(_) | Seen::Gone) {
                return self.end(seen);
            }
            self.seen.push_back(seen);
        }
        self.context = ends_open.then_some(context);
    }

    fn end(&mut self, seen: Seen) {
        self.has_ended = true;
        self.seen.push_back(seen);
    }
}

/// What of some bytes is whole frames.
struct Whole {
    bytes: usize,
    /// A fragmented message is under way at their end.
    ends_open: bool,
}

struct Pipe<'a> {
    input: &'a [u8],
    answers: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(error: &Error, frame_max: usize) -> Seen {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Seen::Bad(format!("a message has at most {frame_max} bytes"))
        }
        Error::Protocol(problem) => Seen::Bad(problem.to_string()),
        Error::Utf8(_) => Seen::Bad("a text frame is not UTF-8".to_owned()),
        other => Seen::Bad(other.to_string()),
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
