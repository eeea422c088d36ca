//! All layers in one table, with the origin of every value.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::fragment::{Fragment, Step};
use super::origin::{ConfigError, Origin};

/// The values that somebody wrote; defaults are not in it.
#[derive(Debug, Default)]
pub struct Merged {
    values: Table,
    /// Keyed as a person would write it: `display.url`, `auth.jwt[0].id`.
    origins: BTreeMap<String, Origin>,
}

impl Merged {
    /// Lays a fragment over what is there. Values replace values; a list replaces the whole list.
    pub fn overlay(&mut self, fragment: Fragment) {
        for (path, origin) in fragment.origins {
            let lists = path.iter().any(|step| matches!(step, Step::Item(_)));
            let key = spelled(&path);
            if !lists {
                self.origins.retain(|had, _| !had.starts_with(&format!("{key}[")));
            }
            self.origins.insert(key, origin);
        }
        lay(&mut self.values, fragment.values);
    }

    /// Where the key was written; else where its nearest table was; else `Default`.
    pub fn origin(&self, key: &str) -> Origin {
        let mut at = key;
        loop {
            if let Some(origin) = self.origins.get(at) {
                return origin.clone();
            }
            match at.rfind(['.', '[']) {
                Some(end) => at = &at[..end],
                None => return Origin::Default,
            }
        }
    }

    /// The value at a key such as `display.url`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut steps = key.split('.');
        let mut at = self.values.get(steps.next()?)?;
        for step in steps {
            at = at.get(step)?;
        }
        Some(at)
    }

    /// As a file that says the same.
    pub fn text(&self) -> String {
        self.values.to_string()
    }

    pub fn deserialize<F: DeserializeOwned>(&self) -> Result<F, ConfigError> {
        F::deserialize(Value::Table(self.values.clone())).map_err(|source| ConfigError::Unfit { source })
    }
}

/// A path as a person would write it.
pub fn spelled(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn lay(under: &mut Table, over: Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}
