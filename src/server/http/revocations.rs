//! Revocations: `POST` and `GET /v1/revocations`, `DELETE /v1/revocations/{id}`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Problem,
    answers::RevocationAnswer,
    request::{self, Named},
};
use crate::{
    auth::revocation::{Of, Revocation},
    event::{DisplayId, address::UserName, time::UtcMillis},
    server::App,
};

/// What is to be revoked: one of the three.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RevocationRequest")]
pub struct Wanted {
    /// What this user was given until now.
    user: Option<UserName>,
    /// The token with this `jti`.
    token: Option<String>,
    /// Whatever this display shows.
    display: Option<DisplayId>,
    /// For so long; else until it is lifted.
    seconds: Option<u64>,
}

/// `POST /v1/revocations` {user | token | display, seconds?} -> 201 {id, ...}: live sockets end with 4501.
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::operator(&app, &parts.headers).await?;
    let wanted: Wanted = request::json(&parts.headers, body).await?;
    let of = match (wanted.user, wanted.token, wanted.display) {
        (Some(user), None, None) => Of::User(user),
        (None, Some(jti), None) => Of::Token(jti),
        (None, None, Some(id)) => Of::Display(id),
        _ => return Err(refused("name one: {\"user\": NAME}, {\"token\": JTI} or {\"display\": ID}")),
    };
    if !of.is_possible() {
        return Err(refused("`token` is the jti of a token, 1 to 256 bytes"));
    }
    if wanted.seconds == Some(0) {
        return Err(refused("`seconds` is at least 1; without it the revocation stands until it is lifted"));
    }
    let at_ms = app.now_ms();
    let until_ms = wanted.seconds.map(|seconds| at_ms.saturating_add(seconds.saturating_mul(1000)));
    let revocation = Revocation { of, at_ms, until_ms, by: principal.who() };
    let id = app.directory.revoke(&revocation).await?;
    let answer = shown(&id, &revocation);
    app.note(&principal, "revoke", &id, answer.clone()).await;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `GET /v1/revocations`: those that stand.
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<RevocationAnswer>>, Problem> {
    request::operator(&app, request.headers()).await?;
    let now_ms = app.now_ms();
    let all = app.directory.revocations().await?;
    Ok(Json(all.iter().filter(|(_, one)| !one.is_over(now_ms)).map(|(id, one)| shown(id, one)).collect()))
}

/// `DELETE /v1/revocations/{id}`: what was revoked counts again, as far as it has not ended otherwise.
pub async fn delete(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let principal = request::operator(&app, request.headers()).await?;
    if !app.directory.lift(&id).await? {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such revocation"));
    }
    app.note(&principal, "revoke.lift", &id, ()).await;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(id: &str, revocation: &Revocation) -> RevocationAnswer {
    let mut shown = RevocationAnswer {
        id: id.to_owned(),
        user: None,
        token: None,
        display: None,
        revoked: UtcMillis(revocation.at_ms),
        until: revocation.until_ms.map(UtcMillis),
        by: revocation.by.clone(),
    };
    match revocation.of.clone() {
        Of::User(name) => shown.user = Some(name),
        Of::Token(jti) => shown.token = Some(jti),
        Of::Display(id) => shown.display = Some(id),
    }
    shown
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
