//! The access log (`[log] access = true`): one JSON line on stdout for each request, and for each WebSocket that opens
//! and ends. Never a token: of a query only values that are known to be none are shown, and of a path no part that could
//! be one.
//!
//! Writing is a thread's: a reader of stdout that does not read costs lines (counted in
//! `pikiosk_access_lines_dropped_total`), never a request.

use std::{
    cell::RefCell,
    io::Write,
    net::SocketAddr,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use serde::Serialize;

use crate::event::{DisplayId, frame::CloseCode, time::UtcMillis};

/// Lines that wait for the thread: a second of a busy server.
const LINES: usize = 8192;
/// The longest part of a path or value of a query that is shown.
const PART_MAX: usize = 64;
/// Names of a query whose values are shown.
const SHOWN: [&str; 5] = ["wait", "source", "after", "limit", "from"];

tokio::task_local! {
    /// Who makes the request that this task serves.
    static WHO: RefCell<Option<String>>;
}

/// Notes who makes the request under way.
pub fn note_who(name: &str) {
    let _ = WHO.try_with(|who| who.replace(Some(name.to_owned())));
}

/// Runs a request; gives its result with who made it.
pub async fn noting<T>(request: impl Future<Output = T>) -> (T, Option<String>) {
    WHO.scope(RefCell::new(None), async {
        let done = request.await;
        (done, WHO.with(RefCell::take))
    })
    .await
}

/// The end of the log that servers write to; off, it takes nothing.
#[derive(Debug, Clone, Default)]
pub struct Access {
    lines: Option<SyncSender<String>>,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    at: UtcMillis,
    kind: &'static str,
    who: Option<&'a str>,
    from: Option<SocketAddr>,
    method: &'a str,
    path: &'a str,
    status: u16,
    ms: f64,
    /// Bytes of the bodies, as far as they were declared.
    r#in: u64,
    out: u64,
}

#[derive(Serialize)]
struct SocketLine<'a> {
    at: UtcMillis,
    kind: &'static str,
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'a DisplayId>,
    session: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Request<'a> {
    pub who: Option<&'a str>,
    pub from: Option<SocketAddr>,
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub status: u16,
    pub took: Duration,
    pub read: u64,
    pub written: u64,
}

/// A WebSocket.
#[derive(Debug, Clone, Copy)]
pub struct Socket<'a> {
    pub who: &'a str,
    pub display: Option<&'a DisplayId>,
    pub session: &'a str,
}

impl Access {
    /// Starts the thread that writes to stdout.
    pub fn start() -> Access {
        let (lines, waiting) = sync_channel(LINES);
        let writer = std::thread::Builder::new().name("access log".to_owned());
        match writer.spawn(move || write(&waiting, &mut std::io::stdout())) {
            Ok(_) => Access { lines: Some(lines) },
            Err(error) => {
                tracing::warn!(%error, "no access log: its thread does not start");
                Access::default()
            }
        }
    }

    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// False where a line was dropped.
    pub fn request(&self, request: &Request<'_>, now_ms: u64) -> bool {
        self.say(|| {
            to_line(&RequestLine {
                at: UtcMillis(now_ms),
                kind: "request",
                who: request.who,
                from: request.from,
                method: request.method,
                path: &shown(request.path, request.query),
                status: request.status,
                ms: milliseconds(request.took),
                r#in: request.read,
                out: request.written,
            })
        })
    }

    pub fn opened(&self, socket: &Socket<'_>, from: Option<SocketAddr>, now_ms: u64) -> bool {
        self.say(|| {
            let Socket { who, display, session } = *socket;
            to_line(&SocketLine {
                at: UtcMillis(now_ms),
                kind: "open",
                who,
                display,
                session,
                from,
                code: None,
                ms: None,
            })
        })
    }

    /// `code` is 1006 where the client was gone.
    pub fn closed(&self, socket: &Socket<'_>, code: Option<CloseCode>, since_ms: u64, now_ms: u64) -> bool {
        self.say(|| {
            let Socket { who, display, session } = *socket;
            let ms = Some(now_ms.saturating_sub(since_ms));
            let code = Some(code.map_or(1006, CloseCode::code));
            to_line(&SocketLine { at: UtcMillis(now_ms), kind: "close", who, display, session, from: None, code, ms })
        })
    }

    fn say(&self, line: impl FnOnce() -> String) -> bool {
        self.lines.as_ref().is_none_or(|lines| lines.try_send(line()).is_ok())
    }
}

fn to_line(line: &impl Serialize) -> String {
    // Texts and numbers: it does not fail.
    serde_json::to_string(line).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a request")]
fn milliseconds(took: Duration) -> f64 {
    took.as_micros() as f64 / 1_000.0
}

/// Writes until the last server is gone, or nobody reads any more.
fn write(waiting: &Receiver<String>, to: &mut impl Write) {
    while let Ok(first) = waiting.recv() {
        let mut together = first;
        together.push('\n');
        // What waits goes out in one write.
        for line in waiting.try_iter().take(LINES) {
            together.push_str(&line);
            together.push('\n');
        }
        if to.write_all(together.as_bytes()).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// A path and query without what could be a token.
fn shown(path: &str, query: Option<&str>) -> String {
    let part = |part: &str| if could_be_secret(part) { "…".to_owned() } else { part.to_owned() };
    let mut shown: String = path.split('/').map(part).collect::<Vec<_>>().join("/");
    for (n, (name, value)) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).take(16).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        shown.push_str(&part(&name));
        shown.push('=');
        shown.push_str(if SHOWN.contains(&name.as_ref()) && !could_be_secret(&value) { &value } else { "…" });
    }
    shown
}

/// A ticket, a JWT, an operator's key, or something that is long or strange enough to hold one.
fn could_be_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.len() > PART_MAX
        || lower.contains("wstoken")
        || lower.contains("eyj")
        || lower.contains("pko_")
        || text.contains(['%', '\r', '\n'])
        || crate::auth::operator_key::has_form(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str = "wstoken0123456789abcdef0123456789abcdef";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

    #[test]
    fn of_a_path_and_query_only_what_is_no_token_is_shown() {
        assert_eq!(shown("/v1/displays/lobby", None), "/v1/displays/lobby");
        assert_eq!(shown("/v1/events", Some("wait=10s")), "/v1/events?wait=10s");
        for secret in [TICKET, JWT, &"x".repeat(65)] {
            for shown in [
                shown(&format!("/v1/ws/{secret}"), None),
                shown("/v1/ws", Some(&format!("ws_token={secret}"))),
                shown("/v1/ws", Some(&format!("token={secret}&x=1"))),
                shown("/v1/ws", Some(secret)),
                shown("/v1/events", Some(&format!("wait={secret}"))),
                shown("/v1/events", Some(&format!("wait={}", secret.to_uppercase()))),
                shown(&format!("/{}", secret.replace('e', "%65").replace('w', "%77").replace('x', "%78")), None),
            ] {
                assert!(shown.contains('…') && !shown.contains(secret), "{shown}");
            }
        }
        assert_eq!(shown("/v1/ws", Some("toekn=abc")), "/v1/ws?toekn=…", "also where it is misspelt");
    }

    #[test]
    fn a_line_is_one_json_object_and_a_reader_that_does_not_read_costs_lines_only() {
        let (lines, waiting) = sync_channel(2);
        let access = Access { lines: Some(lines) };
        let request = Request {
            who: Some("ada\n\"x\""),
            from: None,
            method: "GET",
            path: "/v1/presence",
            query: None,
            status: 200,
            took: Duration::from_micros(1_234),
            read: 0,
            written: 17,
        };
        assert!(access.request(&request, 0));
        let socket = Socket { who: "lobby", display: None, session: "s" };
        assert!(access.closed(&socket, None, 1_000, 3_500));
        assert!(!access.request(&request, 0), "there is no room, and nobody waits");
        drop(access);
        let mut written = Vec::new();
        write(&waiting, &mut written);
        let text = String::from_utf8(written).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0]["who"].as_str(), lines[0]["ms"].as_f64()), (Some("ada\n\"x\""), Some(1.234)));
        assert_eq!((lines[1]["code"].as_u64(), lines[1]["ms"].as_u64()), (Some(1006), Some(2_500)));
    }

    #[tokio::test]
    async fn who_makes_a_request_is_noted_where_it_is_found_out() {
        let (answer, who) = noting(async {
            note_who("ada");
            7
        })
        .await;
        assert_eq!((answer, who.as_deref()), (7, Some("ada")));
        note_who("nobody asks");
        assert_eq!(noting(async {}).await.1, None);
    }
}
