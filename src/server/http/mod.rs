//! The HTTP side of the contract: one file per resource.
//!
//! ```text
//!  request -> Router -> who asks? (request.rs) -> what? (events, displays, enroll, status, openapi) -> store, hub
//!                \ every error, also of the router: problem.rs (RFC 9457)
//! ```
//!
//! | request | who | answer |
//! |---|---|---|
//! | `POST /v1/events[?wait=10s]` | operator, or JWT within `pub`/`cmd` | 202 `{id, address, epoch, offset}`; with `wait` 200 and `receipts: [{display, event, source, status, ...}]`, `pending: [display]`; a batch: an array of them |
//! | `GET /v1/events/{id}[?source=]` | operator | `{id, address, epoch, offset, event, receipts, pending}` |
//! | `GET /v1/displays`, `/{id}` | operator | `[{id, label, groups, connected, last_seen, enrolled, public_key, health}]` |
//! | `PATCH /v1/displays/{id}` `{label?, groups?}` | operator | the display |
//! | `DELETE /v1/displays/{id}` | operator | 204 |
//! | `GET /v1/displays/{id}/screenshot` | operator | the newest picture; `Pikiosk-Event` names its command |
//! | `PUT /v1/displays/{id}/results/{event}` | that display: a fresh ticket or its JWT | 204 |
//! | `GET /v1/displays/{id}/results/{event}` | operator | the bytes |
//! | `POST /v1/enrollments` `{display?}` | operator | 201 `{code, expires, display}` |
//! | `POST /v1/enroll` `{code, public_key, display?}` | the code | `{display}` |
//! | `GET /v1/nonce` | anybody | `{nonce, expires}` |
//! | `POST /v1/tickets` `{user}` or `{display, nonce, signature}` | operator; the display's key | `{ticket, expires}` |
//! | `POST /v1/keys` `{name, operator: true}` or `{name, pub, cmd}` | operator | 201 `{id, key, ...}`, the only time that the key is told |
//! | `GET /v1/keys`, `DELETE /v1/keys/{id}` | operator | `[{id, name, operator, pub, cmd, made}]`; 204 |
//! | `POST /v1/revocations` `{user}`, `{token: jti}` or `{display}`, `seconds?` | operator | 201 `{id, ...}`; live sockets end with 4501 |
//! | `GET /v1/revocations`, `DELETE /v1/revocations/{id}` | operator | `[{id, user, token or display, revoked, until, by}]`; 204 |
//! | `GET /v1/audit[?after=&limit=]` | operator | `[{id, time, who, what, on, more?}]`, oldest first |
//! | `GET /v1/presence` | operator | `{sockets: [{name, display, since}]}` |
//! | `GET /healthz`, `/readyz`, `/metrics`, `/openapi.json` | anybody | |
//!
//! Rejected: axum's own extractors for JSON, queries and bodies. Their refusals are plain text, and each would need
//! wrapping again in problem details.

mod audit;
mod displays;
mod enroll;
mod events;
mod keys;
mod openapi;
mod problem;
mod request;
mod revocations;
mod status;
mod waiting;

use std::sync::Arc;

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    routing::{delete, get, post, put},
};

pub use self::problem::Problem;
use super::{App, socket};

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/events", post(events::post))
        .route("/v1/events/{id}", get(events::get))
        .route("/v1/displays", get(displays::list))
        .route("/v1/displays/{id}", get(displays::get).patch(displays::patch).delete(displays::delete))
        .route("/v1/displays/{id}/screenshot", get(displays::screenshot))
        .route("/v1/displays/{id}/results/{event}", put(displays::put_result).get(displays::get_result))
        .route("/v1/enrollments", post(enroll::offer))
        .route("/v1/enroll", post(enroll::enroll))
        .route("/v1/nonce", get(enroll::nonce))
        .route("/v1/tickets", post(enroll::ticket))
        .route("/v1/keys", post(keys::create).get(keys::list))
        .route("/v1/keys/{id}", delete(keys::delete))
        .route("/v1/revocations", post(revocations::create).get(revocations::list))
        .route("/v1/revocations/{id}", delete(revocations::delete))
        .route("/v1/audit", get(audit::list))
        .route("/v1/presence", get(status::presence))
        .route("/v1/ws", get(socket::open))
        .route("/wsb", get(socket::open))
        .route("/healthz", get(status::alive))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(openapi::get))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

async fn nowhere(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for this path"))
}
