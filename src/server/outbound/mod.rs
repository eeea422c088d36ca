//! The way out: from what the feed brings to the bytes on each socket.
//!
//! ```text
//!  a round of the feed --chunk--> frames of one address in a row, encoded ONCE --give--> Line of each socket
//!                                                                                          | cursor: is it due?
//!   sweep (several workers): Line::flush = one writev of all that waits there  <-----------' queue (bounded)
//!   what a writev does not get rid of: the socket's own task writes it when the kernel has room again
//! ```
//!
//! An event costs one encoding however many sockets hear it, a round costs a socket one system call however many events
//! it brings, and neither wakes the socket's task. What the task itself says (hello, replay, pongs, close) goes into the
//! same queue, so no frame is ever cut by another.
//!
//! Everything here is replaceable as a whole: the hub knows `Chunk` and `Line`, the session makes a `Cursor`.
//!
//! Rejected: a channel of events to each socket's task. The task's wake-up costs as much as the write, every event is
//! one more piece for writev, and the channel alone is 800 bytes a socket (measured: a fifth of the deliveries per
//! CPU-second of this).

mod chunk;
mod cursor;
pub mod frame;
mod line;
mod sweep;

pub use self::{
    chunk::{Chunk, Round},
    cursor::{Cursor, Due},
    line::{Bounds, Given, Line, State},
    sweep::flush_all,
};
