//! The screen as a device: what is ordered of it, and what is true of it.
//!
//! ```text
//!   supervisor (decides)                             browser loop (is in the X session, and does)
//!     devices/    --Order-->  wire ToLoop::Screen  -->  X: RandR, DPMS, touch; CEC; backlight; sound card
//!     truth       <--Facts--  wire FromLoop::Sees  <--  X: outputs, and now and then a thin sample of the glass
//! ```
//!
//! Here are the values that travel; both sides read them. Whatever a display has no hardware for is answered with the
//! reason, and becomes a `refused` receipt.
//!
//! Rejected: the supervisor opens the X display itself. It would have to be let into the session of another user, and
//! an X server that hangs would hang what is to notice it.

mod facts;
mod order;

pub use facts::{Facts, Frame, Output, Panel, Picture};
pub use order::{Order, Refusal};
