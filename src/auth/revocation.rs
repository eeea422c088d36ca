//! What is no longer believed although it is well signed and in time: a user's tokens of until now, one token, a display.
//!
//! Of a **user**, what was issued up to the revocation is refused, and a token that does not say when (`iat`) as well;
//! who logs in again is let in. A **token** is refused by its `jti`. A **display** is refused whatever it shows, for as
//! long as the revocation stands: a card that was stolen, until somebody knows more. To make a display's key worthless
//! for good, remove the display.
//!
//! Times are compared in whole seconds, which is what `iat` and tickets have: who logs in again in the very second of
//! the revocation has to do so once more.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::jwt::JTI_MAX;
use crate::event::{DisplayId, address::UserName};

/// Whose credentials are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    User(UserName),
    /// A token's `jti`.
    Token(String),
    Display(DisplayId),
}

impl Of {
    /// The same for the same, so that a second revocation replaces the first: 16 hex digits.
    pub fn id(&self) -> String {
        let (kind, name) = match self {
            Of::User(name) => ("user", name.as_str()),
            Of::Token(jti) => ("token", jti.as_str()),
            Of::Display(id) => ("display", id.as_str()),
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, format!("{kind}/{name}").as_bytes());
        digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A `jti` that no token could have names nothing.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Of::Token(jti) if jti.is_empty() || jti.len() > JTI_MAX)
    }
}

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub of: Of,
    pub at_ms: u64,
    /// When it is forgotten, in ms since 1970; None: when somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who revoked.
    pub by: String,
}

impl Revocation {
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until| until <= now_ms)
    }
}

/// What a revocation looks at in credentials, or in an open socket.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// `sub`, or a ticket's user.
    pub name: &'a str,
    pub display: Option<&'a DisplayId>,
    /// `jti`.
    pub token: Option<&'a str>,
    pub issued_ms: Option<u64>,
}

/// Why credentials are refused. For the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    #[error("what this user was given until then is void")]
    User,
    #[error("this very token")]
    Token,
    #[error("this display is locked out")]
    Display,
}

/// Every revocation that stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// When, and until when.
    users: HashMap<String, (u64, u64)>,
    tokens: HashMap<String, u64>,
    displays: HashMap<DisplayId, u64>,
}

impl Revocations {
    pub fn new(all: impl IntoIterator<Item = Revocation>) -> Self {
        let mut made = Self::default();
        for Revocation { of, at_ms, until_ms, .. } in all {
            let until_ms = until_ms.unwrap_or(u64::MAX);
            match of {
                Of::User(name) => _ = made.users.insert(name.as_str().to_owned(), (at_ms, until_ms)),
                Of::Token(jti) => _ = made.tokens.insert(jti, until_ms),
                Of::Display(id) => _ = made.displays.insert(id, until_ms),
            }
        }
        made
    }

    /// Whether these credentials still count.
    pub fn judge(&self, holder: Holder<'_>, now_ms: u64) -> Result<(), Revoked> {
        let stands = |until: &u64| now_ms < *until;
        if holder.token.and_then(|jti| self.tokens.get(jti)).is_some_and(stands) {
            return Err(Revoked::Token);
        }
        if holder.display.and_then(|id| self.displays.get(id)).is_some_and(stands) {
            return Err(Revoked::Display);
        }
        // A display's own ticket bears the display's id as its name, and that is no user.
        let is_own = holder.display.is_some_and(|id| id.as_str() == holder.name);
        if !is_own
            && let Some((at_ms, until_ms)) = self.users.get(holder.name)
            && stands(until_ms)
            && holder.issued_ms.is_none_or(|issued_ms| issued_ms / 1000 <= at_ms / 1000)
        {
            return Err(Revoked::User);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_777_896_000_400;

    fn revoked(of: Of, until_ms: Option<u64>) -> Revocations {
        Revocations::new([Revocation { of, at_ms: AT, until_ms, by: "operator".into() }])
    }

    fn anna(issued_ms: Option<u64>) -> Holder<'static> {
        Holder { name: "anna", display: None, token: Some("t1"), issued_ms }
    }

    #[test]
    fn a_users_tokens_of_until_now_are_void_and_later_ones_are_not() {
        let revocations = revoked(Of::User("anna".parse().unwrap()), None);
        for (issued_ms, good) in
            [(None, false), (Some(0), false), (Some(AT - 400), false), (Some(AT), false), (Some(AT + 600), true)]
        {
            assert_eq!(revocations.judge(anna(issued_ms), AT + 5_000).is_ok(), good, "{issued_ms:?}");
        }
        let other = Holder { name: "bob", ..anna(None) };
        assert_eq!(revocations.judge(other, AT), Ok(()));
    }

    #[test]
    fn a_token_and_a_display_are_refused_by_their_names() {
        let token = revoked(Of::Token("t1".into()), None);
        assert_eq!(token.judge(anna(Some(AT + 9_000)), AT), Err(Revoked::Token));
        assert_eq!(token.judge(Holder { token: None, ..anna(None) }, AT), Ok(()));
        let id: DisplayId = "lobby".parse().unwrap();
        let own = Holder { name: "lobby", display: Some(&id), token: None, issued_ms: Some(AT + 9_000) };
        assert_eq!(revoked(Of::Display(id.clone()), None).judge(own, AT), Err(Revoked::Display));
        let user = revoked(Of::User("lobby".parse().unwrap()), None);
        assert_eq!(user.judge(Holder { issued_ms: None, ..own }, AT), Ok(()), "a user of the same name");
    }

    #[test]
    fn a_revocation_ends_when_it_was_to_end() {
        let revocations = revoked(Of::Token("t1".into()), Some(AT + 100));
        assert!(revocations.judge(anna(None), AT + 99).is_err());
        assert!(revocations.judge(anna(None), AT + 100).is_ok());
    }

    #[test]
    fn the_same_twice_is_one_and_kinds_do_not_meet() {
        let of = |text: &str| [Of::Token(text.into()).id(), Of::User(text.parse().unwrap()).id()];
        assert_eq!(of("a")[0], Of::Token("a".into()).id());
        assert_ne!(of("a")[0], of("a")[1]);
        assert!(!Of::Token(String::new()).is_possible() && !Of::Token("x".repeat(257)).is_possible());
    }
}
