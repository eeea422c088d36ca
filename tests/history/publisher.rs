//! A careful publisher: the same event again until it is answered, and now and then although it was.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pikiosk::event::{Address, Event, time::UtcMillis};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    display::Way,
    log::{Log, Number, Place, Saw},
    plan::{Item, Size, What},
    wire::Http,
};

pub const SOURCE: &str = "history";
/// How many accepted events it remembers, to publish some of them again.
const MEMORY: usize = 64;

#[derive(Debug)]
pub struct Publisher {
    pub log: Log,
    pub ways: Arc<[Way]>,
    pub key: String,
    pub rng: fastrand::Rng,
    /// Events accepted so far, of all publishers.
    pub accepted: Arc<AtomicUsize>,
    pub size: Size,
    pub now_ms: fn() -> u64,
}

impl Publisher {
    /// Publishes all of them, in order; returns when each is answered.
    pub async fn publish(mut self, items: Vec<Item>) {
        let mut http = None;
        let mut done: VecDeque<(Number, Value)> = VecDeque::new();
        let mut items = items.into_iter().peekable();
        while let Some(first) = items.next() {
            let is_single = self.size.travels_alone(&first.address);
            let mut batch = vec![(first.number, event(&first, self.now_ms))];
            let wanted = self.rng.usize(1..8);
            while !is_single
                && batch.len() < wanted
                && let Some(next) = items.next_if(|next| !self.size.travels_alone(&next.address))
            {
                batch.push((next.number, event(&next, self.now_ms)));
            }
            let fresh = batch.len();
            if self.rng.usize(..20) == 0 && !is_single && !done.is_empty() {
                batch.push(done[self.rng.usize(..done.len())].clone());
            }
            if self.until_answered(&mut http, &batch).await {
                self.accepted.fetch_add(fresh, Ordering::Relaxed);
                if !is_single {
                    batch.truncate(fresh);
                    done.extend(batch);
                    done.drain(..done.len().saturating_sub(MEMORY));
                }
            } else {
                self.accepted.fetch_add(fresh, Ordering::Relaxed);
            }
        }
    }

    /// False if the events were refused for good.
    async fn until_answered(&mut self, http: &mut Option<Http>, batch: &[(Number, Value)]) -> bool {
        let bearer = format!("Bearer {}", self.key);
        let (kind, body) = match batch {
            [(_, one)] => ("application/cloudevents+json", one.to_string()),
            many => {
                let all: Vec<&Value> = many.iter().map(|(_, event)| event).collect();
                ("application/cloudevents-batch+json", serde_json::to_string(&all).expect("values are JSON"))
            }
        };
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        loop {
            if http.is_none() {
                let way = self.ways[self.rng.usize(..self.ways.len())];
                *http = Http::connect(way.road, way.node).await;
            }
            for (number, _) in batch {
                self.log.add(Saw::Sent(*number));
            }
            let answer = match http {
                Some(open) => open.request("POST", "/v1/events", &headers, body.as_bytes()).await,
                None => None,
            };
            match answer {
                Some((202, answer)) => {
                    self.note(batch, &answer);
                    return true;
                }
                Some((429 | 503 | 507, _)) => sleep(Duration::from_millis(100)).await,
                Some((status, _)) => {
                    for (number, _) in batch {
                        self.log.add(Saw::Refused(*number, status));
                    }
                    return false;
                }
                None => {
                    *http = None;
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    fn note(&self, batch: &[(Number, Value)], answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let places = if answer.is_array() { answer } else { json!([answer]) };
        for ((number, _), place) in batch.iter().zip(places.as_array().into_iter().flatten()) {
            self.log.add(Saw::Accepted(*number, place_of(place)));
        }
    }
}

/// The event as it is published.
pub fn event(item: &Item, now_ms: fn() -> u64) -> Value {
    let padding = "x".repeat(item.padding);
    let (kind, data) = match item.what {
        What::Action => ("kiosk.event", json!({"name": "tick", "data": {"number": item.number, "padding": padding}})),
        What::State => ("kiosk.zoom", json!({"percent": 25 + item.number % 400})),
        What::Plain => ("org.example.tick", json!({"number": item.number, "padding": padding})),
    };
    let address: Address = item.address.parse().expect("the plan names addresses");
    let mut event = Event::new(format!("e{}", item.number), SOURCE, kind).to(address).with_data(&data);
    if item.what == What::Action {
        let life = if item.is_brief { 2_000 } else { 6 * 3_600_000 };
        event.expirytime = Some(UtcMillis(now_ms() + life));
    }
    serde_json::from_str(&event.to_json()).expect("an event is JSON")
}

/// The place that an answer of the server tells.
pub fn place_of(answer: &Value) -> Option<Place> {
    Some(Place {
        address: answer["address"].as_str()?.into(),
        epoch: answer["epoch"].as_str()?.into(),
        offset: answer["offset"].as_str()?.parse().ok()?,
    })
}
