//! The HTTP side as a client sees it that sends what no library would.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use pikiosk::auth::display_key::DisplayKey;
use serde_json::{Value, json};
use support::{
    http,
    server::{Server, event},
    socket::FakeDisplay,
    wait::{seconds, until},
};

#[test]
fn every_operation_of_the_openapi_document_exists_and_answers_errors_as_problems() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let document = server.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10);
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let path = path.replace("{id}", "nobody").replace("{event}", "nothing");
            // Without a key, and with a body that is none: every one of them has something to say.
            let reply = http::request(server.address, &method.to_uppercase(), &path, &[], b"{", seconds(60)).unwrap();
            assert_ne!(reply.status, 405, "{method} {path}");
            assert!(!reply.text().contains("there is nothing at"), "{method} {path}");
            if reply.status >= 400 {
                assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{method} {path}");
                assert_eq!(reply.json()["status"], reply.status, "{method} {path}");
            }
        }
    }
    let wrong = http::request(server.address, "PUT", "/v1/events", &[], b"", seconds(60)).unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
}

/// Where a value is not what a schema of the document says; the first place.
fn misfit(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{at}: {name}"));
        return misfit(document, schema, value, at);
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[any].as_array() {
            let misfits: Vec<String> =
                choices.iter().filter_map(|choice| misfit(document, choice, value, at)).collect();
            if misfits.len() == choices.len() {
                return Some(misfits.join(", and "));
            }
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    if !(allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number")) {
        return Some(format!("{at} is {kind}, and should be {allowed:?}"));
    }
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let (Some(missing), true) = (names.clone().find(|name| value.get(name).is_none()), value.is_object()) {
        return Some(format!("{at} has no {missing}"));
    }
    if let (Some(known), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, member) in members {
            let at = format!("{at}.{name}");
            match known.get(name) {
                None => return Some(format!("{at} is not in the document")),
                Some(schema) => {
                    if let Some(misfit) = misfit(document, schema, member, &at) {
                        return Some(misfit);
                    }
                }
            }
        }
    }
    let items = value.as_array().into_iter().flatten().enumerate();
    items
        .filter(|_| schema["items"].is_object())
        .find_map(|(n, item)| misfit(document, &schema["items"], item, &format!("{at}[{n}]")))
}

#[test]
fn what_is_answered_is_what_the_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let document = server.get("/openapi.json").json();
    let display = FakeDisplay::enroll(&server, "lobby", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(display.clone().live());
    until("the display is there", seconds(20), || {
        (server.get("/v1/displays/lobby").json()["connected"] == true).then_some(())
    });
    let (id, _) = server.publish("display/lobby", "identify", &json!({}), Some("10s"));

    let key = DisplayKey::from_seed([9; 32]).public_text();
    let code = server.enrollment("hall");
    let command = event("display/lobby", "kiosk.identify", &json!({}));
    let asked = [
        ("get", "/healthz", "/healthz".to_owned(), json!(null)),
        ("get", "/readyz", "/readyz".to_owned(), json!(null)),
        ("get", "/v1/nonce", "/v1/nonce".to_owned(), json!(null)),
        ("get", "/v1/presence", "/v1/presence".to_owned(), json!(null)),
        ("get", "/v1/displays", "/v1/displays".to_owned(), json!(null)),
        ("get", "/v1/displays/{id}", "/v1/displays/lobby".to_owned(), json!(null)),
        ("patch", "/v1/displays/{id}", "/v1/displays/lobby".to_owned(), json!({"label": "Lobby"})),
        ("get", "/v1/events/{id}", format!("/v1/events/{id}"), json!(null)),
        ("post", "/v1/events", "/v1/events".to_owned(), event("all", "org.example.tick", &json!(1))),
        ("post", "/v1/events", "/v1/events?wait=10s".to_owned(), command),
        ("post", "/v1/tickets", "/v1/tickets".to_owned(), json!({"user": "ada"})),
        ("post", "/v1/enrollments", "/v1/enrollments".to_owned(), json!({"display": "hall"})),
        ("post", "/v1/enroll", "/v1/enroll".to_owned(), json!({"code": code, "public_key": key})),
        ("get", "/v1/events/{id}", "/v1/events/nothing".to_owned(), json!(null)),
    ];
    for (method, route, path, body) in asked {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = server.request(&method.to_uppercase(), &path, body.as_bytes()).unwrap();
        let responses = &document["paths"][route][method]["responses"];
        let (schema, kind) = match responses.get(reply.status.to_string()) {
            Some(response) => (&response["content"]["application/json"]["schema"], "application/json"),
            None => {
                let kind = "application/problem+json";
                (&responses["default"]["content"][kind]["schema"], kind)
            }
        };
        assert_eq!(reply.header("content-type"), Some(kind), "{method} {path}: {}", reply.text());
        assert!(schema.is_object(), "{method} {path}: {} is not in the document: {responses}", reply.status);
        assert_eq!(misfit(&document, schema, &reply.json(), ""), None, "{method} {path}: {}", reply.text());
    }
}

/// Sends bytes and reads what comes until the server closes.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(seconds(60))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_no_http_ends_its_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000));
    let many: String = (0..5_000).map(|n| format!("x{n}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\x00\x00",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/enroll HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        let answer = raw(&server, bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn a_body_that_is_too_large_is_refused_by_its_declared_length_and_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let head = |more: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Type: application/cloudevents+json\r\n{more}\r\n",
            server.key
        )
    };
    let asked = raw(&server, head("Content-Length: 99999999999\r\nExpect: 100-continue\r\n").as_bytes());
    assert!(asked.starts_with("HTTP/1.1 413") && !asked.contains("100 Continue"), "{asked}");
    let mut chunked = head("Transfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let sent = raw(&server, &chunked);
    assert!(sent.starts_with("HTTP/1.1 413") && sent.contains("problem+json"), "{sent}");
    let packed = raw(&server, head("Content-Encoding: gzip\r\nContent-Length: 2\r\n").as_bytes());
    assert!(packed.starts_with("HTTP/1.1 415"), "{packed}");
}

#[test]
fn a_kept_connection_answers_publishes_in_order_however_they_come_and_then_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let publish = |id: &str, size: usize, more: &str| {
        let data = "x".repeat(size);
        let body = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"t","subject":"user/anna","data":"{data}"}}"#
        );
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{more}\
             Content-Type: application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{body}",
            server.key,
            body.len()
        )
    };
    let refused = publish("refused", 1, "").replace("Bearer ", "Bearer x");
    let unread = publish("unread", 1, "").replace("specversion", "specversiom");
    let last = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = [&publish("1", 1, ""), &refused, &unread, &publish("2", 20_000, ""), &publish("3", 1, ""), last].concat();
    let answers = |text: &str| -> Vec<String> {
        let answers = text.split("HTTP/1.1 ").skip(1);
        let seen = |answer: &str| {
            let id = answer.split(r#"{"id":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            format!("{} {id}", &answer[..3]).trim().to_owned()
        };
        answers.map(seen).collect()
    };
    let expected = ["202 1", "401", "400", "202 2", "202 3", "200"];
    let at_once = raw(&server, all.as_bytes());
    assert_eq!(answers(&at_once), expected, "{at_once}");
    assert!(at_once.contains("\r\ndate: ") && at_once.contains("\r\ncontent-type: application/json\r\n"), "{at_once}");

    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(seconds(20))).unwrap();
    for piece in all.as_bytes().chunks(97) {
        stream.write_all(piece).unwrap();
    }
    let mut in_pieces = String::new();
    stream.read_to_string(&mut in_pieces).unwrap();
    assert_eq!(answers(&in_pieces), expected, "repeats, each in many pieces: {in_pieces}");

    // What the server does not read by itself goes on from there, and so does a publish after it.
    let (large, waits) = (publish("4", 40_000, ""), publish("5", 1, "").replace("/v1/events", "/v1/events?wait=1ms"));
    let ends = publish("6", 1, "Connection: close\r\n");
    let mixed = raw(&server, [publish("1", 1, ""), large, publish("1", 1, ""), waits, ends].concat().as_bytes());
    let statuses: Vec<String> = answers(&mixed).iter().map(|answer| answer[..3].to_owned()).collect();
    assert_eq!(statuses, ["202", "202", "202", "200", "202"], "{mixed}");
    let mut half = TcpStream::connect(server.address).unwrap();
    half.set_read_timeout(Some(seconds(20))).unwrap();
    let whole = publish("7", 1, "");
    half.write_all(&whole.as_bytes()[..whole.len() - 1]).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(half.read_to_end(&mut Vec::new()).unwrap(), 0, "what never came whole is not answered");
}

#[test]
fn what_waits_too_long_for_a_display_that_is_away_expires_and_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let display = support::socket::FakeDisplay::enroll(&server, "lobby", 1);
    let mut reload = event(&format!("display/{}", display.id), "kiosk.reload", &json!({}));
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    reload["expirytime"] = soon.to_string().into();
    let reply = server.post("/v1/events?wait=20s", &reload);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["receipts"][0]["status"], "expired", "{}", reply.text());
    assert_eq!(reply.json()["pending"], json!([]));
}
