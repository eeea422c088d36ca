//! The display: what keeps the right page on the glass, and tells the server so.
//!
//! ```text
//!   pikiosk run (user pikiosk)                                  pikiosk browser (X session, user kiosk)
//!   +--------------------------------------------------+        +--------------------------------------+
//!   | shell       one loop: does what the machines say |  unix  | browser   keeps Firefox and its one  |
//!   |   supervisor   what should be on the glass: pure | socket |           BiDi session, relays it    |
//!   |   journal      what survives a kill: one file    |<------>|  Firefox --> page --> the glass      |
//!   |   playlist     whose turn it is: pure            |        +------------------|-------------------+
//!   |   schedule     on or off at this moment: pure    |                           |
//!   |   link         the socket to the server          |                           | http, loopback
//!   |   screen       what is ordered of it and true    |                           |
//!   |   helper       what only root may do             |                           |
//!   |   configured   settings by command, on trial     |                           |
//!   |   blackbox     why it was last started again     |                           |
//!   |   drill        faults on purpose, and the clock  |                           |
//!   |   offline      kept for when the network is away |                           |
//!   |   page         splash, offline, media  <---------|---------------------------+
//!   |   status       what `pikiosk status` reads       |
//!   +--------------------------------------------------+
//! ```
//!
//! The supervisor decides and remembers; the loop owns the process. Each may be killed without taking the page with it:
//! a new supervisor finds the glass as it was, a new loop is told what to show.
//!
//! Rejected: one process for both. A supervisor that is updated, or killed, would take Firefox and so the glass with it,
//! and the page's user could read the display's key.

pub mod blackbox;
pub mod browser;
pub mod configured;
pub mod drill;
pub mod helper;
pub mod journal;
pub mod link;
pub mod offline;
pub mod page;
pub mod playlist;
pub mod schedule;
pub mod screen;
pub mod shell;
pub mod status;
pub mod supervisor;
