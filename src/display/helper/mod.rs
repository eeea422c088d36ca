//! What needs root on a display, and nothing else: a handful of fixed requests to a small service of its own.
//!
//! ```text
//!   supervisor (user pikiosk) --Request, one line--> RUNTIME/helper.sock --> `pikiosk helper` (root, started by its
//!                             <--Answer, one line--                           socket, gone after the answer)
//! ```
//!
//! The service does what a request says and nothing that a request could say otherwise: no paths, no commands, no
//! arguments travel.
//!
//! Rejected: sudo rules, or a supervisor that may do it itself. Both give whoever takes the supervisor over more than
//! these few things.

mod request;

pub use request::Request;
