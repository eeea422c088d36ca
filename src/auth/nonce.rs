//! Nonces that the server gives out without keeping them: a date, randomness, and a code only this server can make.
//!
//! Asking for one is open to anybody, so nothing may grow with the asking. That a nonce is used once is remembered by the
//! caller, and only for one that came with a good signature.

use std::fmt::Write;

/// How long a nonce is good, in ms: a display on a slow link asks, signs and sends.
pub const LIFE_MS: u64 = 60_000;
/// How far the clocks of two nodes that give and take it may be apart, in ms.
const APART_MS: u64 = 5_000;
/// Bytes of randomness: no two displays get the same.
const RANDOM: usize = 12;
/// Bytes of the code: half of an HMAC-SHA256, which RFC 2104 §5 allows.
const CODE: usize = 16;

/// Makes a nonce: 72 hex digits. `secret` is the server's.
pub fn make(secret: &[u8; 32], random: [u8; RANDOM], now_ms: u64) -> String {
    let mut bytes = Vec::with_capacity(8 + RANDOM + CODE);
    bytes.extend_from_slice(&now_ms.saturating_add(LIFE_MS).to_be_bytes());
    bytes.extend_from_slice(&random);
    let code = code(secret, &bytes);
    bytes.extend_from_slice(&code);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// When a nonce ends, in ms since 1970, if it is this server's and not over. One of a clock that was set back since would be
/// good until that clock's time comes, when nobody remembers that it was used: it is refused.
pub fn check(secret: &[u8; 32], text: &str, now_ms: u64) -> Option<u64> {
    if text.len() != 2 * (8 + RANDOM + CODE) || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let bytes: Vec<u8> =
        (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16)).collect::<Result<_, _>>().ok()?;
    let (said, given) = bytes.split_at(8 + RANDOM);
    let same: bool = subtle::ConstantTimeEq::ct_eq(&code(secret, said)[..], given).into();
    let end_ms = u64::from_be_bytes(said[..8].try_into().ok()?);
    let latest_ms = now_ms.saturating_add(LIFE_MS + APART_MS);
    (same && now_ms < end_ms && end_ms <= latest_ms).then_some(end_ms)
}

fn code(secret: &[u8; 32], said: &[u8]) -> [u8; CODE] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let mut context = ring::hmac::Context::with_key(&key);
    context.update(b"pikiosk-nonce-v1\n");
    context.update(said);
    context.sign().as_ref()[..CODE].try_into().expect("HMAC-SHA256 has more than 16 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_a_minute_at_the_server_that_gave_it() {
        let nonce = make(&[1; 32], [2; 12], 1_000);
        assert_eq!(check(&[1; 32], &nonce, 1_000), Some(61_000));
        assert_eq!(check(&[1; 32], &nonce, 60_999), Some(61_000));
        assert_eq!(check(&[1; 32], &nonce, 61_000), None, "a minute is over");
        let later = make(&[1; 32], [2; 12], 3_600_000);
        assert!(check(&[1; 32], &later, 3_595_000).is_some(), "by a node whose clock is a little behind");
        assert_eq!(check(&[1; 32], &later, 1_000), None, "the clock was set back by an hour");
        assert_eq!(check(&[3; 32], &nonce, 1_000), None, "another server's");
    }

    #[test]
    fn whatever_is_changed_in_a_nonce_it_is_refused() {
        let nonce = make(&[1; 32], [2; 12], 1_000);
        for n in 0..nonce.len() {
            let mut bytes = nonce.clone().into_bytes();
            bytes[n] = if bytes[n] == b'0' { b'1' } else { b'0' };
            assert_eq!(check(&[1; 32], std::str::from_utf8(&bytes).unwrap(), 1_000), None, "digit {n}");
        }
        for bad in ["", "0", &nonce[1..], &nonce.to_uppercase(), &format!("{nonce}0"), &"é".repeat(36)] {
            assert_eq!(check(&[1; 32], bad, 1_000), None, "{bad}");
        }
    }
}
