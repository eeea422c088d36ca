//! The drill: a fault is made on purpose, and the time is measured until the right page is on the glass again.
//!
//! ```text
//!   pikiosk drill                                          pikiosk run                  pikiosk browser
//!   +-------------------------------------+   control.sock +-------------------+        +------------------+
//!   | (Fault: what there is, and limits)  |  hold, glass,  | shell/control.rs  |  harm  | kills and stops  |
//!   | run.rs     makes one, measures, ends| -------------> |  lets in, hands on| -----> | its own Firefox  |
//!   | site.rs    a page that can misbehave|  harm, release |  releases a drill |        +------------------+
//!   | eyes.rs    the colour on the X root |                |  that went away   |
//!   | unplugged.rs  one of its faults     |                |                   |
//!   | client.rs  asks, and keeps the lease|                |                   |
//!   +-------------------------------------+                +-------------------+
//! ```
//!
//! For its time the display shows the drill's own page, from a site on loopback: each load of it has another colour, so
//! the glass itself tells one load from the next. Two witnesses must agree: the supervisor says that the page is
//! painted, and the X server has its colour. The connection is the lease: when it ends, or nothing is heard of it for
//! [`wire::LEASE`], the display shows what it should, whatever became of the drill.
//!
//! Rejected: drilling on the page that is on the glass. It may be one that must not be loaded twice, its colours tell
//! nothing, and a site cannot be sent away without doing it to everybody else.

mod client;
mod eyes;
mod run;
mod site;
mod unplugged;
pub mod wire;

pub use client::{Client, ControlError};
pub use eyes::{Eyes, EyesError};
pub use run::{Around, Drill, DrillError, Ended, NotHere, Outcome};
pub use site::Site;

#[cfg(test)]
mod tests;
