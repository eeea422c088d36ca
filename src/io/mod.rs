//! The world, dumb on purpose.

pub mod random;
