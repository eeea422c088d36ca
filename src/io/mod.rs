//! The world, dumb on purpose.

pub mod log_ring;
pub mod random;
