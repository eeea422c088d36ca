//! Which credential a WebSocket request carries: exactly one, from four places. Pure.

use axum::http::{HeaderMap, header};

use crate::{
    auth::{jwt, ticket},
    event::frame::BEARER_PREFIX,
};

/// A ticket or a JWT, by its form. Not checked yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Ticket(String),
    Jwt(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Credential::Ticket(_)) { "Ticket(hidden)" } else { "Jwt(hidden)" })
    }
}

/// Why a request carries no credential to check. For the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("no credential")]
    Missing,
    #[error("more than one credential")]
    Several,
    #[error("a credential that is neither a ticket nor a JWT")]
    Form,
}

/// Takes the one credential of a request.
pub fn take(headers: &HeaderMap, query: Option<&str>) -> Result<Credential, CredentialError> {
    let mut found = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        found.push(bearer(value.as_bytes()).and_then(ticket_or_jwt));
    }
    for entry in subprotocols(headers) {
        if let Some(token) = entry.strip_prefix(BEARER_PREFIX) {
            found.push(ticket_or_jwt(token));
        }
    }
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "ws_token" => found.push(ticket::is_ticket(&value).then(|| Credential::Ticket(value.into_owned()))),
            "token" => found.push(jwt::has_form(&value).then(|| Credential::Jwt(value.into_owned()))),
            _ => {}
        }
    }
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(CredentialError::Missing),
        (Some(_), false) => Err(CredentialError::Several),
        (Some(one), true) => one.ok_or(CredentialError::Form),
    }
}

/// The entries of `Sec-WebSocket-Protocol`, in order.
pub fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 §2.1).
pub fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn ticket_or_jwt(token: &str) -> Option<Credential> {
    if ticket::is_ticket(token) {
        Some(Credential::Ticket(token.to_owned()))
    } else {
        jwt::has_form(token).then(|| Credential::Jwt(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str = "wstoken0123456789abcdef0123456789abcdef";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

    fn taken(headers: &[(&'static str, String)], query: &str) -> Result<Credential, CredentialError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        take(&map, Some(query))
    }

    #[test]
    fn a_credential_is_taken_from_each_of_its_four_places() {
        let ticket = Ok(Credential::Ticket(TICKET.to_owned()));
        let jwt = Ok(Credential::Jwt(JWT.to_owned()));
        assert_eq!(taken(&[("authorization", format!("Bearer {TICKET}"))], ""), ticket);
        assert_eq!(taken(&[("authorization", format!("bearer {JWT}"))], ""), jwt);
        assert_eq!(taken(&[], &format!("ws_token={TICKET}")), ticket);
        assert_eq!(taken(&[], &format!("a=1&token={JWT}")), jwt);
        let protocols = |token| [("sec-websocket-protocol", format!("cloudevents.json, bearer.{token}"))];
        assert_eq!(taken(&protocols(TICKET), ""), ticket);
        assert_eq!(taken(&protocols(JWT), ""), jwt);
    }

    #[test]
    fn none_two_or_the_wrong_kind_is_refused() {
        let header = [("authorization", format!("Bearer {TICKET}"))];
        assert_eq!(taken(&[], ""), Err(CredentialError::Missing));
        assert_eq!(taken(&[("sec-websocket-protocol", "cloudevents.json".into())], ""), Err(CredentialError::Missing));
        assert_eq!(taken(&header, &format!("ws_token={TICKET}")), Err(CredentialError::Several));
        assert_eq!(taken(&[header[0].clone(), header[0].clone()], ""), Err(CredentialError::Several));
        for (headers, query) in [
            (vec![], format!("ws_token={JWT}")),
            (vec![], format!("token={TICKET}")),
            (vec![], "ws_token=".to_owned()),
            (vec![("authorization", "Basic eDp5".to_owned())], String::new()),
            (vec![("authorization", "Bearer".to_owned())], String::new()),
            (vec![("authorization", format!("Bearer {}", TICKET.to_uppercase()))], String::new()),
            (vec![("sec-websocket-protocol", "bearer.".to_owned())], String::new()),
        ] {
            assert_eq!(taken(&headers, &query), Err(CredentialError::Form), "{headers:?} {query}");
        }
    }
}
