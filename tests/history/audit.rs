//! After a run: waits until all is done, gathers what clients saw and the ledger holds, and tells what was wrong.

use std::{collections::BTreeMap, path::Path, time::Duration};

use pikiosk::event::frame::ServerFrame;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    check::{Evidence, Violation},
    log::{Kept, Log, Number, Saw},
    publisher::{SOURCE, place_of},
    reader::Reader,
    run::{CALM, Run},
    wire::{Http, Socket},
};

/// As the server's default.
const HISTORY_EVENTS: u64 = 1_000;

/// What a run was like.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "it is there to be printed")]
pub struct Figures {
    pub events: usize,
    pub commands: usize,
    pub receipts: usize,
    pub by_status: BTreeMap<String, usize>,
    pub faults: BTreeMap<&'static str, usize>,
    pub deliveries: usize,
    pub sockets: usize,
    /// How sockets ended, by close code; 0 where they broke.
    pub ends: BTreeMap<u16, usize>,
    pub repeated_requests: usize,
    pub seconds: u64,
}

impl Run {
    /// Waits until everything is done, or nothing more will be, and gathers the evidence.
    pub async fn audit<'a>(&'a self, readers: &[Reader], markers: usize, logs: Vec<Log>) -> Evidence<'a> {
        let end = Instant::now() + CALM;
        let first_marker = Number::try_from(self.plan.events.len() - markers).expect("a run is finite");
        let mut waiting: Vec<&Log> = self.lives.displays.iter().map(|display| &display.log).collect();
        while !waiting.is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            // Its own, its group's and the one for all.
            waiting.retain(|log| log.count(|saw| matches!(saw, Saw::Got(number, _) if *number >= first_marker)) < 2);
        }
        let ledger = self.ledger(Wants::All, end).await;
        let mut heads = BTreeMap::new();
        for reader in readers {
            heads.extend(self.heads(reader).await);
        }
        let mut behind: Vec<&Reader> = readers.iter().collect();
        while !behind.is_empty() && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            behind.retain(|reader| {
                reader.log.count(|saw| matches!(saw, Saw::Got(number, _) if *number >= first_marker)) == 0
            });
        }
        let named = |log: &Log, name: String| (name, log.take());
        Evidence {
            size: self.plan.size,
            events: &self.plan.events,
            publishers: logs.iter().enumerate().map(|(n, log)| named(log, format!("publisher {n}"))).collect(),
            displays: self.lives.displays.iter().map(|one| named(&one.log, one.id.clone())).collect(),
            readers: readers.iter().enumerate().map(|(n, one)| named(&one.log, format!("reader {n}"))).collect(),
            ledger,
            heads,
            history_events: HISTORY_EVENTS,
        }
    }

    /// What the server keeps of every event; asks again, until `end`, for what is not there or not done.
    pub async fn ledger(&self, wants: Wants, end: Instant) -> Vec<Kept> {
        let (key, address) = {
            let world = self.world.lock().await;
            (world.key.clone(), world.addresses()[0])
        };
        let mut asking = JoinSet::new();
        for part in 0..4 {
            let (key, events) = (key.clone(), self.plan.events.clone());
            asking.spawn(async move {
                let mut kept = Vec::new();
                let mut http = Http::connect(address, address).await.expect("the server answers");
                for item in events.iter().skip(part).step_by(4).filter(|item| wants == Wants::All || item.by_broker) {
                    kept.extend(ask(&mut http, &key, item.number, wants, end).await);
                }
                kept
            });
        }
        let mut ledger = Vec::new();
        while let Some(part) = asking.join_next().await {
            ledger.extend(part.expect("an auditor ends well"));
        }
        ledger
    }

    /// Where the addresses of a reader stand, as a new socket of it is told.
    async fn heads(&self, reader: &Reader) -> BTreeMap<String, (String, u64)> {
        let way = reader.ways[0];
        // A server that forgot who we are has no heads to tell; what is missing is found in the ledger.
        let Some(bearer) = reader.bearer(way).await else { return BTreeMap::new() };
        let Ok(mut socket) = Socket::open(way.road, &bearer).await else { return BTreeMap::new() };
        let Ok(Ok(ServerFrame::Hello(hello))) = socket.next().await.map(ServerFrame::read) else {
            return BTreeMap::new();
        };
        hello.positions.into_iter().map(|(address, at)| (address.to_string(), (at.epoch, at.offset))).collect()
    }

    pub fn figures(&self, evidence: &Evidence<'_>, commands: usize, took: Duration) -> Figures {
        let mut figures = Figures {
            events: self.plan.events.len(),
            commands,
            faults: self.done.lock().expect("no panic holds it").clone(),
            seconds: took.as_secs(),
            ..Figures::default()
        };
        for kept in &evidence.ledger {
            for (_, status, error) in &kept.receipts {
                figures.receipts += 1;
                let name = match error.as_deref() {
                    Some(error) if status.as_str() == "failed" => format!("failed: {error}"),
                    _ => status.as_str().to_owned(),
                };
                *figures.by_status.entry(name).or_default() += 1;
            }
        }
        for (_, log) in evidence.displays.iter().chain(&evidence.readers) {
            figures.deliveries += log.iter().filter(|entry| matches!(entry.saw, Saw::Got(..))).count();
            figures.sockets += log.iter().filter(|entry| matches!(entry.saw, Saw::Opened { .. })).count();
        }
        for entry in evidence.displays.iter().chain(&evidence.readers).flat_map(|(_, log)| log) {
            if let Saw::Ended(code) = entry.saw {
                *figures.ends.entry(code).or_default() += 1;
            }
        }
        let sent = evidence.publishers.iter().flat_map(|(_, log)| log);
        let sent = sent.filter(|entry| matches!(entry.saw, Saw::Sent(_))).count();
        figures.repeated_requests = sent.saturating_sub(figures.events);
        figures
    }
}

/// What is looked for in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// What went through the broker, there at last.
    Carried,
    /// Everything, with all its receipts.
    All,
}

/// One event of the ledger; None if the server does not know it.
async fn ask(http: &mut Http, key: &str, number: Number, wants: Wants, end: Instant) -> Option<Kept> {
    let path = format!("/v1/events/e{number}?source={SOURCE}");
    loop {
        let (status, answer) = http.json("GET", &path, Some(key), &serde_json::Value::Null).await?;
        if status != 200 && (wants == Wants::All || Instant::now() >= end) {
            return None;
        }
        let pending: Vec<String> = serde_json::from_value(answer["pending"].clone()).unwrap_or_default();
        let is_ready = if wants == Wants::All { pending.is_empty() } else { status == 200 };
        if !is_ready && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        let receipt = |one: &serde_json::Value| {
            let status = serde_json::from_value(one["status"].clone()).ok()?;
            Some((one["display"].as_str()?.to_owned(), status, one["error"].as_str().map(str::to_owned)))
        };
        return Some(Kept {
            event: number,
            place: place_of(&answer)?,
            receipts: answer["receipts"].as_array()?.iter().filter_map(receipt).collect(),
            pending,
        });
    }
}

/// Prints the violations, and writes every client's log beside the servers'.
pub fn tell(evidence: &Evidence<'_>, found: &[Violation], folder: &Path) {
    let mut by_rule: BTreeMap<_, Vec<&Violation>> = BTreeMap::new();
    for violation in found {
        by_rule.entry(violation.rule).or_default().push(violation);
    }
    for (rule, violations) in by_rule {
        println!("{rule:?}: {}", violations.len());
        for violation in violations.iter().take(10) {
            println!("  {}", violation.what);
        }
    }
    let path = folder.join("clients.log");
    let mut text = String::new();
    for (name, log) in evidence.publishers.iter().chain(&evidence.displays).chain(&evidence.readers) {
        for entry in log {
            text += &format!("{name} {} {:?}\n", entry.at, entry.saw);
        }
    }
    let _ = std::fs::write(&path, text);
    println!("what each client saw: {}", path.display());
}
