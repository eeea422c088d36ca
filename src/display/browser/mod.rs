//! Firefox's keeper: `pikiosk browser`, which runs in the X session and is ended with it.
//!
//! ```text
//!  supervisor (pikiosk run)                      browser loop (pikiosk browser)
//!    RUNTIME/browser.sock  <--- wire.rs --->  run.rs: one select; run/: orders, start
//!                                               machine.rs   start, wait, back off: pure
//!                                               firefox.rs   find it, start it, where BiDi listens
//!                                               memory.rs    what it takes, and what is too much: pure
//!                                               pages.rs     when a process that runs pages ends
//!                                               profile.rs   a fresh profile at every start
//!                                               harm.rs      what a drill does to Firefox, on purpose
//!                                               session.rs   the one BiDi session of this supervisor
//!                                               supervisors.rs  meets one after the other
//!                                               screen/      what is on the glass, and what is ordered of it
//!                                               volume.rs    how loud
//! ```
//!
//! The loop holds the process and the session, the supervisor decides. So a supervisor that is killed finds the page
//! still on the glass: its session is ended for it, and the next one opens its own within milliseconds.
//!
//! Rejected: geckodriver. It is one more process that owns the session, answers only what classic WebDriver knows, and
//! leaves Firefox locked when it dies. Rejected too: BiDi straight from the supervisor. Firefox allows one session,
//! and a client that is killed leaves it locked until Firefox itself is restarted.

mod firefox;
mod harm;
mod machine;
mod memory;
mod pages;
mod profile;
mod run;
mod screen;
mod session;
mod supervisors;
mod volume;
pub mod wire;

pub use profile::ProfileError;
pub use run::{LoopError, LoopSettings, run};
