//! A day of an operator at a real server: enroll, list, group, push, remove; each command as it is typed.
#![cfg(all(feature = "tools", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use support::server::{Server, pikiosk};

/// Runs a command against the server; what it said, with this run's own words replaced.
fn said(server: &Server, key_file: &str, args: &[&str]) -> String {
    let mut command = pikiosk(args);
    command.env("PIKIOSK_SERVER", server.url()).env("PIKIOSK_KEY_FILE", key_file);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    format!("{told}exit {}", output.status.code().unwrap()).replace(&server.url(), "http://SERVER")
}

fn enroll(server: &Server, code: &str) -> Value {
    let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let key = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let reply = server.post("/v1/enroll", &json!({ "code": code, "public_key": key }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn a_display_is_enrolled_grouped_pushed_to_while_it_is_away_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let key = folder.path().join("server/operator.key");
    let key = key.to_str().unwrap();
    let said = |args: &[&str]| said(&server, key, args);

    let offer = said(&["enroll", "--display", "lobby"]);
    let code = offer.lines().find_map(|line| line.strip_prefix("code     ")).unwrap();
    // What is printed can be pasted: the configuration takes it as it is.
    let (_, pasted) = offer.split_once("[display]").unwrap();
    let (pasted, _) = pasted.split_once("\nnote: ").unwrap();
    let config = folder.path().join("kiosk.toml");
    fs::write(&config, format!("[display]{}", pasted.replace("http://SERVER", &server.url()))).unwrap();
    assert_eq!(said(&["config", "check", "--config", config.to_str().unwrap()]), "kiosk.toml: ok\nexit 0");
    assert_eq!(enroll(&server, code), json!({ "display": "lobby" }));

    let label = said(&["displays", "label", "lobby", "Lobby, left of the lift"]);
    assert!(label.ends_with("exit 0"), "{label}");
    let group = said(&["displays", "group", "lobby", "ground", "shops"]);
    assert!(group.contains("ground, shops"), "{group}");
    insta::assert_snapshot!(said(&["displays"]), @"
    DISPLAY  IS          LABEL                    GROUPS         ON THE GLASS  VERSION
    lobby    never seen  Lobby, left of the lift  ground, shops
    exit 0
    ");

    insta::assert_snapshot!(said(&["push", "group/shops", "message", "text=Hello", "--wait", "100ms"]), @"
    error: failed to show it on every display: no word yet from lobby
    hint: a display that is away gets it when it comes back; pikiosk displays tells which are connected
    exit 22
    ");
    let output = said(&["push", "lobby", "navigate", "url=https://example.org/", "--wait", "0s", "--id", "morning"]);
    assert_eq!(output, "published to display/lobby as morning\nexit 0");
    // The same id again is the same event.
    let again: Value = serde_json::from_str(
        said(&["push", "lobby", "navigate", "url=https://example.org/", "--wait", "0s", "--id", "morning", "--json"])
            .trim_end_matches("exit 0"),
    )
    .unwrap();
    assert_eq!((again["id"].as_str(), again["offset"].as_str()), (Some("morning"), Some("1")));

    assert_eq!(said(&["displays", "remove", "lobby"]), "lobby is removed\nexit 0");
    insta::assert_snapshot!(said(&["push", "lobby", "reload"]), @"
    error: failed to push: the server says: display `lobby` is not enrolled
    hint: pikiosk displays lists the displays that the server knows
    exit 2
    ");
    insta::assert_snapshot!(said(&["displays", "remove", "lobby"]), @"
    error: failed to remove the display: the server says: no such display is enrolled
    hint: pikiosk displays lists the displays that the server knows
    exit 2
    ");
}
