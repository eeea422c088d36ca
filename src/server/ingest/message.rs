//! What a broker's message says: an event for an address, or why it cannot be used. Pure.
//!
//! | body | becomes |
//! |---|---|
//! | a JSON object with `specversion`, or of the content type `application/cloudevents+json` | that event |
//! | a JSON object with `command` | that command; its data are the other fields |
//! | any other JSON, and any text | `kiosk.event {name: "message", data}`: the body, byte for byte |
//!
//! To a user the last one goes as it is, although users get no commands: it is how a program tells a person something.
//! Nobody owes a receipt for it.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    auth::Principal,
    event::{
        Address, Event,
        address::AddressError,
        command::TTL_MAX,
        envelope::{Data, EnvelopeError, ID_MAX, TEXT_MAX},
        time::UtcMillis,
    },
    server::{
        publishing::{EVENT_MAX, PublishError, prepare},
        store::Publish,
    },
};

/// A message as it came, without what only the broker's protocol needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    pub routing_key: &'a str,
    pub body: &'a [u8],
    /// `message_id`: the event's id. Without it a redelivery is another event.
    pub id: Option<&'a str>,
    /// `app_id`: part of the event's source, so that the ids of two programs are apart.
    pub program: Option<&'a str>,
    pub content_type: Option<&'a str>,
    /// `expiration`: what is worthless to the broker after so many ms is worthless to a display.
    pub expiration: Option<&'a str>,
}

/// Why a message cannot be used. Goes into the dead letter's header, for whoever looks there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(
        "the routing key `{0}` names no address: write commands.<display>, commands.group.<name>, commands.user.<name> or commands.all"
    )]
    Key(String),
    #[error("the routing key `{key}` names no address: {source}")]
    Name { key: String, source: AddressError },
    #[error("the body is neither JSON nor UTF-8 text")]
    Bytes,
    #[error(transparent)]
    Event(#[from] EnvelopeError),
    #[error("the event's `subject` is `{subject}`, and the routing key says `{key}`: write one of them")]
    AnotherSubject { subject: Address, key: Address },
    #[error("`command` is the command's name, a text: {0}")]
    Command(String),
    #[error("`message_id` has 1 to {ID_MAX} bytes without control characters")]
    Id,
    #[error("`app_id` has at most {} bytes without control characters", TEXT_MAX / 2)]
    Program,
    #[error("`expiration` is a number of milliseconds, and is `{0}`")]
    Expiration(String),
    #[error(transparent)]
    Refused(#[from] PublishError),
}

/// The address that a routing key names: everything after `commands.user.` is the name, dots included.
///
/// # Errors
/// `Key`, `Name`.
pub fn address(routing_key: &str) -> Result<Address, Unusable> {
    let short = || routing_key.chars().take(80).collect();
    let name = routing_key.strip_prefix("commands.").ok_or_else(|| Unusable::Key(short()))?;
    let text = match name.split_once('.') {
        _ if name == "all" => "all".to_owned(),
        Some(("group", name)) => format!("group/{name}"),
        Some(("user", name)) => format!("user/{name}"),
        _ => format!("display/{name}"),
    };
    text.parse().map_err(|source| Unusable::Name { key: short(), source })
}

/// Makes a message ready for the store. `fresh_id` names it where the publisher did not.
///
/// # Errors
/// See [`Unusable`].
pub fn read(message: Message<'_>, fresh_id: &str, now_ms: u64) -> Result<Publish, Unusable> {
    let address = address(message.routing_key)?;
    let text = std::str::from_utf8(message.body).map_err(|_| Unusable::Bytes)?;
    let said = Said::of(text, message.content_type)?;
    let wrapped = matches!(said, Said::Data(_));
    let event = match said {
        Said::Event(mut event) => {
            match &event.subject {
                Some(subject) if *subject != address => {
                    return Err(Unusable::AnotherSubject { subject: subject.clone(), key: address });
                }
                _ => event.subject = Some(address),
            }
            *event
        }
        Said::Command { name, data } => bare(message, fresh_id, &format!("kiosk.{name}"), address, data, now_ms)?,
        Said::Data(data) => {
            let data = format!(r#"{{"name":"message","data":{}}}"#, data.get());
            // Two pieces of JSON in a third: it is JSON.
            let data = RawValue::from_string(data).map_err(|_| Unusable::Bytes)?;
            bare(message, fresh_id, "kiosk.event", address, data, now_ms)?
        }
    };
    if wrapped && matches!(event.subject, Some(Address::User(_))) {
        let bytes = event.to_json().len();
        if bytes > EVENT_MAX {
            return Err(PublishError::TooLarge(bytes).into());
        }
        let expires_ms = event.expirytime.map(|moment| moment.0);
        return Ok(Publish { event, command: None, expires_ms });
    }
    Ok(prepare(event, &Principal::from_operator_key(), now_ms)?)
}

/// An event of a message that is none itself: named by the message's properties.
fn bare(
    message: Message<'_>,
    fresh_id: &str,
    kind: &str,
    address: Address,
    data: Box<RawValue>,
    now_ms: u64,
) -> Result<Event, Unusable> {
    let id = message.id.unwrap_or(fresh_id);
    if !(1..=ID_MAX).contains(&id.len()) || id.chars().any(char::is_control) {
        return Err(Unusable::Id);
    }
    let source = match message.program.filter(|program| !program.is_empty()) {
        None => "amqp".to_owned(),
        Some(program) if program.len() > TEXT_MAX / 2 || program.chars().any(char::is_control) => {
            return Err(Unusable::Program);
        }
        Some(program) => format!("amqp/{program}"),
    };
    let mut event = Event::new(id, source, kind).to(address);
    event.data = Some(Data::Json(data));
    if let Some(text) = message.expiration {
        let life_ms: u64 = text.parse().map_err(|_| Unusable::Expiration(text.chars().take(40).collect()))?;
        let most_ms = u64::try_from(TTL_MAX.as_millis()).unwrap_or(u64::MAX);
        event.expirytime = Some(UtcMillis(now_ms.saturating_add(life_ms.min(most_ms))));
    }
    Ok(event)
}

/// What a body is.
enum Said {
    Event(Box<Event>),
    Command { name: String, data: Box<RawValue> },
    Data(Box<RawValue>),
}

impl Said {
    fn of(text: &str, content_type: Option<&str>) -> Result<Said, Unusable> {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let is_event = media.eq_ignore_ascii_case("application/cloudevents+json");
        // What says that it is text is text, also where it could be read as JSON.
        let is_text = media.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"));
        let json = if is_text { None } else { serde_json::from_str::<&RawValue>(text).ok() };
        let fields = json.and_then(|json| serde_json::from_str::<Fields<'_>>(json.get()).ok()).unwrap_or_default().0;
        if is_event || fields.iter().any(|(name, _)| name == "specversion") {
            return Ok(Said::Event(Box::new(Event::from_json(text.as_bytes())?)));
        }
        let mut named = fields.iter().filter(|(name, _)| name == "command");
        if let Some((_, command)) = named.next() {
            if named.next().is_some() {
                return Err(Unusable::Command("it stands twice".to_owned()));
            }
            let name: String =
                serde_json::from_str(command.get()).map_err(|error| Unusable::Command(error.to_string()))?;
            return Ok(Said::Command { name, data: without_command(&fields)? });
        }
        let data = match json {
            Some(json) => json.to_owned(),
            None => serde_json::value::to_raw_value(text).map_err(|_| Unusable::Bytes)?,
        };
        Ok(Said::Data(data))
    }
}

/// The other fields, each as the publisher wrote it.
fn without_command(fields: &[(String, &RawValue)]) -> Result<Box<RawValue>, Unusable> {
    let mut text = String::from("{");
    for (name, value) in fields.iter().filter(|(name, _)| name != "command") {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(name.as_str()).to_string());
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    RawValue::from_string(text).map_err(|error| Unusable::Command(error.to_string()))
}

/// The fields of an object in their order, their values untouched. Anything else is no [`Fields`].
#[derive(Default)]
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
