//! `POST /v1/displays/{id}/rename`: a display goes on under another name, with its key, label, groups and state.
//!
//! The steps can be repeated: whoever is cut between two of them asks again and gets the rest. The old name is noted
//! first, so at no moment is there a display that gets no ticket.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    Problem,
    answers::DisplayAnswer,
    displays,
    request::{self, Named},
};
use crate::{
    event::{Address, DisplayId, frame::CloseCode},
    server::{
        App,
        store::{Control, DisplayRow, KeptDisplay, Publish, StoreError},
    },
};

/// The `source` of the state that is published again under the new name.
const SOURCE: &str = "pikiosk-server/rename";

/// The new name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rename")]
pub struct Wanted {
    to: DisplayId,
}

/// `POST /v1/displays/{id}/rename` {to} -> the display under its new name.
pub async fn post(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Json<DisplayAnswer>, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::operator(&app, &parts.headers).await?;
    let Wanted { to } = request::json(&parts.headers, body).await?;
    let row = match displays::enrolled(&app, &id).await {
        Ok(row) => row,
        // Asked again after it was done: the answer got lost.
        Err(absent) => {
            let done = id.parse().ok().and_then(|id: DisplayId| app.directory.renamed(&id)).filter(|now| *now == to);
            return if done.is_some() { displays::answer(&app, &to).await } else { Err(absent) };
        }
    };
    let taken = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    if row.id == to {
        return Err(taken(format!("it is called `{to}` already")));
    }
    if let Some(other) = app.directory.renamed(&to).filter(|other| *other != row.id) {
        return Err(taken(format!("`{to}` is what `{other}` was called before, and it may still ask by that name")));
    }
    if app.trust.lets_in(&row.id, app.now_ms()).is_err() {
        return Err(taken("this display is locked out, by its present name: lift that first".to_owned()));
    }
    let began = app.store.display(&to).await?;
    if began.is_some_and(|began| began.public_key != row.public_key) {
        return Err(taken(format!("there is a display `{to}` already")));
    }

    app.directory.rename(&row.id, &to, app.now_ms()).await?;
    let kept = KeptDisplay {
        label: row.label.clone(),
        groups: row.groups.clone(),
        public_key: row.public_key,
        enrolled_ms: row.enrolled_ms,
        last_seen_ms: row.last_seen_ms,
    };
    app.store.adopt_display(&to, kept).await?;
    bring_state(&app, &row, &to).await?;
    let copied = app.directory.copied(&row.id).await?;
    if let Some(copied) = copied {
        app.directory.move_copied(&row.id, &to, &copied).await?;
    }
    app.store.remove_display(&row.id, app.now_ms()).await?;
    app.store.announce(Control::cut_display(&row.id, CloseCode::GoingAway, "this display has a new name")).await?;
    app.note(&principal, "display.rename", row.id.as_str(), json!({ "to": to })).await;
    displays::answer(&app, &to).await
}

/// What was published to the old name, and not to a group or all, is published to the new one. A repeat adds nothing: the
/// ids come from what is repeated.
async fn bring_state(app: &App, row: &DisplayRow, to: &DisplayId) -> Result<(), StoreError> {
    let own = Address::Display(row.id.clone());
    let now_ms = app.now_ms();
    let state = app.store.backlog(&row.id, now_ms).await?.state;
    let of_old = state.iter().filter(|event| event.address == own);
    let batch: Vec<Publish> = of_old
        .map(|old| {
            let mut event = old.event.clone().to(Address::Display(to.clone()));
            (event.id, event.source) = (format!("{}-{}", row.id, old.commit), SOURCE.to_owned());
            event.position = None;
            Publish { event, command: old.kind, expires_ms: old.expires_ms }
        })
        .collect();
    if !batch.is_empty() {
        app.store.publish(batch, now_ms).await?;
    }
    Ok(())
}
