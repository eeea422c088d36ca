//! `/v1/presence`, `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    Problem,
    answers::{PresenceAnswer, SocketAnswer, StatusAnswer},
    request,
};
use crate::{
    event::time::UtcMillis,
    server::{App, hub::Gone, store::Present},
};

/// `GET /v1/presence`: who is connected now, by an operator.
pub async fn presence(State(app): State<Arc<App>>, request: Request) -> Result<Json<PresenceAnswer>, Problem> {
    request::operator(&app, request.headers()).await?;
    let mut present = app.hub.present().await?;
    present.extend(app.store.presence_elsewhere(app.now_ms()).await?);
    let one = |socket: Present| SocketAnswer {
        name: socket.name,
        display: socket.display,
        since: UtcMillis(socket.since_ms),
    };
    Ok(Json(PresenceAnswer { sockets: present.into_iter().map(one).collect() }))
}

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<StatusAnswer> {
    Json(StatusAnswer { status: "ok" })
}

/// `GET /readyz`: the hub and the store answer.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<StatusAnswer>, Problem> {
    if app.goodbye.has_begun() {
        // A load balancer sends nobody here any more.
        return Err(Gone.into());
    }
    app.hub.counts().await?;
    app.store.heads(&[crate::event::Address::All]).await?;
    Ok(Json(StatusAnswer { status: "ready" }))
}

/// `GET /metrics`: OpenMetrics text.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let counts = app.hub.counts().await?;
    let text =
        app.witness.metrics.text(&counts, &app.store.stats(), &format!("{}{}", app.broker.text(), app.calls.text()));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
