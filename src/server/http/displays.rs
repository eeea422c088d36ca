//! `/v1/displays`: who is enrolled, how they are, and what they put beside their receipts.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    Problem,
    answers::{CopiedAnswer, DisplayAnswer},
    request::{self, Named},
};
use crate::{
    auth::display_key,
    event::{DisplayId, GroupName, frame::CloseCode, receipt::RESULT_MAX, time::UtcMillis},
    server::{
        App,
        directory::Copied,
        store::{Control, DisplayPatch, DisplayRow, StoredResult},
    },
};

/// The longest label, in characters.
const LABEL_MAX: usize = 200;
/// The most groups of one display: each is an address that its socket listens to.
const GROUPS_MAX: usize = 32;

/// `GET /v1/displays`: a list, by id.
pub async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<DisplayAnswer>>, Problem> {
    request::operator(&app, request.headers()).await?;
    let connected = connected(&app).await?;
    let rows = app.store.displays().await?;
    let mut copied = app.directory.all_copied().await?;
    Ok(Json(rows.iter().map(|row| shown(row, connected.contains(&row.id), copied.remove(&row.id))).collect()))
}

/// `GET /v1/displays/{id}`.
pub async fn get(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Json<DisplayAnswer>, Problem> {
    request::operator(&app, request.headers()).await?;
    let row = enrolled(&app, &id).await?;
    answered(&app, &row).await
}

/// What of a display is to change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DisplayPatch")]
pub struct Patch {
    label: Option<String>,
    groups: Option<BTreeSet<GroupName>>,
    /// false: it was not copied after all, or no longer is.
    copied: Option<bool>,
}

/// `PATCH /v1/displays/{id}` {label, groups}. New groups reach a connected display by its coming back at once.
pub async fn patch(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Json<DisplayAnswer>, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::operator(&app, &parts.headers).await?;
    let before = enrolled(&app, &id).await?;
    let patch: Patch = request::json(&parts.headers, body).await?;
    let refused = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    if patch
        .label
        .as_ref()
        .is_some_and(|label| label.chars().count() > LABEL_MAX || label.chars().any(char::is_control))
    {
        return Err(refused(format!("a label has at most {LABEL_MAX} characters, none of them control characters")));
    }
    if patch.groups.as_ref().is_some_and(|groups| groups.len() > GROUPS_MAX) {
        return Err(refused(format!("a display is in at most {GROUPS_MAX} groups")));
    }
    if patch.copied == Some(true) {
        return Err(refused("that a card was copied is seen by itself: `copied` can only be taken back".to_owned()));
    }
    if patch.copied == Some(false) {
        app.directory.forget_copied(&before.id).await?;
    }
    let row = app.store.patch_display(&before.id, DisplayPatch { label: patch.label, groups: patch.groups }).await?;
    if row.groups != before.groups {
        app.store
            .announce(Control::cut_display(&row.id, CloseCode::GoingAway, "your groups changed, come back"))
            .await?;
    }
    let now = json!({ "label": row.label, "groups": row.groups });
    app.note(&principal, "display.change", row.id.as_str(), now).await;
    answered(&app, &row).await
}

/// `DELETE /v1/displays/{id}`: its socket is closed with 4502.
pub async fn delete(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let principal = request::operator(&app, request.headers()).await?;
    let row = enrolled(&app, &id).await?;
    app.store.remove_display(&row.id, app.now_ms()).await?;
    let removed = CloseCode::DisplayRemoved;
    app.store.announce(Control::cut_display(&row.id, removed, removed.reason())).await?;
    app.directory.forget_names_of(&row.id).await?;
    app.directory.forget_copied(&row.id).await?;
    app.note(&principal, "display.remove", row.id.as_str(), ()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/displays/{id}/screenshot`: the newest picture the display has put. To take one, publish `kiosk.screenshot`.
pub async fn screenshot(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Response, Problem> {
    request::operator(&app, request.headers()).await?;
    let row = enrolled(&app, &id).await?;
    let result = app.store.latest_result(&row.id, "image/").await?;
    let absent = || Problem::new(StatusCode::NOT_FOUND, "no screenshot yet: publish kiosk.screenshot to this display");
    Ok(sent(result.ok_or_else(absent)?))
}

/// `PUT /v1/displays/{id}/results/{event}`: by the display itself, with a fresh ticket of its own or its JWT.
pub async fn put_result(
    State(app): State<Arc<App>>,
    Named((id, event)): Named<(String, String)>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    // Judged before the ticket is spent.
    if request::declares_more(&parts.headers, RESULT_MAX) {
        return Err(request::too_large(&parts.headers, body, RESULT_MAX).await);
    }
    let principal = request::principal_or_ticket(&app, &parts.headers).await?;
    // It may not have learned its new name yet.
    let asked: Option<DisplayId> = id.parse().ok();
    let called = asked.map(|id| app.directory.renamed(&id).unwrap_or(id));
    if principal.display.is_none() || principal.display != called {
        return Err(Problem::new(StatusCode::FORBIDDEN, "only this display puts its results"));
    }
    let row = enrolled(&app, called.as_ref().map_or(id.as_str(), DisplayId::as_str)).await?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("application/octet-stream").to_owned();
    let body = request::body(&parts.headers, body, RESULT_MAX).await?;
    app.store.put_result(&row.id, &event, &kind, body, app.now_ms()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/displays/{id}/results/{event}`, by an operator.
pub async fn get_result(
    State(app): State<Arc<App>>,
    Named((id, event)): Named<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    request::operator(&app, request.headers()).await?;
    let row = enrolled(&app, &id).await?;
    let result = app.store.result(&row.id, &event).await?;
    let absent = || Problem::new(StatusCode::NOT_FOUND, "this display has put no result for that event");
    Ok(sent(result.ok_or_else(absent)?))
}

/// A result as a page of the server's own origin may not run: a display's bytes are not to be trusted.
fn sent(result: StoredResult) -> Response {
    let mut response = result.body.into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(&result.content_type);
    headers.insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(event) = HeaderValue::from_str(&result.event) {
        headers.insert("pikiosk-event", event);
    }
    if let Ok(taken) = HeaderValue::from_str(&UtcMillis(result.taken_ms).to_string()) {
        headers.insert("pikiosk-taken", taken);
    }
    response
}

/// The displays that are connected, to any node.
async fn connected(app: &App) -> Result<HashSet<DisplayId>, Problem> {
    let mut connected = app.hub.connected().await?;
    connected.extend(app.store.presence_elsewhere(app.now_ms()).await?.into_iter().filter_map(|one| one.display));
    Ok(connected)
}

pub(super) async fn enrolled(app: &App, id: &str) -> Result<DisplayRow, Problem> {
    let absent = || Problem::new(StatusCode::NOT_FOUND, "no such display is enrolled");
    let id: DisplayId = id.parse().map_err(|_| absent())?;
    match (app.store.display(&id).await?, app.directory.renamed(&id)) {
        (Some(row), _) => Ok(row),
        (None, Some(now)) => Err(Problem::new(StatusCode::NOT_FOUND, format!("this display is called `{now}` now"))),
        (None, None) => Err(absent()),
    }
}

/// A display as it is answered.
pub(super) async fn answer(app: &App, id: &DisplayId) -> Result<Json<DisplayAnswer>, Problem> {
    let row = enrolled(app, id.as_str()).await?;
    answered(app, &row).await
}

async fn answered(app: &App, row: &DisplayRow) -> Result<Json<DisplayAnswer>, Problem> {
    let connected = connected(app).await?.contains(&row.id);
    Ok(Json(shown(row, connected, app.directory.copied(&row.id).await?)))
}

fn shown(row: &DisplayRow, connected: bool, copied: Option<Copied>) -> DisplayAnswer {
    let last_seen = row.last_seen_ms.map(UtcMillis);
    DisplayAnswer {
        id: row.id.clone(),
        label: row.label.clone(),
        groups: row.groups.clone(),
        connected,
        last_seen,
        missing_since: last_seen.filter(|_| !connected),
        enrolled: UtcMillis(row.enrolled_ms),
        public_key: display_key::public_key_text(&row.public_key),
        copied: copied.map(|Copied { first_ms, last_ms, times }| CopiedAnswer {
            first: UtcMillis(first_ms),
            last: UtcMillis(last_ms),
            times,
        }),
        health: row.health.as_deref().cloned(),
    }
}
