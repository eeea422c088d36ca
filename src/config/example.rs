//! The example file: every key with what it does, its unit and its default, commented out.

use serde_json::Value;

use super::Document;
use super::shape::{Key, Shape};

const WIDTH: usize = 100;

/// A whole `kiosk.toml` or `server.toml` in which every key is a comment. It is a file that works as it is.
pub fn example<S: Document>() -> String {
    let shape = Shape::of::<S>();
    let mut text = format!(
        "# {name}.toml: take the # away from the lines that you change.\n\
         # Check it with: pikiosk config check ./{name}.toml (in /etc/pikiosk: pikiosk config check {name})\n\
         # A line of the same name in /etc/pikiosk goes over /run/pikiosk, and that over /usr/lib/pikiosk.\n",
        name = S::NAME
    );
    table(&mut text, "", &shape);
    text
}

fn table(text: &mut String, path: &str, shape: &Shape) {
    // Values first: in TOML everything after a [table] belongs to it.
    let (tables, values): (Vec<_>, Vec<_>) = shape.keys().iter().partition(|key| is_table(key));
    for key in values {
        text.push('\n');
        doc(text, &key.doc);
        let value = key.default.as_ref().filter(|value| *value != &Value::Array(vec![])).or(key.example.as_ref());
        if let Some(value) = value {
            text.push_str(&format!("#{} = {}\n", key.name, written(value)));
        }
    }
    for key in tables {
        let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
        text.push('\n');
        doc(text, &key.doc);
        match &key.shape {
            Shape::List(of) => {
                text.push_str(&format!("#[[{path}]]\n"));
                table(text, &path, of);
            }
            Shape::Map | Shape::Lists => {
                text.push_str(&format!("#[{path}]\n"));
                for (name, value) in key.example.iter().filter_map(Value::as_object).flatten() {
                    text.push_str(&format!("#\"{name}\" = {}\n", written(value)));
                }
            }
            of => {
                text.push_str(&format!("[{path}]\n"));
                table(text, &path, of);
            }
        }
    }
}

fn is_table(key: &Key) -> bool {
    match &key.shape {
        Shape::Table(_) | Shape::Map | Shape::Lists => true,
        Shape::List(of) => matches!(**of, Shape::Table(_)),
        _ => false,
    }
}

fn doc(text: &mut String, doc: &str) {
    let mut line = String::from("#");
    for word in doc.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// A JSON scalar or list is written the same in TOML.
fn written(value: &Value) -> String {
    value.to_string()
}
