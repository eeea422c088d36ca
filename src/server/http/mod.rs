//! The HTTP side of the contract: one file per resource.
//!
//! ```text
//!  request -> routes.rs -> who asks? (request.rs) -> what? (events, displays, enroll, status, openapi) -> store, hub
//!                \ every error, also of the router: problem.rs (RFC 9457)
//! ```
//!
//! What can be asked is one table, `routes.rs`: the router and `/openapi.json` are made of it.
//!
//! Rejected: axum's own extractors for JSON, queries and bodies. Their refusals are plain text, and each would need
//! wrapping again in problem details.

mod answers;
mod audit;
mod displays;
mod enroll;
mod events;
mod keys;
pub mod observed;
mod openapi;
mod problem;
mod rename;
mod request;
mod revocations;
mod routes;
mod status;
mod waiting;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    http::{Method, StatusCode, Uri},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};

use self::{
    observed::{NO_ROUTE, Observed},
    routes::ROUTES,
};
pub use self::{
    problem::Problem,
    request::{BODY_LATE, BODY_WAIT},
};
use super::App;

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    let observed = |route| from_fn_with_state(Observed { app: app.clone(), route }, observed::observed);
    let routed = ROUTES.iter().fold(Router::new(), |router, route| {
        router.route(route.path, route.handler().route_layer(observed(route.path)))
    });
    let nowhere = nowhere.layer(observed(NO_ROUTE));
    let wrong_method = wrong_method.layer(observed(NO_ROUTE));
    routed.fallback(nowhere).method_not_allowed_fallback(wrong_method).with_state(app)
}

/// `POST /v1/events`, as the router has it.
pub async fn publish(app: &Arc<App>, request: Request) -> Response {
    let post = |request| async { events::post(State(app.clone()), request).await.into_response() };
    observed::around(app, "/v1/events", request, post).await
}

async fn nowhere(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for this path"))
}
