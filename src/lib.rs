//! The map of the house.
//!
//! One binary makes a Raspberry Pi a display that a person can trust to be right from across the world.
//!
//! **Nouns.** A *display* is one Pi with its screen; a *group* is a named set of displays. An *event* is one
//! CloudEvents object and goes to an *address* (`display/<id>`, `group/<name>`, `user/<name>`, `all`). A *command*
//! is an event a display acts on: a *state command*'s last value is kept, an *action command* is queued with a time
//! to live and done at most once. A *receipt* says what became of a command on one display, with proof. A *position*
//! is `{epoch, offset}` in one address's history. A *ticket* is a one-time token that opens one WebSocket. An
//! *operator* publishes or manages. *Enrollment* is how a new card gets its display's own key. The *supervisor* is
//! `pikiosk run`; the *page* is what it serves on loopback.
//!
//! **Floors.** Imports point down only; the rooms of floor 2 never import one another (`tests/floors.rs` checks).
//!
//! ```text
//! 3  commands/                      one file per subcommand; output, logging, failure
//! 2  provision/  flash/  image/     a Pi from files | cards | the image
//! 2  display/  server/              the supervisor | the event server
//! 1  config/  auth/  io/            settings | tickets, keys, tokens | the world, dumb on purpose
//! 0  event/                         what travels: pure, no I/O, no clock
//! ```
//!
//! **Flows.** *Card*: image -> which disk is safe -> written, the first MiB last, and read back -> its own settings laid
//! down by `provision` -> receipt. *Push*: publish -> store (on disk) -> hub -> socket -> display -> painted -> receipt -> ledger -> the
//! publisher's wait ends. *Display*: `run` serves the page, `browser` keeps Firefox alive, the two meet on a socket.

pub mod event;

pub mod auth;
pub mod config;
pub mod io;

#[cfg(feature = "display")]
pub mod display;
#[cfg(feature = "tools")]
pub mod flash;
#[cfg(feature = "tools")]
pub mod image;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod provision;
#[cfg(feature = "server")]
pub mod server;

pub mod commands;
