//! `STATE/journal`: commands that were taken on, and where reading goes on.

use std::{collections::BTreeMap, path::Path};

use pikiosk::{
    display::journal::{EventKey, Journal, JournalFile, Record, Taken, Verdict},
    event::{Address, Position, Receipt, Status, command::Slot},
};
use serde_json::json;

use super::{Durable, Found};

/// Compacted more often than in life, where it is every half megabyte.
const COMPACT_EVERY: u64 = 10;
const ADDRESS: &str = "display/lobby";

#[derive(Default)]
pub struct Written(Option<(JournalFile, Journal)>);

impl Durable for Written {
    fn name(&self) -> &'static str {
        "journal"
    }

    /// As the supervisor does: taken on with its position, on disk, before anybody acts; its end whenever.
    fn write(&mut self, folder: &Path, n: u64) {
        let (file, journal) = self.0.get_or_insert_with(|| JournalFile::open(&folder.join("journal")).unwrap());
        let mut keep = |records: &[Record], durable| {
            records.iter().for_each(|record| journal.apply(record));
            file.keep(records, durable).unwrap();
        };
        if n > 1 {
            keep(&ended(n - 1), false);
        }
        keep(&taken(n), true);
        if n.is_multiple_of(COMPACT_EVERY) {
            file.compact(&journal.snapshot()).unwrap();
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }

    fn read(&self, folder: &Path) -> Found {
        read(folder)
    }
}

fn key(n: u64) -> EventKey {
    EventKey { source: "proof".into(), id: format!("event-{n}") }
}

fn is_state(n: u64) -> bool {
    n.is_multiple_of(2)
}

/// Every other one is a state, every fifth is as long as a command may well be.
fn data(n: u64) -> serde_json::Value {
    let length = if n.is_multiple_of(5) { 9000 } else { 150 };
    match is_state(n) {
        true => json!({ "url": format!("https://example.org/{n}?{}", "q".repeat(length)) }),
        false => json!({ "text": format!("message {n} {}", "m".repeat(length)), "seconds": 10 }),
    }
}

pub fn taken(n: u64) -> Vec<Record> {
    let name = if is_state(n) { "navigate" } else { "message" };
    let taken = Taken { key: key(n), name: name.into(), data: data(n), expires_ms: None, started: false };
    let position = Position { epoch: "e".into(), offset: n };
    let address: Address = ADDRESS.parse().unwrap();
    vec![Record::Taken(taken), Record::Read(BTreeMap::from([(address, position)]))]
}

fn ended(n: u64) -> Vec<Record> {
    let receipt = Receipt::new(key(n).id, key(n).source, Status::Done, n);
    vec![Record::Started(key(n)), Record::Ended { receipt, at_ms: None }, Record::Told(key(n))]
}

/// Position and commands must say the same: nothing before it is unknown, nothing after it is known.
pub fn read(folder: &Path) -> Found {
    let path = folder.join("journal");
    if !path.exists() {
        return Found::default();
    }
    let (_, journal) = match JournalFile::open(&path) {
        Ok(opened) => opened,
        Err(error) => return Found { newest: None, torn: vec![format!("it does not open: {error}")] },
    };
    let position = journal.positions().get(&ADDRESS.parse::<Address>().unwrap());
    let Some(newest) = position.map(|position| position.offset) else { return Found::default() };
    let mut torn = Vec::new();
    for n in 1..=newest {
        if journal.judge(&key(n)) == Verdict::Fresh {
            torn.push(format!("{n} of {newest} is unknown"));
        }
    }
    if journal.judge(&key(newest + 1)) != Verdict::Fresh {
        torn.push(format!("{} is known, and the position is {newest}", newest + 1));
    }
    let of_slot = newest - newest % 2;
    let held = journal.state(Slot::Content).map(|taken| (&taken.key, &taken.data));
    let wanted = (key(of_slot), data(of_slot));
    if held != (of_slot > 0).then_some((&wanted.0, &wanted.1)) {
        torn.push(format!("the content is not that of {of_slot}"));
    }
    if let Some(open) = journal.actions().find(|taken| taken.data != data(newest)) {
        torn.push(format!("{} is open", open.key.id));
    }
    Found { newest: Some(newest), torn }
}
