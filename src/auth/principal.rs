//! Who is on a socket, or makes a request, and what that allows.

use std::collections::BTreeSet;

use super::{operator_key::OperatorKey, revocation::Holder, ticket};
use crate::event::{Address, DisplayId, address::UserName};

/// What some credentials allow. Made only from credentials that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `sub`, the ticket's user, or the name of an operator's key: for logs and presence.
    pub name: String,
    /// `user/<name>`; None for an operator key, which is nobody in particular.
    pub user: Option<Address>,
    /// Set if the credentials name a display. It *is* that display only if it is enrolled: the caller checks.
    pub display: Option<DisplayId>,
    /// The addresses it may receive from, besides those of its display.
    pub receives: Vec<Address>,
    /// The addresses it may publish to: the publisher's own types, and the commands below.
    pub publishes: BTreeSet<Address>,
    /// The commands (without `kiosk.`) it may send there.
    pub commands: BTreeSet<String>,
    /// May publish anything anywhere, and manage displays, tickets and enrollments.
    pub operator: bool,
    /// When it ends, in ms since 1970. None: with the socket.
    pub expires_ms: Option<u64>,
    /// `jti` of the token.
    pub token: Option<String>,
    /// When the credentials were made, in ms since 1970, where they say so.
    pub issued_ms: Option<u64>,
}

impl Principal {
    /// A ticket receives what is for its user, and publishes nothing.
    pub fn from_ticket(ticket::Taken { grant, minted_ms }: ticket::Taken) -> Self {
        let user = grant.address();
        Self {
            name: grant.user.as_str().to_owned(),
            receives: vec![user.clone()],
            user: Some(user),
            display: grant.display,
            publishes: BTreeSet::new(),
            commands: BTreeSet::new(),
            operator: false,
            expires_ms: None,
            token: None,
            issued_ms: Some(minted_ms),
        }
    }

    /// The holder of an operator's key: everything, or what the key's scope says.
    pub fn from_key(key: &OperatorKey) -> Self {
        Self {
            name: key.name.clone(),
            publishes: key.publishes.clone(),
            commands: key.commands.clone(),
            operator: key.operator,
            ..Self::from_operator_key()
        }
    }

    /// One who may do everything: what a key without a name of its own is, and what a trusted broker delivers.
    pub fn from_operator_key() -> Self {
        Self {
            name: "operator".to_owned(),
            user: None,
            display: None,
            receives: Vec::new(),
            publishes: BTreeSet::new(),
            commands: BTreeSet::new(),
            operator: true,
            expires_ms: None,
            token: None,
            issued_ms: None,
        }
    }

    /// What a checked JWT grants: without `addr` it receives `user/<sub>` only.
    pub fn from_claims(claims: Claims) -> Self {
        let user = Address::User(claims.sub.clone());
        Self {
            name: claims.sub.as_str().to_owned(),
            receives: claims.receives.unwrap_or_else(|| vec![user.clone()]),
            user: Some(user),
            display: claims.display,
            publishes: claims.publishes,
            commands: claims.commands,
            operator: claims.operator,
            expires_ms: Some(claims.expires_ms),
            token: claims.token,
            issued_ms: claims.issued_ms,
        }
    }

    /// Who it is where people read it: `user/<name>`, or `key/<name>` for an operator's key.
    pub fn who(&self) -> String {
        self.user.as_ref().map_or_else(|| format!("key/{}", self.name), ToString::to_string)
    }

    /// What a revocation looks at.
    pub fn holder(&self) -> Holder<'_> {
        Holder {
            name: &self.name,
            display: self.display.as_ref(),
            token: self.token.as_deref(),
            issued_ms: self.issued_ms,
        }
    }

    /// Whether it may publish to this address: a command by its name, or (None) a type of its own.
    pub fn may_publish(&self, address: &Address, command: Option<&str>) -> bool {
        self.operator
            || (self.publishes.contains(address) && command.is_none_or(|command| self.commands.contains(command)))
    }
}

/// What a JWT says, checked and typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub sub: UserName,
    /// `exp`, in ms since 1970.
    pub expires_ms: u64,
    /// `addr`.
    pub receives: Option<Vec<Address>>,
    /// `pub`.
    pub publishes: BTreeSet<Address>,
    /// `cmd`.
    pub commands: BTreeSet<String>,
    pub operator: bool,
    pub display: Option<DisplayId>,
    /// `jti`.
    pub token: Option<String>,
    /// `iat`, in ms since 1970.
    pub issued_ms: Option<u64>,
}

impl Claims {
    /// What a revocation looks at.
    pub fn holder(&self) -> Holder<'_> {
        Holder {
            name: self.sub.as_str(),
            display: self.display.as_ref(),
            token: self.token.as_deref(),
            issued_ms: self.issued_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn claims() -> Claims {
        Claims {
            sub: "anna".parse().unwrap(),
            expires_ms: 9,
            receives: None,
            publishes: [address("group/shops")].into(),
            commands: ["message".to_owned()].into(),
            operator: false,
            display: None,
            token: None,
            issued_ms: None,
        }
    }

    #[test]
    fn a_ticket_receives_for_its_user_and_publishes_nothing() {
        let grant = ticket::Grant { user: "anna".parse().unwrap(), display: None };
        let principal = Principal::from_ticket(ticket::Taken { grant, minted_ms: 7 });
        assert_eq!(principal.receives, [address("user/anna")]);
        assert!(!principal.may_publish(&address("user/anna"), None) && !principal.operator);
    }

    #[test]
    fn a_token_publishes_where_and_what_it_lists() {
        let principal = Principal::from_claims(claims());
        assert_eq!(principal.receives, [address("user/anna")]);
        for (to, command, allowed) in [
            ("group/shops", None, true),
            ("group/shops", Some("message"), true),
            ("group/shops", Some("restart"), false),
            ("group/other", None, false),
            ("all", Some("message"), false),
        ] {
            assert_eq!(principal.may_publish(&address(to), command), allowed, "{to} {command:?}");
        }
        let lists = Principal::from_claims(Claims { receives: Some(vec![address("all")]), ..claims() });
        assert_eq!(lists.receives, [address("all")]);
    }

    #[test]
    fn an_operator_publishes_anything() {
        assert!(Principal::from_operator_key().may_publish(&address("all"), Some("restart")));
        let operator = Principal::from_claims(Claims { operator: true, ..claims() });
        assert!(operator.may_publish(&address("display/lobby"), Some("navigate")));
    }
}
