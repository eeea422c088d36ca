//! What scripts answer, read into what the engine means.

use redis::Value;

use super::{Committed, Settled, StoreError};
use crate::event::{DisplayId, Event, Receipt, command::Kind};

/// An answer that a script cannot give: somebody else writes into these keys.
pub fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("in Redis: {what}"))
}

pub fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        _ => Err(damaged("a list was expected")),
    }
}

pub fn text(value: Value) -> Result<String, StoreError> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| damaged("a text that is not UTF-8")),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        Value::Nil => Ok(String::new()),
        _ => Err(damaged("a text was expected")),
    }
}

pub fn bytes(value: Value) -> Result<Vec<u8>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => text(other).map(String::into_bytes),
    }
}

pub fn number(value: Value) -> Result<u64, StoreError> {
    match value {
        Value::Int(number) => u64::try_from(number).map_err(|_| damaged("a number below 0")),
        other => text(other)?.parse().map_err(|_| damaged("a number was expected")),
    }
}

/// Takes the next of a list.
pub fn next(items: &mut impl Iterator<Item = Value>) -> Result<Value, StoreError> {
    items.next().ok_or_else(|| damaged("an answer is too short"))
}

pub fn display(text: &str) -> Result<DisplayId, StoreError> {
    text.parse().map_err(|error| damaged(&format!("a display's id: {error}")))
}

pub fn json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|error| damaged(&format!("a row: {error}")))
}

pub fn to_json(row: &impl serde::Serialize) -> String {
    serde_json::to_string(row).expect("rows have string keys and no failing serialiser")
}

/// The queue a command waits in: `action`, or its slot; nothing for what is no command.
pub fn queue_name(kind: Option<Kind>) -> String {
    match kind {
        None => String::new(),
        Some(Kind::Action) => "action".to_owned(),
        Some(Kind::State(slot)) => to_json(&slot).trim_matches('"').to_owned(),
    }
}

fn kind_of(queue: &str) -> Result<Option<Kind>, StoreError> {
    Ok(match queue {
        "" => None,
        "action" => Some(Kind::Action),
        slot => Some(Kind::State(json(format!("\"{slot}\"").as_bytes())?)),
    })
}

/// An event as `load` gives it: commit, text, queue, expiry, and in the feed who it was for.
pub fn committed(value: Value) -> Result<Committed, StoreError> {
    let mut row = list(value)?.into_iter();
    let commit = number(next(&mut row)?)?;
    let text = text(next(&mut row)?)?;
    let kind = kind_of(&self::text(next(&mut row)?)?)?;
    let expires = self::text(next(&mut row)?)?;
    let expires_ms = match expires.as_str() {
        "" => None,
        digits => Some(digits.parse().map_err(|_| damaged("an expiry"))?),
    };
    let targets = self::text(row.next().unwrap_or(Value::Nil))?;
    let targets = targets.split_whitespace().map(display).collect::<Result<_, _>>()?;
    let problem = |problem: String| damaged(&format!("event {commit}: {problem}"));
    let event = Event::from_json(text.as_bytes()).map_err(|error| problem(error.to_string()))?;
    let (Some(address), Some(position)) = (event.subject.clone(), event.position.clone()) else {
        return Err(problem("it has no address or position".into()));
    };
    let committed = Committed { commit, address, position, event, text: text.into(), kind, expires_ms, targets };
    // The clock was set since: the text is as it was published.
    Ok(match expires_ms.zip(committed.event.expirytime) {
        Some((expires_ms, said)) if expires_ms != said.0 => committed.expiring_at(expires_ms),
        _ => committed,
    })
}

/// A receipt that was written: commit, display, text.
pub fn settled(items: Vec<Value>) -> Result<Settled, StoreError> {
    let mut row = items.into_iter();
    let event = number(next(&mut row)?)?;
    let display = display(&text(next(&mut row)?)?)?;
    let receipt: Receipt = json(&bytes(next(&mut row)?)?)?;
    Ok(Settled { event, display, receipt })
}
