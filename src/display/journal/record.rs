//! What one line of the journal says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Address, Event, Position, Receipt};

/// What names an event for ever: its `source` and its `id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    pub source: String,
    pub id: String,
}

impl EventKey {
    pub fn of(event: &Event) -> Self {
        EventKey { source: event.source.clone(), id: event.id.clone() }
    }

    pub fn of_receipt(receipt: &Receipt) -> Self {
        EventKey { source: receipt.source.clone().unwrap_or_default(), id: receipt.event.clone() }
    }
}

/// A command this display took on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub key: EventKey,
    /// The command's name in the registry.
    pub name: String,
    /// Its data, defaults filled in.
    pub data: Value,
    /// Nobody acts on it after this moment of the server's clock, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Acting began: if nothing more is known, it may have been done.
    #[serde(default)]
    pub started: bool,
}

/// One change. A line of the journal is a list of them: all or none of them happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Where reading goes on, per address.
    Read(BTreeMap<Address, Position>),
    Taken(Taken),
    /// An older value that ended before is the one to show again (the display left a group, say).
    Back(Taken),
    Started(EventKey),
    /// This action ends in another life: it takes the machine down, and that was up in this boot when it began; or it
    /// starts the supervisor with other settings.
    Leaving {
        key: EventKey,
        boot: String,
    },
    /// A final receipt, or the same one with its frame's hash filled in. `at_ms` is the server's clock, if known.
    Ended {
        receipt: Receipt,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_ms: Option<u64>,
    },
    /// The receipt was written to a socket.
    Told(EventKey),
    /// The server's clock was set by so many ms: what waits keeps the time that is left to it.
    ClockSet(i64),
}
