//! `key=value` as a command's data: each value as its schema wants it.

use serde_json::{Map, Value};

use crate::commands::failure::Failure;
use crate::event::command::{self, CommandError, REGISTRY};

/// One key of a command's data.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    /// What it is for; empty where the name says it.
    pub doc: String,
    pub required: bool,
    pub default: Option<Value>,
    pub kind: FieldKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    Text,
    Choice(Vec<String>),
    Integer,
    Boolean,
    /// Anything else: written as JSON.
    Json,
}

/// So many choices stand beside a field's name.
const MANY: usize = 6;

impl Field {
    /// One or two lines of help.
    pub fn help(&self) -> String {
        let star = if self.required { "*" } else { "" };
        let what = match &self.kind {
            FieldKind::Text => "text".to_owned(),
            // More than fit on the line are told in words.
            FieldKind::Choice(choices) if choices.len() > MANY => "name".to_owned(),
            FieldKind::Choice(choices) => choices.join("|"),
            FieldKind::Integer => "number".to_owned(),
            FieldKind::Boolean => "true|false".to_owned(),
            FieldKind::Json => "JSON".to_owned(),
        };
        let default = self.default.as_ref().filter(|default| !default.is_null());
        let default = default.map(|default| format!(" [{}]", plain(default))).unwrap_or_default();
        let key = format!("{}{star}={what}{default}", self.name);
        let mut doc = self.doc.replace('`', "");
        if let FieldKind::Choice(choices) = &self.kind
            && choices.len() > MANY
        {
            doc.push_str(&format!(" One of: {}.", choices.join(", ")));
        }
        wrapped(&format!("      {key:<34} "), 41, &doc)
    }
}

/// A line that goes on below itself, `indent` columns in, before it gets too long for a terminal.
pub fn wrapped(begin: &str, indent: usize, words: &str) -> String {
    const WIDTH: usize = 98;
    let (mut text, mut line) = (String::new(), begin.to_owned());
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
        } else if line.len() > begin.len() || !text.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text + line.trim_end() + "\n"
}

/// The fields of a command's data, in the order of the schema.
pub fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<_> = properties
        .map(|(name, property)| {
            let of = resolved(schema, property);
            Field {
                name: name.clone(),
                doc: property["description"].as_str().unwrap_or_default().to_owned(),
                required: required.contains(&name.as_str()),
                default: property.get("default").cloned(),
                kind: kind(of),
            }
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

/// The data of a push: from `--data`, or from `key=value` read by the command's schema.
pub fn read(name: &str, own: bool, values: &[String], data: Option<&str>) -> Result<Value, Failure> {
    if let Some(data) = data {
        return json(data);
    }
    let spec = command::spec(name);
    if spec.is_none() && !own {
        return Err(refused(&CommandError::Unknown { name: name.to_owned() }));
    }
    let fields = spec.map(|spec| fields(&spec.schema())).unwrap_or_default();
    let mut read = Map::new();
    for text in values {
        let Some((key, value)) = text.split_once('=') else {
            return Err(usage(
                format!("{text:?} is not key=value"),
                "put quotes around a value with spaces: text='two words'",
            ));
        };
        let value = match fields.iter().find(|field| field.name == key) {
            Some(field) => value_of(field, value)?,
            None if own => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
            None => return Err(unknown_key(name, key, &fields)),
        };
        if read.insert(key.to_owned(), value).is_some() {
            return Err(usage(format!("{key} is given twice"), "give it once"));
        }
    }
    if let Some(missing) = fields.iter().find(|field| field.required && !read.contains_key(&field.name)) {
        let example = command::spec(name).map(|spec| spec.example).unwrap_or_default();
        return Err(usage(
            format!("{name} needs {}", missing.name),
            &format!("write it such as: pikiosk push TARGET {name} {example}"),
        ));
    }
    Ok(Value::Object(read))
}

/// A command that no display can do, as a failure with a hint.
pub fn refused(error: &CommandError) -> Failure {
    let hint = match error {
        CommandError::Unknown { .. } => {
            format!("the commands are: {}", REGISTRY.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", "))
        }
        CommandError::Data { name, .. } => {
            let example = command::spec(name).map(|spec| spec.example).unwrap_or_default();
            format!("write it such as: pikiosk push TARGET {name} {example}")
        }
    };
    Failure::Usage { doing: "push", says: error.to_string(), hint }
}

fn json(data: &str) -> Result<Value, Failure> {
    let text = match data.strip_prefix('@') {
        Some(path) => &std::fs::read_to_string(path)
            .map_err(|error| usage(format!("{path} cannot be read: {error}"), "is the name right?"))?,
        None => data,
    };
    serde_json::from_str(text).map_err(|error| {
        let hint = "write it such as --data '{\"url\":\"https://example.org/\"}', with ' around the whole";
        usage(format!("--data is not JSON: {error}"), hint)
    })
}

fn value_of(field: &Field, text: &str) -> Result<Value, Failure> {
    let name = &field.name;
    match &field.kind {
        FieldKind::Text => Ok(text.into()),
        // `true` among the choices is the boolean.
        FieldKind::Choice(choices) if choices.iter().any(|choice| choice == text) => {
            Ok(text.parse::<bool>().map_or_else(|_| text.into(), Value::from))
        }
        FieldKind::Choice(choices) => {
            Err(usage(format!("{name} cannot be {text:?}"), &format!("{name} is one of {}", choices.join(", "))))
        }
        FieldKind::Integer => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| usage(format!("{name} cannot be {text:?}"), &format!("{name} is a whole number"))),
        FieldKind::Boolean => match text {
            "true" | "yes" | "on" => Ok(true.into()),
            "false" | "no" | "off" => Ok(false.into()),
            _ => Err(usage(format!("{name} cannot be {text:?}"), &format!("{name} is true or false"))),
        },
        FieldKind::Json => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
    }
}

fn unknown_key(command: &str, key: &str, fields: &[Field]) -> Failure {
    let near = fields.iter().map(|field| (strsim::damerau_levenshtein(&field.name, key), &field.name)).min();
    let near = near.filter(|(distance, name)| *distance <= name.len().div_ceil(2)).map(|(_, name)| name);
    let list = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    let hint = match (near, fields.is_empty()) {
        (Some(near), _) => format!("did you mean {near}? {command} takes {list}"),
        (None, true) => format!("{command} takes no data"),
        (None, false) => format!("{command} takes {list}"),
    };
    usage(format!("{command} has no {key}"), &hint)
}

fn usage(says: String, hint: &str) -> Failure {
    Failure::Usage { doing: "push", says, hint: hint.to_owned() }
}

/// A property, or what its `$ref` names.
fn resolved<'s>(schema: &'s Value, property: &'s Value) -> &'s Value {
    let named = property["$ref"].as_str().and_then(|at| schema.pointer(at.trim_start_matches('#')));
    named.unwrap_or(property)
}

fn kind(of: &Value) -> FieldKind {
    let listed = of["enum"].as_array().into_iter().flatten().map(plain);
    // Choices with words of their own stand apart from those without.
    let described = of["oneOf"].as_array().into_iter().flatten().flat_map(|one| {
        one.get("const").into_iter().chain(one["enum"].as_array().into_iter().flatten()).filter_map(Value::as_str)
    });
    let choices: Vec<_> = listed.chain(described.map(str::to_owned)).collect();
    let type_is = |wanted: &str| match &of["type"] {
        Value::String(only) => only == wanted,
        Value::Array(types) => types.iter().any(|of| of == wanted),
        _ => false,
    };
    match () {
        () if !choices.is_empty() => FieldKind::Choice(choices),
        () if type_is("string") => FieldKind::Text,
        () if type_is("integer") => FieldKind::Integer,
        () if type_is("boolean") => FieldKind::Boolean,
        () => FieldKind::Json,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
