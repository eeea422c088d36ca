//! Whom a real server believes, and for how long: operators' keys, revocations, keys that are fetched.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use support::{
    http::{self, Reply},
    jwks::Jwks,
    server::{Server, event},
    socket::{End, FakeDisplay, Socket, ticket},
    wait::{seconds, until},
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef-of-a-test";
const EC: &[u8] = include_bytes!("../src/auth/test_keys/ec.key.pem");
const ED: &[u8] = include_bytes!("../src/auth/test_keys/ed.key.pem");

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn now_s() -> u64 {
    pikiosk::server::now_ms() / 1000
}

/// A token of the server's one HS256 key.
fn token(claims: &Value) -> String {
    let mut all = json!({"sub": "anna", "exp": now_s() + 600});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    encode(&Header::new(Algorithm::HS256), &all, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn with_secret(folder: &std::path::Path) -> Server {
    fs::write(folder.join("secret"), SECRET).unwrap();
    let file = folder.join("secret");
    Server::start(
        folder,
        &format!("[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n", file.display()),
    )
}

fn as_who(server: &Server, bearer: &str, method: &str, path: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {bearer}");
    let kind = if path.starts_with("/v1/events") { "application/cloudevents+json" } else { "application/json" };
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
    http::request(server.address, method, path, &headers, body.to_string().as_bytes(), seconds(60)).unwrap()
}

#[test]
fn a_key_does_what_it_was_made_for_and_nothing_once_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let made = server.post("/v1/keys", &json!({"name": "shop", "pub": ["group/shops"], "cmd": ["message"]}));
    assert_eq!(made.status, 201, "{}", made.text());
    let (id, key) = (made.json()["id"].clone(), made.json()["key"].as_str().unwrap().to_owned());
    let publish = |server: &Server, address: &str, kind: &str, data: Value| {
        as_who(server, &key, "POST", "/v1/events", &event(address, kind, &data)).status
    };
    assert_eq!(publish(&server, "group/shops", "kiosk.message", json!({"text": "hi"})), 202);
    assert_eq!(publish(&server, "group/shops", "org.example.note", json!(1)), 202);
    assert_eq!(publish(&server, "group/shops", "kiosk.reboot", json!({})), 403);
    assert_eq!(publish(&server, "all", "kiosk.message", json!({"text": "hi"})), 403);
    for path in ["/v1/displays", "/v1/keys", "/v1/audit", "/v1/revocations", "/v1/presence"] {
        assert_eq!(as_who(&server, &key, "GET", path, &json!({})).status, 403, "{path}");
    }

    server.kill();
    server.start_again();
    assert_eq!(publish(&server, "group/shops", "org.example.note", json!(2)), 202, "keys outlive the server");
    let listed = server.get("/v1/keys").text();
    assert!(listed.contains("shop") && !listed.contains(&key), "{listed}");
    let store = fs::read(folder.path().join("server/pikiosk.redb")).unwrap();
    assert!(!store.windows(key.len()).any(|window| window == key.as_bytes()), "only its hash is kept");

    let path = format!("/v1/keys/{}", id.as_str().unwrap());
    assert_eq!(server.request("DELETE", &path, b"").unwrap().status, 204);
    assert_eq!(publish(&server, "group/shops", "org.example.note", json!(3)), 401);
    assert_eq!(server.request("DELETE", &path, b"").unwrap().status, 404);
    let only = server.get("/v1/keys").json()[0]["id"].as_str().unwrap().to_owned();
    let last = server.request("DELETE", &format!("/v1/keys/{only}"), b"").unwrap();
    assert_eq!(last.status, 409, "nobody locks everybody out: {}", last.text());
    for bad in [json!({"name": "x"}), json!({"name": "x", "operator": true, "pub": ["all"]}), json!({"operator": true})]
    {
        assert_eq!(server.post("/v1/keys", &bad).status, 422, "{bad}");
    }

    let audit = server.get("/v1/audit").json();
    let told: Vec<_> = audit.as_array().unwrap().iter().map(|entry| (&entry["what"], &entry["who"])).collect();
    assert_eq!(told, [(&json!("key.create"), &json!("key/operator")), (&json!("key.revoke"), &json!("key/operator"))]);
    assert!(!audit.to_string().contains(&key), "{audit}");
    let after = audit[0]["id"].as_str().unwrap();
    let rest = server.get(&format!("/v1/audit?after={after}")).json();
    assert_eq!(rest.as_array().unwrap().len(), 1, "{rest}");
}

#[test]
fn who_is_revoked_is_out_at_once_and_stays_out_until_a_newer_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_secret(folder.path());
    let runtime = runtime();
    let open = |bearer: &str| runtime.block_on(Socket::open(server.address, bearer));
    let revoke = |of: Value| {
        let reply = server.post("/v1/revocations", &of);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    };
    let ends = |socket: &mut Socket| match runtime.block_on(socket.end()) {
        End::Closed(code, _) => code,
        other => panic!("{other:?}"),
    };

    let old = token(&json!({"iat": now_s() - 60}));
    let undated = token(&json!({}));
    let mut sockets = [open(&old).unwrap(), open(&undated).unwrap(), open(&ticket(&server, "anna")).unwrap()];
    let mut bob = open(&token(&json!({"sub": "bob"}))).unwrap();
    let user = revoke(json!({"user": "anna"}));
    for socket in &mut sockets {
        assert_eq!(ends(socket), 4501);
    }
    for refused in [&old, &undated] {
        assert_eq!(open(refused).unwrap_err(), End::Refused(401));
        assert_eq!(as_who(&server, refused, "GET", "/v1/displays", &json!({})).status, 401);
    }
    let mut newer = open(&token(&json!({"iat": now_s() + 2, "jti": "n1"}))).unwrap();
    runtime.block_on(async {
        // Who is somebody else, or has something newer, noticed nothing; and a revoked token refreshes nobody.
        bob.hello().await.unwrap();
        newer.hello().await.unwrap();
        newer.say("kiosk.auth", &json!({"token": old})).await.unwrap();
    });
    assert_eq!(ends(&mut newer), 4501);

    let path = format!("/v1/revocations/{user}");
    assert_eq!(server.request("DELETE", &path, b"").unwrap().status, 204);
    assert_eq!(server.request("DELETE", &path, b"").unwrap().status, 404);
    open(&old).expect("lifted");

    // The token that a socket has now, and not the one it came with.
    let (first, second) = (token(&json!({"jti": "t1"})), token(&json!({"jti": "t2"})));
    let mut refreshed = open(&first).unwrap();
    let mut other = open(&first).unwrap();
    runtime.block_on(async {
        refreshed.hello().await.unwrap();
        refreshed.say("kiosk.auth", &json!({"token": second})).await.unwrap();
        refreshed.say("kiosk.call", &json!({"task": "x"})).await.unwrap();
        // Answered in order: the refresh is done.
        assert_eq!(refreshed.next().await.unwrap().kind, "kiosk.result");
    });
    revoke(json!({"token": "t2"}));
    assert_eq!(ends(&mut refreshed), 4501);
    assert_eq!(open(&second).unwrap_err(), End::Refused(401));
    runtime.block_on(other.hello()).unwrap();
    open(&first).expect("another token of the same person");
    for bad in [json!({}), json!({"user": "a", "token": "b"}), json!({"token": ""}), json!({"user": "a", "seconds": 0})]
    {
        assert_eq!(server.post("/v1/revocations", &bad).status, 422, "{bad}");
    }
}

#[test]
fn a_display_that_is_locked_out_is_let_in_again_when_that_is_lifted_or_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let runtime = runtime();
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    let mut socket = runtime.block_on(Socket::open(server.address, &lobby.ticket().unwrap())).unwrap();
    let waiting = lobby.ticket().unwrap();
    let revoked = server.post("/v1/revocations", &json!({"display": "lobby"})).json();
    assert!(matches!(runtime.block_on(socket.end()), End::Closed(4501, _)));
    assert_eq!(runtime.block_on(Socket::open(server.address, &waiting)).unwrap_err(), End::Refused(401));
    assert_eq!(lobby.ticket().unwrap(), "", "it gets no ticket");
    server.kill();
    server.start_again();
    assert_eq!(lobby.ticket().unwrap(), "", "also after a restart");
    // A user of the same name is somebody else.
    runtime.block_on(Socket::open(server.address, &ticket(&server, "lobby"))).unwrap();
    let listed = server.get("/v1/revocations").json();
    assert_eq!((&listed[0]["display"], &listed[0]["by"]), (&json!("lobby"), &json!("key/operator")), "{listed}");
    let path = format!("/v1/revocations/{}", revoked["id"].as_str().unwrap());
    assert_eq!(server.request("DELETE", &path, b"").unwrap().status, 204);
    runtime.block_on(Socket::open(server.address, &lobby.ticket().unwrap())).unwrap();
    assert_eq!(server.post("/v1/revocations", &json!({"display": "lobby", "seconds": 1})).status, 201);
    assert_eq!(lobby.ticket().unwrap(), "");
    until("the second is over", seconds(10), || (!lobby.ticket().ok()?.is_empty()).then_some(()));
}

#[test]
fn keys_are_fetched_and_a_new_one_counts_with_its_first_token() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (EncodingKey::from_ec_pem(EC).unwrap(), EncodingKey::from_ed_pem(ED).unwrap());
    let signed = |key: &EncodingKey, algorithm, kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        encode(&header, &json!({"sub": "anna", "exp": now_s() + 600}), key).unwrap()
    };
    let (by_old, by_new) = (signed(&old, Algorithm::ES256, "e1"), signed(&new, Algorithm::EdDSA, "d1"));
    let issuer = Jwks::start(&json!({"keys": [support::jwks::ec("e1")]}));
    let both = format!(
        "[[auth.jwt]]\nid = \"ec\"\nalgorithm = \"ES256\"\njwks_url = \"{0}\"\n\
         [[auth.jwt]]\nid = \"ed\"\nalgorithm = \"EdDSA\"\njwks_url = \"{0}\"\n",
        issuer.url()
    );
    let server = Server::start(folder.path(), &both);
    let runtime = runtime();
    let open = |bearer: &str| runtime.block_on(Socket::open(server.address, bearer));
    open(&by_old).expect("fetched at the start, or waited for");
    assert_eq!(open(&by_new).unwrap_err(), End::Refused(401), "its issuer has no such key");

    issuer.publish(&json!({"keys": [support::jwks::ec("e1"), support::jwks::ed("d1")]}));
    let asked = issuer.asked();
    for n in 0..20 {
        let invented = signed(&new, Algorithm::EdDSA, &format!("invented-{n}"));
        assert_eq!(open(&invented).unwrap_err(), End::Refused(401));
    }
    assert!(issuer.asked() <= asked + 2, "anybody can invent a kid: {} more fetches", issuer.asked() - asked);

    let other_folder = tempfile::tempdir().unwrap();
    let later = Server::start(other_folder.path(), &both);
    runtime.block_on(Socket::open(later.address, &by_new)).expect("with the new set");
    issuer.fail();
    runtime.block_on(Socket::open(later.address, &by_old)).expect("what was fetched stays");
}

#[test]
fn a_secret_may_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\nsecret_env = \"A_TEST_OF_PIKIOSK\"\n";
    let secret = std::str::from_utf8(SECRET).unwrap();
    let server = Server::start_with(folder.path(), more, &[("A_TEST_OF_PIKIOSK", secret)]);
    runtime().block_on(Socket::open(server.address, &token(&json!({})))).unwrap();
}

#[test]
fn a_socket_stays_its_grace_after_its_token_and_is_then_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    let more = format!(
        "[auth]\ngrace_seconds = 2\n[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n",
        folder.path().join("secret").display()
    );
    let server = Server::start(folder.path(), &more);
    runtime().block_on(async {
        let ends_s = now_s() + 2;
        let mut left = Socket::open(server.address, &token(&json!({"exp": ends_s}))).await.unwrap();
        let mut kept = Socket::open(server.address, &token(&json!({"exp": ends_s}))).await.unwrap();
        kept.hello().await.unwrap();
        until("both tokens have ended", seconds(10), || (now_s() > ends_s).then_some(()));
        kept.say("kiosk.auth", &json!({"token": token(&json!({}))})).await.unwrap();
        assert!(matches!(left.end().await, End::Closed(4002, _)));
        assert!(now_s() >= ends_s + 2, "not before its grace");
        kept.say("kiosk.call", &json!({"task": "x"})).await.unwrap();
        assert_eq!(kept.next().await.unwrap().kind, "kiosk.result");
    });
}
