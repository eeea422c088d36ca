//! The black box: why the supervisor or the machine was last started again, and what was last seen before it.
//!
//! ```text
//!   running supervisor --Flight: boot, sentence, log lines--> RUNTIME/flight.json          every few seconds: in memory
//!                                                        `--> STATE/blackbox/flight.json   every few minutes: on disk
//!   a picture of the glass, small ------------------------> STATE/blackbox/frame-N.jpg
//!   panic hook --> STATE/blackbox/panic.json
//!   systemd (ExecStopPost) --> STATE/blackbox/service-end: its word for how the service ended
//!
//!   next supervisor: Left (all of that) + Now (boot, version, watchdog) --judge: pure--> Entry --> STATE/blackbox/N.json
//! ```
//!
//! Of the ring's 32 entries the oldest goes; each is written, synced and renamed. A power cut leaves nothing but what was
//! on disk, so the cause is judged by what is missing: no word of an end, and another boot.
//!
//! Rejected: asking the system's journal. On a card that shall live for years it is in memory, and gone with the power.

mod cause;
mod flight;
mod frames;
mod recorder;
mod ring;

pub use cause::{Left, Now, judge};
pub use flight::{Flight, Leave, Panic, ServiceEnd};
pub use frames::keep_frame;
pub use recorder::{BlackBox, watch_for_panics};
pub use ring::{Entry, Ring};
