//! The WebSocket conversation: what each side may say, and why it ends.
//!
//! ```text
//!  client                                       server
//!    |  <- kiosk.hello {session, addresses, ...}  |   no event before the first client frame, at most 2 s
//!    |  kiosk.resume {positions} ->               |
//!    |  <- kiosk.resumed {recovered}              |   then replay, then live
//!    |  <- events                                 |
//!    |  kiosk.receipt, kiosk.health,              |
//!    |  kiosk.publish, kiosk.call, kiosk.auth ->  |
//!    |  <- kiosk.published, kiosk.result           |   answers to kiosk.publish and kiosk.call
//! ```
//!
//! Every text frame is one CloudEvents object; these are the types of its `data`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{address::Address, envelope::Event, health::Health, position::Position, receipt::Receipt, time::UtcMillis};

/// The WebSocket subprotocol: one CloudEvents JSON object per text frame.
pub const SUBPROTOCOL: &str = "cloudevents.json";
/// A subprotocol entry that carries a ticket or JWT begins so.
pub const BEARER_PREFIX: &str = "bearer.";
/// The largest frame either side takes, in bytes; it is refused from its declared length.
pub const FRAME_MAX: usize = 64 * 1024;
/// How long the server waits for `kiosk.resume` before it sends events, in milliseconds.
pub const RESUME_WAIT_MS: u64 = 2000;

/// Why a socket is closed. 4000-4499: come back. 4500-4999: do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    GoingAway,
    Slow,
    TokenExpired,
    /// A newer socket of the same display: come back after 60 s or more.
    Replaced,
    Idle,
    BadFrame,
    NotAllowed,
    DisplayRemoved,
}

impl CloseCode {
    pub const ALL: [CloseCode; 8] = [
        CloseCode::GoingAway,
        CloseCode::Slow,
        CloseCode::TokenExpired,
        CloseCode::Replaced,
        CloseCode::Idle,
        CloseCode::BadFrame,
        CloseCode::NotAllowed,
        CloseCode::DisplayRemoved,
    ];

    pub const fn code(self) -> u16 {
        match self {
            CloseCode::GoingAway => 4000,
            CloseCode::Slow => 4001,
            CloseCode::TokenExpired => 4002,
            CloseCode::Replaced => 4003,
            CloseCode::Idle => 4008,
            CloseCode::BadFrame => 4500,
            CloseCode::NotAllowed => 4501,
            CloseCode::DisplayRemoved => 4502,
        }
    }

    /// The reason that goes with the code where nothing more precise is known.
    pub const fn reason(self) -> &'static str {
        match self {
            CloseCode::GoingAway => "going away, come back",
            CloseCode::Slow => "too slow, come back and resume",
            CloseCode::TokenExpired => "token expired",
            CloseCode::Replaced => "replaced by a newer socket of this display",
            CloseCode::Idle => "nothing heard for too long",
            CloseCode::BadFrame => "bad frame",
            CloseCode::NotAllowed => "not allowed",
            CloseCode::DisplayRemoved => "this display was removed",
        }
    }

    pub fn from_code(code: u16) -> Option<CloseCode> {
        CloseCode::ALL.into_iter().find(|close| close.code() == code)
    }

    /// Whether a client may come back after any close code, ours or not.
    pub fn comes_back(code: u16) -> bool {
        !(4500..=4999).contains(&code)
    }
}

/// How long a client may be asked to spread its return; a reason that names more is not ours.
const RETURN_MAX: Duration = Duration::from_secs(600);
const RETURN_WORDS: &str = "going away, come back within ";

/// The reason of a [`CloseCode::GoingAway`] that lets many go: each comes back at a random time within so many seconds.
pub fn going_away_within(within: Duration) -> String {
    format!("{RETURN_WORDS}{} s", within.min(RETURN_MAX).as_millis().div_ceil(1_000))
}

/// The time that such a reason names.
pub fn come_back_within(reason: &str) -> Option<Duration> {
    let seconds = reason.strip_prefix(RETURN_WORDS)?.strip_suffix(" s")?.parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|within| *within <= RETURN_MAX)
}

/// The data of `kiosk.hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub session: String,
    pub addresses: Vec<Address>,
    pub server_time: UtcMillis,
    /// The server pings this often, in seconds; a side that hears nothing for 2.5 times as long gives the socket up.
    pub heartbeat_s: u64,
    /// The head of each address: one that `kiosk.resume` does not name starts here.
    pub positions: BTreeMap<Address, Position>,
}

/// The data of `kiosk.resume`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    #[serde(default)]
    pub positions: BTreeMap<Address, Position>,
}

/// The data of `kiosk.resumed`: false where history after the position is lost, and the past must be read elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    pub recovered: BTreeMap<Address, bool>,
}

/// The data of `kiosk.call`: a task for the publisher's own workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub task: String,
    #[serde(default)]
    pub args: Vec<Value>,
    #[serde(default)]
    pub kwargs: BTreeMap<String, Value>,
}

/// The data of `kiosk.result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// The `id` of the `kiosk.call` event.
    pub call: String,
    pub state: String,
    #[serde(default)]
    pub result: Value,
}

/// The data of `kiosk.published`: the answer to a `kiosk.publish`. It has either `position` or `error`. A publish outside
/// of what the client's token allows is not answered: the socket is closed with 4501.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishAnswer {
    /// The `id` of the `kiosk.publish` event (not of the event it wraps).
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The data of `kiosk.auth`: a fresh token for this socket.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Auth {
    pub token: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth(hidden)")
    }
}

/// What a client says. `Receipt` and `Health` come from displays only.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    Resume(Resume),
    Receipt(Receipt),
    Health(Box<Health>),
    Publish(Box<Event>),
    Call(Call),
    Auth(Auth),
}

/// Why a text frame is not one of ours. The socket is closed with 4500 and this as the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error(transparent)]
    Envelope(#[from] super::envelope::EnvelopeError),
    #[error("`{0}` is not something a client says")]
    Kind(String),
    #[error("the data of `{kind}`: {problem}")]
    Data { kind: String, problem: String },
}

impl ClientFrame {
    /// Reads what a client's event says.
    pub fn read(event: &Event) -> Result<Self, FrameError> {
        let raw = event.json_data();
        match event.kind.as_str() {
            "kiosk.resume" => Ok(ClientFrame::Resume(data(event, raw)?)),
            "kiosk.receipt" => Ok(ClientFrame::Receipt(data(event, raw)?)),
            "kiosk.health" => Ok(ClientFrame::Health(Box::new(data(event, raw)?))),
            "kiosk.publish" => Ok(ClientFrame::Publish(Box::new(data(event, raw)?))),
            "kiosk.call" => Ok(ClientFrame::Call(data(event, raw)?)),
            "kiosk.auth" => Ok(ClientFrame::Auth(data(event, raw)?)),
            other => Err(FrameError::Kind(other.to_owned())),
        }
    }
}

/// What a server says.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    Hello(Hello),
    Resumed(Resumed),
    Result(CallResult),
    /// Everything else: a command or an event for the page, with its position.
    Event(Box<Event>),
}

impl ServerFrame {
    /// Reads what a server's event says.
    pub fn read(event: Event) -> Result<Self, FrameError> {
        let raw = event.json_data();
        match event.kind.as_str() {
            "kiosk.hello" => Ok(ServerFrame::Hello(data(&event, raw)?)),
            "kiosk.resumed" => Ok(ServerFrame::Resumed(data(&event, raw)?)),
            "kiosk.result" => Ok(ServerFrame::Result(data(&event, raw)?)),
            _ => Ok(ServerFrame::Event(Box::new(event))),
        }
    }
}

fn data<T: serde::de::DeserializeOwned>(event: &Event, raw: &RawValue) -> Result<T, FrameError> {
    serde_json::from_str(raw.get())
        .map_err(|error| FrameError::Data { kind: event.kind.clone(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_below_4500_come_back_and_the_rest_do_not() {
        for close in CloseCode::ALL {
            assert_eq!(CloseCode::from_code(close.code()), Some(close));
            assert_eq!(CloseCode::comes_back(close.code()), close.code() < 4500);
            assert!(close.reason().len() <= 123, "RFC 6455 gives a reason 123 bytes");
        }
        assert!(CloseCode::comes_back(1006));
    }

    #[test]
    fn a_server_that_lets_many_go_says_within_what_time_to_come_back() {
        let ten = Duration::from_secs(10);
        assert_eq!(going_away_within(ten), "going away, come back within 10 s");
        assert_eq!(come_back_within(&going_away_within(Duration::from_millis(9_001))), Some(ten));
        for other in [CloseCode::GoingAway.reason(), "going away, come back within 601 s", "within 3 s", "", "x"] {
            assert_eq!(come_back_within(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_client_says_is_read_and_what_it_may_not_say_is_named() {
        let resume = Event::new("1", "c", "kiosk.resume")
            .with_data(&serde_json::json!({"positions": {"all": {"epoch": "e", "offset": "4"}}}));
        let ClientFrame::Resume(resume) = ClientFrame::read(&resume).unwrap() else { panic!() };
        assert_eq!(resume.positions[&Address::All].offset, 4);

        let error = ClientFrame::read(&Event::new("1", "c", "kiosk.hello")).unwrap_err();
        assert_eq!(error.to_string(), "`kiosk.hello` is not something a client says");
        let receipt = Event::new("1", "c", "kiosk.receipt").with_data(&serde_json::json!({"event": "x"}));
        assert!(ClientFrame::read(&receipt).unwrap_err().to_string().contains("status"));
        let publish = Event::new("1", "c", "kiosk.publish").with_data(&Event::new("2", "c", "t").to(Address::All));
        assert!(matches!(ClientFrame::read(&publish).unwrap(), ClientFrame::Publish(event) if event.id == "2"));
    }
}
