//! The world, dumb on purpose.
