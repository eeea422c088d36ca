//! Where epochs come from, for the engines that keep a secret seed.

use crate::event::Address;

/// The epoch of an address: random, because the seed is; the same before and after its first event; another one for each
/// generation, and a generation ends when the history is lost.
pub fn of(seed: &[u8; 32], address: &Address, generation: u64) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(seed);
    context.update(&generation.to_be_bytes());
    context.update(address.to_string().as_bytes());
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    context.finish().as_ref()[..8].iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Secret of a store with this seed, for codes that are checked without being kept.
pub fn secret(seed: &[u8; 32]) -> [u8; 32] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, seed);
    let tag = ring::hmac::sign(&key, b"pikiosk server secret v1");
    tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_belongs_to_one_address_and_generation() {
        let (all, user) = (Address::All, "user/a".parse().unwrap());
        assert_eq!(of(&[1; 32], &all, 0), of(&[1; 32], &all, 0));
        for other in [of(&[1; 32], &user, 0), of(&[1; 32], &all, 1), of(&[2; 32], &all, 0)] {
            assert_ne!(of(&[1; 32], &all, 0), other);
        }
    }
}
