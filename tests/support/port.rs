//! Ports for programs that a test starts.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
};

/// Below the ports that the kernel gives to outgoing connections (32768 and up, `ip_local_port_range`): one of those may
/// come from the very port that a server was just stopped on, and then it cannot be started there again.
const FROM: u16 = 10_000;
const UP_TO: u16 = 32_000;

/// A port that was free a moment ago.
#[track_caller]
pub fn free_port() -> u16 {
    // A hasher of its own is std's one source of randomness.
    let candidates = (0..1000u16).map(|n| RandomState::new().hash_one(n));
    candidates
        .map(|random| FROM + u16::try_from(random % u64::from(UP_TO - FROM)).expect("it is below"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}
