//! A thousand clients in one thread: they open, then count what they hear.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, spawn_local},
};

use crate::{
    peers::Peer,
    wire::{Said, Wire},
};

/// Handshakes at a time.
const AT_ONCE: usize = 64;
/// Nothing at all came for so long: the rest is lost, or the server stands.
const SILENCE: Duration = Duration::from_secs(20);
const READ_MAX: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_MAX]);
}

/// A socket that is open and authenticated, subscribed to everything that this client may hear.
#[derive(Debug)]
pub struct Joined {
    pub stream: TcpStream,
    pub wire: Wire,
    /// Messages that belong to the opening and are not yet read.
    pub greetings: u64,
}

/// What all sockets of a crowd heard together.
#[derive(Debug, Default)]
struct Tally {
    heard: Cell<u64>,
    wanted: Cell<u64>,
    reached: Notify,
    closed: RefCell<Vec<u16>>,
    /// When what is heard now was sent: one moment for all, or one for each socket.
    sent: RefCell<Vec<Instant>>,
    times: RefCell<Vec<Duration>>,
}

/// One client.
#[derive(Debug, Default)]
struct Ear {
    number: usize,
    heard: Cell<u64>,
}

#[derive(Debug)]
pub struct Crowd {
    tally: Rc<Tally>,
    ears: Vec<Rc<Ear>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub fn new() -> Crowd {
        Crowd { tally: Rc::default(), ears: Vec::new(), tasks: Vec::new() }
    }

    /// Opens sockets until there are `count`.
    pub async fn grow(&mut self, peer: &dyn Peer, count: usize) {
        let numbers = self.ears.len()..count;
        let joined: Vec<_> = stream::iter(numbers.map(|number| peer.join(number))).buffered(AT_ONCE).collect().await;
        for joined in joined {
            let joined = joined.unwrap_or_else(|error| panic!("{}: a socket does not open: {error}", peer.name()));
            let ear = Rc::new(Ear { number: self.ears.len(), ..Ear::default() });
            self.ears.push(Rc::clone(&ear));
            self.tasks.push(spawn_local(listen(joined, ear, Rc::clone(&self.tally))));
        }
    }

    pub fn len(&self) -> usize {
        self.ears.len()
    }

    /// Counts from nothing again, until `wanted` messages have come.
    pub fn expect(&self, wanted: u64) {
        self.tally.heard.set(0);
        self.tally.wanted.set(wanted);
        self.tally.times.borrow_mut().clear();
        for ear in &self.ears {
            ear.heard.set(0);
        }
    }

    /// Waits for all that is expected; returns how many of it came.
    pub async fn heard_all(&self) -> u64 {
        while self.tally.heard.get() < self.tally.wanted.get() {
            let before = self.tally.heard.get();
            let reached = tokio::time::timeout(SILENCE, self.tally.reached.notified()).await;
            if reached.is_err() && self.tally.heard.get() == before {
                break;
            }
        }
        self.tally.heard.get()
    }

    /// From now on what each socket hears was sent now.
    pub fn sent_to_all(&self) {
        *self.tally.sent.borrow_mut() = vec![Instant::now()];
    }

    /// What this socket hears next was sent now.
    pub fn sent_to(&self, number: usize) {
        let mut sent = self.tally.sent.borrow_mut();
        sent.resize(self.ears.len(), Instant::now());
        sent[number] = Instant::now();
    }

    /// How old each message was that came since [`Crowd::expect`].
    pub fn times(&self) -> Vec<Duration> {
        self.tally.times.borrow().clone()
    }

    /// Codes with which sockets were closed so far.
    pub fn closed(&self) -> Vec<u16> {
        self.tally.closed.borrow().clone()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(mut joined: Joined, ear: Rc<Ear>, tally: Rc<Tally>) {
    while let Ok(()) = joined.stream.readable().await {
        let mut pings = 0;
        let read = BUFFER.with_borrow_mut(|buffer| {
            let read = joined.stream.try_read(buffer);
            let bytes = read.as_ref().map_or(0, |read| *read);
            let mut messages = 0;
            joined.wire.cut(&buffer[..bytes], |said| match said {
                Said::Message => messages += 1,
                Said::Ping => pings += 1,
                Said::Close(code) => tally.closed.borrow_mut().push(code),
            });
            hear(&ear, &tally, messages);
            read
        });
        for _ in 0..pings {
            let _ = joined.stream.try_write(joined.wire.pong());
        }
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
}

fn hear(ear: &Ear, tally: &Tally, messages: u64) {
    if messages == 0 {
        return;
    }
    ear.heard.set(ear.heard.get() + messages);
    let heard = tally.heard.get() + messages;
    tally.heard.set(heard);
    let sent = tally.sent.borrow();
    if let Some(sent) = sent.get(ear.number).or_else(|| if sent.len() == 1 { sent.first() } else { None }) {
        let age = sent.elapsed();
        tally.times.borrow_mut().extend(std::iter::repeat_n(age, usize::try_from(messages).unwrap_or(1)));
    }
    if heard >= tally.wanted.get() {
        tally.reached.notify_one();
    }
}

/// Reads until so many messages have come: the end of an opening.
pub async fn greeted(joined: &mut Joined) -> io::Result<()> {
    let mut buffer = [0; 2048];
    while joined.greetings > 0 {
        let read = joined.stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other("closed while it opened"));
        }
        let greetings = &mut joined.greetings;
        joined.wire.cut(&buffer[..read], |said| {
            if said == Said::Message {
                *greetings = greetings.saturating_sub(1);
            }
        });
    }
    Ok(())
}

/// Reads up to and with `end`; returns what was read, which may be more.
pub async fn read_to(stream: &mut TcpStream, end: &[u8]) -> io::Result<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::other(format!("closed after {}", String::from_utf8_lossy(&bytes))));
        }
        if let Some(at) = bytes.windows(end.len()).position(|part| part == end) {
            return Ok((bytes, at + end.len()));
        }
    }
}
