//! How a display gets its own key known, and how anybody gets a ticket.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Problem,
    answers::{CodeAnswer, EnrolledAnswer, NonceAnswer, TicketAnswer},
    request,
};
use crate::{
    auth::{
        Principal, display_key, enrollment, nonce,
        ticket::{Grant, Taken},
    },
    event::{DisplayId, address::UserName, frame::CloseCode, time::UtcMillis},
    server::{
        App, Settings,
        store::{Control, Redeem},
    },
};

/// Whom a code is for, if it is for one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EnrollmentRequest")]
pub struct Offer {
    display: Option<DisplayId>,
}

/// `POST /v1/enrollments` [{display}] -> 201 {code, expires}.
pub async fn offer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    request::operator(&app, &parts.headers).await?;
    let offer: Offer = request::json(&parts.headers, body).await?;
    let (code, expires_ms) =
        app.store.create_enrollment(offer.display.clone(), enrollment::LIFE_MS, app.now_ms()).await?;
    let answer = CodeAnswer { code, expires: UtcMillis(expires_ms), display: offer.display };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// A code, and the key that is to be known from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    code: String,
    public_key: String,
    display: Option<DisplayId>,
}

/// `POST /v1/enroll` {code, public_key, display?} -> {display}.
pub async fn enroll(State(app): State<Arc<App>>, request: Request) -> Result<Json<EnrolledAnswer>, Problem> {
    let (parts, body) = request.into_parts();
    let enroll: Enroll = request::json(&parts.headers, body).await?;
    let public_key = display_key::public_key_from_text(&enroll.public_key)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("public_key: {error}")))?;
    let redeem = Redeem { code: enroll.code, public_key, display: enroll.display };
    let enrolled = app.store.redeem(redeem, app.now_ms()).await?;
    if enrolled.replaced {
        app.store
            .announce(Control::cut_display(&enrolled.display, CloseCode::DisplayRemoved, "this display has a new key"))
            .await?;
    }
    tracing::info!(display = %enrolled.display, "enrolled");
    Ok(Json(EnrolledAnswer { display: enrolled.display }))
}

/// `GET /v1/nonce` -> {nonce, expires}: for one ticket request, within 60 s.
pub async fn nonce(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let now_ms = app.now_ms();
    let mut random = [0; 12];
    (app.store.randomness())(&mut random);
    let nonce = nonce::make(&app.store.secret(), random, now_ms);
    let answer = NonceAnswer { nonce, expires: UtcMillis(now_ms + nonce::LIFE_MS) };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Whom a ticket is for.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TicketRequest {
    Display(ByDisplay),
    User(ForUser),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ByDisplay {
    display: DisplayId,
    nonce: String,
    signature: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ForUser {
    user: UserName,
}

/// `POST /v1/tickets`: {user} by an operator, or {display, nonce, signature} by a display -> {ticket, expires}.
pub async fn ticket(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let wanted: Value = request::json(&parts.headers, body).await?;
    let wanted: TicketRequest = serde_json::from_value(wanted).map_err(|_| {
        let detail = "send {\"user\": NAME} as an operator, or {\"display\", \"nonce\", \"signature\"} as a display";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    let now_ms = app.now_ms();
    let grant = match wanted {
        TicketRequest::User(ForUser { user }) => {
            request::operator(&app, &parts.headers).await?;
            Grant { user, display: None }
        }
        TicketRequest::Display(wanted) => {
            by_display(&app, &parts.headers, &wanted, now_ms).await?;
            let user = wanted.display.as_str().parse().map_err(|_| Problem::unauthorized())?;
            Grant { user, display: Some(wanted.display) }
        }
    };
    let minted = app.tickets.mint(&grant, now_ms).await?;
    let answer = TicketAnswer { ticket: minted.key, expires: UtcMillis(minted.expires_ms) };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// The nonce is spent by a good signature only: what is remembered of it cannot be made to grow by others.
async fn by_display(app: &App, headers: &HeaderMap, wanted: &ByDisplay, now_ms: u64) -> Result<(), Problem> {
    let refused = |why: &dyn std::fmt::Display| {
        tracing::info!(display = %wanted.display, %why, "a display's ticket request is refused");
        Problem::unauthorized()
    };
    let end_ms = nonce::check(&app.store.secret(), &wanted.nonce, now_ms)
        .ok_or_else(|| refused(&"its nonce was never given, or is over 60 s old"))?;
    let row = app.store.display(&wanted.display).await?.ok_or_else(|| refused(&"it is not enrolled"))?;
    let own = Grant {
        user: wanted.display.as_str().parse().map_err(|_| Problem::unauthorized())?,
        display: Some(wanted.display.clone()),
    };
    let own = Principal::from_ticket(Taken { grant: own, minted_ms: now_ms });
    app.trust.stands(&own, now_ms).map_err(|why| refused(&why))?;
    let origins = own_origins(&app.settings, headers);
    let verify = |origin: &String| {
        display_key::verify_ticket_request(&row.public_key, origin, &wanted.display, &wanted.nonce, &wanted.signature)
    };
    if !origins.iter().any(|origin| verify(origin).is_ok()) {
        return Err(refused(&format!("its signature is not by its key over one of {origins:?}")));
    }
    if !app.store.use_once(&format!("nonce {}", wanted.nonce), end_ms, now_ms).await? {
        return Err(refused(&"its nonce was used before"));
    }
    Ok(())
}

/// What this server may be called by its displays: the one name that `[auth] name` gives it. Without that, the host that the request names, with either scheme, since a proxy in
/// front may speak TLS; what such a proxy says the host was; and what `[auth] origins` lists.
///
/// The signature names the origin so that one server's displays cannot be taken to another. A name that the request
/// brings itself is no proof of that; but who could use it has to be the display's own configured server already. A
/// server that is reachable by a second name, or shares its displays' trust with others, sets `[auth] name`.
fn own_origins(settings: &Settings, headers: &HeaderMap) -> Vec<String> {
    if let Some(name) = &settings.name {
        return vec![name.clone()];
    }
    let named = |name: &str| headers.get(name).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    let hosts = [named("host"), named("x-forwarded-host")].into_iter().flatten();
    let of_request = hosts.flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}")));
    of_request.chain(settings.origins.iter().map(|origin| origin.trim_end_matches('/').to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_as_its_displays_call_it_also_behind_a_proxy() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:8400".parse().unwrap());
        headers.insert("x-forwarded-host", "Push.example.org".parse().unwrap());
        let listed = Settings { origins: vec!["https://listed.example".to_owned()], ..Settings::default() };
        let origins = own_origins(&listed, &headers);
        for origin in ["http://127.0.0.1:8400", "https://push.example.org", "https://listed.example"] {
            assert!(origins.iter().any(|one| one == origin), "{origin} {origins:?}");
        }
        assert_eq!(origins.len(), 5);
        let named = Settings { name: Some("https://push.example.org".to_owned()), ..listed };
        assert_eq!(own_origins(&named, &headers), ["https://push.example.org"], "its name and nothing else");
    }
}
