//! One file or layer: its text as checked values, each with its origin.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::Document;
use super::merged::spelled;
use super::origin::{Origin, Problem};
use super::shape::{Key, Shape};

/// The values of one layer.
#[derive(Debug, Default)]
pub struct Fragment {
    pub values: Table,
    pub origins: Vec<(Vec<Step>, Origin)>,
}

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Item(usize),
}

impl Fragment {
    /// Reads a file's text. What does not fit the shape is told in `problems` and left out.
    pub fn from_text<S: Document>(path: &Path, text: &str, shape: &Shape, problems: &mut Vec<Problem>) -> Self {
        let file = File { path: path.into(), text };
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            problems.extend(errors.iter().map(|error| file.unparsed(error)));
            return Self::default();
        }
        let everywhere = shape.leaves().into_iter().map(|(key, _)| key).collect();
        let mut reading = Reading { file, everywhere, not_yet: S::NOT_YET, problems, origins: Vec::new() };
        let values = reading.table(table.get_ref(), shape.keys(), &mut Vec::new());
        Self { values, origins: reading.origins }
    }

    /// One value from an environment variable or a flag, as text; a list is separated by commas.
    pub fn from_text_value(key: &str, of: &Key, text: &str, origin: Origin, problems: &mut Vec<Problem>) -> Self {
        let value = match &of.shape {
            Shape::Integer { .. } => text.trim().parse().map(Value::Integer).ok(),
            Shape::Boolean => text.trim().parse().map(Value::Boolean).ok(),
            Shape::Text { .. } => Some(Value::String(text.to_owned())),
            Shape::List(of) if matches!(**of, Shape::Text { .. }) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
            }
            Shape::List(_) | Shape::Map | Shape::Lists | Shape::Table(_) => {
                let cure = "write it in a file".to_owned();
                problems.push(Problem { origin, key: key.to_owned(), says: "cannot be given here".to_owned(), cure });
                return Self::default();
            }
        };
        let Some(value) = value else {
            let says = format!("expected {}, found {text:?}", of.shape.words());
            problems.push(Problem { origin, key: key.to_owned(), says, cure: in_words(&of.shape) });
            return Self::default();
        };
        if let Some((says, cure)) = fault(&value, &of.shape) {
            problems.push(Problem { origin, key: key.to_owned(), says, cure });
            return Self::default();
        }
        let steps: Vec<_> = key.split('.').map(|name| Step::Key(name.to_owned())).collect();
        let mut values = Table::new();
        let mut value = Some(value);
        for step in key.rsplit('.') {
            let inner = value.take().unwrap_or_else(|| Value::Table(std::mem::take(&mut values)));
            values.insert(step.to_owned(), inner);
        }
        Self { values, origins: vec![(steps, origin)] }
    }
}

struct File<'t> {
    path: Arc<Path>,
    text: &'t str,
}

impl File<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        Origin::File { path: self.path.clone(), line: before.bytes().filter(|byte| *byte == b'\n').count() + 1 }
    }

    fn unparsed(&self, error: &toml::de::Error) -> Problem {
        let says = error.message().trim().replace('\n', ", ");
        let cure = "this line is not TOML: write key = value, with text in double quotes".to_owned();
        Problem { origin: self.origin(error.span().map_or(0, |span| span.start)), key: String::new(), says, cure }
    }
}

struct Reading<'t, 'p> {
    file: File<'t>,
    /// Every key of the file with its tables, for one that was written in the wrong place.
    everywhere: Vec<String>,
    not_yet: &'static [&'static str],
    problems: &'p mut Vec<Problem>,
    origins: Vec<(Vec<Step>, Origin)>,
}

impl Reading<'_, '_> {
    fn table(&mut self, table: &DeTable<'_>, keys: &[Key], path: &mut Vec<Step>) -> Table {
        let mut values = Table::new();
        // The parser sorts the keys: problems are told in the order of the lines.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let at = self.file.origin(name.span().start);
            path.push(Step::Key(name.get_ref().to_string()));
            match keys.iter().find(|key| key.name == name.get_ref().as_ref()) {
                Some(key) => {
                    self.origins.push((path.clone(), at.clone()));
                    if let Some(value) = self.value(value, &key.shape, path, &at) {
                        values.insert(key.name.clone(), value);
                    }
                }
                None if self.not_yet.contains(&plain(path).as_str()) => {
                    self.refuse(path, at, "this version of pikiosk does not have it yet", "take it out");
                }
                None => self.refuse(path, at, "there is no such key", nearest(name.get_ref(), keys, &self.everywhere)),
            }
            path.pop();
        }
        values
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        shape: &Shape,
        path: &mut Vec<Step>,
        at: &Origin,
    ) -> Option<Value> {
        let read = match (value.get_ref(), shape) {
            (DeValue::Table(table), Shape::Table(keys)) => return Some(Value::Table(self.table(table, keys, path))),
            (DeValue::Table(table), Shape::Map) => return Some(Value::Table(self.map(table, path))),
            (DeValue::Table(table), Shape::Lists) => return Some(Value::Table(self.lists(table, path))),
            (DeValue::Array(items), Shape::List(of)) => {
                let mut values = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let at = self.file.origin(item.span().start);
                    path.push(Step::Item(index));
                    self.origins.push((path.clone(), at.clone()));
                    values.extend(self.value(item, of, path, &at));
                    path.pop();
                }
                return Some(Value::Array(values));
            }
            (DeValue::String(text), Shape::Text { path: true, .. }) => Some(Value::String(self.beside(text))),
            (DeValue::String(text), Shape::Text { .. }) => Some(Value::String(text.to_string())),
            (DeValue::Integer(number), Shape::Integer { .. }) => integer(number).map(Value::Integer),
            (DeValue::Boolean(yes), Shape::Boolean) => Some(Value::Boolean(*yes)),
            _ => None,
        };
        let fault = match &read {
            Some(read) => fault(read, shape),
            None => {
                let says = format!("expected {}, found {}", shape.words(), found(value.get_ref()));
                Some((says, in_words(shape)))
            }
        };
        match fault {
            Some((says, cure)) => {
                self.refuse(path, at.clone(), says, cure);
                None
            }
            None => read,
        }
    }

    fn map(&mut self, table: &DeTable<'_>, path: &mut Vec<Step>) -> Table {
        let mut values = Table::new();
        for (name, value) in table {
            let at = self.file.origin(name.span().start);
            path.push(Step::Key(name.get_ref().to_string()));
            let read = match value.get_ref() {
                DeValue::String(text) => Some(Value::String(text.to_string())),
                DeValue::Integer(number) => integer(number).map(Value::Integer),
                DeValue::Boolean(yes) => Some(Value::Boolean(*yes)),
                _ => None,
            };
            match read {
                Some(read) => {
                    self.origins.push((path.clone(), at));
                    values.insert(name.get_ref().to_string(), read);
                }
                None => {
                    let says = format!("found {}", found(value.get_ref()));
                    self.refuse(path, at, says, "write text in quotes, a whole number, or true or false");
                }
            }
            path.pop();
        }
        values
    }

    fn lists(&mut self, table: &DeTable<'_>, path: &mut Vec<Step>) -> Table {
        let list = Shape::List(Box::new(Shape::Text { path: false, choices: Vec::new(), refused: Vec::new() }));
        let mut values = Table::new();
        for (name, value) in table {
            let at = self.file.origin(name.span().start);
            path.push(Step::Key(name.get_ref().to_string()));
            self.origins.push((path.clone(), at.clone()));
            if let Some(read) = self.value(value, &list, path, &at) {
                values.insert(name.get_ref().to_string(), read);
            }
            path.pop();
        }
        values
    }

    fn refuse(&mut self, path: &[Step], origin: Origin, says: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Problem { origin, key: spelled(path), says: says.into(), cure: cure.into() });
    }

    /// A relative path means the same wherever the program was started: it is beside the file that names it.
    fn beside(&self, text: &str) -> String {
        match self.file.path.parent() {
            Some(folder) if Path::new(text).is_relative() => folder.join(text).to_string_lossy().into_owned(),
            _ => text.to_owned(),
        }
    }
}

/// A path without the places in lists.
fn plain(path: &[Step]) -> String {
    let names = path.iter().filter_map(|step| match step {
        Step::Key(name) => Some(name.as_str()),
        Step::Item(_) => None,
    });
    names.collect::<Vec<_>>().join(".")
}

/// `did you mean …` for a key that is nearly right or belongs elsewhere, and what may stand here in any case.
fn nearest(name: &str, here: &[Key], everywhere: &[String]) -> String {
    let list = here.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
    let close = here.iter().map(|key| (distance(name, &key.name), &key.name)).min();
    let near = match close {
        Some((distance, key)) if distance <= (name.len() / 3).max(2) && distance < key.len() => Some(key),
        _ => {
            let whole = here.iter().map(|key| &key.name).find(|key| name.len() > 2 && key.starts_with(name));
            whole.or_else(|| everywhere.iter().find(|key| key.rsplit('.').next() == Some(name)))
        }
    };
    match near {
        Some(near) => format!("did you mean {near}? (here may stand: {list})"),
        None => format!("here may stand: {list}"),
    }
}

/// How many letters must be added, dropped, changed or swapped, whatever their case.
pub fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(&a.to_lowercase().replace('-', "_"), &b.to_lowercase())
}

fn integer(number: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// What is wrong with a value of the right type, and the cure.
fn fault(value: &Value, shape: &Shape) -> Option<(String, String)> {
    match (value, shape) {
        (Value::Integer(number), Shape::Integer { min, max }) if number < min || number > max => {
            Some((format!("{number} is out of range"), in_words(shape)))
        }
        (Value::String(text), Shape::Text { choices, refused, .. })
            if !choices.is_empty() && !choices.contains(text) =>
        {
            let said = refused.iter().find(|(choice, _)| choice == text);
            Some((said.map_or(format!("{text:?} is not known"), |(_, why)| why.clone()), in_words(shape)))
        }
        _ => None,
    }
}

/// What to write for a shape.
fn in_words(shape: &Shape) -> String {
    match shape {
        Shape::Integer { min: i64::MIN, max: i64::MAX } => "write a whole number without quotes, such as 10".to_owned(),
        Shape::Integer { min, max: i64::MAX } => format!("write a whole number of {min} or more"),
        Shape::Integer { min, max } => format!("write a whole number from {min} to {max}"),
        Shape::Boolean => "write true or false, without quotes".to_owned(),
        Shape::Text { choices, .. } if !choices.is_empty() => {
            let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
            format!("write {}", quoted.join(" or "))
        }
        Shape::Text { .. } => "write it in double quotes".to_owned(),
        Shape::List(of) if matches!(**of, Shape::Table(_)) => "write it as [[name]], one for each".to_owned(),
        Shape::List(_) => "write it in brackets, such as [\"one\", \"two\"]".to_owned(),
        Shape::Table(_) | Shape::Map | Shape::Lists => {
            "write it as [name], with its keys on the lines below".to_owned()
        }
    }
}

fn found(value: &DeValue<'_>) -> Cow<'static, str> {
    match value {
        DeValue::String(_) => "text".into(),
        DeValue::Integer(number) if integer(number).is_none() => "a number that is too large".into(),
        DeValue::Integer(number) => format!("the number {}", number.as_str()).into(),
        DeValue::Float(number) => format!("the number {}", number.as_str()).into(),
        DeValue::Boolean(yes) => yes.to_string().into(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
