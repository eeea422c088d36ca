//! The key that makes a display itself: Ed25519, made on the display and never sent.
//!
//! To get a ticket the display signs `pikiosk-ticket-v1`, the server's origin, its own id and a nonce of the server, newline
//! between each. There is no time in it: a Pi has no clock when it boots. The origin keeps a signature that another
//! server asked for from being used at this one.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::event::DisplayId;

const PURPOSE: &str = "pikiosk-ticket-v1";
/// The longest origin and nonce that are signed, in bytes.
const TEXT_MAX: usize = 512;

/// Why a key or signature is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisplayKeyError {
    #[error("not a key: 32 bytes as 43 characters of base64url, without padding")]
    Key,
    #[error("not a signature: 64 bytes as 86 characters of base64url, without padding")]
    Signature,
    #[error("the origin or the nonce is empty, too long or has control characters")]
    Text,
    #[error("the signature was not made by this display's key over this origin, display and nonce")]
    Mismatch,
}

/// A display's private key. Its text form is its seed: 32 bytes of base64url, kept 0600 on the display.
pub struct DisplayKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl fmt::Debug for DisplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DisplayKey").field(&self.public_text()).finish()
    }
}

impl DisplayKey {
    /// Makes a key from 32 bytes of secure randomness, or the same key again from a kept seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are an Ed25519 seed");
        Self { seed, pair }
    }

    /// Reads [`Self::secret_text`]; white space around it is ignored.
    pub fn from_secret_text(text: &str) -> Result<Self, DisplayKeyError> {
        read(text.trim()).map(Self::from_seed).ok_or(DisplayKeyError::Key)
    }

    /// The private key as text, for the file that keeps it.
    pub fn secret_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.seed)
    }

    pub fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// The public key as it travels in `POST /v1/enroll`.
    pub fn public_text(&self) -> String {
        public_key_text(&self.public_key())
    }

    /// The `signature` of `POST /v1/tickets` {display, nonce, signature}.
    pub fn sign_ticket_request(
        &self,
        origin: &str,
        display: &DisplayId,
        nonce: &str,
    ) -> Result<String, DisplayKeyError> {
        let message = ticket_request(origin, display, nonce)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes())))
    }
}

pub fn public_key_text(key: &[u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

/// Reads a public key as it travels.
pub fn public_key_from_text(text: &str) -> Result<[u8; 32], DisplayKeyError> {
    read(text).ok_or(DisplayKeyError::Key)
}

/// Whether a ticket request was signed by this key. That the nonce is ours and unused is the caller's to check, first.
pub fn verify_ticket_request(
    public_key: &[u8; 32],
    origin: &str,
    display: &DisplayId,
    nonce: &str,
    signature: &str,
) -> Result<(), DisplayKeyError> {
    let signature: [u8; 64] = read(signature).ok_or(DisplayKeyError::Signature)?;
    let message = ticket_request(origin, display, nonce)?;
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(message.as_bytes(), &signature)
        .map_err(|_| DisplayKeyError::Mismatch)
}

/// What is signed. No part can hold a newline, so no two requests have the same text.
fn ticket_request(origin: &str, display: &DisplayId, nonce: &str) -> Result<String, DisplayKeyError> {
    let plain = |text: &str| (1..=TEXT_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if !plain(origin) || !plain(nonce) {
        return Err(DisplayKeyError::Text);
    }
    Ok(format!("{PURPOSE}\n{origin}\n{display}\n{nonce}"))
}

fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DisplayId {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_signs_for_its_origin_display_and_nonce_only() {
        let key = DisplayKey::from_seed([7; 32]);
        let other = DisplayKey::from_seed([8; 32]);
        let signature = key.sign_ticket_request("https://a.example", &id("lobby"), "n1").unwrap();
        let verify = |key: &DisplayKey, origin: &str, display: &str, nonce: &str| {
            verify_ticket_request(&key.public_key(), origin, &id(display), nonce, &signature)
        };
        assert_eq!(verify(&key, "https://a.example", "lobby", "n1"), Ok(()));
        for (key, origin, display, nonce) in [
            (&other, "https://a.example", "lobby", "n1"),
            (&key, "https://b.example", "lobby", "n1"),
            (&key, "https://a.example", "lobby-2", "n1"),
            (&key, "https://a.example", "lobby", "n2"),
        ] {
            assert_eq!(
                verify(key, origin, display, nonce),
                Err(DisplayKeyError::Mismatch),
                "{origin} {display} {nonce}"
            );
        }
    }

    /// RFC 8032 §7.1, TEST 1: the seed gives this public key everywhere.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let seed = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
        let public = DisplayKey::from_seed(seed).public_key();
        assert_eq!(public[..4], [0xd7, 0x5a, 0x98, 0x01]);
    }

    #[test]
    fn a_key_reads_back_from_its_text_and_never_shows_its_secret() {
        let key = DisplayKey::from_seed([9; 32]);
        let again = DisplayKey::from_secret_text(&format!("{}\n", key.secret_text())).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(public_key_from_text(&key.public_text()), Ok(key.public_key()));
        assert!(!format!("{key:?}").contains(&key.secret_text()));
    }

    #[test]
    fn what_is_no_key_or_signature_is_refused() {
        let key = DisplayKey::from_seed([7; 32]);
        for bad in ["", "AAAA", &"A".repeat(44), &format!("{}=", key.public_text()), &"+".repeat(43)] {
            assert_eq!(public_key_from_text(bad), Err(DisplayKeyError::Key), "{bad}");
            let refused = verify_ticket_request(&key.public_key(), "https://a", &id("a"), "n", bad);
            assert_eq!(refused, Err(DisplayKeyError::Signature), "{bad}");
        }
        for (origin, nonce) in [("", "n"), ("https://a", ""), ("https://a\nx", "n"), ("https://a", &"n".repeat(600))] {
            assert_eq!(key.sign_ticket_request(origin, &id("a"), nonce), Err(DisplayKeyError::Text));
        }
    }
}
