//! Events from a real RabbitMQ: what a program publishes there is on the sockets, once, in order, whatever is killed.
//!
//! One broker serves all scenarios, since it takes about 10 s to start; each has exchanges, queues and a server of its own.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "which scenario runs is for whoever runs this with --nocapture")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::{collections::BTreeSet, path::Path};

use lapin::BasicProperties;
use pikiosk::event::{Event, frame::Resume};
use redis::Redis;
use serde_json::{Value, json};
use support::{
    rabbit::{Client, Rabbit},
    server::Server,
    socket::{FakeDisplay, Socket, ticket},
    wait::{seconds, until},
};
use tokio::runtime::Runtime;

/// `[amqp]` with names of a scenario's own.
fn amqp(url: &str, name: &str) -> String {
    format!("[amqp]\nurl = \"{url}\"\nexchange = \"{name}\"\nqueue = \"{name}.in\"\ndead_letter = \"{name}.dead\"\n")
}

fn server(folder: &Path, rabbit: &Rabbit, name: &str, more: &str) -> Server {
    let server = Server::start(folder, &format!("{}{more}", amqp(&rabbit.url(), name)));
    takes_events(&server);
    server
}

fn takes_events(server: &Server) {
    until("the server takes events from RabbitMQ", seconds(30), || {
        (metric(server, "pikiosk_amqp_consuming") == 1.0).then_some(())
    });
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("nan");
    line.parse().unwrap()
}

/// A socket of a user, from the start of its history.
async fn user(server: &Server, name: &str) -> Socket {
    let mut socket = Socket::open(server.address, &ticket(server, name)).await.unwrap();
    let hello = socket.hello().await.unwrap();
    let mut from_start = Resume::default();
    for (address, mut position) in hello.positions {
        position.offset = 0;
        from_start.positions.insert(address, position);
    }
    socket.resume(&from_start).await.unwrap();
    socket
}

async fn texts(socket: &mut Socket, count: usize) -> Vec<String> {
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(data(&socket.next().await.unwrap())["data"].as_str().unwrap_or_default().to_owned());
    }
    texts
}

fn data(event: &Event) -> Value {
    serde_json::from_str(event.json_data().get()).unwrap()
}

fn named(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into())
}

#[test]
fn events_from_rabbitmq_arrive_once_and_in_order_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let mut rabbit = Rabbit::start(folder.path());
    let runtime = Runtime::new().unwrap();
    for (name, scenario) in [
        ("every body reaches its address, and what cannot be used is kept with the reason", bodies as Scenario),
        ("the example of the README works", readme),
        ("a message that is published again is the same event", repeats),
        ("a display whose queue is full holds up nobody", full_display),
        ("a store that is down holds messages back and loses none", store_down),
        ("a queue that is deleted is there again", deleted_queue),
        ("what others have set up is used as it is", set_up_by_others),
        ("of two servers one takes the events, and the other when that is killed", two_servers),
        ("kill -9 of the server loses and doubles nothing", killed_server),
        ("TLS with an authority of one's own", tls),
        ("kill -9 of the broker loses and doubles nothing that it confirmed", killed_broker),
        ("a broker that forgot everything is set up again", forgetful_broker),
    ] {
        println!("--- {name}");
        let folder = tempfile::tempdir().unwrap();
        scenario(&mut rabbit, folder.path(), &runtime);
    }
}

type Scenario = fn(&mut Rabbit, &Path, &Runtime);

fn bodies(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "bodies", "");
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    let shop = FakeDisplay::enroll(&server, "shop", 2);
    assert_eq!(server.request("PATCH", "/v1/displays/shop", br#"{"groups":["shops"]}"#).unwrap().status, 200);
    runtime.spawn(lobby.clone().live());
    runtime.spawn(shop.clone().live());
    let program = rabbit.client();
    let event = json!({"specversion": "1.0", "id": "own", "source": "shop", "type": "org.example.note", "data": [1]});
    for (key, body) in [
        ("commands.lobby", r#"{"command":"navigate","url":"https://example.org/"}"#),
        ("commands.group.shops", r#"{"command":"message","text":"hi"}"#),
        ("commands.all", "text for the page"),
        ("commands.user.anna.b@example.org", r#"{"n": 1.50}"#),
        ("commands.user.anna.b@example.org", &event.to_string()),
        // None of these can be used.
        ("commands.nobody", r#"{"command":"reload"}"#),
        ("commands.Lobby", "x"),
        ("commands.lobby", r#"{"command":"fly"}"#),
        ("commands.lobby", &event.to_string().replacen('{', r#"{"subject":"all","#, 1)),
    ] {
        program.publish("bodies", key, body);
    }
    runtime.block_on(async {
        let mut anna = user(&server, "anna.b@example.org").await;
        let first = anna.next().await.unwrap();
        assert_eq!(first.kind, "kiosk.event");
        assert_eq!(first.json_data().get(), r#"{"name":"message","data":{"n": 1.50}}"#, "byte for byte");
        assert_eq!(anna.next().await.unwrap().id, "own");
    });
    let kinds = |display: &FakeDisplay| {
        let notes = display.notes.lock().unwrap();
        notes.acted.iter().map(|(_, address, _)| address.clone()).collect::<BTreeSet<_>>()
    };
    until("both displays have what is theirs", seconds(20), || {
        let both = |address: &str| BTreeSet::from([address.to_owned(), "all".to_owned()]);
        (kinds(&lobby) == both("display/lobby") && kinds(&shop) == both("group/shops")).then_some(())
    });
    let letters: Vec<_> = (0..4)
        .map(|_| until("a dead letter", seconds(20), || program.take("bodies.dead")))
        .map(|letter| (letter.key, letter.reason))
        .collect();
    for (key, words) in [
        ("commands.nobody", "`nobody` is not enrolled"),
        ("commands.Lobby", "names no address"),
        ("commands.lobby", "no command `fly`"),
        ("commands.lobby", "the event's `subject` is `all`"),
    ] {
        let found = letters.iter().any(|(of, reason)| of == key && reason.contains(words));
        assert!(found, "{key} {words}: {letters:?}");
    }
    until("nothing is left", seconds(20), || (program.waiting("bodies.in") == Some(0)).then_some(()));
    assert_eq!(program.waiting("bodies.dead"), Some(0));
    assert_eq!(metric(&server, "pikiosk_amqp_dead_letters_total"), 4.0);
}

fn readme(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = Server::start(folder, &format!("[amqp]\nurl = \"{}\"\n", rabbit.url()));
    takes_events(&server);
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    runtime.spawn(lobby.live());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = text.split_once("```py\n").and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0;
    let mut python = std::process::Command::new(root.join(".venv/bin/python"));
    let output = python.args(["-c", example]).env("RABBITMQ", rabbit.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = until("its receipt", seconds(20), || {
        let event = server.get("/v1/events/soup-41");
        event.json()["receipts"].get(0).cloned()
    });
    assert_eq!((&done["display"], &done["status"]), (&json!("lobby"), &json!("done")));
}

/// The store is a Redis that goes away: nothing is lost, and nothing is called unusable because of it.
fn store_down(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let redis = Redis::start();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let server = server(folder, rabbit, "held", &store);
    let program = rabbit.client();
    program.publish("held", "commands.user.anna", "before");
    until("it is stored", seconds(20), || (metric(&server, "pikiosk_amqp_messages_total") == 1.0).then_some(()));
    let port = redis.stop();
    for n in 0..10 {
        program.publish("held", "commands.user.anna", &format!("while it is down {n}"));
    }
    until("they are given out and wait", seconds(20), || {
        (program.waiting("held.in") == Some(0) && server.log().contains("wait for the store")).then_some(())
    });
    assert_eq!(program.waiting("held.dead"), Some(0));
    let _redis = Redis::start_on(port).expect("the port is still free");
    until("all are stored", seconds(60), || (metric(&server, "pikiosk_amqp_messages_total") == 11.0).then_some(()));
    let expected: Vec<String> = (0..10).map(|n| format!("while it is down {n}")).collect();
    // That Redis kept nothing of before: these are all there is.
    runtime.block_on(async { assert_eq!(texts(&mut user(&server, "anna").await, 10).await, expected) });
    assert_eq!(program.waiting("held.dead"), Some(0));
}

fn repeats(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "repeats", "");
    let program = rabbit.client();
    for n in 0..3 {
        program.publish_as("repeats", "commands.user.anna", &format!("body {n}"), named("the same"));
    }
    let of = |program: &str| named("the same").with_app_id(program.into());
    program.publish_as("repeats", "commands.user.anna", "another program's", of("shop"));
    runtime.block_on(async {
        let mut anna = user(&server, "anna").await;
        assert_eq!(texts(&mut anna, 2).await, ["body 0", "another program's"]);
    });
}

fn full_display(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "full", "[limits]\ndisplay_queue = 3\n");
    FakeDisplay::enroll(&server, "away", 1);
    let program = rabbit.client();
    for n in 0..5 {
        program.publish_as("full", "commands.away", &format!("for the display {n}"), named(&format!("away-{n}")));
        program.publish("full", "commands.user.anna", &format!("for anna {n}"));
    }
    let expected: Vec<String> = (0..5).map(|n| format!("for anna {n}")).collect();
    runtime.block_on(async { assert_eq!(texts(&mut user(&server, "anna").await, 5).await, expected) });
    let mut dead = Vec::new();
    for _ in 0..2 {
        let letter = until("a dead letter", seconds(20), || program.take("full.dead"));
        assert!(letter.reason.contains("already has 3 actions waiting"), "{}", letter.reason);
        dead.push(letter.body);
    }
    assert_eq!(dead, ["for the display 3", "for the display 4"], "what had room was taken, in order");
    for n in 0..3 {
        assert_eq!(server.get(&format!("/v1/events/away-{n}")).status, 200);
    }
}

fn deleted_queue(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "deleted", "");
    let program = rabbit.client();
    program.delete_queue("deleted.in");
    until("the queue is there again", seconds(20), || program.is_consumed("deleted.in").then_some(()));
    program.publish("deleted", "commands.user.anna", "after it");
    // The dead letters' too: the next one needs it, is not lost, and is there once the queue is.
    program.delete_queue("deleted.dead");
    program.publish("deleted", "commands.nobody", "unusable");
    let letter = until("the dead letter", seconds(20), || program.take("deleted.dead"));
    assert_eq!(letter.body, "unusable");
    runtime.block_on(async { assert_eq!(texts(&mut user(&server, "anna").await, 1).await, ["after it"]) });
}

fn set_up_by_others(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let program = rabbit.client();
    program.declare_exchange("others");
    program.declare_queue("others.in", &[("x-max-length", 1000)]);
    program.bind("others.in", "others", "commands.user.*");
    program.publish("others", "commands.user.anna", "before the server was there");
    let server = server(folder, rabbit, "others", "");
    runtime.block_on(async {
        assert_eq!(texts(&mut user(&server, "anna").await, 1).await, ["before the server was there"]);
    });
}

fn two_servers(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let (one, two) = (folder.join("one"), folder.join("two"));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&two).unwrap();
    let mut first = server(&one, rabbit, "pair", "");
    let second = Server::start(&two, &amqp(&rabbit.url(), "pair"));
    until("the second is connected", seconds(20), || (metric(&second, "pikiosk_amqp_connected") == 1.0).then_some(()));
    let program = rabbit.client();
    program.publish("pair", "commands.user.anna", "for the first");
    runtime.block_on(async { assert_eq!(texts(&mut user(&first, "anna").await, 1).await, ["for the first"]) });
    assert_eq!(metric(&second, "pikiosk_amqp_consuming"), 0.0);
    first.kill();
    takes_events(&second);
    // To somebody else: what the first did not come to ack, the second may have got too.
    program.publish("pair", "commands.user.berta", "for the second");
    runtime.block_on(async { assert_eq!(texts(&mut user(&second, "berta").await, 1).await, ["for the second"]) });
}

const FLOOD: usize = 2_000;

/// Publishes numbered texts to anna until the broker has confirmed each; `now_and_then` is called between them.
fn flood(rabbit_url: &str, exchange: &str, mut now_and_then: impl FnMut(usize)) {
    let mut program = Client::connect(rabbit_url).unwrap();
    for n in 0..FLOOD {
        now_and_then(n);
        let id = format!("n{n}");
        while !program.try_publish(exchange, "commands.user.anna", id.as_bytes(), named(&id)) {
            program = until("the broker is back", seconds(90), || Client::connect(rabbit_url).ok());
        }
    }
}

/// Anna's whole history: every number once. A message that the broker took without being able to say so is published
/// again and may so come later; what comes first is in order.
fn every_number_once(server: &Server, runtime: &Runtime) {
    until("all of it is stored", seconds(60), || {
        let event = server.get(&format!("/v1/events/n{}?source=amqp", FLOOD - 1));
        (event.status == 200).then_some(())
    });
    runtime.block_on(async {
        let mut anna = user(server, "anna").await;
        let texts = texts(&mut anna, FLOOD).await;
        let expected: Vec<String> = (0..FLOOD).map(|n| format!("n{n}")).collect();
        assert_eq!(texts, expected);
    });
}

const LONG_HISTORY: &str = "[limits]\nhistory_events = 100000\n";

fn killed_server(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let mut server = server(folder, rabbit, "kills", LONG_HISTORY);
    flood(&rabbit.url(), "kills", |n| {
        if n % 600 == 300 {
            server.kill();
            server.start_again();
        }
    });
    every_number_once(&server, runtime);
    assert_eq!(rabbit.client().waiting("kills.dead"), Some(0));
}

fn killed_broker(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "outage", LONG_HISTORY);
    let url = rabbit.url();
    flood(&url, "outage", |n| {
        if n == FLOOD / 2 {
            rabbit.kill();
            until("the server knows", seconds(30), || (metric(&server, "pikiosk_amqp_connected") == 0.0).then_some(()));
            assert_eq!(server.get("/readyz").status, 200, "it serves without the broker");
            rabbit.start_again();
        }
    });
    every_number_once(&server, runtime);
    assert!(metric(&server, "pikiosk_amqp_failures_total") >= 1.0);
}

fn forgetful_broker(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let server = server(folder, rabbit, "forgets", "");
    rabbit.kill();
    rabbit.forget();
    rabbit.start_again();
    let program = rabbit.client();
    until("the queue is there again", seconds(60), || program.is_consumed("forgets.in").then_some(()));
    program.publish("forgets", "commands.user.anna", "new");
    program.publish("forgets", "commands.nobody", "dead");
    runtime.block_on(async { assert_eq!(texts(&mut user(&server, "anna").await, 1).await, ["new"]) });
    until("the dead letter", seconds(20), || program.take("forgets.dead"));
}

fn tls(rabbit: &mut Rabbit, folder: &Path, runtime: &Runtime) {
    let url = format!("amqps://guest:guest@localhost:{}/", rabbit.tls_port.unwrap());
    let authority = rabbit.authority();
    let name = "secret";
    let server = Server::start(folder, &format!("{}ca_file = \"{}\"\n", amqp(&url, name), authority.display()));
    takes_events(&server);
    rabbit.client().publish(name, "commands.user.anna", "over TLS");
    runtime.block_on(async { assert_eq!(texts(&mut user(&server, "anna").await, 1).await, ["over TLS"]) });
    let other = folder.join("other");
    std::fs::create_dir(&other).unwrap();
    let doubtful = Server::start(&other, &amqp(&url, "doubtful"));
    until("a certificate of nobody's is refused", seconds(20), || {
        (metric(&doubtful, "pikiosk_amqp_failures_total") >= 1.0).then_some(())
    });
    assert_eq!(metric(&doubtful, "pikiosk_amqp_connected"), 0.0);
}

/// An authority, and a certificate of it for localhost.
fn make_certificates(folder: &Path) {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"];
    run(&[&new[..], &["-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"]]
        .concat());
    run(&[&new[..], &["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.csr"]].concat());
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "cert.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "cert.pem",
    ]);
}
