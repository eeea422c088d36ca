//! Secrets in every place where one can stand, with the logs at their most talkative: not one of them is logged, neither
//! whole nor in the part that makes it secret.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::{fs, net::TcpListener};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::SinkExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use support::{
    http,
    server::Server,
    socket::{FakeDisplay, Socket, ticket},
    wait::seconds,
};
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "CANARY-of-the-environment-0123456789abcdef";
const LOUD: (&str, &str) = ("PIKIOSK_LOG", "debug,pikiosk=trace");

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What must not be in a log, and where it stood.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// Remembers a secret; of a JWT its signature, without which the rest is of no use.
    fn put(&mut self, place: &str, secret: &str) -> String {
        let part =
            secret.rsplit_once('.').filter(|(_, signature)| signature.len() > 20).map_or(secret, |(_, part)| part);
        self.0.push((place.to_owned(), part.to_owned()));
        secret.to_owned()
    }

    fn hits(&self, log: &str) -> Vec<String> {
        let line_of = |secret: &str| log.lines().find(|line| line.contains(secret)).map(str::to_owned);
        self.0.iter().filter_map(|(place, secret)| Some(format!("{place}: {}", line_of(secret)?))).collect()
    }
}

/// A JWT of the server's key, or by somebody else's.
fn jwt(who: &str, secret: &str) -> String {
    let now_s = pikiosk::server::now_ms() / 1000;
    let claims =
        json!({"sub": who, "exp": now_s + 600, "pub": [format!("user/{who}")], "addr": [format!("user/{who}")]});
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// What has a token's form and is none.
fn forms(n: &mut u32) -> [(&'static str, String); 4] {
    *n += 1;
    [
        ("ticket", format!("wstokenca1a21{n:026x}")),
        ("JWT", jwt("eve", &format!("somebody else's secret of 32 bytes {n}"))),
        ("operator's key", format!("pko_CANARY{n:0>37}")),
        ("text", format!("CANARY-text-{n}")),
    ]
}

#[test]
fn no_secret_of_a_client_is_ever_logged() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[log]\naccess = true\n[[auth.jwt]]\nid = \"main\"\nalgorithm = \"HS256\"\nsecret_env = \"A_CANARY\"\n";
    let server = Server::start_with(folder.path(), more, &[LOUD, ("A_CANARY", SECRET)]);
    let mut canaries = Canaries::default();
    canaries.put("environment", SECRET);
    canaries.put("operator.key", &server.key);
    let mut n = 0;

    // Requests: refused ones by their hundreds, in every place that a request has.
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let _ = http::request(server.address, method, path, headers, body.as_bytes(), seconds(60));
    };
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for path in ["/v1/ws", "/wsb", "/v1/displays", "/v1/events", "/v1/tickets", "/v1/keys", "/metrics", "/nowhere"] {
        for (form, secret) in forms(&mut n) {
            let secret = canaries.put(&format!("{form} in the query of {path}"), &secret);
            for name in ["ws_token", "token", "access_token", "key"] {
                ask("GET", &format!("{path}?{name}={secret}"), &upgrade, "");
                ask("POST", &format!("{path}?{name}={secret}&{name}={secret}"), &[], "");
            }
        }
        for (form, secret) in forms(&mut n) {
            let secret = canaries.put(&format!("{form} in a header of {path}"), &secret);
            let basic = canaries.put("Basic", &BASE64_STANDARD.encode(format!("user:{secret}")));
            for (name, value) in [
                ("Authorization", format!("Bearer {secret}")),
                ("Authorization", format!("bearer  {secret}")),
                ("Authorization", secret.clone()),
                ("Authorization", format!("Basic {basic}")),
                ("Proxy-Authorization", format!("Bearer {secret}")),
                ("Cookie", format!("session={secret}")),
                ("X-Api-Key", secret.clone()),
                ("Sec-WebSocket-Protocol", format!("cloudevents.json, bearer.{secret}")),
                ("ce-token", secret.clone()),
            ] {
                let headers = [&upgrade[..], &[(name, value.as_str())]].concat();
                ask("GET", path, &headers, "");
                ask("POST", path, &[(name, value.as_str())], "{}");
            }
        }
        for (form, secret) in forms(&mut n) {
            let secret = canaries.put(&format!("{form} in a body of {path}"), &secret);
            let bearer = format!("Bearer {}", server.key);
            for body in [
                json!({"code": secret, "public_key": secret}),
                json!({"display": "lobby", "nonce": secret, "signature": secret}),
                json!({"token": secret, "user": {"token": secret}}),
                json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "user/a", "token": secret}),
                json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "user/a", "token": [secret]}),
                json!(secret),
            ] {
                let kind = ("Content-Type", "application/cloudevents+json");
                ask("POST", path, &[("Authorization", &bearer), kind], &body.to_string());
                ask(
                    "POST",
                    path,
                    &[("Authorization", &bearer), ("Content-Type", "application/json")],
                    &body.to_string(),
                );
                ask("POST", "/v1/enroll", &[], &body.to_string());
            }
            ask("POST", path, &[("Authorization", &bearer)], &format!("{{\"token\": \"{secret}"));
        }
    }
    // A path is shown, less what has a token's form: a plain text in it is the path of something.
    for (form, secret) in forms(&mut n).into_iter().filter(|(form, _)| *form != "text") {
        let secret = canaries.put(&format!("{form} in a path"), &secret);
        ask("GET", &format!("/v1/ws/{secret}"), &upgrade, "");
        ask("GET", &format!("/{secret}"), &[], "");
        let broken = format!("GET /v1/ws?ws_token={secret} HTTP/9.9\r\nAuthorization: Bearer {secret}\r\n\r\n");
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        let _ = std::io::Write::write_all(&mut stream, broken.as_bytes());
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    }

    // Good ones: what opened a socket, what is sent on it, and what the server itself made.
    let code = server.enrollment("gate");
    canaries.put("enrollment code", &code);
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    let made = server.post("/v1/keys", &json!({"name": "desk", "operator": true})).json();
    let key = canaries.put("a key that was made", made["key"].as_str().unwrap());
    let _ = http::request(
        server.address,
        "GET",
        "/v1/keys",
        &[("Authorization", &format!("Bearer {key}"))],
        b"",
        seconds(5),
    );
    runtime().block_on(async {
        let good = canaries.put("a good JWT", &jwt("anna", SECRET));
        for ticket in [ticket(&server, "anna"), lobby.ticket().unwrap()] {
            let ticket = canaries.put("a good ticket", &ticket);
            Socket::open(server.address, &ticket).await.unwrap().hello().await.unwrap();
            Socket::open(server.address, &ticket).await.unwrap_err();
        }
        let mut socket = Socket::open(server.address, &good).await.unwrap();
        socket.hello().await.unwrap();
        let fresh = canaries.put("a fresh JWT", &jwt("anna", SECRET));
        socket.say("kiosk.auth", &json!({"token": fresh})).await.unwrap();
        let inner =
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "user/anna", "token": good});
        socket.say("kiosk.publish", &inner).await.unwrap();
        for (form, secret) in forms(&mut n) {
            let secret = canaries.put(&format!("{form} in a frame"), &secret);
            let frames: Vec<Value> = vec![
                json!({"type": "kiosk.auth", "data": {"token": secret}}),
                json!({"type": "kiosk.auth", "data": {"token": [secret]}}),
                json!({"type": "kiosk.auth", "data": secret}),
                json!({"type": "kiosk.resume", "data": {"positions": secret}}),
                json!({"type": "kiosk.resume", "data": {"positions": {"all": secret}}, "token": secret}),
                json!({"type": "kiosk.publish", "data": {"token": secret}}),
                json!({"type": "kiosk.call", "data": {"task": {"token": secret}}}),
                json!({"type": "kiosk.receipt", "data": secret, "token": secret}),
                json!({"type": "kiosk.nothing", "token": secret}),
                json!({"token": secret}),
                json!(secret),
            ];
            for mut frame in frames {
                if frame.is_object() && frame["type"].is_string() {
                    for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "s")] {
                        frame[name] = value.into();
                    }
                }
                let mut socket = Socket::open(server.address, &good).await.unwrap();
                socket.hello().await.unwrap();
                socket.stream.send(Message::text(frame.to_string())).await.unwrap();
                // Some of it ends the socket, some is answered.
                let _ = socket.next().await;
            }
        }
    });
    server.post("/v1/revocations", &json!({"user": "anna"}));

    let log = server.log();
    assert!(log.lines().count() > 500, "the logs are loud: {} lines", log.lines().count());
    let hits = canaries.hits(&log);
    assert!(hits.is_empty(), "{} hits of {}:\n{}", hits.len(), canaries.0.len(), hits.join("\n"));
}

#[test]
fn no_secret_of_the_configuration_is_ever_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut canaries = Canaries::default();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let secret_file = file("jwt.secret", &canaries.put("secret_file", "CANARY-of-the-file-0123456789abcdef0123"));
    let hook_file = file("hook.secret", &canaries.put("webhook secret", "CANARY-of-the-webhook-0123456789abcdef"));
    // Nothing listens there: what cannot be reached is what gets logged.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let password =
        |canaries: &mut Canaries, of: &str| canaries.put(of, &format!("CANARYpassword{}", of.replace(' ', "")));
    let more = format!(
        "[log]\naccess = true\n\
         [tickets]\nredis = \"redis://me:{}@{nobody}/0\"\n\
         [amqp]\nurl = \"amqp://me:{}@{nobody}/%2f\"\n\
         [celery]\nbroker = \"redis://me:{}@{nobody}/1\"\nbackend = \"redis://me:{}@{nobody}/1\"\ntasks = [\"x\"]\n\
         [[webhooks]]\nurl = \"http://{nobody}/{}\"\nevents = [\"display.up\", \"receipt\"]\nsecret_file = \"{hook_file}\"\n\
         [[auth.jwt]]\nid = \"file\"\nalgorithm = \"HS256\"\nsecret_file = \"{secret_file}\"\n\
         [[auth.jwt]]\nid = \"set\"\nalgorithm = \"ES256\"\njwks_url = \"http://me:{}@{nobody}/{}\"\n",
        password(&mut canaries, "tickets"),
        password(&mut canaries, "amqp"),
        password(&mut canaries, "celery broker"),
        password(&mut canaries, "celery backend"),
        password(&mut canaries, "webhook path"),
        password(&mut canaries, "jwks"),
        password(&mut canaries, "jwks path"),
    );
    let server = Server::start_with(folder.path(), &more, &[LOUD]);
    let ticket = canaries.put("a ticket that cannot be asked for", "wstokenca1a2200000000000000000000000000");
    let bearer = format!("Bearer {ticket}");
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Authorization", bearer.as_str()),
    ];
    assert_eq!(http::request(server.address, "GET", "/v1/ws", &upgrade, b"", seconds(60)).unwrap().status, 401);
    assert_eq!(server.post("/v1/tickets", &json!({"user": "anna"})).status, 503);
    support::wait::until("what cannot be reached was told", seconds(20), || {
        let log = server.log();
        (log.contains("keys cannot be fetched") && log.contains("amqp")).then_some(())
    });
    let log = server.log();
    let hits = canaries.hits(&log);
    assert!(hits.is_empty(), "{} hits:\n{}", hits.len(), hits.join("\n"));
}
