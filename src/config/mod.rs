//! `kiosk.toml` and `server.toml`: what a person wrote, where, and whether it can be used.
//!
//! ```text
//!  /usr/lib/pikiosk  <  /run/pikiosk  <  /etc/pikiosk  <  configure  <  environment  <  flags
//!  (--config FILE takes the place of the folders; configure: what was pushed, see pushed.rs)
//!        |                  |                |               |             |
//!        +---------------- fragment: parsed, each key checked against the shape ---+   kiosk*.rs, server.rs: the keys
//!                                            |                                         shape.rs: read from their schema
//!                                         merged: one table, and the origin of every value
//!                                            |
//!                                         settings: KioskSettings | ServerSettings (the only way to make one)
//! ```
//!
//! The keys are declared once, as the serde structs of `kiosk.rs` and `server.rs`. Their JSON schema is generated, and
//! everything else reads it: the check of unknown keys, types and ranges, the names of the environment variables, the
//! example file, the listing of `config show`. All problems of all layers are told at once, each with its file and line.
//!
//! Rejected: letting serde report the errors of each file (`deny_unknown_fields`). It stops at the first one, knows no
//! nearest key, and says nothing for values that come from the environment or from flags.

mod example;
mod fragment;
mod kiosk;
mod kiosk_allow;
mod kiosk_network;
mod kiosk_offline;
mod kiosk_schedule;
mod kiosk_screen;
mod kiosk_sound;
mod kiosk_system;
mod layers;
mod merged;
mod origin;
pub mod pushed;
pub mod redis_address;
mod server;
mod server_amqp;
mod server_auth;
mod server_celery;
mod server_store;
mod server_webhooks;
mod shape;
mod show;

pub use example::example;
pub use kiosk::{BrowserSettings, DisplaySettings, KioskFile, KioskSettings, PageSettings, Pref, ServerLinkSettings};
pub use kiosk_allow::Allowed;
pub use kiosk_network::{NetworkSettings, StaticAddress, WifiSecret, WifiSettings};
pub use kiosk_offline::OfflineSettings;
pub use kiosk_schedule::ScheduleSettings;
pub use kiosk_screen::{Mode, Rotation, ScreenSettings};
pub use kiosk_sound::SoundSettings;
pub use kiosk_system::{Journal, Keyboard, Repair, SystemSettings};
pub use layers::{Flag, Sources};
pub use origin::{ConfigError, Origin, Problem, Refusals};
pub use redis_address::RedisAddress;
pub use server::{Limits, ServerFile, ServerSettings};
pub use server_amqp::AmqpSettings;
pub use server_auth::{Algorithm, AuthSettings, JwtKey, JwtKeySource};
pub use server_celery::{CeleryBackend, CeleryBroker, CelerySettings};
pub use server_store::{RedisSettings, StoreKind, StoreSettings};
pub use server_webhooks::WebhookSettings;
pub use show::Shown;

use merged::Merged;

/// One of the two configuration files: its keys, and the settings they make.
pub trait Document {
    /// `kiosk` or `server`: the file's name without `.toml`.
    const NAME: &'static str;
    /// Keys that the manual of a later version names: refused as any other, and not called a slip of the hand.
    const NOT_YET: &[&str];
    /// The keys as written, with their defaults.
    type File: serde::de::DeserializeOwned + serde::Serialize + schemars::JsonSchema + Default;

    /// A file in which every table stands; its values mean nothing, its keys are in the order in which people read them.
    fn every_key() -> Self::File {
        Self::File::default()
    }

    /// The sole constructor: what the file says, as values that can be used.
    fn from_file(file: Self::File, refusals: &mut Refusals<'_>) -> Option<Self>
    where
        Self: Sized;
}

/// The JSON schema (draft 2020-12) of a file, for editors and for other programs.
pub fn schema<S: Document>() -> serde_json::Value {
    shape::schema::<S::File>()
}

/// Settings, and where each came from.
#[derive(Debug)]
pub struct Loaded<S> {
    pub settings: S,
    /// Every key with its value and origin, secrets hidden, in the order of the documentation.
    pub shown: Vec<Shown>,
    /// What was written in all layers together, as one file with its secrets: for a card of its own.
    pub text: String,
}

/// The settings that one text makes, alone: no other layer, no environment.
fn from_text<S: Document>(text: &str) -> Result<S, ConfigError> {
    let shape = shape::Shape::of::<S>();
    let mut problems = Vec::new();
    let path = std::path::PathBuf::from(format!("{}.toml", S::NAME));
    let fragment = fragment::Fragment::from_text::<S>(&path, text, &shape, &mut problems);
    Ok(settle(&shape, vec![fragment], problems)?.settings)
}

/// Reads every layer, merges them and makes the settings; or tells every problem at once.
pub fn load<S: Document>(sources: &Sources) -> Result<Loaded<S>, ConfigError> {
    let shape = shape::Shape::of::<S>();
    let mut problems = Vec::new();
    let fragments = layers::read::<S>(sources, &shape, &mut problems)?;
    settle(&shape, fragments, problems)
}

fn settle<S: Document>(
    shape: &shape::Shape,
    fragments: Vec<fragment::Fragment>,
    mut problems: Vec<Problem>,
) -> Result<Loaded<S>, ConfigError> {
    let mut merged = Merged::default();
    for fragment in fragments {
        merged.overlay(fragment);
    }
    let file = match merged.deserialize::<S::File>() {
        Err(_) if !problems.is_empty() => return Err(ConfigError::Refused { problems }),
        file => file?,
    };
    let mut refusals = Refusals::new(&merged);
    let settings = S::from_file(file, &mut refusals);
    // What lacks a value may lack it because of a mistake that is told already; a value that is there is wrong by itself.
    let is_first = problems.is_empty();
    let of_values = refusals.into_problems().into_iter().filter(|it| is_first || merged.get(&it.key).is_some());
    problems.extend(of_values);
    match settings {
        Some(settings) if problems.is_empty() => {
            Ok(Loaded { settings, shown: show::shown(shape, &merged), text: merged.text() })
        }
        _ => Err(ConfigError::Refused { problems }),
    }
}

#[cfg(test)]
mod tests;
