//! `GET /v1/audit`: who did what.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{Problem, answers::AuditAnswer, request};
use crate::{
    event::time::UtcMillis,
    server::{App, directory::Entry},
};

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
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<AuditAnswer>>, Problem> {
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
    let one = |(id, entry): (String, Entry)| {
        let Entry { at_ms, who, what, on, more } = entry;
        AuditAnswer { id, time: UtcMillis(at_ms), who, what, on, more }
    };
    Ok(Json(entries.into_iter().map(one).collect()))
}
