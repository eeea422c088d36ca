//! A set of keys as an identity provider publishes it (RFC 7517), read for one algorithm.
//!
//! The algorithm is configured, as for every key: of a set only the keys for it are taken, whatever else it holds. A set
//! is as trusted as the address it came from, and no more: what it says of a key is checked like a key's file.

use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::jwt::{Algorithm, JwtKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The largest set that is read, in bytes: hundreds of keys with their certificates.
pub const SET_MAX: usize = 256 * 1024;
/// The most keys that are taken of one set: each is tried for a token without `kid`.
const KEYS_MAX: usize = 64;
/// The longest `kid`, in bytes.
const KID_MAX: usize = 256;

/// Why a set gives no key. Keys that were taken before stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("it has {0} bytes, and at most {SET_MAX} are read")]
    Large(usize),
    #[error("it is no JWKS: {0}")]
    Form(String),
    #[error("it has {0} keys, and at most {KEYS_MAX} are taken")]
    Many(usize),
    #[error("it has no key for {algorithm} ({others} others)")]
    None { algorithm: &'static str, others: usize },
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2: what we look at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Whose tokens the keys of a set are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What a key without a `kid` of its own is called.
    pub id: String,
    pub algorithm: Algorithm,
    pub audience: Vec<String>,
    pub issuer: Vec<String>,
}

/// The keys of a set that are for this source's algorithm.
pub fn read(body: &[u8], source: &Source) -> Result<Vec<JwtKey>, JwksError> {
    if body.len() > SET_MAX {
        return Err(JwksError::Large(body.len()));
    }
    let set: Set = serde_json::from_slice(body).map_err(|error| JwksError::Form(error.to_string()))?;
    if set.keys.len() > KEYS_MAX {
        return Err(JwksError::Many(set.keys.len()));
    }
    let others = set.keys.len();
    let mut keys: Vec<JwtKey> = Vec::new();
    for key in set.keys {
        // A key of a kind that we do not know is somebody else's business.
        let Some(key) = serde_json::from_value(key).ok().and_then(|jwk| one(jwk, source)) else { continue };
        // Twice the same name in one set: the first.
        if !keys.iter().any(|known| known.id == key.id) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(JwksError::None { algorithm: source.algorithm.as_str(), others });
    }
    Ok(keys)
}

/// None if the key is for something else, or no good.
fn one(jwk: Jwk, source: &Source) -> Option<JwtKey> {
    let is_for_us = jwk.alg.as_deref().is_none_or(|alg| alg == source.algorithm.as_str())
        && jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && jwk.kid.as_ref().is_none_or(|kid| (1..=KID_MAX).contains(&kid.len()));
    if !is_for_us {
        return None;
    }
    let key = match (source.algorithm, jwk.kty.as_str(), jwk.crv.as_deref()) {
        (Algorithm::RS256, "RSA", _) => {
            let (n, e) = (jwk.n?, jwk.e?);
            if !is_long_rsa(&n) || !is_fit_exponent(&e) {
                return None;
            }
            DecodingKey::from_rsa_components(&n, &e)
        }
        (Algorithm::ES256, "EC", Some("P-256")) => {
            DecodingKey::from_ec_components(&of_32_bytes(jwk.x)?, &of_32_bytes(jwk.y)?)
        }
        (Algorithm::EdDSA, "OKP", Some("Ed25519")) => DecodingKey::from_ed_components(&of_32_bytes(jwk.x)?),
        // A secret that is published (`oct`) is none: HS256 keys never come from a set.
        _ => return None,
    };
    let id = jwk.kid.unwrap_or_else(|| source.id.clone());
    let (audience, issuer) = (source.audience.clone(), source.issuer.clone());
    JwtKey::tried(id, source.algorithm, key.ok()?, audience, issuer).ok()
}

/// jsonwebtoken 11.1 takes any length here, and panics at the first use of a short one.
fn of_32_bytes(text: Option<String>) -> Option<String> {
    text.filter(|text| BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32))
}

/// 2048 bits or more (RFC 7518 §3.3).
fn is_long_rsa(n: &str) -> bool {
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(n) else { return false };
    let significant = bytes.iter().skip_while(|byte| **byte == 0).count();
    let first = bytes.iter().find(|byte| **byte != 0).copied().unwrap_or_default();
    significant > 256 || (significant == 256 && first >= 0x80)
}

/// Odd and at least 3: with 1, everything is a signature.
fn is_fit_exponent(e: &str) -> bool {
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(e) else { return false };
    let Some(first) = bytes.iter().position(|byte| *byte != 0) else { return false };
    let (value, last) = (&bytes[first..], bytes[bytes.len() - 1]);
    value.len() <= 4 && last % 2 == 1 && value != [1]
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
