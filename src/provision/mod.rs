//! Makes a Debian or Raspberry Pi OS system a kiosk, tells what it would change, and takes it back.
//!
//! ```text
//!   settings + facts --desired--> Desired --plan--> Plan --apply--> Receipt
//!                ^                            ^                        |
//!             observed (reads only)        observed                undo, drift
//! ```
//!
//! The same engine works on this Pi, on a root below a directory, on an image and on a card that was just flashed; what
//! needs a running system is left as a plan for the first boot, in the same JSON.
//!
//! The engine knows no kiosk, only [`item::Desired`]: `observe` looks (and can only look), `plan` compares (pure),
//! `apply` writes down in the `receipt` what it will do and does it, `undo` goes back by the receipt, `report` shows.
//!
//! Rejected: a shell script that is run on the Pi. It cannot say beforehand what it will change, and nobody can take it
//! back.

pub mod apply;
pub mod desired;
pub mod facts;
mod home;
pub mod item;
pub mod observe;
pub mod packages;
pub mod plan;
pub mod receipt;
pub mod report;
pub mod state;
pub mod step;
pub mod undo;
