//! Who may what: tickets, JWT, display keys, enrollment codes, operator keys. Pure rules; `now` and randomness are
//! passed in, and nothing here reads a file or a socket.
//!
//! ```text
//!  enrollment code --once--> display key --signs--> ticket request --> ticket --\
//!  web application -----------mints into Redis----------------------> ticket ---+--> Principal: one socket,
//!  identity provider -----------------------------------------------> JWT ------+    or one HTTP request
//!  operator's key -------------------------------------------------------------/     (less what was revoked)
//! ```
//!
//! A refused client is told [`REFUSED`] and nothing more; the log gets the exact reason, which is what the error types
//! here say.
//!
//! Rejected: letting `jsonwebtoken::decode` judge claims. It reads its own clock, lets a token without `aud` pass where
//! one is configured unless told twice, and cannot say why in the words of our contract; only its signature check is
//! used.

pub mod display_key;
pub mod enrollment;
#[cfg(feature = "server")]
pub mod jwks;
#[cfg(feature = "server")]
pub mod jwt;
#[cfg(feature = "server")]
pub mod nonce;
#[cfg(feature = "server")]
pub mod operator_key;
#[cfg(feature = "server")]
pub mod principal;
#[cfg(feature = "server")]
pub mod revocation;
pub mod ticket;

#[cfg(feature = "server")]
pub use principal::Principal;

/// What a client whose credentials are refused is told, whatever the reason.
pub const REFUSED: &str = "the credentials are refused";
