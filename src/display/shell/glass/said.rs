//! What came from the browser's side, cut to what is of use: it may be a browser that was taken over. Pure.
//!
//! Lists of next to nothing take a hundred times their text as values; so only what is short is read whole, and of what is
//! long the few texts that are known.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::display::screen::{Facts, Output};

/// An answer or an event of Firefox's that is no picture and no address of a page.
const WHOLE_MAX: usize = 64 * 1024;
/// A browser that tells of more screens than a Pi has plugs is not to be believed.
const OUTPUTS_MAX: usize = 8;
/// What a screen or a version is called.
const NAME_MAX: usize = 80;

/// One message of BiDi.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    pub id: Option<u64>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub method: Option<String>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    error: Option<String>,
    message: Option<String>,
}

/// The texts of a long answer or event that somebody waits for: a picture's, a document's.
#[derive(Deserialize)]
struct Texts {
    data: Option<String>,
    context: Option<String>,
    navigation: Option<String>,
    url: Option<String>,
}

impl Message<'_> {
    pub fn result(&self) -> Value {
        self.result.and_then(|raw| read(raw.get())).unwrap_or_default()
    }

    pub fn params(&self) -> Value {
        self.params.and_then(|raw| read(raw.get())).unwrap_or_default()
    }

    /// Why a command was not done.
    pub fn words(&self) -> String {
        let error = self.error.as_deref().unwrap_or("error");
        clipped(&format!("{error}: {}", self.message.as_deref().unwrap_or_default()), 400)
    }
}

fn read(raw: &str) -> Option<Value> {
    if raw.len() <= WHOLE_MAX {
        return serde_json::from_str(raw).ok();
    }
    let Texts { data, context, navigation, url } = serde_json::from_str(raw).ok()?;
    let texts = [("data", data), ("context", context), ("navigation", navigation), ("url", url)];
    let known = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?))));
    Some(Value::Object(Map::from_iter(known)))
}

/// The beginning of a text.
pub fn clipped(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A name, as long as names are.
pub fn name(text: &str) -> String {
    clipped(text, NAME_MAX)
}

/// Of the screen, as much as a display has.
pub fn of_screen(mut facts: Facts) -> Facts {
    facts.outputs.truncate(OUTPUTS_MAX);
    for Output { name: plug, screen, .. } in &mut facts.outputs {
        *plug = name(plug);
        *screen = screen.as_deref().map(name);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_and_a_long_address_are_read_and_a_long_list_of_nothing_is_not() {
        let long = "x".repeat(WHOLE_MAX);
        let picture = format!(r#"{{"id":1,"type":"success","result":{{"data":"{long}","more":[[],[]]}}}}"#);
        let message: Message<'_> = serde_json::from_str(&picture).unwrap();
        assert_eq!(message.result(), serde_json::json!({ "data": long }));
        let event = format!(r#"{{"method":"m","params":{{"context":"c","navigation":null,"url":"http://a/{long}"}}}}"#);
        let message: Message<'_> = serde_json::from_str(&event).unwrap();
        assert_eq!(message.params()["context"], "c");
        assert!(message.params()["url"].as_str().is_some_and(|url| url.ends_with(&long)));
        let bomb = format!(r#"{{"id":1,"type":"success","result":[{}[]]}}"#, "[],".repeat(WHOLE_MAX));
        let message: Message<'_> = serde_json::from_str(&bomb).unwrap();
        assert_eq!((message.id, message.result()), (Some(1), Value::Null));
    }

    #[test]
    fn names_and_screens_without_end_are_cut() {
        let output = Output { name: "H".repeat(5000), screen: Some("S".repeat(5000)), ..Output::default() };
        let facts = of_screen(Facts { outputs: vec![output; 5000], ..Facts::default() });
        assert_eq!(facts.outputs.len(), OUTPUTS_MAX);
        assert_eq!(facts.outputs[0].name.len(), NAME_MAX);
        assert_eq!(facts.outputs[0].screen.as_ref().map(String::len), Some(NAME_MAX));
    }
}
