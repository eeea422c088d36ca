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
    assert_eq!(said(&["config", "check", config.to_str().unwrap()]), "kiosk.toml: ok\nexit 0", "as people type it");
    let empty = folder.path().join("kiosk-empty.toml");
    std::fs::write(&empty, "# nothing\n").unwrap();
    let path = empty.to_str().unwrap();
    assert_eq!(said(&["config", "check", path]), format!("kiosk.toml: ok, but {path} sets nothing\nexit 0"));
    let both = said(&["config", "check", path, "--config", path]);
    assert!(both.contains("two files are named") && both.ends_with("exit 2"), "{both}");
    assert_eq!(enroll(&server, code), json!({ "display": "lobby" }));

    assert!(!offer.contains("already"), "{offer}");
    let label = said(&["displays", "label", "lobby", "Lobby, left of the lift"]);
    assert!(label.ends_with("exit 0"), "{label}");
    let group = said(&["displays", "group", "lobby", "ground", "shops"]);
    assert!(group.contains("ground, shops"), "{group}");
    insta::assert_snapshot!(said(&["displays"]), @"
    DISPLAY  IS          LABEL                    GROUPS         ON THE GLASS  VERSION
    lobby    never seen  Lobby, left of the lift  ground, shops
    exit 0
    ");

    let ungroup = said(&["displays", "ungroup", "lobby", "ground"]);
    assert!(ungroup.starts_with("lobby (Lobby, left of the lift) is in shops\n"), "{ungroup}");
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

    assert!(said(&["displays", "rename", "lobby", "foyer"]).contains("foyer"));
    assert!(said(&["displays", "rename", "foyer", "lobby"]).ends_with("exit 0"), "and back");
    let audit = said(&["audit"]);
    let acts: Vec<_> = audit.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let changes = ["display.change", "display.change", "display.change", "display.rename", "display.rename"];
    assert_eq!(acts, [&["enrollment.create", "display.enroll"][..], &changes].concat(), "{audit}");

    let again = said(&["enroll", "--display", "lobby"]);
    assert!(again.contains("note: there is a lobby already; whoever uses this code takes its place"), "{again}");

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

#[test]
fn keys_are_made_used_and_revoked_and_codes_come_as_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let first = folder.path().join("server/operator.key");
    let as_first = |args: &[&str]| said(&server, first.to_str().unwrap(), args);
    let made = as_first(&["keys", "create", "cash desk", "--to", "group/shops", "--command", "message"]);
    let key = made.lines().next().unwrap();
    assert!(key.starts_with("pko_") && made.ends_with("exit 0"), "{made}");
    let desk = folder.path().join("desk.key");
    fs::write(&desk, key).unwrap();
    let as_desk = |args: &[&str]| said(&server, desk.to_str().unwrap(), args);
    assert!(as_desk(&["push", "group/shops", "message", "text=Hello", "--wait", "0s"]).ends_with("exit 0"));
    assert!(as_desk(&["push", "group/shops", "reload", "--wait", "0s"]).ends_with("exit 20"));
    assert!(as_desk(&["keys"]).ends_with("exit 20"));

    let listed = as_first(&["keys"]);
    let line = listed.lines().find(|line| line.contains("cash desk")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..5], ["cash", "desk", "message", "group/shops"], "{listed}");
    assert!(!listed.contains(key), "{listed}");
    let id = line.split_whitespace().next().unwrap();
    assert_eq!(as_first(&["keys", "revoke", id]), format!("{id} is revoked\nexit 0"));
    assert!(as_desk(&["push", "group/shops", "message", "text=Hello", "--wait", "0s"]).ends_with("exit 20"));
    let own = as_first(&["keys", "--json"]);
    let own: Value = serde_json::from_str(own.trim_end_matches("exit 0")).unwrap();
    let last = as_first(&["keys", "revoke", own[0]["id"].as_str().unwrap()]);
    assert!(last.contains("make another one first") && last.ends_with("exit 2"), "{last}");
    assert!(as_first(&["keys", "create", "x"]).ends_with("exit 2"), "it says what a key is for");

    let list = as_first(&["enroll", "--count", "3", "--prefix", "shop-", "--csv"]);
    let rows: Vec<_> = list.lines().take(4).collect();
    assert_eq!(rows[0], "id,server,code");
    assert!(rows[3].starts_with("shop-03,http://SERVER,"), "{list}");
}
