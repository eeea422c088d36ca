//! The page that the supervisor serves on loopback.
