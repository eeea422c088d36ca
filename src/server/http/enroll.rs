//! How a display gets its own key known, and how anybody gets a ticket.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    answers::{CodeAnswer, CodesAnswer, EnrolledAnswer, NonceAnswer, TicketAnswer},
    request,
};
use crate::{
    auth::{display_key, enrollment, nonce, ticket::Grant},
    event::{DisplayId, address::UserName, frame::CloseCode, time::UtcMillis},
    server::{
        App, Settings,
        directory::Entry,
        store::{Control, Redeem},
    },
};

/// The most codes that are made at once.
const COUNT_MAX: u32 = 1_000;

/// Whom a code is for, if it is for one; or how many codes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EnrollmentRequest")]
pub struct Offer {
    display: Option<DisplayId>,
    /// So many codes, 1 to 1000.
    count: Option<u32>,
    /// With `count`: they are for displays called so, with a number behind it: shop-01, shop-02, ...
    prefix: Option<String>,
}

/// `POST /v1/enrollments` [{display}] -> 201 {code, expires}; {count, prefix?} -> 201 {enrollments}.
pub async fn offer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::operator(&app, &parts.headers).await?;
    let Offer { display, count, prefix } = request::json(&parts.headers, body).await?;
    let wanted = wanted(display, count, prefix.as_deref())
        .map_err(|detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))?;
    for id in wanted.iter().flatten() {
        free_of_old_names(&app, id)?;
    }
    let now_ms = app.now_ms();
    let codes = join_all(wanted.into_iter().map(async |display| {
        let made = app.store.create_enrollment(display.clone(), enrollment::LIFE_MS, now_ms).await;
        made.map(|(code, expires_ms)| CodeAnswer { code, expires: UtcMillis(expires_ms), display })
    }));
    let mut codes = codes.await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let displays: Vec<&DisplayId> = codes.iter().filter_map(|code| code.display.as_ref()).collect();
    app.note(&principal, "enrollment.create", "", json!({ "count": codes.len(), "displays": displays })).await;
    let answer = match count {
        Some(_) => CodesAnswer::Many { enrollments: codes },
        None => CodesAnswer::One(codes.remove(0)),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Which displays codes are to be made for; None: for whoever asks. At least one.
fn wanted(
    display: Option<DisplayId>,
    count: Option<u32>,
    prefix: Option<&str>,
) -> Result<Vec<Option<DisplayId>>, String> {
    match (display, count, prefix) {
        (Some(_), Some(_), _) => Err("one display needs one code: leave `count` out, or write `prefix`".to_owned()),
        (_, None, Some(_)) => Err("`prefix` goes with `count`".to_owned()),
        (display, None, None) => Ok(vec![display]),
        (_, Some(count), _) if !(1..=COUNT_MAX).contains(&count) => Err(format!("`count` is 1 to {COUNT_MAX}")),
        (None, Some(count), None) => Ok(vec![None; count as usize]),
        (None, Some(count), Some(prefix)) => {
            let digits = count.to_string().len().max(2);
            let id = |n: u32| format!("{prefix}{n:0digits$}").parse().map(Some);
            (1..=count).map(id).collect::<Result<_, _>>().map_err(|error| format!("`prefix`: {error}"))
        }
    }
}

/// A display that still asks by its old name must not meet another one there.
fn free_of_old_names(app: &App, id: &DisplayId) -> Result<(), Problem> {
    match app.directory.renamed(id) {
        None => Ok(()),
        Some(now) => {
            let detail = format!("`{id}` is what `{now}` was called before, and it may still ask by that name");
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
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
    if let Some(wanted) = &enroll.display {
        free_of_old_names(&app, wanted)?;
    }
    let redeem = Redeem { code: enroll.code, public_key, display: enroll.display };
    let now_ms = app.now_ms();
    let enrolled = app.store.redeem(redeem, now_ms).await?;
    if enrolled.replaced {
        app.directory.forget_copied(&enrolled.display).await?;
        app.store
            .announce(Control::cut_display(&enrolled.display, CloseCode::DisplayRemoved, "this display has a new key"))
            .await?;
    }
    // A repeat of the answer is no second enrollment.
    if app.store.display(&enrolled.display).await?.is_some_and(|row| row.enrolled_ms == now_ms) {
        let (who, on) = (format!("display/{}", enrolled.display), enrolled.display.to_string());
        let more = json!({ "public_key": enroll.public_key, "replaced": enrolled.replaced });
        app.directory.note(Entry { at_ms: now_ms, who, what: "display.enroll".to_owned(), on, more }).await;
    }
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
            let id = by_display(&app, &parts.headers, &wanted, now_ms).await?;
            let user = id.as_str().parse().map_err(|_| Problem::unauthorized())?;
            Grant { user, display: Some(id) }
        }
    };
    let minted = app.tickets.mint(&grant, now_ms).await?;
    let answer = TicketAnswer { ticket: minted.key, expires: UtcMillis(minted.expires_ms), display: grant.display };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Which display asks: it may have been renamed and not know yet. The nonce is spent by a good signature only: what is
/// remembered of it cannot be made to grow by others.
async fn by_display(app: &App, headers: &HeaderMap, wanted: &ByDisplay, now_ms: u64) -> Result<DisplayId, Problem> {
    let refused = |why: &dyn std::fmt::Display| {
        tracing::info!(display = %wanted.display, %why, "a display's ticket request is refused");
        Problem::unauthorized()
    };
    let end_ms = nonce::check(&app.store.secret(), &wanted.nonce, now_ms)
        .ok_or_else(|| refused(&"its nonce was never given, or is over 60 s old"))?;
    let row = match (app.store.display(&wanted.display).await?, app.directory.renamed(&wanted.display)) {
        (Some(row), _) => Some(row),
        (None, Some(now)) => app.store.display(&now).await?,
        (None, None) => None,
    };
    let row = row.ok_or_else(|| refused(&"it is not enrolled"))?;
    app.trust.lets_in(&row.id, now_ms).map_err(|why| refused(&why))?;
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
    if row.id == wanted.display {
        // It knows its name: what it was called before is free.
        app.directory.forget_names_of(&row.id).await?;
    }
    Ok(row.id)
}

/// What this server may be called by its displays: the one name that `[auth] name` gives it. Without that, the host that
/// the request names, with either scheme, since a proxy in front may speak TLS; what such a proxy says the host was; and
/// what `[auth] origins` lists.
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
