//! What handlers take out of requests, each failing with a problem in words.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::{
    auth::{Principal, jwt, operator_key, ticket},
    server::{App, access, socket::bearer},
};

/// How long a body may take to arrive.
pub const BODY_WAIT: Duration = Duration::from_secs(30);
/// What is said of one that takes longer.
pub const BODY_LATE: &str = "the body took too long to arrive";
/// How much of a refused body is read and dropped, in bytes, and for how long.
const DROPPED_MAX: usize = 64 * 1024 * 1024;
const DROPPED_WAIT: Duration = Duration::from_secs(5);
/// The largest JSON body of the management requests, in bytes.
pub const JSON_MAX: usize = 64 * 1024;

/// Reads a body of at most `limit` bytes; one that declares more is refused before it is read.
pub async fn body(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    if declares_more(headers, limit) {
        return Err(too_large(headers, body, limit).await);
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding"));
    }
    match tokio::time::timeout(BODY_WAIT, Limited::new(&mut body, limit).collect()).await {
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, BODY_LATE)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(headers, body, limit).await),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete")),
    }
}

/// Whether a body's declared length is over `limit`.
pub fn declares_more(headers: &HeaderMap, limit: usize) -> bool {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    declared.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > limit))
}

/// The refusal of a large body. What comes of it is dropped for a while: a client that is still sending when the
/// connection closes sees a reset, and not the answer.
pub async fn too_large(headers: &HeaderMap, mut body: Body, limit: usize) -> Problem {
    // Whoever asks first does not send at all.
    if !headers.contains_key(header::EXPECT) {
        let drop_it = async {
            let mut left = DROPPED_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                left = left.saturating_sub(bytes);
                if left == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DROPPED_WAIT, drop_it).await;
    }
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {limit} bytes here"))
}

/// Reads a JSON body. No content type means JSON.
pub async fn json<T: DeserializeOwned>(headers: &HeaderMap, raw: Body) -> Result<T, Problem> {
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let media = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") && !media.to_ascii_lowercase().ends_with("+json") {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
        }
    }
    let bytes = body(headers, raw, JSON_MAX).await?;
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        _ => Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")),
    })
}

/// Reads a query string.
pub fn query<T: DeserializeOwned>(raw: Option<&str>) -> Result<T, Problem> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect();
    let mut map = serde_json::Map::new();
    for (name, value) in pairs {
        if map.insert(name.clone(), value.into()).is_some() {
            return Err(Problem::new(StatusCode::BAD_REQUEST, format!("the query has `{name}` twice")));
        }
    }
    serde_json::from_value(map.into())
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the query: {error}")))
}

/// The one or two texts of a path.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Named(named)),
            Err(error) => Err(Problem::new(StatusCode::NOT_FOUND, format!("the path: {}", error.body_text()))),
        }
    }
}

/// Who makes a request: an operator key or a JWT. Tickets open sockets, and put results.
pub async fn principal(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let principal = key_or_jwt(app, headers).await?;
    access::note_who(&principal.name);
    Ok(principal)
}

async fn key_or_jwt(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let token = token(headers)?;
    if operator_key::has_form(token) {
        return app.directory.operator(token).ok_or_else(|| {
            tracing::info!("a request is refused: no such operator key");
            app.witness.metrics.refused("http", "key");
            Problem::unauthorized()
        });
    }
    match app.trust.verify_patiently(token, app.now_ms()).await {
        Ok(claims) => Ok(Principal::from_claims(claims)),
        Err(why) => {
            tracing::info!(%why, "a request is refused");
            app.witness.metrics.refused("http", "token");
            Err(Problem::unauthorized())
        }
    }
}

/// As [`principal`], and it is an operator.
pub async fn operator(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let principal = principal(app, headers).await?;
    if principal.operator {
        Ok(principal)
    } else {
        Err(Problem::new(StatusCode::FORBIDDEN, "only an operator may do this"))
    }
}

/// As [`principal`], and a ticket (which is spent) is taken too.
pub async fn principal_or_ticket(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let token = token(headers)?;
    debug_assert!(!jwt::has_form(token) || !ticket::is_ticket(token), "the forms exclude one another");
    if !ticket::is_ticket(token) {
        return principal(app, headers).await;
    }
    let taken = app.tickets.take(token, app.now_ms()).await;
    let refused = |why: &dyn std::fmt::Display| {
        tracing::info!(%why, "a request is refused");
        app.witness.metrics.refused("http", "ticket");
        Problem::unauthorized()
    };
    let principal = taken.map(Principal::from_ticket).map_err(|why| refused(&why))?;
    app.trust.stands(&principal, app.now_ms()).map_err(|why| refused(&why))?;
    access::note_who(&principal.name);
    Ok(principal)
}

fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let token = values.next().and_then(|value| bearer(value.as_bytes()));
    match (token, values.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(Problem::unauthorized()),
    }
}
