//! The display's socket to its server: who we are, when to connect, and what goes over it.
//!
//! ```text
//!   supervisor --Order--> +------ run(): one select ------+ --Told--> supervisor
//!                         | machine   when, how long      |
//!                         | server    enroll, ticket, open|----> GET /v1/nonce, POST /v1/tickets, GET /v1/ws
//!                         | identity  key and id, in STATE|
//!                         +-------------------------------+
//! ```
//!
//! The ticket travels in a header and is asked for anew for every socket. The link knows nothing of commands: what it
//! reads it hands on, and the bounded channel between makes a slow glass slow down the server, not fill memory.
//!
//! Rejected: tokio-tungstenite's own connect. It has its own TLS roots and sees neither the status nor the headers of
//! a refusal; opened through the HTTP client, ticket and socket trust the same certificates and fail with the same words.

pub mod identity;
pub mod machine;
mod run;
mod server;
mod words;

pub use machine::{LinkError, State};
pub use run::{LinkSetting, Order, Told, run};
pub use server::Server;
