//! Writing: the text is put together by hand, since the server writes one for every event. `Serialize` stands beside it for
//! events inside something else, and must say the same.

use std::fmt::Write;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Data, Event};
use crate::event::Address;

impl Event {
    /// The structured JSON text.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(NAMES + self.attribute_bytes() + self.data_bytes());
        out.push_str(r#"{"specversion":"1.0","id":"#);
        quoted(&mut out, &self.id);
        out.push_str(r#","source":"#);
        quoted(&mut out, &self.source);
        out.push_str(r#","type":"#);
        quoted(&mut out, &self.kind);
        if let Some(address) = &self.subject {
            out.push_str(r#","subject":"#);
            let (place, name) = match address {
                Address::All => ("all", ""),
                Address::Display(id) => ("display/", id.as_str()),
                Address::Group(name) => ("group/", name.as_str()),
                Address::User(name) => ("user/", name.as_str()),
            };
            if is_plain(name) {
                out.extend(["\"", place, name, "\""]);
            } else {
                quoted(&mut out, &address.to_string());
            }
        }
        let rare = [("time", &self.time), ("datacontenttype", &self.datacontenttype), ("dataschema", &self.dataschema)];
        for (name, value) in rare {
            if let Some(value) = value {
                out.extend([",\"", name, "\":"]);
                quoted(&mut out, value);
            }
        }
        // Writing to a String does not fail.
        if let Some(moment) = &self.expirytime {
            let _ = write!(out, r#","expirytime":"{moment}""#);
        }
        if let Some(position) = &self.position {
            out.push_str(r#","epoch":"#);
            quoted(&mut out, &position.epoch);
            let _ = write!(out, r#","offset":"{}""#, position.offset);
        }
        if let Some(token) = &self.token {
            out.push_str(r#","token":"#);
            quoted(&mut out, &token.0);
        }
        for (name, value) in &self.extensions {
            out.push(',');
            quoted(&mut out, name);
            let _ = write!(out, ":{value}");
        }
        match &self.data {
            Some(Data::Json(raw)) => out.extend([r#","data":"#, raw.get()]),
            Some(Data::Base64(text)) => {
                out.push_str(r#","data_base64":"#);
                quoted(&mut out, text);
            }
            None => {}
        }
        out.push('}');
        out
    }

    /// A bound of the length of [`Event::to_json`], without writing it: no byte takes more than six.
    pub fn json_bytes_at_most(&self) -> usize {
        let data = match &self.data {
            Some(Data::Json(raw)) => raw.get().len(),
            Some(Data::Base64(text)) => 6 * text.len(),
            None => 0,
        };
        NAMES + 6 * self.attribute_bytes() + data
    }

    /// What the values of the attributes take, without escapes.
    fn attribute_bytes(&self) -> usize {
        let optional = |value: &Option<String>| value.as_ref().map_or(0, String::len);
        let subject = match &self.subject {
            None | Some(Address::All) => 0,
            Some(Address::Display(id)) => id.as_str().len(),
            Some(Address::Group(name)) => name.as_str().len(),
            Some(Address::User(name)) => name.as_str().len(),
        };
        // Six for quotes, colon and comma; a number has at most eleven digits.
        let extension =
            |(name, value): (&String, &serde_json::Value)| name.len() + value.as_str().map_or(11, str::len) + 6;
        self.id.len()
            + self.source.len()
            + self.kind.len()
            + subject
            + optional(&self.time)
            + optional(&self.datacontenttype)
            + optional(&self.dataschema)
            + self.position.as_ref().map_or(0, |position| position.epoch.len())
            + self.token.as_ref().map_or(0, |token| token.0.len())
            + self.extensions.iter().map(extension).sum::<usize>()
    }

    fn data_bytes(&self) -> usize {
        match &self.data {
            Some(Data::Json(raw)) => raw.get().len(),
            Some(Data::Base64(text)) => text.len(),
            None => 0,
        }
    }
}

/// Room for every name of an attribute with its quotes, the offset's digits and the time's.
const NAMES: usize = 256;

/// Whether a text stands in JSON as it is. Without a branch for each byte, so that many are looked at at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

fn quoted(out: &mut String, text: &str) {
    if is_plain(text) {
        out.extend(["\"", text, "\""]);
    } else {
        out.push_str(&serde_json::to_string(text).expect("a text always serialises"));
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
