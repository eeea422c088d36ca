//! Secure randomness. What is decided with it is decided elsewhere: rules take the bytes.

use ring::rand::{SecureRandom, SystemRandom};

/// Fills `bytes` from the kernel's generator.
pub fn fill(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("getrandom(2) gives bytes once the kernel has booted");
}

/// `N` secure random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
