//! What travels between a publisher, the server and a display. Pure: no I/O, no async, no clock.
//!
//! ```text
//!  publisher --Event--> server --Event + Position--> display
//!                          <------- Receipt ----------
//!  envelope.rs  the CloudEvents object, in its three HTTP modes
//!  address.rs   where it goes          position.rs  where it stands in an address's history
//!  command.rs   what a display can do: THE registry
//!  receipt.rs   what became of it      frame.rs     the WebSocket conversation and its close codes
//!  health.rs    how a display is
//! ```
//!
//! Rejected: the `cloudevents-sdk` crate for the envelope. It ties the type to HTTP frameworks, keeps `data` as a
//! parsed tree (the publisher's own bytes would be lost) and has no place for our checks; the JSON format is two
//! pages of specification.

pub mod address;
pub mod command;
pub mod envelope;
pub mod frame;
pub mod health;
pub mod position;
pub mod receipt;
pub mod time;

pub use address::{Address, DisplayId, GroupName};
pub use envelope::Event;
pub use position::Position;
pub use receipt::{Receipt, Status};
