//! The CloudEvents 1.0 object: read and written in the structured, batch and binary modes.
//!
//! Sources: CloudEvents 1.0.2, its JSON format (§3, §4) and its HTTP protocol binding (§3).

use std::{collections::BTreeMap, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Value, value::RawValue};

use super::{
    address::Address,
    position::{Position, digits},
    time::UtcMillis,
};

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

    /// Reads one structured event (`application/cloudevents+json`, or one WebSocket text frame).
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Json(error.to_string()))
    }

    /// Reads `application/cloudevents-batch+json`. An error names the event by its place, counted from 0.
    pub fn batch_from_json(bytes: &[u8]) -> Result<Vec<Self>, EnvelopeError> {
        let items: Vec<&RawValue> =
            serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Json(error.to_string()))?;
        if items.len() > BATCH_MAX {
            return Err(EnvelopeError::BatchSize(items.len()));
        }
        let read = |(index, item): (usize, &&RawValue)| {
            serde_json::from_str(item.get())
                .map_err(|error| EnvelopeError::InBatch { index, message: error.to_string() })
        };
        items.iter().enumerate().map(read).collect()
    }

    /// Reads the HTTP binary mode: attributes from `ce-*` headers (names in lower case, without the prefix), data
    /// from the body. No content type means JSON; `text/*` becomes a JSON string; anything else becomes base64.
    pub fn from_binary<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let mut draft = Draft::default();
        for (name, value) in headers {
            let problem = |problem: String| EnvelopeError::Header { name: name.to_owned(), problem };
            let text = percent_encoding::percent_decode(value)
                .decode_utf8()
                .map_err(|_| problem("the value is not UTF-8".to_owned()))?;
            if matches!(name, "data" | "data_base64" | "datacontenttype") {
                return Err(problem("no attribute travels in this header".to_owned()));
            }
            draft.set(name, Value::String(text.into_owned())).map_err(problem)?;
        }
        draft.datacontenttype = content_type.map(str::to_owned);
        let media = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
        let media = media.to_ascii_lowercase();
        if !body.is_empty() {
            let base64 = || Data::Base64(BASE64_STANDARD.encode(body));
            draft.data = Some(if media == "application/json" || media.ends_with("+json") {
                Data::Json(serde_json::from_slice(body).map_err(|error| EnvelopeError::Body(error.to_string()))?)
            } else if media.starts_with("text/") {
                std::str::from_utf8(body)
                    .ok()
                    .and_then(|text| serde_json::value::to_raw_value(text).ok())
                    .map_or_else(base64, Data::Json)
            } else {
                base64()
            });
        }
        draft.finish().map_err(EnvelopeError::Json)
    }

    /// A bound of the length of [`Event::to_json`], without writing it.
    pub fn json_bytes_at_most(&self) -> usize {
        // A character may take six bytes as an escape (a control character), its bytes never more than six times their number.
        let text = |text: &str| 6 * text.len() + 32;
        let optional = |value: &Option<String>| value.as_deref().map_or(0, text);
        let address = match &self.subject {
            None | Some(Address::All) => 32,
            Some(Address::Display(id)) => text(id.as_str()),
            Some(Address::Group(name)) => text(name.as_str()),
            Some(Address::User(name)) => text(name.as_str()),
        };
        let extensions: usize =
            self.extensions.iter().map(|(name, value)| name.len() + text(value.as_str().unwrap_or_default())).sum();
        let data = match &self.data {
            None => 0,
            Some(Data::Json(raw)) => raw.get().len(),
            Some(Data::Base64(text)) => text.len(),
        };
        let known = [&self.id, &self.source, &self.kind].into_iter().map(|value| text(value)).sum::<usize>();
        let rare = [&self.time, &self.datacontenttype, &self.dataschema].into_iter().map(optional).sum::<usize>();
        let position = self.position.as_ref().map_or(0, |position| text(&position.epoch) + 64);
        let token = self.token.as_ref().map_or(0, |token| text(&token.0));
        128 + known + rare + address + extensions + data + position + token
    }

    /// The structured JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, integers and raw JSON always serialise")
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.kind)?;
        macro_rules! optional {
            ($($field:ident),*) => {
                $(if let Some(value) = &self.$field { map.serialize_entry(stringify!($field), value)?; })*
            };
        }
        optional!(subject, time, datacontenttype, dataschema, expirytime);
        if let Some(position) = &self.position {
            map.serialize_entry("epoch", &position.epoch)?;
            map.serialize_entry("offset", &position.offset.to_string())?;
        }
        optional!(token);
        for (name, value) in &self.extensions {
            map.serialize_entry(name, value)?;
        }
        match &self.data {
            Some(Data::Json(raw)) => map.serialize_entry("data", raw)?,
            Some(Data::Base64(text)) => map.serialize_entry("data_base64", text)?,
            None => {}
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes;
        impl<'de> Visitor<'de> for Attributes {
            type Value = Event;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a CloudEvents object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
                let mut draft = Draft::default();
                while let Some(name) = map.next_key::<String>()? {
                    let twice = || A::Error::custom(format_args!("`{name}` stands twice"));
                    match name.as_str() {
                        "data" => {
                            let raw: Box<RawValue> = map.next_value()?;
                            if draft.data.is_some() {
                                return Err(twice());
                            }
                            draft.data = (raw.get() != "null").then_some(Data::Json(raw));
                        }
                        "data_base64" => {
                            let text: String = map.next_value()?;
                            if draft.data.is_some() {
                                return Err(A::Error::custom("`data` and `data_base64` exclude one another"));
                            }
                            if BASE64_STANDARD.decode(&text).is_err() {
                                return Err(A::Error::custom("`data_base64` is not base64"));
                            }
                            draft.data = Some(Data::Base64(text));
                        }
                        _ => {
                            let value: Value = map.next_value()?;
                            if !value.is_null() {
                                draft
                                    .set(&name, value)
                                    .map_err(|problem| A::Error::custom(format_args!("`{name}`: {problem}")))?;
                            }
                        }
                    }
                }
                draft.finish().map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(Attributes)
    }
}

/// Attributes as they are read, before it is known that none is missing.
#[derive(Default)]
struct Draft {
    specversion: bool,
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    subject: Option<Address>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    expirytime: Option<UtcMillis>,
    epoch: Option<String>,
    offset: Option<u64>,
    token: Option<Token>,
    extensions: BTreeMap<String, Value>,
    data: Option<Data>,
}

impl Draft {
    /// Takes one attribute; the error is a fragment that fits after the attribute's name.
    fn set(&mut self, name: &str, value: Value) -> Result<(), String> {
        if name == "specversion" {
            if self.specversion {
                return Err("stands twice".into());
            }
            self.specversion = true;
            return (value == "1.0").then_some(()).ok_or_else(|| format!("must be \"1.0\", and is {value}"));
        }
        match name {
            "id" => put(&mut self.id, text(value, ID_MAX)?),
            "source" => put(&mut self.source, text(value, TEXT_MAX)?),
            "type" => put(&mut self.kind, text(value, ID_MAX)?),
            "subject" => put(&mut self.subject, text(value, TEXT_MAX)?.parse().map_err(|error| format!("{error}"))?),
            "time" => {
                let time = text(value, ID_MAX)?;
                time.parse::<UtcMillis>().map_err(|error| error.to_string())?;
                put(&mut self.time, time)
            }
            "datacontenttype" => put(&mut self.datacontenttype, text(value, ID_MAX)?),
            "dataschema" => put(&mut self.dataschema, text(value, TEXT_MAX)?),
            "expirytime" => {
                put(&mut self.expirytime, text(value, ID_MAX)?.parse().map_err(|error| format!("{error}"))?)
            }
            "epoch" => put(&mut self.epoch, text(value, ID_MAX)?),
            "offset" => {
                let digits = text(value, ID_MAX)?;
                put(&mut self.offset, digits::parse(&digits).ok_or("must be a string of digits")?)
            }
            "token" => put(&mut self.token, Token(text(value, 16 * TEXT_MAX)?)),
            _ => self.set_extension(name, value),
        }
    }

    fn set_extension(&mut self, name: &str, value: Value) -> Result<(), String> {
        if name.is_empty() || name.len() > ID_MAX || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            return Err("an attribute's name has lower-case letters and digits only".into());
        }
        match &value {
            Value::String(text) if text.len() <= TEXT_MAX => {}
            Value::Bool(_) => {}
            Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            _ => return Err(format!("must be a text of at most {TEXT_MAX} bytes, a boolean or a 32-bit integer")),
        }
        if self.extensions.len() >= EXTENSIONS_MAX {
            return Err(format!("at most {EXTENSIONS_MAX} extension attributes travel with one event"));
        }
        match self.extensions.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err("stands twice".into()),
        }
    }

    fn finish(self) -> Result<Event, String> {
        let missing = |name: &str| format!("the attribute `{name}` is missing");
        if !self.specversion {
            return Err(missing("specversion"));
        }
        let position = match (self.epoch, self.offset) {
            (Some(epoch), Some(offset)) => Some(Position { epoch, offset }),
            (None, None) => None,
            _ => return Err("`epoch` and `offset` only make sense together".into()),
        };
        Ok(Event {
            id: self.id.ok_or_else(|| missing("id"))?,
            source: self.source.ok_or_else(|| missing("source"))?,
            kind: self.kind.ok_or_else(|| missing("type"))?,
            subject: self.subject,
            time: self.time,
            datacontenttype: self.datacontenttype,
            dataschema: self.dataschema,
            expirytime: self.expirytime,
            position,
            token: self.token,
            extensions: self.extensions,
            data: self.data,
        })
    }
}

fn put<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("stands twice".into()),
    }
}

fn text(value: Value, max: usize) -> Result<String, String> {
    match value {
        Value::String(text) if (1..=max).contains(&text.len()) && !text.chars().any(char::is_control) => Ok(text),
        _ => Err(format!("must be a text of 1 to {max} bytes without control characters")),
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
