//! The commands that people type, as they see them: the binary itself against a server, text and exit code.
#![cfg(all(feature = "tools", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// A server with one operator key (`key`), which answers as the contract says and as each test wants.
struct FakeServer {
    address: String,
    seen: Arc<Seen>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Seen {
    published: Mutex<Vec<Value>>,
    outcomes: Mutex<Vec<Value>>,
}

impl FakeServer {
    /// `outcomes`: what `GET /v1/events/{id}` says, one after the other; the last one stays.
    fn start(outcomes: Vec<Value>) -> Self {
        let seen = Arc::new(Seen { outcomes: Mutex::new(outcomes), ..Seen::default() });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/events", post(publish))
            .route("/v1/events/{id}", get(outcome))
            .route("/v1/displays/lobby/results/{event}", get(async || "a picture"))
            .route("/v1/displays", get(displays))
            .route("/v1/displays/{id}", get(display).patch(display).delete(removed))
            .route("/v1/tickets", post(ticket))
            .route("/v1/enrollments", post(enrollment))
            .with_state(seen.clone());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { address, seen, _runtime: runtime }
    }

    fn pikiosk(&self, args: &[&str]) -> Output {
        pikiosk(args, &[("PIKIOSK_SERVER", &self.address), ("PIKIOSK_KEY", "key")])
    }

    fn published(&self) -> Vec<Value> {
        self.seen.published.lock().unwrap().clone()
    }
}

fn refused(headers: &HeaderMap) -> Option<Response> {
    let known = headers.get("authorization").is_some_and(|value| value == "Bearer key");
    (!known).then(|| problem(StatusCode::UNAUTHORIZED, "unauthorized"))
}

fn problem(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "title": "no", "status": status.as_u16(), "detail": detail }))).into_response()
}

async fn publish(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: String) -> Response {
    if let Some(refused) = refused(&headers) {
        return refused;
    }
    assert_eq!(headers["content-type"], "application/cloudevents+json");
    let event: Value = serde_json::from_str(&body).unwrap();
    let answer = json!({ "id": event["id"], "address": event["subject"], "epoch": "e", "offset": "1" });
    if event["subject"] == "display/nowhere" {
        return problem(StatusCode::NOT_FOUND, "display `nowhere` is not enrolled");
    }
    seen.published.lock().unwrap().push(event);
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn outcome(State(seen): State<Arc<Seen>>, Path(id): Path<String>) -> Response {
    let mut outcomes = seen.outcomes.lock().unwrap();
    let mut outcome = if outcomes.len() > 1 { outcomes.remove(0) } else { outcomes[0].clone() };
    outcome["id"] = id.into();
    outcome["address"] = seen.published.lock().unwrap()[0]["subject"].clone();
    outcome["epoch"] = "e".into();
    outcome["offset"] = "1".into();
    Json(outcome).into_response()
}

async fn displays(headers: HeaderMap) -> Response {
    refused(&headers).unwrap_or_else(|| {
        Json(json!([
            { "id": "lobby", "label": "Lobby, left of the lift", "groups": ["ground"], "connected": true,
              "health": { "url": "https://example.org/", "version": "0.1.0" } },
            { "id": "shop-2", "label": "", "groups": [], "connected": false },
        ]))
        .into_response()
    })
}

async fn display(Path(id): Path<String>) -> Response {
    Json(json!({ "id": id, "label": "Lobby", "groups": ["a", "b"], "connected": true, "health": { "load_1m": 0.5 } }))
        .into_response()
}

async fn removed() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

async fn ticket(body: Json<Value>) -> Response {
    assert_eq!(body["user"], "anna");
    Json(json!({ "ticket": "wstoken0123", "expires": "2026-05-04T12:00:20.000Z" })).into_response()
}

async fn enrollment(body: Json<Value>) -> Response {
    assert_eq!(body.0, json!({ "display": "lobby" }));
    Json(json!({ "code": "ABCD-EFGH", "expires": "2026-05-04T12:15:00.000Z" })).into_response()
}

fn pikiosk(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
    command.args(args).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

/// Stdout, stderr and the exit code as one text.
fn told(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}exit {}", output.status.code().unwrap())
}

fn shown(display: &str) -> Value {
    json!({ "display": display, "event": "x", "status": "shown", "took_ms": 132 })
}

#[test]
fn a_push_tells_each_display_as_it_ends_and_exits_0_when_all_have_shown_it() {
    let server = FakeServer::start(vec![
        json!({ "receipts": [], "pending": ["lobby", "shop-2"] }),
        json!({ "receipts": [shown("shop-2")], "pending": ["lobby"] }),
        json!({ "receipts": [shown("lobby"), shown("shop-2")], "pending": [] }),
    ]);
    let output =
        server.pikiosk(&["push", "all", "message", "text=Back in five minutes", "seconds=20", "level=warning"]);
    insta::assert_snapshot!(told(&output), @"
    shop-2                shown          132 ms
    lobby                 shown          132 ms
    all 2 displays are through
    exit 0
    ");
    let event = &server.published()[0];
    assert_eq!(event["type"], "kiosk.message");
    assert_eq!(event["data"], json!({ "text": "Back in five minutes", "seconds": 20, "level": "warning" }));
}

#[test]
fn a_push_that_is_not_shown_in_time_exits_22_and_says_who_is_missing() {
    let server = FakeServer::start(vec![json!({ "receipts": [shown("shop-2")], "pending": ["lobby"] })]);
    let output = server.pikiosk(&["push", "group/shops", "navigate", "url=https://example.org/", "--wait", "50ms"]);
    insta::assert_snapshot!(told(&output), @"
    shop-2                shown          132 ms
    error: failed to show it on every display: no word yet from lobby
    hint: a display that is away gets it when it comes back; pikiosk displays tells which are connected
    exit 22
    ");
}

#[test]
fn a_push_that_fails_says_why_and_exits_22() {
    let failed = json!({ "display": "lobby", "event": "x", "status": "failed", "took_ms": 8000,
        "error": "the page did not answer" });
    let server = FakeServer::start(vec![json!({ "receipts": [failed], "pending": [] })]);
    insta::assert_snapshot!(told(&server.pikiosk(&["push", "lobby", "reload"])), @"
    lobby                 failed        8000 ms  the page did not answer
    error: failed to show it on every display: 1 display could not
    hint: each line above says why; pikiosk push DISPLAY logs tells more
    exit 22
    ");
}

#[test]
fn a_result_is_printed_below_its_receipt_and_whole_as_json() {
    let done = json!({ "display": "lobby", "event": "x", "status": "done", "took_ms": 3,
        "result": { "version": "0.1.0" } });
    let server = FakeServer::start(vec![json!({ "receipts": [done], "pending": [] })]);
    insta::assert_snapshot!(told(&server.pikiosk(&["push", "lobby", "health"])), @r#"
    lobby                 done             3 ms
    {
      "version": "0.1.0"
    }
    exit 0
    "#);
    let output = server.pikiosk(&["push", "lobby", "health", "--json"]);
    let parsed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(parsed["receipts"][0]["result"]["version"], "0.1.0");
}

#[test]
fn a_screenshot_is_saved_where_it_was_asked_for() {
    let done = json!({ "display": "lobby", "event": "x", "status": "done", "took_ms": 210,
        "result": { "content_type": "image/png", "bytes": 9, "url": "/v1/displays/lobby/results/x" } });
    let server = FakeServer::start(vec![json!({ "receipts": [done], "pending": [] })]);
    insta::assert_snapshot!(told(&server.pikiosk(&["push", "lobby", "screenshot"])), @"
    lobby                 done           210 ms
      image/png, 9 bytes (--save FILE keeps it)
    exit 0
    ");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shot.png");
    let output = server.pikiosk(&["push", "lobby", "screenshot", "--save", file.to_str().unwrap()]);
    assert!(told(&output).contains("saved as"), "{}", told(&output));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "a picture");
}

#[test]
fn mistakes_in_a_push_are_told_before_anything_is_sent() {
    let server = FakeServer::start(vec![]);
    let mut all = String::new();
    for args in [
        &["push", "lobby", "mesage", "text=hi"] as &[&str],
        &["push", "lobby", "message"],
        &["push", "lobby", "message", "txt=hi"],
        &["push", "lobby", "message", "text=hi", "seconds=soon"],
        &["push", "lobby", "message", "text=hi", "level=loud"],
        &["push", "lobby", "screenshot", "--save", "/nowhere/lobby.png"],
        &["push", "lobby", "message", "text=hi", "seconds=0"],
        &["push", "lobby", "message", "hello"],
        &["push", "lobby", "playlist", "--data", "{items:[]}"],
        &["push", "lobby", "navigate", "url=javascript:alert(1)"],
        &["push", "lobby", "reload", "--ttl", "200h"],
    ] {
        let output = server.pikiosk(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        all.push_str(&format!("$ pikiosk {}\n{}\n", args.join(" "), told(&output)));
    }
    insta::assert_snapshot!(all);
    assert!(server.published().is_empty());
}

#[test]
fn the_server_that_is_down_or_refuses_is_told_with_its_exit_code() {
    let server = FakeServer::start(vec![]);
    insta::assert_snapshot!(told(&server.pikiosk(&["push", "nowhere", "reload"])), @"
    error: failed to push: the server says: display `nowhere` is not enrolled
    hint: pikiosk displays lists the displays that the server knows
    exit 2
    ");
    let wrong = [("PIKIOSK_SERVER", server.address.as_str()), ("PIKIOSK_KEY", "wrong")];
    let output = told(&pikiosk(&["displays"], &wrong));
    insta::assert_snapshot!(output.replace(&server.address, "http://SERVER"), @"
    error: failed to list the displays: the server at http://SERVER does not accept the key
    hint: is it this server's key? It is in operator.key, in the server's data folder
    exit 20
    ");
    insta::assert_snapshot!(told(&pikiosk(&["displays"], &[])), @"
    error: failed to use the server: no operator key was given
    hint: a new server writes its key into its data folder: export PIKIOSK_KEY_FILE=/var/lib/pikiosk-server/operator.key, or set PIKIOSK_KEY to the key
    exit 20
    ");
    // Bound and dropped: a port on which nothing listens.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{gone}");
    let output = told(&pikiosk(&["push", "lobby", "reload"], &[("PIKIOSK_SERVER", &address), ("PIKIOSK_KEY", "key")]));
    insta::assert_snapshot!(output.replace(&address, "http://SERVER"), @"
    error: failed to push: the server at http://SERVER cannot be reached: nothing listens there
    hint: is the server running, and is this its address? PIKIOSK_SERVER or --server names it
    exit 21
    ");
}

#[test]
fn displays_are_a_table_for_people_and_json_for_programs() {
    let server = FakeServer::start(vec![]);
    insta::assert_snapshot!(told(&server.pikiosk(&["displays"])), @"
    DISPLAY  IS          LABEL                    GROUPS  ON THE GLASS          VERSION
    lobby    connected   Lobby, left of the lift  ground  https://example.org/  0.1.0
    shop-2   never seen
    exit 0
    ");
    insta::assert_snapshot!(told(&server.pikiosk(&["displays", "group", "lobby", "a", "b"])), @"
    lobby (Lobby) is in a, b
    exit 0
    ");
    let shown = told(&server.pikiosk(&["displays", "show", "lobby"]));
    assert!(shown.contains("health.load_1m             0.5\n"), "{shown}");
    insta::assert_snapshot!(told(&server.pikiosk(&["displays", "remove", "lobby"])), @"
    lobby is removed
    exit 0
    ");
    let output = server.pikiosk(&["displays", "--json"]);
    let parsed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(parsed[0]["id"], "lobby");
}

#[test]
fn a_ticket_is_alone_on_stdout_and_an_enrollment_can_be_pasted() {
    let server = FakeServer::start(vec![]);
    assert_eq!(told(&server.pikiosk(&["ticket", "anna"])), "wstoken0123\nexit 0");
    let output = told(&server.pikiosk(&["enroll", "--display", "lobby"]));
    insta::assert_snapshot!(output.replace(&server.address, "http://SERVER"), @r#"
    code     ABCD-EFGH
    expires  2026-05-04T12:15:00.000Z

    Write this into the display's kiosk.toml (pikiosk flash and provision take it as --config); the code works once:

    [display]
    id = "lobby"

    [server]
    url = "http://SERVER"
    enrollment = "ABCD-EFGH"

    note: there is a lobby already; whoever uses this code takes its place

    note: http://SERVER is this machine; write the address at which the display reaches it
    exit 0
    "#);
}

/// Asks bash what it would offer behind these words.
fn bash_offers(words: &[&str]) -> Vec<String> {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_pikiosk"));
    let script = r#"
        PATH="$1:$PATH"; shift
        source <(pikiosk completions bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        _clap_complete_pikiosk pikiosk "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script, "bash"]).arg(binary.parent().unwrap()).arg("pikiosk").args(words);
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_then_their_keys_then_the_choices_of_a_key() {
    assert!(bash_offers(&["push", "lobby", "mes"]).contains(&"message".to_owned()));
    let keys = bash_offers(&["push", "lobby", "message", ""]);
    assert!(keys.starts_with(&["text=", "level=", "position=", "seconds="].map(str::to_owned)), "{keys:?}");
    assert_eq!(bash_offers(&["push", "lobby", "message", "level", "=", "al"]), ["alert"], "split as bash splits");
}

#[test]
fn what_was_left_out_is_asked_for_with_every_choice_there_is() {
    let key = told(&pikiosk(&["keys", "create", "anna"], &[]));
    assert!(key.contains("--operator") && key.contains("--to ADDRESS") && key.ends_with("exit 2"), "{key}");
    let drill = told(&pikiosk(&["drill"], &[]));
    assert!(drill.contains("browser-killed") && drill.contains("--all") && drill.ends_with("exit 2"), "{drill}");
}

#[test]
fn whoever_waits_for_a_display_is_told_so_and_longer_where_the_command_takes_longer() {
    let server = FakeServer::start(vec![json!({ "receipts": [], "pending": ["lobby"] })]);
    let push = told(&server.pikiosk(&["push", "lobby", "drill", "fault=browser-killed", "--wait", "2500ms"]));
    assert!(push.starts_with("waiting for lobby, up to 2 s …\n"), "{push}");
    let mut waits = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
    waits.args(["push", "lobby", "configure", "toml=", "--server", &server.address]).env("PIKIOSK_KEY", "key");
    let mut waits = waits.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(waits.stderr.take().unwrap()), &mut line).unwrap();
    waits.kill().unwrap();
    waits.wait().unwrap();
    assert_eq!(line, "waiting for lobby, up to 60 s …\n");
}
