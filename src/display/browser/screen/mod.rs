//! The loop's eyes and hands: what is on the glass, and what is ordered of the screen.
//!
//! ```text
//!   run.rs --Request--> thread.rs -- one X connection, one thread
//!          <---Told----   |   eyes   outputs.rs (RandR, edid.rs)   power.rs (DPMS)   sample.rs -> watch.rs (pure)
//!                         |   hands  hands.rs  what is wanted of the screen, and kept so
//!                         |             power.rs     on, off, never by itself
//!                         |             cec.rs       the same, said to a television
//!                         |             brightness.rs, cursor.rs, curtain.rs (care.rs says when; pure)
//!                         |             arrange.rs   picture and turn; layout.rs (pure); touch.rs goes with it
//!                         |          windows.rs   a page on each of two outputs
//!                         |   idle.rs  since when nobody has touched anything (pure)
//!                         +-- x11.rs the connection
//! ```
//!
//! X answers in its own time, or not at all. So the connection has a thread of its own: while X hangs the loop keeps
//! Firefox as ever, orders run into their time limits at the supervisor, and the facts that stay away are told by that.
//!
//! Rejected: xrandr, xset and xinput as programs. They would be started each second, their words change with their
//! versions, and none of them can say that a picture stands still.

mod arrange;
mod brightness;
mod care;
mod cec;
mod cursor;
mod curtain;
mod edid;
mod hands;
mod idle;
mod layout;
#[cfg(test)]
mod layout_tests;
mod outputs;
mod power;
mod sample;
mod thread;
mod touch;
mod watch;
mod windows;
mod x11;

use std::{
    io::{self, Write},
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
};

use serde_json::Value;

use crate::{
    config::ScreenSettings,
    display::screen::{Facts, Order, Refusal},
};

/// Orders that wait for an X server that hangs; the supervisor gives each up after some seconds.
const WAITING: usize = 16;

/// What the thread is to do.
#[derive(Debug)]
enum Request {
    Order {
        ask: u64,
        order: Order,
    },
    /// A new supervisor knows nothing yet.
    TellAgain,
    /// There is no supervisor any more that would take a held picture away.
    Unveil,
}

/// What the thread tells.
#[derive(Debug)]
pub enum Told {
    Sees(Facts),
    Answered { ask: u64, result: Result<Value, Refusal> },
}

/// The thread, as the loop has it. Dropped, the thread ends.
#[derive(Debug)]
pub struct Screen {
    requests: SyncSender<Request>,
    wake: io::PipeWriter,
}

impl Screen {
    /// Starts the thread. `tell` may block; it returns false once nobody listens any more.
    pub fn start(settings: ScreenSettings, tell: impl Fn(Told) -> bool + Send + 'static) -> io::Result<Self> {
        let (requests, taken) = sync_channel(WAITING);
        let (wake_read, wake) = io::pipe()?;
        let life = thread::Life { requests: taken, wake: wake_read, tell };
        std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || thread::live(&life, hands::Hands::new(settings)))?;
        Ok(Screen { requests, wake })
    }

    /// Orders something; answered by [`Told::Answered`], or at once where that cannot be.
    pub fn order(&mut self, ask: u64, order: Order) -> Result<(), Refusal> {
        self.request(Request::Order { ask, order })
    }

    /// Tells all facts again, to a supervisor that is new.
    pub fn tell_again(&mut self) {
        // One that is full of orders tells soon anyway.
        let _ = self.request(Request::TellAgain);
    }

    /// What is below a held picture is to be seen: whoever had it held is gone.
    pub fn unveil(&mut self) {
        // One that cannot be asked now ends it by itself, in time.
        let _ = self.request(Request::Unveil);
    }

    fn request(&mut self, request: Request) -> Result<(), Refusal> {
        let refused = match self.requests.try_send(request) {
            // The pipe is never full: the thread empties it with the channel, which holds 16.
            Ok(()) => return self.wake.write_all(b"!").map_err(|error| Refusal::Failed(error.to_string())),
            Err(TrySendError::Full(_)) => "the X server does not answer",
            Err(TrySendError::Disconnected(_)) => "the screen's thread has ended: restart the browser loop",
        };
        Err(Refusal::Failed(refused.to_owned()))
    }
}
