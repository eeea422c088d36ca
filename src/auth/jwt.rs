//! JSON Web Tokens: RFC 7519, judged as the contract says.
//!
//! The algorithm belongs to the configured key, never to the token: a token that names another one is refused before
//! its signature is looked at, so neither `none` nor a public key used as an HMAC secret gets anywhere. `kid` names a key
//! and there is no fallback; without `kid` every key is tried with its own algorithm.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, crypto};
use serde::Deserialize;

pub use super::principal::Claims;
use super::revocation::Revoked;
use crate::event::{Address, DisplayId};

/// How far two clocks may differ, in seconds.
pub const LEEWAY_S: u64 = 30;
/// The longest token that is looked at, in bytes.
pub const TOKEN_MAX: usize = 16 * 1024;
/// The shortest HS256 secret, in bytes (RFC 7518 §3.2: as long as the hash).
const SECRET_MIN: usize = 32;
/// A DER RSA public key of 2048 bits has 270 bytes, one of 1024 bits has 140 (RFC 7518 §3.3: 2048 or more).
const RSA_DER_MIN: usize = 262;
/// The most entries of `addr`, `pub` and `cmd`.
const LIST_MAX: usize = 256;
/// The longest `jti`, in bytes.
pub const JTI_MAX: usize = 256;

/// An algorithm that a key can be configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    HS256,
    RS256,
    ES256,
    EdDSA,
}

impl Algorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    fn implementation(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| KeyError::Algorithm(text.chars().take(40).collect()))
    }
}

/// Why a configured key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("`{0}` is no algorithm of ours: HS256, RS256, ES256 or EdDSA")]
    Algorithm(String),
    #[error("an HS256 secret has at least {SECRET_MIN} bytes, this one has {0}")]
    ShortSecret(usize),
    #[error("this secret is a PEM file: HS256 wants random bytes that only you and the issuer know")]
    PemAsSecret,
    #[error("HS256 needs `secret_file` or `secret_env`, the other algorithms `public_key_file` or `jwks_url`")]
    WrongFile,
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
    #[error("no {algorithm} public key in PEM form: {problem}")]
    Pem { algorithm: &'static str, problem: String },
    #[error("two keys have the id `{0}`")]
    TwiceTheId(String),
}

/// What the key is made of, as read from its file.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it is a secret")]
pub enum Material<'a> {
    /// `secret_file`: loses one trailing newline.
    SecretFile(&'a [u8]),
    /// `secret_env`: as it is.
    Secret(&'a [u8]),
    /// `public_key_file`: PEM.
    PublicKeyFile(&'a [u8]),
}

/// One `[[auth.jwt]]`.
#[derive(Clone)]
pub struct JwtKey {
    pub id: String,
    pub algorithm: Algorithm,
    /// Empty: a token must not have `aud` (RFC 7519 §4.1.3).
    audience: Vec<String>,
    /// Empty: `iss` is not looked at.
    issuer: Vec<String>,
    key: DecodingKey,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl JwtKey {
    pub fn new(
        id: String,
        algorithm: Algorithm,
        material: Material<'_>,
        audience: Vec<String>,
        issuer: Vec<String>,
    ) -> Result<Self, KeyError> {
        let pem_error = |error: jsonwebtoken::errors::Error| KeyError::Pem {
            algorithm: algorithm.as_str(),
            problem: error.to_string(),
        };
        let key = match (algorithm, material) {
            (Algorithm::HS256, Material::Secret(bytes)) => secret_of(bytes)?,
            (Algorithm::HS256, Material::SecretFile(bytes)) => secret(bytes)?,
            (Algorithm::RS256, Material::PublicKeyFile(pem)) => {
                let key = DecodingKey::from_rsa_pem(pem).map_err(pem_error)?;
                if key.try_get_as_bytes().is_ok_and(|der| der.len() < RSA_DER_MIN) {
                    return Err(KeyError::ShortRsa);
                }
                key
            }
            (Algorithm::ES256, Material::PublicKeyFile(pem)) => DecodingKey::from_ec_pem(pem).map_err(pem_error)?,
            (Algorithm::EdDSA, Material::PublicKeyFile(pem)) => DecodingKey::from_ed_pem(pem).map_err(pem_error)?,
            (Algorithm::HS256, Material::PublicKeyFile(_)) | (_, Material::SecretFile(_) | Material::Secret(_)) => {
                return Err(KeyError::WrongFile);
            }
        };
        Self::tried(id, algorithm, key, audience, issuer).map_err(pem_error)
    }

    /// A key of the wrong curve or length is only noticed at its first use: uses it now.
    pub(super) fn tried(
        id: String,
        algorithm: Algorithm,
        key: DecodingKey,
        audience: Vec<String>,
        issuer: Vec<String>,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let signature = BASE64_URL_SAFE_NO_PAD.encode([1; 64]);
        crypto::verify(&signature, b"probe", &key, algorithm.implementation())?;
        Ok(Self { id, algorithm, audience, issuer, key })
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        token.algorithm == self.algorithm.as_str()
            && crypto::verify(token.signature, token.message, &self.key, self.algorithm.implementation())
                .unwrap_or(false)
    }

    fn judge(&self, payload: &[u8], now_ms: u64) -> Result<Claims, JwtError> {
        let raw: RawClaims = serde_json::from_slice(payload).map_err(|error| JwtError::Claims(error.to_string()))?;
        let expires_ms = millis(raw.exp.ok_or(JwtError::Missing("exp"))?).ok_or(JwtError::Date("exp"))?;
        let leeway = LEEWAY_S * 1000;
        if now_ms > expires_ms.saturating_add(leeway) {
            return Err(JwtError::Expired { seconds: (now_ms - expires_ms) / 1000 });
        }
        if let Some(nbf) = raw.nbf
            && millis(nbf).ok_or(JwtError::Date("nbf"))? > now_ms.saturating_add(leeway)
        {
            return Err(JwtError::NotYet);
        }
        let issued_ms = raw.iat.map(|iat| millis(iat).ok_or(JwtError::Date("iat"))).transpose()?;
        // A token from the future would outlive every revocation until then.
        if issued_ms.is_some_and(|issued| issued > now_ms.saturating_add(leeway)) {
            return Err(JwtError::NotYet);
        }
        let given = raw.aud.map(OneOrMany::into_vec);
        match (&self.audience[..], &given) {
            ([], None) => {}
            (ours, Some(given)) if given.iter().any(|aud| ours.contains(aud)) => {}
            _ => return Err(JwtError::Audience),
        }
        if !self.issuer.is_empty() && !raw.iss.is_some_and(|iss| self.issuer.contains(&iss)) {
            return Err(JwtError::Issuer);
        }
        if [&raw.addr, &raw.publish].into_iter().flatten().any(|list| list.len() > LIST_MAX)
            || raw.cmd.as_ref().is_some_and(|list| list.len() > LIST_MAX)
        {
            return Err(JwtError::Claims(format!("addr, pub and cmd have at most {LIST_MAX} entries")));
        }
        if raw.jti.as_ref().is_some_and(|jti| jti.is_empty() || jti.len() > JTI_MAX) {
            return Err(JwtError::Claims(format!("jti has 1 to {JTI_MAX} bytes")));
        }
        Ok(Claims {
            sub: raw.sub.ok_or(JwtError::Missing("sub"))?,
            expires_ms,
            receives: raw.addr,
            publishes: raw.publish.unwrap_or_default().into_iter().collect(),
            commands: raw.cmd.unwrap_or_default(),
            operator: raw.operator.unwrap_or(false),
            display: raw.display,
            token: raw.jti,
            issued_ms,
        })
    }
}

fn secret(bytes: &[u8]) -> Result<DecodingKey, KeyError> {
    let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    secret_of(if secret.len() < bytes.len() { secret.strip_suffix(b"\r").unwrap_or(secret) } else { secret })
}

fn secret_of(secret: &[u8]) -> Result<DecodingKey, KeyError> {
    if secret.starts_with(b"-----BEGIN ") {
        return Err(KeyError::PemAsSecret);
    }
    if secret.len() < SECRET_MIN {
        return Err(KeyError::ShortSecret(secret.len()));
    }
    Ok(DecodingKey::from_secret(secret))
}

/// Why a token is refused. For the log only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("not a JWT")]
    Form,
    #[error("the token's header: {0}")]
    Header(String),
    #[error("the token's header has `crit`: no extension is understood")]
    Critical,
    #[error("no key is configured")]
    NoKeys,
    #[error("no key has the id `{0}`")]
    UnknownKid(String),
    #[error("the token says it is signed with `{token}`, and no key that it may use is for that")]
    Algorithm { token: String },
    #[error("the signature is not by the key")]
    Signature,
    #[error("the token's claims: {0}")]
    Claims(String),
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    #[error("the claim `{0}` is not a date")]
    Date(&'static str),
    #[error("the token expired {seconds} s ago")]
    Expired { seconds: u64 },
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is by another issuer")]
    Issuer,
    #[error("the token was revoked: {0}")]
    Revoked(Revoked),
}

/// Every key whose tokens are believed.
#[derive(Debug, Clone, Default)]
pub struct JwtKeys(Vec<JwtKey>);

impl JwtKeys {
    pub fn new(keys: Vec<JwtKey>) -> Result<Self, KeyError> {
        let mut ids = BTreeSet::new();
        match keys.iter().find(|key| !ids.insert(key.id.as_str())) {
            Some(twice) => Err(KeyError::TwiceTheId(twice.id.clone())),
            None => Ok(Self(keys)),
        }
    }

    /// These, and keys that were fetched. Two issuers may well give the same name to a key of theirs: then a `kid` names
    /// both, and each is tried with its own algorithm, audience and issuer.
    pub fn with_fetched(&self, fetched: impl IntoIterator<Item = JwtKey>) -> Self {
        Self(self.0.iter().cloned().chain(fetched).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a token; `now_ms` is ms since 1970.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, JwtError> {
        let token = Token::read(token)?;
        let candidates: Vec<&JwtKey> = match &token.kid {
            Some(kid) => {
                let named: Vec<&JwtKey> = self.0.iter().filter(|key| key.id == *kid).collect();
                if named.is_empty() {
                    return Err(JwtError::UnknownKid(kid.chars().take(80).collect()));
                }
                named
            }
            None if self.0.is_empty() => return Err(JwtError::NoKeys),
            None => self.0.iter().collect(),
        };
        if !candidates.iter().any(|key| key.algorithm.as_str() == token.algorithm) {
            return Err(JwtError::Algorithm { token: token.algorithm.chars().take(40).collect() });
        }
        // One key may be configured twice, for two audiences: the first that takes the token decides.
        let mut refusal = JwtError::Signature;
        for key in candidates {
            if key.verifies(&token) {
                match key.judge(&token.payload, now_ms) {
                    Ok(claims) => return Ok(claims),
                    Err(reason) => refusal = reason,
                }
            }
        }
        Err(refusal)
    }
}

/// Whether a text looks like a JWT at all (three parts), to tell it from a ticket or key.
pub fn has_form(text: &str) -> bool {
    text.len() <= TOKEN_MAX && text.split('.').count() == 3
}

/// A token, taken apart and not believed yet.
struct Token<'a> {
    message: &'a [u8],
    signature: &'a str,
    payload: Vec<u8>,
    algorithm: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl<'a> Token<'a> {
    fn read(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > TOKEN_MAX {
            return Err(JwtError::Form);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(JwtError::Form)?;
        let (header, payload) = message.split_once('.').ok_or(JwtError::Form)?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Form);
        let (header, payload) = (decode(header)?, decode(payload)?);
        let header: Header = serde_json::from_slice(&header).map_err(|error| JwtError::Header(error.to_string()))?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        Ok(Token { message: message.as_bytes(), signature, payload, algorithm: header.alg, kid: header.kid })
    }
}

/// The claims as they stand in the token. Wrong types are errors, not absent claims.
#[derive(Deserialize)]
struct RawClaims {
    sub: Option<crate::event::address::UserName>,
    exp: Option<serde_json::Number>,
    nbf: Option<serde_json::Number>,
    iat: Option<serde_json::Number>,
    jti: Option<String>,
    aud: Option<OneOrMany>,
    iss: Option<String>,
    addr: Option<Vec<Address>>,
    #[serde(rename = "pub")]
    publish: Option<Vec<Address>>,
    cmd: Option<BTreeSet<String>>,
    operator: Option<bool>,
    display: Option<DisplayId>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A NumericDate (RFC 7519 §2: seconds, perhaps with a fraction) in ms; None if it is negative.
fn millis(date: serde_json::Number) -> Option<u64> {
    if let Some(seconds) = date.as_u64() {
        return Some(seconds.saturating_mul(1000));
    }
    let seconds = date.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    // A float that is too large becomes u64::MAX: far enough.
    Some((seconds * 1000.0) as u64)
}

#[cfg(test)]
#[path = "forged_tests.rs"]
mod forged_tests;
#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
