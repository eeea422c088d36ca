//! The world, dumb on purpose.

#[cfg(feature = "tools")]
pub mod aligned;
#[cfg(feature = "display")]
pub mod append_log;
#[cfg(feature = "tools")]
pub mod block;
#[cfg(feature = "display")]
pub mod cec;
#[cfg(feature = "display")]
pub mod digest;
#[cfg(feature = "tools")]
pub mod direct;
#[cfg(feature = "display")]
pub mod heap;
#[cfg(any(feature = "display", feature = "server", feature = "tools"))]
pub mod http;
pub mod log_ring;
#[cfg(any(feature = "display", feature = "server"))]
pub mod notify;
#[cfg(feature = "tools")]
pub mod partitions;
#[cfg(feature = "display")]
pub mod picture;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod process;
pub mod random;
#[cfg(feature = "display")]
pub mod room;
pub mod store;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod system;
