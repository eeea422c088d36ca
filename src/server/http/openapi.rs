//! `GET /openapi.json`: the HTTP side for other programs. Commands and their data come from the registry.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::event::command::REGISTRY;

/// Who may ask, in OpenAPI's words.
enum Who {
    Anybody,
    Bearer,
}

/// One operation: method, path, summary, who, the schema of its body, its good answers.
type Operation =
    (&'static str, &'static str, &'static str, Who, Option<&'static str>, &'static [(&'static str, &'static str)]);

const OPERATIONS: &[Operation] = &[
    (
        "post",
        "/v1/events",
        "Publishes an event, or all or none of a batch of them. With `wait`, the answer has the receipts so far.",
        Who::Bearer,
        Some("Event"),
        &[("202", "Placed"), ("200", "Outcome")],
    ),
    ("get", "/v1/events/{id}", "An event with its receipts so far.", Who::Bearer, None, &[("200", "Outcome")]),
    ("get", "/v1/displays", "Every enrolled display.", Who::Bearer, None, &[("200", "Displays")]),
    ("get", "/v1/displays/{id}", "One display.", Who::Bearer, None, &[("200", "Display")]),
    (
        "patch",
        "/v1/displays/{id}",
        "Changes its label, or its whole set of groups.",
        Who::Bearer,
        Some("DisplayPatch"),
        &[("200", "Display")],
    ),
    (
        "delete",
        "/v1/displays/{id}",
        "Forgets a display; its socket is closed with 4502.",
        Who::Bearer,
        None,
        &[("204", "")],
    ),
    (
        "get",
        "/v1/displays/{id}/screenshot",
        "The newest picture that the display has put.",
        Who::Bearer,
        None,
        &[("200", "Bytes")],
    ),
    (
        "put",
        "/v1/displays/{id}/results/{event}",
        "The display itself, with a fresh ticket or its JWT: a result of at most 8 MiB.",
        Who::Bearer,
        Some("Bytes"),
        &[("204", "")],
    ),
    (
        "get",
        "/v1/displays/{id}/results/{event}",
        "A result that the display has put.",
        Who::Bearer,
        None,
        &[("200", "Bytes")],
    ),
    (
        "post",
        "/v1/enrollments",
        "Makes a one-time code for a new display.",
        Who::Bearer,
        Some("EnrollmentRequest"),
        &[("201", "Enrollment")],
    ),
    (
        "post",
        "/v1/enroll",
        "A new display redeems its code for its own key.",
        Who::Anybody,
        Some("Enroll"),
        &[("200", "Enrolled")],
    ),
    ("get", "/v1/nonce", "For one ticket request of a display, within 60 s.", Who::Anybody, None, &[("200", "Nonce")]),
    (
        "post",
        "/v1/tickets",
        "A ticket that opens one WebSocket within 20 s: for a user, by an operator; or for a display, by its signature.",
        Who::Bearer,
        Some("TicketRequest"),
        &[("200", "Ticket")],
    ),
    (
        "post",
        "/v1/keys",
        "Makes an operator's key: for everything, or for some addresses and commands. Its text is told once.",
        Who::Bearer,
        Some("KeyRequest"),
        &[("201", "NewKey")],
    ),
    ("get", "/v1/keys", "Every operator's key, without its text.", Who::Bearer, None, &[("200", "Keys")]),
    ("delete", "/v1/keys/{id}", "Revokes an operator's key.", Who::Bearer, None, &[("204", "")]),
    (
        "post",
        "/v1/revocations",
        "Revokes what a user was given until now, one token by its jti, or a display; live sockets end with 4501.",
        Who::Bearer,
        Some("RevocationRequest"),
        &[("201", "Revocation")],
    ),
    ("get", "/v1/revocations", "The revocations that stand.", Who::Bearer, None, &[("200", "Revocations")]),
    ("delete", "/v1/revocations/{id}", "Lifts a revocation.", Who::Bearer, None, &[("204", "")]),
    ("get", "/v1/audit", "Who did what, the oldest first.", Who::Bearer, None, &[("200", "Audit")]),
    ("get", "/v1/presence", "Who is connected.", Who::Bearer, None, &[("200", "Presence")]),
    (
        "get",
        "/v1/ws",
        "The WebSocket (subprotocol cloudevents.json): a ticket or JWT as bearer, as ws_token or token, or as subprotocol bearer.<...>.",
        Who::Bearer,
        None,
        &[("101", "")],
    ),
    ("get", "/healthz", "The process answers.", Who::Anybody, None, &[("200", "Status")]),
    ("get", "/readyz", "The store answers.", Who::Anybody, None, &[("200", "Status")]),
    ("get", "/metrics", "Prometheus text.", Who::Anybody, None, &[("200", "Text")]),
    ("get", "/openapi.json", "This document.", Who::Anybody, None, &[("200", "Any")]),
];

pub async fn get() -> Json<Value> {
    Json(document())
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.1).or_insert_with(|| json!({}));
        path[operation.0] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "pikiosk event server", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An operator's key, or a JWT."}},
            "schemas": schemas(),
        },
    })
}

fn described((method, path, summary, who, body, answers): &Operation) -> Value {
    let parameter = |name: &str, place: &str, text: &str| json!({"name": name, "in": place, "required": place == "path", "description": text, "schema": {"type": "string"}});
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| parameter(name, "path", ""))
        .collect();
    match (*method, *path) {
        ("post", "/v1/events") => parameters.push(parameter("wait", "query", "10s, 500ms or 2m: at most 2 minutes")),
        ("get", "/v1/audit") => {
            parameters.push(parameter("after", "query", "the id of the last entry that is known"));
            parameters.push(parameter("limit", "query", "at most so many entries: 1 to 1000, else 200"));
        }
        ("get", "/v1/events/{id}") => parameters.push(parameter("source", "query", "else the newest of that id")),
        _ => {}
    }
    let mut responses: Map<String, Value> =
        answers.iter().map(|(status, schema)| ((*status).to_owned(), answer(schema))).collect();
    let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    responses.insert(
        "default".to_owned(),
        json!({"description": "RFC 9457", "content": {"application/problem+json": problem}}),
    );
    let mut described = json!({"summary": summary, "parameters": parameters, "responses": responses});
    described["security"] = if matches!(who, Who::Bearer) { json!([{"bearer": []}]) } else { json!([]) };
    if let Some(body) = body {
        described["requestBody"] = json!({"content": content(body)});
    }
    described
}

fn answer(schema: &str) -> Value {
    if schema.is_empty() {
        json!({"description": "done"})
    } else {
        json!({"description": schema, "content": content(schema)})
    }
}

fn content(schema: &str) -> Value {
    let of = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
    let batch = json!({"schema": {"type": "array", "maxItems": 1000, "items": {"$ref": "#/components/schemas/Event"}}});
    match schema {
        "Event" => json!({"application/cloudevents+json": of("Event"), "application/cloudevents-batch+json": batch}),
        "Bytes" => json!({"*/*": {}}),
        "Text" => json!({"text/plain": {}}),
        "Any" => json!({"application/json": {}}),
        name => json!({"application/json": of(name)}),
    }
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let texts = json!({"type": "array", "items": text});
    let place =
        json!({"id": text, "address": text, "epoch": text, "offset": {"type": "string", "pattern": "^[0-9]+$"}});
    let receipt = object(
        &["display", "event", "status"],
        &json!({
            "display": text, "event": text, "source": text, "error": text, "took_ms": {"type": "integer"},
            "status": {"enum": ["shown", "done", "failed", "refused", "expired", "superseded"]},
            "frame_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "result": {},
        }),
    );
    let mut outcome = place.clone();
    outcome["receipts"] = json!({"type": "array", "items": receipt});
    outcome["pending"] = texts.clone();
    outcome["event"] = json!({"$ref": "#/components/schemas/Event"});
    let display = json!({
        "id": text, "label": text, "groups": texts, "connected": {"type": "boolean"}, "last_seen": {"type": ["string", "null"]},
        "enrolled": time, "public_key": text, "health": {"type": ["object", "null"]},
    });
    let revocation = object(
        &["id", "revoked", "by"],
        &json!({
            "id": text, "user": text, "token": text, "display": text, "revoked": time,
            "until": {"type": ["string", "null"]}, "by": text,
        }),
    );
    let commands: Map<String, Value> = REGISTRY
        .iter()
        .map(|spec| {
            let mut schema = spec.schema();
            schema["description"] = spec.summary.into();
            (format!("kiosk.{}", spec.name), schema)
        })
        .collect();
    let mut all = json!({
        "Event": object(&["specversion", "id", "source", "type", "subject"], &json!({
            "specversion": {"const": "1.0"}, "id": text, "source": text, "time": time, "expirytime": time, "data": {},
            "type": {"type": "string", "description": "kiosk.<command>, with data by the schema of that name; or a type of your own, for the page"},
            "subject": {"type": "string", "description": "display/<id>, group/<name>, user/<name> or all"},
        })),
        "Placed": object(&["id", "address", "epoch", "offset"], &place),
        "Outcome": object(&["id", "address", "epoch", "offset", "receipts", "pending"], &outcome),
        "Display": object(&["id"], &display),
        "Displays": {"type": "array", "items": {"$ref": "#/components/schemas/Display"}},
        "DisplayPatch": object(&[], &json!({"label": text, "groups": texts})),
        "EnrollmentRequest": object(&[], &json!({"display": text})),
        "Enrollment": object(&["code", "expires"], &json!({"code": text, "expires": time, "display": {"type": ["string", "null"]}})),
        "Enroll": object(&["code", "public_key"], &json!({"code": text, "public_key": text, "display": text})),
        "Enrolled": object(&["display"], &json!({"display": text})),
        "Nonce": object(&["nonce", "expires"], &json!({"nonce": text, "expires": time})),
        "TicketRequest": {"oneOf": [
            object(&["user"], &json!({"user": text})),
            object(&["display", "nonce", "signature"], &json!({"display": text, "nonce": text, "signature": text})),
        ]},
        "Ticket": object(&["ticket", "expires"], &json!({"ticket": text, "expires": time})),
        "KeyRequest": object(&["name"], &json!({
            "name": text, "operator": {"type": "boolean"}, "pub": texts, "cmd": texts,
        })),
        "NewKey": object(&["id", "key", "name"], &json!({
            "id": text, "key": text, "name": text, "operator": {"type": "boolean"}, "pub": texts, "cmd": texts, "made": time,
        })),
        "Keys": {"type": "array", "items": object(&["id", "name"], &json!({
            "id": text, "name": text, "operator": {"type": "boolean"}, "pub": texts, "cmd": texts, "made": time,
        }))},
        "RevocationRequest": object(&[], &json!({
            "user": text, "token": {"type": "string", "description": "the token's jti"}, "display": text,
            "seconds": {"type": "integer", "minimum": 1, "description": "else until it is lifted"},
        })),
        "Revocation": revocation,
        "Revocations": {"type": "array", "items": {"$ref": "#/components/schemas/Revocation"}},
        "Audit": {"type": "array", "items": object(&["id", "time", "who", "what", "on"], &json!({
            "id": text, "time": time, "who": text, "what": text, "on": text, "more": {},
        }))},
        "Presence": object(&["sockets"], &json!({"sockets": {"type": "array", "items": {"type": "object"}}})),
        "Status": object(&["status"], &json!({"status": text})),
        "Problem": object(&["title", "status", "detail"], &json!({
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text,
            "index": {"type": "integer", "description": "which event of a batch, from 0"},
        })),
    });
    if let Some(all) = all.as_object_mut() {
        all.extend(commands);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_there_and_every_command_has_one() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for named in text.split("#/components/schemas/").skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        for spec in REGISTRY {
            assert!(schemas.contains_key(&format!("kiosk.{}", spec.name)), "{}", spec.name);
        }
    }
}
