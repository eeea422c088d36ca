//! `/v1/presence`, `/healthz`, `/readyz`, `/metrics`.

use std::{fmt::Write, sync::Arc};

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
    server::{App, hub::Gone, store::Present, tasks::STATES},
};

/// `GET /v1/presence`: who is connected now, by an operator.
pub async fn presence(State(app): State<Arc<App>>, request: Request) -> Result<Json<PresenceAnswer>, Problem> {
    request::operator(&app, request.headers())?;
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

/// `GET /metrics`: Prometheus text (exposition format 0.0.4). Totals only, no names: it is open to whoever can connect.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let (sockets, displays, delivered) = app.hub.counts().await?;
    let stats = app.store.stats();
    let broker = app.broker.numbers();
    let calls = app.calls.numbers();
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("pikiosk_sockets", "gauge", "WebSockets open.", sockets as u64),
        ("pikiosk_displays_connected", "gauge", "Displays connected.", displays as u64),
        ("pikiosk_events_total", "counter", "Fresh events stored since the start.", stats.events),
        ("pikiosk_deliveries_total", "counter", "Events handed to sockets since the start.", delivered),
        ("pikiosk_commits_total", "counter", "Durable commits of the store since the start.", stats.commits),
        ("pikiosk_operations_total", "counter", "Writes answered by the store since the start.", stats.operations),
        ("pikiosk_store_failures_total", "counter", "Writes that failed on the disk since the start.", stats.failures),
        ("pikiosk_amqp_connected", "gauge", "1 while RabbitMQ is connected.", broker.connected.into()),
        ("pikiosk_amqp_consuming", "gauge", "1 while this server takes events from RabbitMQ.", broker.consuming.into()),
        ("pikiosk_amqp_messages_total", "counter", "Messages of RabbitMQ that were stored.", broker.messages),
        ("pikiosk_amqp_dead_letters_total", "counter", "Messages of RabbitMQ that cannot be used.", broker.dead_letters),
        ("pikiosk_amqp_failures_total", "counter", "Connections to RabbitMQ that failed or were lost.", broker.failures),
        ("pikiosk_calls_open", "gauge", "Tasks that pages and displays wait for.", calls.open as u64),
        ("pikiosk_store_bytes", "gauge", "Size of the store's file.", stats.file_bytes),
    ] {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    text.push_str("# HELP pikiosk_calls_total Calls of tasks that ended, by the state that was told.\n");
    text.push_str("# TYPE pikiosk_calls_total counter\n");
    for (state, count) in STATES.iter().zip(calls.ended) {
        let _ = writeln!(text, "pikiosk_calls_total{{state=\"{state}\"}} {count}");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
