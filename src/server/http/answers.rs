//! What is answered, as types: `/openapi.json` has their schemas.

use std::{borrow::Cow, collections::BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::event::{Address, DisplayId, GroupName, Receipt, address::UserName, health::Health, time::UtcMillis};

/// What one event is answered by, or an array for each of a batch. Only its schema is needed.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "answers are written event by event, in events.rs")]
pub enum Answered<T> {
    One(T),
    Batch(Vec<T>),
}

/// Where an event stands. `events.rs` writes it, for speed.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is needed")]
pub struct Placed {
    pub id: String,
    pub address: crate::event::Address,
    pub epoch: String,
    /// In the history of the address; digits, as CloudEvents has no large numbers.
    #[schemars(regex(pattern = r"^[0-9]+$"))]
    pub offset: String,
}

/// An event with what became of it.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is needed")]
pub struct Outcome {
    #[serde(flatten)]
    pub placed: Placed,
    pub receipts: Vec<ReceiptAnswer>,
    /// Displays that still owe a receipt.
    pub pending: Vec<DisplayId>,
    /// The event itself, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<CloudEvent>,
}

/// A receipt with the display that gave it.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is needed")]
pub struct ReceiptAnswer {
    pub display: DisplayId,
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// The JSON form of one event.
#[derive(Debug)]
pub struct CloudEvent;

impl JsonSchema for CloudEvent {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "description": "with `source`, makes a publish idempotent"},
                "source": {"type": "string"},
                "type": {
                    "type": "string",
                    "description": "kiosk.<command>, with data by the schema of that name; or a type of your own, for the page",
                },
                "subject": {"type": "string", "description": "display/<id>, group/<name>, user/<name> or all"},
                "time": {"type": "string", "format": "date-time"},
                "expirytime": {"type": "string", "format": "date-time"},
                "offset": {"type": "string", "pattern": "^[0-9]+$", "readOnly": true},
                "epoch": {"type": "string", "readOnly": true},
                "data": {},
            },
        })
    }
}

/// An enrolled display.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Display")]
pub struct DisplayAnswer {
    pub id: DisplayId,
    pub label: String,
    pub groups: BTreeSet<GroupName>,
    /// To any node.
    pub connected: bool,
    pub last_seen: Option<UtcMillis>,
    /// Since when it has been away; null while it is connected, and where it was never seen.
    pub missing_since: Option<UtcMillis>,
    pub enrolled: UtcMillis,
    /// Ed25519.
    pub public_key: String,
    /// Two that are alive have its key: the card was copied. Null where nobody saw that.
    pub copied: Option<CopiedAnswer>,
    /// What it said last of itself.
    pub health: Option<Health>,
}

/// When two displays with one key threw one another out.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Copied")]
pub struct CopiedAnswer {
    pub first: UtcMillis,
    pub last: UtcMillis,
    pub times: u64,
}

/// A code for a new display.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Enrollment")]
pub struct CodeAnswer {
    pub code: String,
    pub expires: UtcMillis,
    /// The one it is for, if it is for one.
    pub display: Option<DisplayId>,
}

/// One code, or as many as were asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum CodesAnswer {
    One(CodeAnswer),
    Many { enrollments: Vec<CodeAnswer> },
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Enrolled")]
pub struct EnrolledAnswer {
    pub display: DisplayId,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Nonce")]
pub struct NonceAnswer {
    pub nonce: String,
    pub expires: UtcMillis,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ticket")]
pub struct TicketAnswer {
    pub ticket: String,
    pub expires: UtcMillis,
    /// What the display that asked is called now: it may have been renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayId>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Presence")]
pub struct PresenceAnswer {
    pub sockets: Vec<SocketAnswer>,
}

/// A socket that is open somewhere.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Socket")]
pub struct SocketAnswer {
    /// Who: `sub`, a ticket's user, or a display's id.
    pub name: String,
    pub display: Option<DisplayId>,
    pub since: UtcMillis,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusAnswer {
    pub status: &'static str,
}

/// An operator's key, without its text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct KeyAnswer {
    pub id: String,
    pub name: String,
    /// May do everything; else only what follows.
    pub operator: bool,
    /// The addresses it may publish to.
    #[serde(rename = "pub")]
    pub publishes: BTreeSet<Address>,
    /// The commands (without `kiosk.`) it may send there.
    #[serde(rename = "cmd")]
    pub commands: BTreeSet<String>,
    pub made: UtcMillis,
}

/// A key that was just made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewKey")]
pub struct NewKeyAnswer {
    /// Told now and never again.
    pub key: String,
    #[serde(flatten)]
    pub of: KeyAnswer,
}

/// A revocation: of a user, a token or a display.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Revocation")]
pub struct RevocationAnswer {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// The token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayId>,
    pub revoked: UtcMillis,
    /// When it is over; null: when it is lifted.
    pub until: Option<UtcMillis>,
    pub by: String,
}

/// Who did what.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub struct AuditAnswer {
    /// In the order of time: ask for what comes after it.
    pub id: String,
    pub time: UtcMillis,
    /// `key/<name>`, `user/<sub>` or `display/<id>`.
    pub who: String,
    /// Such as `key.create`.
    pub what: String,
    pub on: String,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub more: serde_json::Value,
}

/// RFC 9457. `problem.rs` writes it.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Problem")]
#[expect(dead_code, reason = "only its schema is needed")]
pub struct ProblemAnswer {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What is wrong, and where something can be done, what.
    pub detail: String,
    /// Which event of a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}
