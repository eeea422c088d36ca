//! What a file may hold, read from the JSON schema that is generated from its struct.

use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;
use serde_json::Value;

use super::Document;

/// What one place in a file may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Table(Vec<Key>),
    /// A table whose keys are the writer's own, with text, whole numbers or true and false as values.
    Map,
    /// A table whose keys are the writer's own, with lists of text as values.
    Lists,
    List(Box<Shape>),
    /// `path` text is relative to the folder of the file that it was written in.
    Text {
        path: bool,
        choices: Vec<String>,
        /// Choices that were thought of and are not taken, each with the sentence to say.
        refused: Vec<(String, String)>,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
}

/// One key of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub doc: String,
    /// `None`: nothing, unless somebody writes it.
    pub default: Option<Value>,
    /// What to show in the example file when there is no default.
    pub example: Option<Value>,
    pub secret: bool,
    pub shape: Shape,
}

/// The JSON schema (draft 2020-12) of a file, for editors and for other programs.
pub fn schema<F: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<F>().to_value();
    without_null(&mut schema);
    closed(&mut schema);
    schema
}

impl Shape {
    pub fn of<S: Document>() -> Self {
        let mut shape = Self::read(&schema::<S::File>());
        Order::of(&S::every_key()).sort(&mut shape);
        shape
    }

    fn read(schema: &Value) -> Self {
        match schema["type"].as_str() {
            Some("object") => match schema["properties"].as_object() {
                Some(properties) => Self::Table(properties.iter().map(|(name, at)| Key::read(name, at)).collect()),
                None if schema["additionalProperties"]["type"] == "array" => Self::Lists,
                None => Self::Map,
            },
            Some("array") => Self::List(Box::new(Self::read(&schema["items"]))),
            Some("integer") => Self::Integer {
                min: schema["minimum"].as_i64().unwrap_or(i64::MIN),
                max: schema["maximum"].as_i64().unwrap_or(i64::MAX),
            },
            Some("boolean") => Self::Boolean,
            _ => Self::Text { path: schema["format"] == "path", choices: choices(schema), refused: refused(schema) },
        }
    }

    /// The keys of a table; none for anything else.
    pub fn keys(&self) -> &[Key] {
        match self {
            Self::Table(keys) => keys,
            _ => &[],
        }
    }

    /// Every key that holds a value, with its tables: `display.url`. A list of tables counts as one value.
    pub fn leaves(&self) -> Vec<(String, &Key)> {
        let mut found = Vec::new();
        for key in self.keys() {
            match &key.shape {
                Self::Table(_) => {
                    found.extend(key.shape.leaves().into_iter().map(|(at, leaf)| (format!("{}.{at}", key.name), leaf)))
                }
                _ => found.push((key.name.clone(), key)),
            }
        }
        found
    }

    /// The shape in words, for `expected …`.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Table(_) | Self::Map | Self::Lists => "a table",
            Self::List(of) if matches!(**of, Self::Table(_)) => "a list of tables",
            Self::List(_) => "a list",
            Self::Text { .. } => "text in quotes",
            Self::Integer { .. } => "a whole number",
            Self::Boolean => "true or false",
        }
    }
}

impl Key {
    fn read(name: &str, schema: &Value) -> Self {
        Self {
            name: name.to_owned(),
            doc: schema["description"].as_str().unwrap_or_default().to_owned(),
            default: schema.get("default").cloned(),
            example: schema["examples"].get(0).cloned(),
            secret: schema["writeOnly"] == true,
            shape: Shape::read(schema),
        }
    }
}

fn choices(schema: &Value) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().flat_map(|one| {
        one.get("const").into_iter().chain(one["enum"].as_array().into_iter().flatten()).collect::<Vec<_>>()
    });
    listed.chain(described).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn refused(schema: &Value) -> Vec<(String, String)> {
    let said = schema["x-refused"].as_object().into_iter().flatten();
    said.map(|(choice, why)| (choice.clone(), why.as_str().unwrap_or_default().to_owned())).collect()
}

/// A table with keys of ours takes no others.
fn closed(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(closed);
        schema["additionalProperties"] = false.into();
    } else if let Some(items) = schema.get_mut("items") {
        closed(items);
    }
}

/// TOML has no null: a key that may be absent is simply not required.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|of| of != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            fields.values_mut().for_each(without_null);
        }
        Value::Array(values) => {
            values.retain(|value| !value.is_null());
            values.iter_mut().for_each(without_null);
        }
        _ => {}
    }
}

/// The names of a value's fields as it writes them. The schema sorts its own; people read keys in the order of meaning.
#[derive(Debug, Default)]
struct Order(Vec<(String, Order)>);

impl Order {
    fn of(value: &impl Serialize) -> Self {
        serde_json::to_string(value).and_then(|text| serde_json::from_str(&text)).unwrap_or_default()
    }

    fn sort(&self, shape: &mut Shape) {
        match shape {
            Shape::Table(keys) => {
                keys.sort_by_key(|key| self.0.iter().position(|(name, _)| *name == key.name));
                for key in keys {
                    if let Some((_, order)) = self.0.iter().find(|(name, _)| *name == key.name) {
                        order.sort(&mut key.shape);
                    }
                }
            }
            Shape::List(of) => self.sort(of),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderVisitor)
    }
}

struct OrderVisitor;

impl<'de> Visitor<'de> for OrderVisitor {
    type Value = Order;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Order, A::Error> {
        let mut order = Order::default();
        while let Some(entry) = map.next_entry()? {
            order.0.push(entry);
        }
        Ok(order)
    }

    /// The items of a list are alike: the first one stands for all.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Order, A::Error> {
        let order = items.next_element()?.unwrap_or_default();
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(order)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Order, E> {
        Ok(Order::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Order, E> {
        Ok(Order::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Order, E> {
        Ok(Order::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Order, E> {
        Ok(Order::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Order, E> {
        Ok(Order::default())
    }

    fn visit_unit<E>(self) -> Result<Order, E> {
        Ok(Order::default())
    }
}
