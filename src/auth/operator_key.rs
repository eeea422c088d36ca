//! The key of an operator: a random text; the server keeps only its SHA-256.
//!
//! The key has 256 bits of its own, so a plain hash is enough: there is nothing to guess, and a slow password hash
//! would only make every request slow.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use subtle::{Choice, ConstantTimeEq};

/// What every operator key starts with, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "pko_";

/// SHA-256 of a key's text.
pub type KeyHash = [u8; 32];

/// Makes a key's text from 32 bytes of secure randomness.
pub fn key_text(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// Whether a text could be a key: checked before anything is hashed.
pub fn has_form(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}

pub fn hash(text: &str) -> KeyHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether `text` is one of the keys; takes the same time whichever it is.
pub fn is_one_of<'a>(text: &str, hashes: impl IntoIterator<Item = &'a KeyHash>) -> bool {
    if !has_form(text) {
        return false;
    }
    let hash = hash(text);
    let found = hashes.into_iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash));
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_alone() {
        let (key, other) = (key_text([1; 32]), key_text([2; 32]));
        let hashes = [hash(&other), hash(&key)];
        assert!(key.starts_with("pko_") && key.len() == 47);
        assert!(is_one_of(&key, &hashes));
        assert!(!is_one_of(&key_text([3; 32]), &hashes));
        assert!(!is_one_of(&key, &[]));
        for bad in ["", "pko_", &key[..46], &format!("{key} "), &key.to_uppercase()] {
            assert!(!is_one_of(bad, &hashes), "{bad:?}");
        }
    }
}
