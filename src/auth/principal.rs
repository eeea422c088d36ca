//! Who is on a socket, or makes a request, and what that allows.

use std::collections::BTreeSet;

use super::ticket;
use crate::event::{Address, DisplayId, address::UserName};

/// What some credentials allow. Made only from credentials that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `sub`, the ticket's user, or `operator` for an operator key: for logs and presence.
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
}

impl Principal {
    /// A ticket receives what is for its user, and publishes nothing.
    pub fn from_ticket(grant: ticket::Grant) -> Self {
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
        }
    }

    /// The holder of an operator key.
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
        }
    }

    #[test]
    fn a_ticket_receives_for_its_user_and_publishes_nothing() {
        let principal = Principal::from_ticket(ticket::Grant { user: "anna".parse().unwrap(), display: None });
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
