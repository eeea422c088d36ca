//! `POST /v1/events` and `GET /v1/events/{id}`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Problem,
    request::{self, Named},
};
use crate::{
    event::{Address, DisplayId, Event, Position, Receipt, envelope::EnvelopeError},
    server::{
        App, clock,
        metrics::By,
        publishing::{EVENT_MAX, prepare},
        store::{EventRecord, Published, StoreError},
    },
};

/// The longest `?wait=`.
const WAIT_MAX: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostQuery {
    wait: Option<String>,
}

/// `POST /v1/events`: 202 with positions, or with `?wait=` 200 with receipts, once all of the batch is on disk.
pub async fn post(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let principal = request::principal(&app, &parts.headers).await?;
    let query: PostQuery = request::query(parts.uri.query())?;
    let wait = query.wait.as_deref().map(wait_time).transpose()?;
    let mode = mode(&parts.headers)?;
    let limit =
        if mode == Mode::Batch { app.settings.publish_bytes } else { app.settings.publish_bytes.min(EVENT_MAX) };
    let body = request::body(&parts.headers, body, limit).await?;
    let events = read(mode, &parts.headers, &body)?;

    clock::settle(&app).await;
    let now_ms = app.now_ms();
    app.rates.publish(&principal, events.len(), app.clock.running_ms())?;
    let in_batch = |problem: Problem, index| if mode == Mode::Batch { problem.at(index) } else { problem };
    let mut batch = Vec::with_capacity(events.len());
    let mut known: BTreeMap<usize, Published> = BTreeMap::new();
    // The place in the request of each event that goes to the store.
    let mut order = Vec::with_capacity(events.len());
    let mut sources = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let (id, source) = (event.id.clone(), event.source.clone());
        match prepare(event, &principal, now_ms) {
            Ok(publish) => {
                order.push(index);
                batch.push(publish);
            }
            Err(error) => {
                // A repeat gets the first answer whatever its body, so it is looked up before it is refused.
                let problem = Problem::from(error);
                let first = if problem.status == StatusCode::FORBIDDEN {
                    None
                } else {
                    app.store.event(&id, Some(&source)).await?
                };
                let Some(first) = first else { return Err(in_batch(problem, index)) };
                known.insert(index, repeat(id, &first));
            }
        }
        sources.push(source);
    }
    let subjects: Vec<(usize, Option<Address>)> =
        order.into_iter().zip(batch.iter().map(|one| one.event.subject.clone())).collect();
    let not_stored = |error: StoreError| {
        let of = |id: &DisplayId| {
            let to = Some(Address::Display(id.clone()));
            subjects.iter().find(|(_, subject)| *subject == to).map(|(index, _)| *index)
        };
        let index = if let StoreError::NotEnrolled(id) | StoreError::QueueFull { display: id, .. } = &error {
            of(id)
        } else {
            None
        };
        let problem = Problem::from(error);
        index.map_or(problem.clone(), |index| in_batch(problem, index))
    };
    let fresh =
        if batch.is_empty() { Vec::new() } else { app.publish(By::Http, batch, now_ms).await.map_err(not_stored)? };
    let mut fresh = fresh.into_iter();
    let mut published = Vec::with_capacity(sources.len());
    for (index, source) in sources.into_iter().enumerate() {
        published.extend(known.remove(&index).or_else(|| fresh.next()).map(|one| Placed { published: one, source }));
    }

    let Some(wait) = wait else {
        // Nearly every publish: its answer is written straight from what the store said.
        let places: Vec<Place<'_>> = published.iter().map(|one| Place::of(&one.published)).collect();
        let accepted = StatusCode::ACCEPTED;
        return Ok(match places.first() {
            Some(only) if mode != Mode::Batch => (accepted, Json(only)).into_response(),
            _ => (accepted, Json(&places)).into_response(),
        });
    };
    let answers = super::waiting::receipts(&app, &published, wait).await?;
    let body = if mode == Mode::Batch { answers.into() } else { answers.into_iter().next().unwrap_or_default() };
    Ok(Json::<Value>(body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetQuery {
    source: Option<String>,
}

/// `GET /v1/events/{id}`: the event with its receipts so far. Without `?source=` the newest of that id.
pub async fn get(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    request::operator(&app, request.headers()).await?;
    let query: GetQuery = request::query(request.uri().query())?;
    let record = app.store.event(&id, query.source.as_deref()).await?;
    let record = record.ok_or_else(|| {
        let known: String = id.chars().take(80).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("no event `{known}` is known (any more)"))
    })?;
    let event: Value = serde_json::from_str(record.event.text.as_str()).unwrap_or_default();
    let mut answer = outcome(&record);
    answer["id"] = record.event.event.id.clone().into();
    answer["address"] = record.event.address.to_string().into();
    answer["epoch"] = record.event.position.epoch.clone().into();
    answer["offset"] = record.event.position.offset.to_string().into();
    answer["event"] = event;
    Ok(Json(answer))
}

/// A published event, with the `source` that names it together with its `id`.
#[derive(Debug)]
pub struct Placed {
    pub published: Published,
    pub source: String,
}

/// Where an event stands, as it is answered.
#[derive(Serialize)]
struct Place<'a> {
    id: &'a str,
    address: &'a Address,
    #[serde(flatten)]
    position: &'a Position,
}

impl<'a> Place<'a> {
    fn of(published: &'a Published) -> Self {
        Place { id: &published.id, address: &published.address, position: &published.position }
    }
}

/// The same, to be added to.
pub fn place(published: &Published) -> Value {
    serde_json::to_value(Place::of(published)).unwrap_or_default()
}

/// What became of an event so far: `receipts` and the displays that still owe one.
pub fn outcome(record: &EventRecord) -> Value {
    json!({
        "receipts": record.receipts.iter().map(|(display, receipt)| with_display(display.as_str(), receipt)).collect::<Vec<_>>(),
        "pending": record.pending,
    })
}

/// A receipt with the display that gave it.
pub fn with_display(display: &str, receipt: &Receipt) -> Value {
    let mut value = serde_json::to_value(receipt).unwrap_or_default();
    value["display"] = display.into();
    value
}

fn repeat(id: String, first: &EventRecord) -> Published {
    Published {
        id,
        address: first.event.address.clone(),
        position: first.event.position.clone(),
        commit: first.event.commit,
        fresh: false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Structured,
    Batch,
    Binary,
}

/// CloudEvents HTTP binding §3.1: the content type decides, then whether there are `ce-` headers.
fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let unsupported = |detail: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let mut parts = kind.as_deref().unwrap_or_default().split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if media.starts_with("application/cloudevents") {
        if parts.any(|part| {
            part.starts_with("charset=") && part.trim_matches('"') != "charset=utf-8" && part != "charset=\"utf-8\""
        }) {
            return unsupported("events are UTF-8");
        }
        return match media {
            "application/cloudevents+json" => Ok(Mode::Structured),
            "application/cloudevents-batch+json" => Ok(Mode::Batch),
            _ => {
                unsupported("events are JSON here: application/cloudevents+json or application/cloudevents-batch+json")
            }
        };
    }
    if headers.keys().any(|name| name.as_str().starts_with("ce-")) {
        return Ok(Mode::Binary);
    }
    unsupported("send application/cloudevents+json, application/cloudevents-batch+json, or ce-* headers (binary mode)")
}

fn read(mode: Mode, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Problem> {
    let read = match mode {
        Mode::Structured => Event::from_json(body).map(|event| vec![event]),
        Mode::Batch => Event::batch_from_json(body),
        Mode::Binary => {
            let attributes = headers
                .iter()
                .filter_map(|(name, value)| name.as_str().strip_prefix("ce-").map(|name| (name, value.as_bytes())));
            let kind = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
            Event::from_binary(attributes, kind, body).map(|event| vec![event])
        }
    };
    read.map_err(|error| match &error {
        EnvelopeError::InBatch { index, .. } => Problem::new(StatusCode::BAD_REQUEST, error.to_string()).at(*index),
        EnvelopeError::BatchSize(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        _ => Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
    })
}

/// Reads `10s`, `500ms`, `2m` or plain seconds.
fn wait_time(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wait = number.parse::<u32>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" | "" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(60 * u64::from(number))),
        _ => None,
    });
    wait.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "`wait` is a time of at most 2 minutes, for example 10s or 500ms")
    })
}
