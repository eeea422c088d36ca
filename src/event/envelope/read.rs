//! Reading: one pass over the bytes; what an attribute says is borrowed until it is kept.

use std::{borrow::Cow, cell::Cell, collections::BTreeMap, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{BATCH_MAX, Data, EXTENSIONS_MAX, EnvelopeError, Event, ID_MAX, TEXT_MAX, Token};
use crate::event::{
    Address,
    position::{Position, digits},
    time::UtcMillis,
};

impl Event {
    /// Reads one structured event (`application/cloudevents+json`, or one WebSocket text frame).
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_str(utf8(bytes)?).map_err(|error| EnvelopeError::Json(error.to_string()))
    }

    /// Reads `application/cloudevents-batch+json`. An error names the event by its place, counted from 0.
    pub fn batch_from_json(bytes: &[u8]) -> Result<Vec<Self>, EnvelopeError> {
        let text = utf8(bytes)?;
        let (seen, in_item) = (Cell::new(0), Cell::new(false));
        let batch = Batch { room: (text.len() / 256).min(BATCH_MAX), seen: &seen, in_item: &in_item };
        let mut reader = serde_json::Deserializer::from_str(text);
        match batch.deserialize(&mut reader).and_then(|events| reader.end().map(|()| events)) {
            Ok(_) if seen.get() > BATCH_MAX => Err(EnvelopeError::BatchSize(seen.get())),
            Ok(events) => Ok(events),
            Err(error) if in_item.get() && error.is_data() => {
                Err(EnvelopeError::InBatch { index: seen.get(), message: error.to_string() })
            }
            Err(error) => Err(EnvelopeError::Json(error.to_string())),
        }
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
            draft.set(name, Attribute::Text(text)).map_err(problem)?;
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
}

/// Looked at once for all strings in it.
fn utf8(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|error| EnvelopeError::Json(error.to_string()))
}

/// An array of events.
struct Batch<'a> {
    /// How many there may be, by the length of the text.
    room: usize,
    /// How many were read to their end.
    seen: &'a Cell<usize>,
    in_item: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Event>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Event>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Event>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of CloudEvents objects")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Event>, A::Error> {
        let mut events = Vec::with_capacity(self.room);
        self.in_item.set(true);
        // What is too many is only counted.
        while self.seen.get() < BATCH_MAX
            && let Some(event) = seq.next_element()?
        {
            events.push(event);
            self.seen.set(self.seen.get() + 1);
        }
        self.in_item.set(false);
        while self.seen.get() >= BATCH_MAX && seq.next_element::<IgnoredAny>()?.is_some() {
            self.seen.set(self.seen.get() + 1);
        }
        Ok(events)
    }
}

/// The name of an attribute; borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Attribute::deserialize(deserializer)? {
            Attribute::Text(text) => Ok(Name(text)),
            _ => Err(D::Error::custom("a name is a text")),
        }
    }
}

/// The value of an attribute.
enum Attribute<'a> {
    Null,
    Text(Cow<'a, str>),
    Bool(bool),
    Integer(i64),
    /// What no attribute may be.
    Other,
}

impl<'de> Deserialize<'de> for Attribute<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Attribute<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the value of an attribute")
            }
            fn visit_unit<E>(self) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Null)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Bool(value))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Integer(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Attribute<'de>, E> {
                Ok(i64::try_from(number).map_or(Attribute::Other, Attribute::Integer))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Attribute<'de>, E> {
                Ok(Attribute::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Attribute<'de>, A::Error> {
                IgnoredAny.visit_seq(seq).map(|_| Attribute::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Attribute<'de>, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Attribute::Other)
            }
        }
        deserializer.deserialize_any(Any)
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
                while let Some(Name(name)) = map.next_key()? {
                    let twice = || A::Error::custom(format_args!("`{name}` stands twice"));
                    match &*name {
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
                            let value: Attribute = map.next_value()?;
                            if !matches!(value, Attribute::Null) {
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
    fn set(&mut self, name: &str, value: Attribute) -> Result<(), String> {
        if name == "specversion" {
            if self.specversion {
                return Err("stands twice".into());
            }
            self.specversion = true;
            return match value {
                Attribute::Text(text) if text == "1.0" => Ok(()),
                Attribute::Text(text) => Err(format!("must be \"1.0\", and is {text:.20?}")),
                _ => Err("must be the text \"1.0\"".into()),
            };
        }
        match name {
            "id" => put(&mut self.id, kept(value, ID_MAX)?),
            "source" => put(&mut self.source, kept(value, TEXT_MAX)?),
            "type" => put(&mut self.kind, kept(value, ID_MAX)?),
            "subject" => put(&mut self.subject, text(value, TEXT_MAX)?.parse().map_err(|error| format!("{error}"))?),
            "time" => {
                let time = text(value, ID_MAX)?;
                time.parse::<UtcMillis>().map_err(|error| error.to_string())?;
                put(&mut self.time, time.into_owned())
            }
            "datacontenttype" => put(&mut self.datacontenttype, kept(value, ID_MAX)?),
            "dataschema" => put(&mut self.dataschema, kept(value, TEXT_MAX)?),
            "expirytime" => {
                put(&mut self.expirytime, text(value, ID_MAX)?.parse().map_err(|error| format!("{error}"))?)
            }
            "epoch" => put(&mut self.epoch, kept(value, ID_MAX)?),
            "offset" => {
                let digits = text(value, ID_MAX)?;
                put(&mut self.offset, digits::parse(&digits).ok_or("must be a string of digits")?)
            }
            "token" => put(&mut self.token, Token(kept(value, 16 * TEXT_MAX)?)),
            _ => self.set_extension(name, value),
        }
    }

    fn set_extension(&mut self, name: &str, value: Attribute) -> Result<(), String> {
        if name.is_empty() || name.len() > ID_MAX || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            return Err("an attribute's name has lower-case letters and digits only".into());
        }
        let value = match value {
            Attribute::Text(text) if text.len() <= TEXT_MAX => Value::String(text.into_owned()),
            Attribute::Bool(value) => Value::Bool(value),
            Attribute::Integer(number) if i32::try_from(number).is_ok() => number.into(),
            _ => return Err(format!("must be a text of at most {TEXT_MAX} bytes, a boolean or a 32-bit integer")),
        };
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

fn text(value: Attribute<'_>, max: usize) -> Result<Cow<'_, str>, String> {
    match value {
        Attribute::Text(text) if (1..=max).contains(&text.len()) && !has_controls(&text) => Ok(text),
        _ => Err(format!("must be a text of 1 to {max} bytes without control characters")),
    }
}

fn kept(value: Attribute<'_>, max: usize) -> Result<String, String> {
    text(value, max).map(Cow::into_owned)
}

fn has_controls(text: &str) -> bool {
    // Printable ASCII has none; only other texts are looked at character by character.
    !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.chars().any(char::is_control)
}
