//! kill -9 of the server in the middle of its work: nothing that was answered is lost, and nothing is done twice.
#![cfg(feature = "server")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use support::{
    http,
    server::{Server, event},
    socket::FakeDisplay,
    wait::{seconds, until},
};

const DISPLAYS: u8 = 20;
const PUBLISHES: usize = 1_000;
const PUBLISHERS: usize = 8;
/// Publishes that are answered before each kill.
const KILLS: [usize; 3] = [150, 480, 800];

#[test]
fn every_publish_that_was_answered_ends_in_one_receipt_per_display_though_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "");
    let displays: Vec<FakeDisplay> =
        (0..DISPLAYS).map(|n| FakeDisplay::enroll(&server, &format!("d{n:02}"), n + 1)).collect();
    for display in displays.iter().step_by(2) {
        let path = format!("/v1/displays/{}", display.id);
        assert_eq!(server.request("PATCH", &path, br#"{"groups":["even"]}"#).unwrap().status, 200);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for display in &displays {
        runtime.spawn(display.clone().live());
    }

    let events: Vec<Value> = (0..PUBLISHES).map(event_number).collect();
    let answered = AtomicUsize::new(0);
    let (address, key) = (server.address, server.key.clone());
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (events, answered, key) = (&events, &answered, &key);
            scope.spawn(move || {
                for event in events.iter().skip(publisher).step_by(PUBLISHERS) {
                    publish_until_answered(address, key, event);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for kill_at in KILLS {
            until("publishes go on", seconds(120), || (answered.load(Ordering::Relaxed) >= kill_at).then_some(()));
            server.kill();
            server.start_again();
        }
    });

    for event in &events {
        let id = event["id"].as_str().unwrap();
        let due: BTreeSet<String> = displays_of(event["subject"].as_str().unwrap());
        let record = until(&format!("every receipt of {id} {}", event["type"]), seconds(60), || {
            let record = server.get(&format!("/v1/events/{id}")).json();
            (record["pending"].as_array()?.is_empty()).then_some(record)
        });
        let receipts = record["receipts"].as_array().unwrap();
        let of: BTreeSet<String> =
            receipts.iter().map(|receipt| receipt["display"].as_str().unwrap().to_owned()).collect();
        assert_eq!(of, due, "{id}");
        assert_eq!(receipts.len(), due.len(), "{id} has more than one receipt of a display: {record}");
        for receipt in receipts {
            let status = receipt["status"].as_str().unwrap();
            let is_state = event["type"] == "kiosk.zoom";
            assert!(status == "done" || (is_state && status == "superseded"), "{id}: {receipt}");
        }
    }
    runtime.shutdown_timeout(Duration::from_secs(1));

    for display in &displays {
        let notes = display.notes.lock().unwrap();
        assert!(notes.connects as usize > KILLS.len(), "{} came back {} times", display.id, notes.connects);
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (id, address, offset) in &notes.acted {
            assert!(ids.insert(id), "{id} was done twice by {}", display.id);
            // State that is given again after a restart keeps its old offset; actions come in order.
            if !id.starts_with("zoom") {
                let before = newest.insert(address, *offset);
                assert!(before < Some(*offset), "{}: {address} {offset} after {before:?}", display.id);
            }
        }
    }
}

/// To everybody, to half of them, or to one; every tenth is a state command.
fn event_number(number: usize) -> Value {
    let address = match number % 5 {
        0 => "all".to_owned(),
        1 | 2 => "group/even".to_owned(),
        _ => format!("display/d{:02}", number % usize::from(DISPLAYS)),
    };
    if number % 10 == 9 {
        let mut event = event(&address, "kiosk.zoom", &json!({"percent": 25 + number % 400}));
        event["id"] = format!("zoom-{number}").into();
        event
    } else {
        event(&address, "kiosk.event", &json!({"name": "tick", "data": number}))
    }
}

fn displays_of(address: &str) -> BTreeSet<String> {
    let all = (0..DISPLAYS).map(|n| (n, format!("d{n:02}")));
    all.filter(|(n, id)| match address {
        "all" => true,
        "group/even" => n % 2 == 0,
        one => one == format!("display/{id}"),
    })
    .map(|(_, id)| id)
    .collect()
}

/// As a careful publisher does: the same event again until it is answered.
fn publish_until_answered(address: std::net::SocketAddr, key: &str, event: &Value) {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/cloudevents+json")];
    let body = event.to_string();
    until("a publish is answered", seconds(60), || {
        let reply = http::request(address, "POST", "/v1/events", &headers, body.as_bytes(), seconds(60)).ok()?;
        match reply.status {
            202 => Some(()),
            429 | 503 => None,
            status => panic!("{status}: {}", reply.text()),
        }
    });
}
