//! What the tests and the bench share.
//!
//! ```text
//!  scenarios   runs named scenarios in order on one Kiosk
//!     kiosk    server + screen + site + `pikiosk run` + `pikiosk browser`, all real
//!       server   `pikiosk server`, publishing, receipts     screen  Xvfb, matchbox, pixels
//!       site     a web site to show                          process  start, kill, /proc
//!         http     wait           socket  a display, and a user, as programs
//!                  token          hearer  a user that keeps its positions
//!  hands       keys and buttons through XTEST
//!  browser     `pikiosk browser` alone: the test plays the supervisor
//!  faketime    another clock for one process
//!  film        a film of one colour
//!  device      the same without Firefox, on X servers that have more than Xvfb
//!  disk        one that is full, or read-only
//!  users       supervisor and browser as the two users that they are on a display
//! ```
#![allow(dead_code, reason = "each test binary uses its part of this")]

#[cfg(feature = "display")]
pub mod browser;
pub mod celery;
#[cfg(feature = "display")]
pub mod device;
#[cfg(feature = "display")]
pub mod disk;
pub mod faketime;
pub mod film;
#[cfg(feature = "display")]
pub mod hands;
#[cfg(feature = "server")]
pub mod hearer;
pub mod http;
pub mod jwks;
#[cfg(feature = "display")]
pub mod kiosk;
pub mod port;
pub mod process;
#[cfg(feature = "server")]
pub mod rabbit;
#[cfg(feature = "display")]
pub mod scenarios;
#[cfg(feature = "display")]
pub mod screen;
pub mod server;
#[cfg(feature = "display")]
pub mod site;
#[cfg(feature = "server")]
pub mod socket;
pub mod token;
#[cfg(feature = "display")]
pub mod users;
pub mod wait;
