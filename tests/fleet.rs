//! Many displays over years at a real server: enrolled by the dozen, renamed, copied; and who did it.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{
    server::Server,
    socket::{End, FakeDisplay, Socket},
    wait::{seconds, until},
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn acts(server: &Server) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = server.get("/v1/audit").json();
    let entries = entries.as_array().unwrap().iter();
    entries.map(|entry| (text(&entry["what"]), text(&entry["on"]), text(&entry["who"]))).collect()
}

#[test]
fn fifty_codes_are_made_at_once_and_each_enrolls_its_own_display() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let made = server.post("/v1/enrollments", &json!({"count": 50, "prefix": "shop-"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let made = made["enrollments"].as_array().unwrap();
    let codes: BTreeSet<_> = made.iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!((made.len(), codes.len()), (50, 50));
    assert_eq!((&made[0]["display"], &made[49]["display"]), (&json!("shop-01"), &json!("shop-50")));
    let any = server.post("/v1/enrollments", &json!({"count": 2})).json();
    assert_eq!(any["enrollments"][1]["display"], Value::Null);
    for bad in [
        json!({"count": 0}),
        json!({"count": 1001}),
        json!({"count": 2, "display": "lobby"}),
        json!({"prefix": "shop-"}),
        json!({"count": 2, "prefix": "Shop "}),
        json!({"count": 2, "prefix": "x".repeat(62)}),
    ] {
        assert_eq!(server.post("/v1/enrollments", &bad).status, 422, "{bad}");
    }
    let key = |seed: u8| pikiosk::auth::display_key::DisplayKey::from_seed([seed; 32]).public_text();
    let redeem = |code: &str, seed| server.post("/v1/enroll", &json!({"code": code, "public_key": key(seed)}));
    let code = made[6]["code"].as_str().unwrap();
    assert_eq!(redeem(code, 1).json(), json!({"display": "shop-07"}));
    assert_eq!(redeem(code, 1).json(), json!({"display": "shop-07"}), "the answer got lost");
    assert_eq!(redeem(code, 2).status, 401, "a code is good for one key");
    // Told once, with the key that is known from now on; and no code is in it.
    let enrolled: Vec<_> = acts(&server).into_iter().filter(|(what, ..)| what == "display.enroll").collect();
    assert_eq!(enrolled, [("display.enroll".into(), "shop-07".into(), "display/shop-07".into())]);
    let audit = server.get("/v1/audit").text();
    assert!(codes.iter().all(|code| !audit.contains(code)), "{audit}");
}

#[test]
fn a_renamed_display_keeps_its_key_groups_and_state_and_learns_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let runtime = runtime();
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    FakeDisplay::enroll(&server, "other", 2);
    let patched = server.request("PATCH", "/v1/displays/lobby", br#"{"label": "By the lift", "groups": ["shops"]}"#);
    assert_eq!(patched.unwrap().status, 200);
    server.publish("display/lobby", "navigate", &json!({"url": "https://own.example/"}), None);
    server.publish("group/shops", "zoom", &json!({"percent": 130}), None);
    let (waiting, _) = server.publish("display/lobby", "reload", &json!({}), None);
    let mut socket = runtime.block_on(Socket::open(server.address, &lobby.ticket().unwrap())).unwrap();

    let rename =
        |server: &Server, id: &str, to: &str| server.post(&format!("/v1/displays/{id}/rename"), &json!({"to": to}));
    for (id, to, status) in
        [("lobby", "other", 409), ("lobby", "lobby", 409), ("nobody", "x", 404), ("lobby", "No", 422)]
    {
        assert_eq!(rename(&server, id, to).status, status, "{id} {to}");
    }
    let renamed = rename(&server, "lobby", "foyer");
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    assert_eq!(renamed.json()["label"], "By the lift");
    assert_eq!(rename(&server, "lobby", "foyer").status, 200, "the answer got lost");
    assert!(matches!(runtime.block_on(socket.end()), End::Closed(4000, _)), "it is to come back at once");
    let record = server.get(&format!("/v1/events/{waiting}")).json();
    assert_eq!(record["receipts"][0]["status"], "failed", "what waits for the old name is told so: {record}");

    // It asks by the name it knows, also of a server that was started anew; the answer tells the new one.
    server.kill();
    server.start_again();
    let mut socket = runtime.block_on(Socket::open(server.address, &lobby.ticket().unwrap())).unwrap();
    let came: BTreeSet<String> = runtime.block_on(async {
        let hello = socket.hello().await.unwrap();
        assert!(hello.addresses.contains(&"display/foyer".parse().unwrap()), "{:?}", hello.addresses);
        socket.resume(&Default::default()).await.unwrap();
        let mut came = BTreeSet::new();
        for _ in 0..2 {
            came.insert(socket.next().await.unwrap().json_data().get().to_owned());
        }
        came
    });
    assert!(
        came.iter().any(|data| data.contains("own.example")) && came.iter().any(|data| data.contains("130")),
        "{came:?}"
    );
    let told = || lobby.ask_ticket(server.address, &server.url(), &[]).unwrap().json()["display"].clone();
    assert_eq!(told(), "foyer");
    assert!(server.get("/v1/displays/lobby").text().contains("is called `foyer` now"));

    // Nobody else gets the old name while it may still be asked by it.
    assert_eq!(server.post("/v1/enrollments", &json!({"display": "lobby"})).status, 409);
    assert_eq!(rename(&server, "other", "lobby").status, 409);
    // On and on, and back: it is let in by any name that it had.
    assert_eq!(rename(&server, "foyer", "hall").status, 200);
    assert_eq!(told(), "hall");
    assert_eq!(rename(&server, "hall", "lobby").status, 200);
    assert_eq!(told(), "lobby");
    // It knows its name now: the names in between are free.
    assert_eq!(server.post("/v1/enrollments", &json!({"display": "hall"})).status, 201);
    let names: Vec<_> =
        acts(&server).into_iter().filter(|(what, ..)| what == "display.rename").map(|act| act.1).collect();
    assert_eq!(names, ["lobby", "foyer", "hall"]);
    assert_eq!(server.request("DELETE", "/v1/displays/lobby", b"").unwrap().status, 204);
    assert_eq!(lobby.ticket().unwrap(), "", "removed is removed");
}

#[test]
fn a_display_is_let_in_only_by_a_signature_for_the_servers_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[auth]\nname = \"https://push.example.org\"\n");
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    assert_eq!(lobby.ticket().unwrap(), "", "signed for what the request itself says");
    assert!(lobby.ask_ticket(server.address, "https://push.example.org", &[]).unwrap().status == 200);
    let forwarded = [("X-Forwarded-Host", "evil.example")];
    let reply = lobby.ask_ticket(server.address, "https://evil.example", &forwarded).unwrap();
    assert_eq!(reply.status, 401);
}

#[test]
fn a_copied_card_is_seen_when_both_are_alive_and_a_display_that_comes_back_is_not_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let runtime = runtime();
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    let copied = || server.get("/v1/displays/lobby").json()["copied"].clone();
    let open = || runtime.block_on(Socket::open(server.address, &lobby.ticket().unwrap())).unwrap();

    // Dead sockets: their connection is there, and nobody answers on it.
    let mut dead = Vec::new();
    for _ in 0..6 {
        dead.push(open());
    }
    let mut current = open();
    for _ in 0..2 {
        let newer = open();
        assert!(matches!(runtime.block_on(current.end()), End::Closed(4003, _)));
        runtime.block_on(current.goodbye());
        current = newer;
    }
    assert_eq!(copied(), Value::Null, "twice may be chance");
    let newer = open();
    runtime.block_on(async {
        current.end().await;
        current.goodbye().await;
    });
    drop(dead);
    let seen = until("the copy is told", seconds(10), || Some(copied()).filter(|copied| !copied.is_null()));
    assert_eq!(seen["times"], 3, "{seen}");
    drop(newer);
    assert!(server.log().contains("this card was copied"), "{}", server.log());
    assert!(acts(&server).iter().any(|(what, on, who)| what == "display.copied" && on == "lobby" && who == "server"));
    assert_eq!(server.get("/v1/displays").json()[0]["copied"], seen);

    let patch = |body: &[u8]| server.request("PATCH", "/v1/displays/lobby", body).unwrap();
    assert_eq!(patch(br#"{"copied": true}"#).status, 422);
    assert_eq!(patch(br#"{"copied": false}"#).json()["copied"], Value::Null, "an operator knows better");
}
