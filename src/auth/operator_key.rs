//! The key of an operator: a random text; the server keeps only its SHA-256, and what it may do.
//!
//! The key has 256 bits of its own, so a plain hash is enough: there is nothing to guess, and a slow password hash
//! would only make every request slow. For the same reason it is looked up by its hash: how long that takes says nothing
//! about a key that one does not have.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::event::{Address, command};

/// What every operator key starts with, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "pko_";
/// What the first key of a server is called.
pub const FIRST: &str = "operator";
/// The longest name of a key, in characters.
const NAME_MAX: usize = 80;
/// The most entries of `pub` and `cmd`.
const LIST_MAX: usize = 256;

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

/// What is kept of a key: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorKey {
    /// Whose it is, or what for.
    pub name: String,
    #[serde(with = "hash_text")]
    pub hash: KeyHash,
    pub made_ms: u64,
    /// May do everything. Else only what follows.
    #[serde(default)]
    pub operator: bool,
    /// The addresses it may publish to.
    #[serde(rename = "pub", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub publishes: BTreeSet<Address>,
    /// The commands (without `kiosk.`) it may send there.
    #[serde(rename = "cmd", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub commands: BTreeSet<String>,
}

/// Why a key is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    #[error("a key's name has 1 to {NAME_MAX} characters, none of them control characters")]
    Name,
    #[error("say what the key may do: `operator` (everything), or `pub` with the addresses it may publish to")]
    Nothing,
    #[error("a key that may do everything has no `pub` and no `cmd`")]
    Both,
    #[error("there is no command `{0}`")]
    Command(String),
    #[error("`pub` and `cmd` have at most {LIST_MAX} entries")]
    Long,
}

impl OperatorKey {
    /// Whether somebody may be given such a key.
    pub fn check(&self) -> Result<(), KeyRefused> {
        if !(1..=NAME_MAX).contains(&self.name.chars().count()) || self.name.chars().any(char::is_control) {
            return Err(KeyRefused::Name);
        }
        if self.publishes.len() > LIST_MAX || self.commands.len() > LIST_MAX {
            return Err(KeyRefused::Long);
        }
        if let Some(unknown) = self.commands.iter().find(|name| command::spec(name).is_none()) {
            return Err(KeyRefused::Command(unknown.chars().take(40).collect()));
        }
        match (self.operator, self.publishes.is_empty() && self.commands.is_empty()) {
            (true, false) => Err(KeyRefused::Both),
            (false, _) if self.publishes.is_empty() => Err(KeyRefused::Nothing),
            _ => Ok(()),
        }
    }
}

/// A hash as it is kept in JSON.
mod hash_text {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(hash: &super::KeyHash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<super::KeyHash, D::Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(operator: bool, publishes: &[&str], commands: &[&str]) -> OperatorKey {
        OperatorKey {
            name: "shop".to_owned(),
            hash: [7; 32],
            made_ms: 1,
            operator,
            publishes: publishes.iter().map(|text| text.parse().unwrap()).collect(),
            commands: commands.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn a_key_has_a_form_of_its_own() {
        let text = key_text([1; 32]);
        assert!(text.starts_with("pko_") && text.len() == 47 && has_form(&text));
        assert_ne!(hash(&text), hash(&key_text([2; 32])));
        for bad in ["", "pko_", &text[..46], &format!("{text} "), &text.replace("pko_", "PKO_")] {
            assert!(!has_form(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_is_kept_reads_back_and_holds_no_key() {
        let kept = key(false, &["group/shops", "all"], &["message"]);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<OperatorKey>(&text).unwrap(), kept);
        assert!(!text.contains("pko_"), "{text}");
    }

    #[test]
    fn a_key_says_what_it_may_do_before_it_is_made() {
        assert_eq!(key(true, &[], &[]).check(), Ok(()));
        assert_eq!(key(false, &["all"], &[]).check(), Ok(()));
        assert_eq!(key(false, &["all"], &["message"]).check(), Ok(()));
        assert_eq!(key(false, &[], &[]).check(), Err(KeyRefused::Nothing));
        assert_eq!(key(false, &[], &["message"]).check(), Err(KeyRefused::Nothing));
        assert_eq!(key(true, &["all"], &[]).check(), Err(KeyRefused::Both));
        assert_eq!(key(false, &["all"], &["fly"]).check(), Err(KeyRefused::Command("fly".into())));
        let long = OperatorKey { name: "x".repeat(81), ..key(true, &[], &[]) };
        assert_eq!(long.check(), Err(KeyRefused::Name));
        assert_eq!(OperatorKey { name: "a\nb".into(), ..long }.check(), Err(KeyRefused::Name));
    }
}
