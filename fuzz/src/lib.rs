//! What is fuzzed: each parser of what strangers send, with what must hold whatever comes, and bytes to begin with.
//!
//! The same functions are used twice: by cargo-fuzz, guided by coverage (`make fuzz`), and by tests/fuzz.rs with plain
//! random mutations, on a stable compiler, in every `make test`.

use pikiosk::{
    auth::{display_key, enrollment, jwt, ticket},
    config::ServerSettings,
    event::{Address, Event, command, frame, time::UtcMillis},
    server::{accept::head::Head, ingest::message, socket::reader::Reader},
};

const NOW: u64 = 1_777_896_000_000;

/// A parser under test.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "envelope", run: envelope, seeds: EVENTS },
    Target {
        name: "address",
        run: address,
        seeds: &[b"all", b"display/lobby-1", b"group/foyer", b"user/zo\xc3\xab.m"],
    },
    Target { name: "frames", run: frames, seeds: FRAMES },
    Target { name: "ticket", run: ticket, seeds: TICKETS },
    Target { name: "token", run: token, seeds: TOKENS },
    Target { name: "handshake", run: handshake, seeds: HEADS },
    Target { name: "websocket", run: websocket, seeds: SOCKETS },
    Target { name: "amqp", run: amqp, seeds: MESSAGES },
    Target { name: "settings", run: settings, seeds: SETTINGS },
];

/// An event that is read is written so that it is read as the same again.
pub fn envelope(bytes: &[u8]) {
    let _ = Event::batch_from_json(bytes);
    if let Ok(event) = Event::from_json(bytes) {
        let again = Event::from_json(event.to_json().as_bytes()).expect("what we write we can read");
        assert_eq!(event, again);
        let _ = command::meaning(&event);
    }
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let headers = [("id", part()), ("source", part()), ("type", part())];
    let _ = Event::from_binary(headers, Some("application/json"), part());
}

/// An address is written as it is read.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address));
    }
    let _ = text.parse::<UtcMillis>();
    let _ = message::address(text);
}

/// Either side's frames.
pub fn frames(bytes: &[u8]) {
    if let Ok(event) = Event::from_json(bytes) {
        let _ = frame::ClientFrame::read(&event);
        let _ = frame::ServerFrame::read(event);
    }
}

/// Tickets, enrollment codes and keys, as people and other programs write them.
pub fn ticket(bytes: &[u8]) {
    let _ = ticket::judge(bytes, NOW);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (ticket::is_ticket(text), enrollment::code_hash(text), display_key::public_key_from_text(text));
    }
}

/// Nothing that is made up is believed.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let material = jwt::Material::Secret(b"nobody who fuzzes knows this one");
    let key = jwt::JwtKey::new("k".into(), jwt::Algorithm::HS256, material, Vec::new(), Vec::new())
        .expect("it is long enough");
    let keys = jwt::JwtKeys::new(vec![key]).expect("there is one");
    assert!(keys.verify(text, NOW).is_err(), "a made-up token is believed: {text}");
    let _ = jwt::has_form(text);
}

/// The first bytes of a connection: a head that is read lies within them.
pub fn handshake(bytes: &[u8]) {
    if let Head::Socket(_, length) = Head::read(bytes) {
        assert!(length <= bytes.len());
    }
}

/// What a client says does not depend on how its bytes are cut by the network.
pub fn websocket(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = Reader::new(1024);
        let (mut answers, mut seen) = (Vec::new(), Vec::new());
        for piece in pieces {
            answers.extend(reader.take(piece));
            while let Some(one) = reader.take_next() {
                seen.push(one);
            }
        }
        (seen, answers)
    };
    let whole = read(&mut std::iter::once(bytes));
    let cut = read(&mut bytes.chunks(usize::from(*cut) + 1));
    assert_eq!(whole.0.len(), cut.0.len(), "{:?} and {:?}", whole.0, cut.0);
    assert_eq!(whole, cut);
}

/// A message of a broker: `key NEWLINE id NEWLINE body`.
pub fn amqp(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(key), Some(id), Some(body)) = (parts.next(), parts.next(), parts.next()) else { return };
    let (Ok(routing_key), Ok(id)) = (std::str::from_utf8(key), std::str::from_utf8(id)) else { return };
    let id = Some(id).filter(|id| !id.is_empty());
    let _ = message::read(message::Message { routing_key, body, id, ..Default::default() }, "fresh", NOW);
}

/// server.toml.
pub fn settings(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = ServerSettings::from_text(text);
    }
}

const EVENTS: &[&[u8]] = &[
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.navigate","subject":"all","data":{"url":"https://a/"}}"#,
    br#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-01-02T03:04:05Z","offset":"7","epoch":"e","x":1}"#,
    br#"[{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"aGk="}]"#,
    b"1\ns\nt\n{\"a\":1}",
];
const FRAMES: &[&[u8]] = &[
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.resume","data":{"positions":{"all":{"epoch":"e","offset":"4"}}}}"#,
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.receipt","data":{"event":"e1","status":"done","took_ms":1}}"#,
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.health","data":{"uptime_s":1}}"#,
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.call","data":{"task":"a","args":[1],"kwargs":{"b":2}}}"#,
    br#"{"specversion":"1.0","id":"1","source":"s","type":"kiosk.auth","data":{"token":"x"}}"#,
];
const TICKETS: &[&[u8]] = &[
    br#"{"user": "anna", "time": "04:05:2026:12:00:00"}"#,
    br#"{"user": "anna", "time": "04:05:2026:12:00:00", "display": "lobby"}"#,
    b"wstoken0123456789abcdef0123456789abcdef",
    b"K7QP-4M2X-9RTV",
];
const TOKENS: &[&[u8]] = &[
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
    b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.AAAA",
];
const HEADS: &[&[u8]] = &[
    b"GET /v1/ws?ws_token=wstoken00 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
];
const SOCKETS: &[&[u8]] = &[
    b"\x03\x81\x82\x01\x02\x03\x04ik\x89\x80\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8",
    b"\x00\x01\x81\x00\x00\x00\x00a\x80\x81\x00\x00\x00\x00b",
    b"\x07\x81\xfe\x01\x00\x00\x00\x00\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
const MESSAGES: &[&[u8]] = &[
    b"commands.lobby\nid1\n{\"command\":\"navigate\",\"url\":\"https://a/\"}",
    b"commands.group.foyer\n\n{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}",
    b"commands.user.anna.b\n\nplain text",
];
const SETTINGS: &[&[u8]] = &[
    b"listen = \"127.0.0.1:8400\"\ndata = \"d\"\n[store]\nkind = \"memory\"\n",
    b"[[auth.jwt]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret_file = \"s\"\n[amqp]\nurl = \"amqp://h/\"\n[limits]\nsocket_queue = 9\n",
];
