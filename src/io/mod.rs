//! The world, dumb on purpose: what is read, written, started and asked for here is decided elsewhere.
//!
//! ```text
//!  files      store (whole or not at all)  append_log (readable after any crash)  digest  system/ (of whichever machine)
//!  cards      direct, aligned (past the page cache)  block (bytes at offsets; overlay)  partitions
//!  machine    process  notify (systemd)  room (of a disk)  descriptors  uptime  cec  heap  random  log_ring
//!  others     http  picture (what a stranger calls a PNG)
//! ```
//!
//! Rejected: traits for all of it, so that each can be faked. Only `system` and `block` have one: there a test must fail
//! at every single call; everywhere else a folder, a loopback port or a child process is as quick, and real.

#[cfg(feature = "tools")]
pub mod aligned;
#[cfg(feature = "display")]
pub mod append_log;
#[cfg(feature = "tools")]
pub mod block;
#[cfg(feature = "display")]
pub mod cec;
#[cfg(feature = "server")]
pub mod descriptors;
#[cfg(feature = "display")]
pub mod digest;
#[cfg(feature = "tools")]
pub mod direct;
#[cfg(feature = "display")]
pub mod heap;
#[cfg(any(feature = "display", feature = "server", feature = "tools"))]
pub mod http;
pub mod log_ring;
#[cfg(any(feature = "display", feature = "server"))]
pub mod notify;
#[cfg(feature = "tools")]
pub mod partitions;
#[cfg(feature = "display")]
pub mod picture;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod process;
pub mod random;
#[cfg(feature = "display")]
pub mod room;
pub mod store;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod system;
#[cfg(feature = "display")]
pub mod uptime;
