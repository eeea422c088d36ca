//! What needs root on a display, and nothing else: a handful of fixed requests to a small service of its own.
//!
//! ```text
//!   supervisor (user pikiosk) --Request, one line--> RUNTIME/helper.sock --> `pikiosk helper` (root, started by its
//!     client                  <--Answer, one line--                            socket, gone after the answer)
//!                                                                            serve: who asks? what, exactly?
//!                                                                            deed:  the request as what is done: pure
//!                                                                            clock: may the clock be set so: pure
//!   the drill ------Unplug, by the same way--------------------------------> starts pikiosk-unplug.service
//!                                                                            plugs: the screens' plugs, away and back
//! ```
//!
//! The service does what a request says and nothing that a request could say otherwise: no paths, no commands, no
//! arguments travel. Who may ask is the supervisor's user and root, by the kernel's word (`SO_PEERCRED`).
//!
//! Rejected: sudo rules, or a supervisor that may do it itself. Both give whoever takes the supervisor over more than
//! these few things.

mod client;
mod clock;
mod deed;
pub mod plugs;
mod request;
mod serve;

pub use client::{AskHelperError, SOCKET, ask};
pub use request::{Answer, Request};
pub use serve::{ServeError, serve};
