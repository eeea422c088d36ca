//! The CloudEvents 1.0 object: read and written in the structured, batch and binary modes.
//!
//! Sources: CloudEvents 1.0.2, its JSON format (§3, §4) and its HTTP protocol binding (§3).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{address::Address, position::Position, time::UtcMillis};

mod read;
mod write;

/// The longest `id` and `type`, in bytes.
pub const ID_MAX: usize = 256;
/// The longest `source`, `dataschema` and extension value, in bytes.
pub const TEXT_MAX: usize = 1024;
/// The most extension attributes of one event.
pub const EXTENSIONS_MAX: usize = 32;
/// The most events of one batch.
pub const BATCH_MAX: usize = 1000;

/// Why some bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not a CloudEvents 1.0 JSON object: {0}")]
    Json(String),
    #[error("event {index} of the batch: {message}")]
    InBatch { index: usize, message: String },
    #[error("the batch holds {0} events: at most {BATCH_MAX} travel together")]
    BatchSize(usize),
    #[error("the header ce-{name}: {problem}")]
    Header { name: String, problem: String },
    #[error("the body says it is JSON, and is not: {0}")]
    Body(String),
}

/// A secret that travels in an event. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What an event carries. JSON is kept as the very text the publisher sent.
#[derive(Debug, Clone)]
pub enum Data {
    Json(Box<RawValue>),
    /// `data_base64`: bytes that are not JSON.
    Base64(String),
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Data::Json(a), Data::Json(b)) => a.get() == b.get(),
            (Data::Base64(a), Data::Base64(b)) => a == b,
            _ => false,
        }
    }
}

/// One CloudEvents 1.0 object.
///
/// `id`, `source` and `kind` are never empty; `source` + `id` name the event for ever (a repeat is the same event).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub source: String,
    /// The attribute `type`: `kiosk.<command>`, or a type of the publisher's own.
    pub kind: String,
    pub subject: Option<Address>,
    /// RFC 3339, as the publisher wrote it.
    pub time: Option<String>,
    pub datacontenttype: Option<String>,
    pub dataschema: Option<String>,
    /// After this moment (by the server's clock) nobody acts on the event.
    pub expirytime: Option<UtcMillis>,
    /// Set by the server: where the event stands in its address's history.
    pub position: Option<Position>,
    /// Client to server only, where the server asks for a token on every message.
    pub token: Option<Token>,
    /// Other extension attributes: a string, a boolean or an integer each.
    pub extensions: BTreeMap<String, Value>,
    pub data: Option<Data>,
}

impl Event {
    /// An event with nothing but its required attributes.
    pub fn new(id: impl Into<String>, source: impl Into<String>, kind: impl Into<String>) -> Self {
        Event {
            id: id.into(),
            source: source.into(),
            kind: kind.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            expirytime: None,
            position: None,
            token: None,
            extensions: BTreeMap::new(),
            data: None,
        }
    }

    pub fn to(mut self, address: Address) -> Self {
        self.subject = Some(address);
        self
    }

    /// Sets JSON data. A value that cannot be JSON (a map with keys that are no strings) becomes `null`.
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data =
            Some(Data::Json(serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())));
        self
    }

    /// The JSON text of `data`; `null` where the event has none or carries bytes.
    pub fn json_data(&self) -> &RawValue {
        match &self.data {
            Some(Data::Json(raw)) => raw,
            Some(Data::Base64(_)) | None => RawValue::NULL,
        }
    }

    /// The name after `kiosk.`, if this is an event of our own.
    pub fn kiosk_name(&self) -> Option<&str> {
        self.kind.strip_prefix("kiosk.")
    }
}

#[cfg(test)]
mod tests;
