//! A client that reads addresses to the end: a user, or one with a token for many addresses.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use pikiosk::event::Position;
use serde_json::json;
use tokio::time::sleep;

use super::{
    display::{Way, advance, begin_anew, hello, planned, resume, take_heads},
    log::{Log, Saw},
    wire::{Ended, Http, Socket},
};

/// Who it is to the server.
#[derive(Debug, Clone)]
pub enum Pass {
    /// A ticket for this user, minted by the operator with this key.
    User { name: String, operator: String },
    /// A JWT that lists addresses.
    Token(String),
}

#[derive(Debug, Clone)]
pub struct Reader {
    pub log: Log,
    pub pass: Pass,
    pub ways: Arc<[Way]>,
    pub turn: Arc<AtomicUsize>,
}

impl Reader {
    pub async fn live(self) {
        let mut positions = BTreeMap::new();
        loop {
            let way = self.ways[self.turn.fetch_add(1, Ordering::Relaxed) % self.ways.len()];
            if let Some(bearer) = self.bearer(way).await
                && let Ok(mut socket) = Socket::open(way.road, &bearer).await
                && let Err(Ended(code)) = self.converse(&mut socket, &mut positions).await
            {
                self.log.add(Saw::Ended(code));
            }
            sleep(Duration::from_millis(30)).await;
        }
    }

    pub async fn bearer(&self, way: Way) -> Option<String> {
        match &self.pass {
            Pass::Token(token) => Some(token.clone()),
            Pass::User { name, operator } => {
                let mut http = Http::connect(way.road, way.node).await?;
                let (_, answer) = http.json("POST", "/v1/tickets", Some(operator), &json!({"user": name})).await?;
                Some(answer["ticket"].as_str()?.to_owned())
            }
        }
    }

    async fn converse(&self, socket: &mut Socket, positions: &mut BTreeMap<String, Position>) -> Result<(), Ended> {
        let heads = hello(socket, &self.log).await?;
        take_heads(positions, &heads);
        resume(socket, &self.log, positions.clone()).await?;
        begin_anew(positions, &heads);
        loop {
            let event = socket.next().await?;
            let Some((number, place)) = planned(&event) else { continue };
            advance(positions, &place);
            self.log.add(Saw::Got(number, place));
        }
    }
}

/// An HS256 token for these addresses, good for the run.
pub fn token(secret: &[u8], addresses: &[String], now_s: u64) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "HS256", "typ": "JWT"}));
    let body = part(json!({"sub": "wide", "exp": now_s + 7_200, "addr": addresses}));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let signature = ring::hmac::sign(&key, format!("{head}.{body}").as_bytes());
    format!("{head}.{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
