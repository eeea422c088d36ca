//! What `config show` lists: every key, its value in force and where it came from; secrets hidden.

use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::merged::Merged;
use super::origin::Origin;
use super::shape::{Key, Shape};

/// One key with its value in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// With its tables, such as `display.url`.
    pub key: String,
    /// `null`: nothing was written and there is no default.
    pub value: Value,
    #[serde(serialize_with = "as_text")]
    pub origin: Origin,
}

const HIDDEN: &str = "(hidden)";

/// Every key in the order of the documentation.
pub fn shown(shape: &Shape, merged: &Merged) -> Vec<Shown> {
    let mut all = Vec::new();
    for (key, of) in shape.leaves() {
        match merged.get(&key).map(json) {
            Some(value) => {
                let origin = merged.origin(&key);
                all.push(Shown { key, value: hidden(value, of), origin });
            }
            None => all.push(Shown { key, value: of.default.clone().unwrap_or(Value::Null), origin: Origin::Default }),
        }
    }
    all
}

fn hidden(value: Value, of: &Key) -> Value {
    match value {
        _ if of.secret => HIDDEN.into(),
        Value::String(text) => without_password(text).into(),
        Value::Array(items) => items.into_iter().map(|item| hidden(item, of)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, hidden(value, of))).collect(),
        plain => plain,
    }
}

/// An address may carry a password (`redis://user:password@host`).
fn without_password(text: String) -> String {
    match Url::parse(&text) {
        // `sentinel_password` stands in the query.
        Ok(url) if url.query_pairs().any(|(name, _)| name.contains("password")) => HIDDEN.to_owned(),
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("hidden")) {
            Ok(()) => url.into(),
            Err(()) => HIDDEN.to_owned(),
        },
        _ => text,
    }
}

fn json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn as_text<S: serde::Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(origin)
}
