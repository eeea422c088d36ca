//! `GET /v1/audit`: who did what.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, request};
use crate::{event::time::UtcMillis, server::App};

/// Entries of one answer, and at most.
const USUAL: usize = 200;
const MOST: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    after: String,
    limit: Option<String>,
}

/// `GET /v1/audit[?after=ID][&limit=N]`: from the oldest that is kept, or from the one after `after`.
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Problem> {
    request::operator(&app, request.headers()).await?;
    let query: Query = request::query(request.uri().query())?;
    let number = query.limit.map(|text| text.parse().ok().filter(|limit| (1..=MOST).contains(limit)));
    let limit = match number {
        None => USUAL,
        Some(Some(limit)) => limit,
        Some(None) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, format!("`limit` is a number from 1 to {MOST}")));
        }
    };
    let entries = app.directory.audit(&query.after, limit).await?;
    let one = |(id, entry): &(String, crate::server::directory::Entry)| {
        let mut shown = json!({
            "id": id, "time": UtcMillis(entry.at_ms), "who": entry.who, "what": entry.what, "on": entry.on,
        });
        if !entry.more.is_null() {
            shown["more"] = entry.more.clone();
        }
        shown
    };
    Ok(Json(entries.iter().map(one).collect()))
}
