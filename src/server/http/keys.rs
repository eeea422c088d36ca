//! Operators' keys: `POST` and `GET /v1/keys`, `DELETE /v1/keys/{id}`.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Problem,
    answers::{KeyAnswer, NewKeyAnswer},
    request::{self, Named},
};
use crate::{
    auth::operator_key::OperatorKey,
    event::{Address, time::UtcMillis},
    server::{App, directory::KeyRemoval},
};

/// What a key is to be called, and what it may do: `operator`, or `pub` and `cmd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyRequest")]
pub struct Wanted {
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
    let of = shown(&id, &key);
    app.note(&principal, "key.create", &id, of.clone()).await;
    let answer = NewKeyAnswer { key: text, of };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `GET /v1/keys`.
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<KeyAnswer>>, Problem> {
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
            app.note(&principal, "key.revoke", &id, ()).await;
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

fn shown(id: &str, key: &OperatorKey) -> KeyAnswer {
    KeyAnswer {
        id: id.to_owned(),
        name: key.name.clone(),
        operator: key.operator,
        publishes: key.publishes.clone(),
        commands: key.commands.clone(),
        made: UtcMillis(key.made_ms),
    }
}
