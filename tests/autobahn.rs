//! RFC 6455 by somebody else's tests: the Autobahn|Testsuite against the server's own way of reading and writing frames.
//! `make proof-autobahn` makes what it needs; without that, this says so and does nothing.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "seeds and figures are for whoever runs this with --nocapture")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use pikiosk::{
    event::frame::CloseCode,
    server::{
        accept::head::Head,
        outbound::frame,
        socket::reader::{Reader, Seen},
    },
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The largest message of the suite.
const FRAME_MAX: usize = 20 * 1024 * 1024;
/// Binary messages, which the server refuses on purpose, and compression, which it does not offer.
const NOT_OURS: [&str; 7] = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*", "12.*", "13.*"];

#[test]
#[ignore = "make proof-autobahn"]
fn strangers_find_no_fault_with_how_frames_are_read_and_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/autobahn/root");
    if !root.join("ab/bin/wstest").exists() {
        println!("NOT DONE HERE: the Autobahn|Testsuite is not in {} (make proof-autobahn)", root.display());
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/v1/ws", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream));
        }
    });
    let plan = json!({
        "outdir": "/tmp/reports",
        "servers": [{ "agent": "pikiosk", "url": url }],
        "cases": ["*"], "exclude-cases": NOT_OURS, "exclude-agent-cases": {},
    });
    fs::write(root.join("tmp/plan.json"), plan.to_string()).unwrap();
    let mut suite = Command::new("chroot");
    suite.arg(&root).args(["/ab/bin/wstest", "-m", "fuzzingclient", "-s", "/tmp/plan.json"]);
    assert!(suite.status().unwrap().success(), "wstest ends well");
    let index = fs::read_to_string(root.join("tmp/reports/index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let (mut counts, mut failed) = (BTreeMap::<String, usize>::new(), Vec::new());
    for (case, outcome) in index["pikiosk"].as_object().unwrap() {
        let behavior = outcome["behavior"].as_str().unwrap();
        // Our contract's code for what RFC 6455 calls 1002 and 1007.
        let ours = outcome["behaviorClose"] == "WRONG CODE" && outcome["remoteCloseCode"] == CloseCode::BadFrame.code();
        let behavior = if behavior == "FAILED" && ours { "CLOSED WITH 4500" } else { behavior };
        *counts.entry(behavior.to_owned()).or_default() += 1;
        if !matches!(behavior, "OK" | "NON-STRICT" | "INFORMATIONAL" | "CLOSED WITH 4500") {
            failed.push(format!("{case}: {outcome}"));
        }
    }
    println!("{counts:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Sends back every text, as the suite wants it, by the server's reader and frames.
fn echo(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    let mut block = vec![0; 64 * 1024];
    let key = loop {
        match Head::read(&bytes) {
            Head::Socket(parts, length) => {
                bytes.drain(..length);
                break parts.headers["sec-websocket-key"].as_bytes().to_owned();
            }
            Head::Partial => match stream.read(&mut block) {
                Ok(length @ 1..) => bytes.extend_from_slice(&block[..length]),
                _ => return,
            },
            _ => return,
        }
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(&key)
    );
    if stream.write_all(answer.as_bytes()).is_err() {
        return;
    }
    let mut reader = Reader::new(FRAME_MAX);
    loop {
        let answers = reader.take(&bytes);
        if stream.write_all(&answers).is_err() {
            return;
        }
        while let Some(seen) = reader.take_next() {
            let mut out = Vec::new();
            match seen {
                Seen::Text(text) => frame::text(&mut out, &text),
                Seen::Sign => continue,
                Seen::Bad(reason) => {
                    let _ = stream.write_all(&frame::close(CloseCode::BadFrame, &reason));
                    return;
                }
                Seen::Gone => return,
            }
            if stream.write_all(&out).is_err() {
                return;
            }
        }
        bytes.clear();
        match stream.read(&mut block) {
            Ok(length @ 1..) => bytes.extend_from_slice(&block[..length]),
            _ => return,
        }
    }
}
