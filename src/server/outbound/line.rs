//! One socket's line: what waits for it, and the writing.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use tokio::net::TcpStream;

use super::{Chunk, Cursor, Due};
use crate::event::frame::CloseCode;

/// Pieces given to one writev.
const PIECES: usize = 32;
/// Pieces of its own task that wait before the socket is said to be full: answers of a client that asks and does not read.
const OWN_FULL: usize = 64;

/// What may wait for one socket. Over it, it is cut (4001), comes back and resumes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub events: usize,
    pub bytes: usize,
}

/// What became of a chunk that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It waits; the line is to be flushed at the end of the round.
    Flush,
    /// Nothing is to be done: it is not due, or the line is to be flushed already, or its socket is not live yet.
    Kept,
    /// The socket is at its bound.
    Full,
    Broken(&'static str),
}

/// How a line is, as its task sees it.
#[derive(Debug)]
pub enum State {
    /// The peer is gone.
    Gone,
    Closing(CloseCode, String),
    /// The kernel takes no more: wait until it does. `is_full`: its own task has enough waiting.
    Blocked {
        is_full: bool,
    },
    /// Everything is out.
    Empty,
}

/// A socket's writing half, shared by its task and by the hub.
#[derive(Debug)]
pub struct Line {
    /// Set once the handshake is through.
    stream: OnceLock<TcpStream>,
    waiting: Mutex<Waiting>,
    task: AtomicWaker,
    bounds: Bounds,
}

#[derive(Debug)]
struct Waiting {
    mode: Mode,
    queue: VecDeque<Piece>,
    /// Events from the hub that wait, here and held back, and their bytes.
    events: usize,
    bytes: usize,
    /// Pieces of its own task that wait.
    own: usize,
    /// Something went out since the task asked last.
    has_moved: bool,
    /// It is on the list of those that the round flushes at its end.
    is_listed: bool,
    is_blocked: bool,
    is_gone: bool,
    closing: Option<Box<(CloseCode, String)>>,
}

#[derive(Debug)]
enum Mode {
    /// The session is catching up: what is live waits for it.
    Held(Vec<(u16, Arc<Chunk>)>),
    Live(Cursor),
    /// Its close frame is in the queue, or it is ending without one.
    Shut,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// 0: said by its own task.
    events: usize,
}

impl Waiting {
    fn push(&mut self, bytes: Bytes, events: usize) {
        if events == 0 {
            self.own += 1;
        } else {
            self.events += events;
            self.bytes += bytes.len();
        }
        self.queue.push_back(Piece { bytes, events });
    }

    /// `bytes` are out.
    fn advance(&mut self, mut bytes: usize) {
        self.has_moved = true;
        while let Some(front) = self.queue.front_mut() {
            let out = bytes.min(front.bytes.len());
            if front.events > 0 {
                self.bytes = self.bytes.saturating_sub(out);
            }
            if out < front.bytes.len() {
                return front.bytes.advance(out);
            }
            bytes -= out;
            self.events = self.events.saturating_sub(front.events);
            self.own = self.own.saturating_sub(usize::from(front.events == 0));
            self.queue.pop_front();
        }
        // The memory of a flood is given back.
        self.queue = VecDeque::new();
    }

    /// Writes until all is out or the kernel takes no more.
    fn write(&mut self, stream: &TcpStream) {
        while !self.queue.is_empty() && !self.is_gone {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&piece.bytes);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => self.is_gone = true,
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_gone = true,
            }
        }
    }

    fn is_over(&self, chunk: &Chunk, bytes: usize, bounds: Bounds) -> bool {
        // One chunk is always taken, whatever its size.
        self.events > 0 && (self.events + chunk.events() > bounds.events || self.bytes + bytes > bounds.bytes)
    }
}

impl Line {
    pub fn new(bounds: Bounds) -> Self {
        Line {
            stream: OnceLock::new(),
            waiting: Mutex::new(Waiting {
                mode: Mode::Held(Vec::new()),
                queue: VecDeque::new(),
                events: 0,
                bytes: 0,
                own: 0,
                has_moved: false,
                is_listed: false,
                is_blocked: false,
                is_gone: false,
                closing: None,
            }),
            task: AtomicWaker::new(),
            bounds,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the line its connection, whose handshake is done. Once.
    pub fn connect(&self, stream: TcpStream) {
        let _ = self.stream.set(stream);
    }

    /// The connection; None before [`Line::connect`].
    pub fn stream(&self) -> Option<&TcpStream> {
        self.stream.get()
    }

    /// Wakes this task when something happens that is not readiness.
    pub fn register(&self, waker: &std::task::Waker) {
        self.task.register(waker);
    }

    /// For the hub: what the feed brought for the socket's `slot`th address (or, a command, for its display).
    pub fn give(&self, slot: u16, chunk: &Arc<Chunk>) -> Given {
        let waiting = &mut *self.lock();
        let place = match &mut waiting.mode {
            Mode::Shut => return Given::Kept,
            Mode::Held(_) => 0,
            Mode::Live(cursor) => match cursor.take(slot, chunk) {
                Due::Nothing => return Given::Kept,
                Due::Broken(reason) => return Given::Broken(reason),
                Due::From(place) => place,
            },
        };
        let bytes = chunk.bytes_from(place);
        if waiting.is_over(chunk, bytes.len(), self.bounds) {
            // A round may bring more than the bound; only what the kernel does not take either counts.
            if let (Some(stream), false, Mode::Live(_)) = (self.stream.get(), waiting.is_blocked, &waiting.mode) {
                waiting.write(stream);
                if waiting.is_blocked {
                    self.task.wake();
                }
            }
            if waiting.is_over(chunk, bytes.len(), self.bounds) {
                return Given::Full;
            }
        }
        if let Mode::Held(held) = &mut waiting.mode {
            held.push((slot, chunk.clone()));
            waiting.events += chunk.events();
            waiting.bytes += bytes.len();
            return Given::Kept;
        }
        waiting.push(bytes, chunk.events() - place);
        if waiting.is_blocked || std::mem::replace(&mut waiting.is_listed, true) { Given::Kept } else { Given::Flush }
    }

    /// Writes what waits. What the kernel does not take is left to the socket's task.
    pub fn flush(&self) {
        let waiting = &mut *self.lock();
        waiting.is_listed = false;
        let Some(stream) = self.stream.get() else { return };
        if waiting.is_blocked {
            return;
        }
        waiting.write(stream);
        if waiting.is_blocked || waiting.is_gone {
            self.task.wake();
        }
    }

    /// For the hub: asks the socket to end. The first reason stays.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.lock().closing.get_or_insert_with(|| Box::new((code, reason.to_owned())));
        self.task.wake();
    }

    /// For the task: says frames of its own.
    pub fn say(&self, frames: Vec<u8>) {
        let waiting = &mut *self.lock();
        waiting.push(frames.into(), 0);
        if let (Some(stream), false) = (self.stream.get(), waiting.is_blocked) {
            waiting.write(stream);
        }
    }

    /// For the task: the client has everything up to the cursor; what was held back follows, and what comes from now on is
    /// written as it comes.
    pub fn go_live(&self, cursor: Cursor) {
        let waiting = &mut *self.lock();
        let Mode::Held(held) = std::mem::replace(&mut waiting.mode, Mode::Shut) else { return };
        (waiting.events, waiting.bytes) = (0, 0);
        let mut cursor = cursor;
        for (slot, chunk) in held {
            match cursor.take(slot, &chunk) {
                Due::Nothing => {}
                Due::From(place) => waiting.push(chunk.bytes_from(place), chunk.events() - place),
                Due::Broken(reason) => {
                    waiting.closing.get_or_insert_with(|| Box::new((CloseCode::Slow, reason.to_owned())));
                    break;
                }
            }
        }
        waiting.mode = Mode::Live(cursor);
        if let (Some(stream), false) = (self.stream.get(), waiting.is_blocked) {
            waiting.write(stream);
        }
    }

    /// For the task: the kernel has room again.
    pub fn resume(&self) {
        let waiting = &mut *self.lock();
        waiting.is_blocked = false;
        if let Some(stream) = self.stream.get() {
            waiting.write(stream);
        }
    }

    /// For the task: whether something went out since it asked last.
    pub fn has_moved(&self) -> bool {
        std::mem::take(&mut self.lock().has_moved)
    }

    /// For the task: nothing more is taken; `last` frames follow what is half sent, and the rest is dropped: the client is
    /// told by its close code, and resumes. `keeps`: what waits goes out as well.
    pub fn shut(&self, last: Vec<u8>, keeps: bool) {
        let waiting = &mut *self.lock();
        waiting.mode = Mode::Shut;
        if !keeps {
            // The front may be half sent.
            waiting.queue.truncate(1);
        }
        if !last.is_empty() {
            waiting.push(last.into(), 0);
        }
        if let (Some(stream), false) = (self.stream.get(), waiting.is_blocked) {
            waiting.write(stream);
        }
    }

    /// Events from the hub that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let waiting = &*self.lock();
        (waiting.events, waiting.bytes)
    }

    /// How the line is.
    pub fn state(&self) -> State {
        let waiting = &*self.lock();
        if waiting.is_gone {
            return State::Gone;
        }
        match &waiting.closing {
            Some(why) if !matches!(waiting.mode, Mode::Shut) => State::Closing(why.0, why.1.clone()),
            _ if waiting.queue.is_empty() => State::Empty,
            _ => State::Blocked { is_full: waiting.own >= OWN_FULL },
        }
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
