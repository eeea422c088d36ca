//! Operators' keys: `POST` and `GET /v1/keys`, `DELETE /v1/keys/{id}`.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    request::{self, Named},
};
use crate::{
    auth::operator_key::OperatorKey,
    event::{Address, time::UtcMillis},
    server::{App, directory::KeyRemoval},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    #[serde(default)]
    operator: bool,
    #[serde(rename = "pub", default)]
    publishes: BTreeSet<Address>,
    #[serde(rename = "cmd", default)]
    commands: BTreeSet<String>,
}

/// `POST /v1/keys` {name, operator} or {name, pub, cmd} -> 201 {id, key, ...}: the only time that the key is told.
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::operator(&app, &parts.headers).await?;
    let Wanted { name, operator, publishes, commands } = request::json(&parts.headers, body).await?;
    let key = OperatorKey { name, hash: [0; 32], made_ms: app.now_ms(), operator, publishes, commands };
    key.check().map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let (id, text) = app.directory.make_key(key.clone()).await?;
    let mut answer = shown(&id, &key);
    app.note(&principal, "key.create", &id, answer.clone()).await;
    answer["key"] = text.into();
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `GET /v1/keys`.
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Problem> {
    request::operator(&app, request.headers()).await?;
    let keys = app.directory.keys().await?;
    Ok(Json(keys.iter().map(|(id, key)| shown(id, key)).collect()))
}

/// `DELETE /v1/keys/{id}`: counts at once on this node, on others within a moment.
pub async fn delete(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let principal = request::operator(&app, request.headers()).await?;
    match app.directory.remove_key(&id).await? {
        KeyRemoval::Unknown => Err(Problem::new(StatusCode::NOT_FOUND, "there is no such key")),
        KeyRemoval::Last => {
            let detail = "this is the last key that may do everything: make another one first";
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
        KeyRemoval::Done => {
            app.note(&principal, "key.revoke", &id, Value::Null).await;
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

fn shown(id: &str, key: &OperatorKey) -> Value {
    json!({
        "id": id, "name": key.name, "operator": key.operator, "pub": key.publishes, "cmd": key.commands,
        "made": UtcMillis(key.made_ms),
    })
}
