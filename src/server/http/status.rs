//! `/v1/presence`, `/healthz`, `/readyz`, `/metrics`.

use std::{fmt::Write, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Problem, request};
use crate::{event::time::UtcMillis, server::App};

/// `GET /v1/presence`: who is connected now, by an operator.
pub async fn presence(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Problem> {
    request::operator(&app, request.headers()).await?;
    let present = app.hub.present().await?;
    let one = |present: &crate::server::store::Present| json!({"name": present.name, "display": present.display, "since": UtcMillis(present.since_ms)});
    Ok(Json(json!({"sockets": present.iter().map(one).collect::<Vec<_>>()})))
}

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the hub and the store answer.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.hub.counts().await?;
    app.store.heads(&[crate::event::Address::All]).await?;
    Ok(Json(json!({"status": "ready"})))
}

/// `GET /metrics`: Prometheus text (exposition format 0.0.4). Totals only, no names: it is open to whoever can connect.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let (sockets, displays, delivered) = app.hub.counts().await?;
    let stats = app.store.stats();
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("pikiosk_sockets", "gauge", "WebSockets open.", sockets as u64),
        ("pikiosk_displays_connected", "gauge", "Displays connected.", displays as u64),
        ("pikiosk_events_total", "counter", "Fresh events stored since the start.", stats.events),
        ("pikiosk_deliveries_total", "counter", "Events handed to sockets since the start.", delivered),
        ("pikiosk_commits_total", "counter", "Durable commits of the store since the start.", stats.commits),
        ("pikiosk_operations_total", "counter", "Writes answered by the store since the start.", stats.operations),
        ("pikiosk_store_failures_total", "counter", "Writes that failed on the disk since the start.", stats.failures),
        ("pikiosk_store_bytes", "gauge", "Size of the store's file.", stats.file_bytes),
    ] {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
