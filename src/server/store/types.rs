//! What goes into the store and what comes out of it.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::event::{
    Address, DisplayId, Event, GroupName, Position, Receipt, command, frame::CloseCode, health::Health, time::UtcMillis,
};

/// One event to publish. Its `subject` is set and is its address; `source` and `id` make it idempotent.
#[derive(Debug, Clone)]
pub struct Publish {
    pub event: Event,
    /// The command that the event's type names, where it names one: the caller has checked its data already.
    pub command: Option<command::Kind>,
    /// When it is no longer to be done, in ms since 1970: set for every action (the registry's default), and for a state
    /// command only if its publisher said so.
    pub expires_ms: Option<u64>,
}

/// Where a published event stands. A repeat gets what the first one got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub id: String,
    pub address: Address,
    pub position: Position,
    /// Number of the event among all of the store; grows by one.
    pub commit: u64,
    /// False for a repeat of `source` and `id`: nothing was stored now, nothing reaches the feed.
    pub fresh: bool,
}

/// An event that is on disk.
#[derive(Debug, Clone)]
pub struct Committed {
    pub commit: u64,
    pub address: Address,
    pub position: Position,
    pub event: Event,
    /// The one encoding of the event, with `offset` and `epoch`: every socket sends these bytes (cheap to clone).
    pub text: Utf8Bytes,
    pub kind: Option<command::Kind>,
    pub expires_ms: Option<u64>,
    /// The displays that got a ledger row when it was published: for a command those that the address reached at that
    /// moment, else none. Empty on what is read back (history, backlog): rows are per display there.
    pub targets: Vec<DisplayId>,
}

impl Committed {
    /// The same, until another moment: the clock was set.
    pub fn expiring_at(&self, expires_ms: u64) -> Committed {
        let event = Event { expirytime: Some(UtcMillis(expires_ms)), ..self.event.clone() };
        let text = Utf8Bytes::from(event.to_json());
        Committed { event, text, expires_ms: Some(expires_ms), ..self.clone() }
    }
}

/// A moment of a clock that was set, by that clock. Never 0, which is none at all.
pub fn moved(at_ms: u64, by_ms: i64) -> u64 {
    at_ms.saturating_add_signed(by_ms).max(1)
}

/// What the writer hands on after each commit, in commit order.
#[derive(Debug, Clone)]
pub enum Fed {
    /// A fresh event.
    Event(Arc<Committed>),
    /// A final receipt, or the frame hash that followed it: from a display, or the store's own `expired`,
    /// `superseded` and (display removed) `failed`.
    Receipt(Arc<Settled>),
    /// What one node tells all nodes, itself included.
    Control(Arc<Control>),
    /// What came before this cannot be told any more, or is not what the store holds now (an engine of several nodes
    /// only): every socket is to come back and resume from the history.
    Lost,
}

/// What one node tells all nodes, itself included. Not kept: a node that was away reads the records and the displays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Control {
    /// A socket of this display opened: any other socket of it, on any node, ends with 4003.
    Claimed { display: DisplayId, node: String, session: String },
    /// Sockets are to end, on every node.
    Cut { of: CutOf, code: u16, reason: String },
    /// Records of this collection changed: read them again.
    Changed { collection: String },
}

impl Control {
    pub fn cut_display(id: &DisplayId, code: CloseCode, reason: &str) -> Control {
        Control::Cut { of: CutOf::Display(id.clone()), code: code.code(), reason: reason.to_owned() }
    }
}

/// Whose sockets are to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOf {
    Display(DisplayId),
    /// Everybody of this name: `sub`, or a ticket's user.
    Principal(String),
    /// The socket that a token with this `jti` opened.
    Token(String),
}

/// A small record of the server's own, in a named collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub value: Vec<u8>,
}

/// A socket that is open somewhere, for `GET /v1/presence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Random; names the socket's session.
    pub session: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayId>,
    pub since_ms: u64,
}

/// A receipt that is in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Commit number of the event.
    pub event: u64,
    pub display: DisplayId,
    pub receipt: Receipt,
}

/// The committed batches, in commit order; bounded. Its reader must not wait for the store, or the two wait for each
/// other. Dropped: the store goes on without.
pub type Feed = tokio::sync::mpsc::Receiver<Vec<Fed>>;

/// What became of a receipt that a display sent.
#[derive(Debug, Clone, PartialEq)]
pub enum ReceiptOutcome {
    /// The first final receipt of this event and display.
    First,
    /// The frame's hash (or the result) was filled into the final receipt.
    Updated,
    /// There is a final receipt already: it stays.
    AlreadyFinal,
    /// No such event was sent to this display, or it is forgotten.
    UnknownEvent,
}

/// An event with what became of it.
#[derive(Debug, Clone)]
pub struct EventRecord {
    pub event: Arc<Committed>,
    /// Final receipts, by display id.
    pub receipts: Vec<(DisplayId, Receipt)>,
    /// Displays that still owe one.
    pub pending: Vec<DisplayId>,
}

/// Where one address's history begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Belongs to this address; known also before its first event.
    pub epoch: String,
    /// Offset of the newest event; 0 where there was none.
    pub last: u64,
    /// Offset of the oldest event that can be replayed; `last + 1` where there is none.
    pub first: u64,
}

impl Head {
    /// The position of a reader that has read all.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch.clone(), offset: self.last }
    }

    /// True if everything after `position` can be replayed: `recovered` in `kiosk.resumed`.
    pub fn recovers(&self, position: &Position) -> bool {
        position.epoch == self.epoch && position.offset <= self.last && position.offset.saturating_add(1) >= self.first
    }
}

/// A piece of one address's history.
#[derive(Debug, Clone)]
pub struct History {
    pub head: Head,
    /// In order, from the first asked for.
    pub events: Vec<Arc<Committed>>,
    /// More follow after the last of `events`.
    pub more: bool,
    /// Commit number of the snapshot that was read: what the feed brings with a higher one is not in it.
    pub as_of: u64,
}

/// What a display that (re)connects is given, from one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// What should be on the glass: per slot the state command with the highest commit over the display's addresses, in
    /// commit order. Always, also where its receipt is final: the display dedupes.
    pub state: Vec<Arc<Committed>>,
    /// Actions without a final receipt that have not expired, in commit order.
    pub pending_actions: Vec<Arc<Committed>>,
    /// What ended by this very call: state that lost before it was done (`superseded`), and actions that were given
    /// [`super::Limits::attempts`] times without an answer (`failed`). Their receipts are written, and in the feed.
    pub settled: Vec<Settled>,
    /// Commit number of the snapshot: what the feed brings with a higher one is not in it.
    pub as_of: u64,
}

/// An enrolled display.
#[derive(Debug, Clone)]
pub struct DisplayRow {
    pub id: DisplayId,
    pub label: String,
    pub groups: BTreeSet<GroupName>,
    /// Ed25519, 32 bytes.
    pub public_key: [u8; 32],
    pub enrolled_ms: u64,
    /// When it was last heard of; None if never (or not since long before the last restart).
    pub last_seen_ms: Option<u64>,
    /// Data of its last `kiosk.health` since the server started.
    pub health: Option<Arc<Health>>,
}

impl DisplayRow {
    /// Every address that reaches this display.
    pub fn addresses(&self) -> Vec<Address> {
        let groups = self.groups.iter().cloned().map(Address::Group);
        [Address::All, Address::Display(self.id.clone())].into_iter().chain(groups).collect()
    }
}

/// A display as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDisplay {
    pub label: String,
    pub groups: BTreeSet<GroupName>,
    pub public_key: [u8; 32],
    pub enrolled_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
}

impl KeptDisplay {
    /// Every address that reaches this display.
    pub fn addresses(&self, id: &DisplayId) -> Vec<Address> {
        let groups = self.groups.iter().cloned().map(Address::Group);
        [Address::All, Address::Display(id.clone())].into_iter().chain(groups).collect()
    }
}

/// What to change of a display; None leaves it.
#[derive(Debug, Clone, Default)]
pub struct DisplayPatch {
    pub label: Option<String>,
    /// The whole new set. A display that joins a group gets that group's state with its next `backlog`.
    pub groups: Option<BTreeSet<GroupName>>,
}

/// A display's request to be enrolled.
#[derive(Debug, Clone)]
pub struct Redeem {
    /// As a person typed it.
    pub code: String,
    /// Ed25519, 32 bytes.
    pub public_key: [u8; 32],
    /// The id it would like; a code that was issued for a display wins, and without either the server makes one.
    pub display: Option<DisplayId>,
}

/// A display that is enrolled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    pub display: DisplayId,
    /// True if its key changed: sockets of the old one are to be closed.
    pub replaced: bool,
}

/// A screenshot or log that a display put beside its receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// Id of the event it answers.
    pub event: String,
    pub content_type: String,
    pub taken_ms: u64,
    pub body: bytes::Bytes,
}

/// Counters since the store was opened, for `/metrics` and the bench.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fresh events stored.
    pub events: u64,
    /// Durable commits (one fsync each); fewer than operations: that is the group commit.
    pub commits: u64,
    /// Operations answered.
    pub operations: u64,
    /// Batches that failed on the disk.
    pub failures: u64,
    /// Size of the store's file in bytes; 0 in memory.
    pub file_bytes: u64,
}
