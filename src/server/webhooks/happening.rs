//! What is told, as CloudEvents.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    event::{DisplayId, Event, time::UtcMillis},
    server::store::Settled,
};

/// The `source` of what the server tells of itself.
const SOURCE: &str = "pikiosk-server";

/// What a receiver can ask for, by its name in `server.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    DisplayUp,
    DisplayDown,
    DisplayCopied,
    Receipt,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::DisplayUp, Kind::DisplayDown, Kind::DisplayCopied, Kind::Receipt];

    pub fn name(self) -> &'static str {
        match self {
            Kind::DisplayUp => "display.up",
            Kind::DisplayDown => "display.down",
            Kind::DisplayCopied => "display.copied",
            Kind::Receipt => "receipt",
        }
    }

    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that happened in this node.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A display is connected that was not.
    Up { display: DisplayId, session: String, since_ms: u64 },
    /// A display is away, and did not come back within the time that a restart takes.
    Down { display: DisplayId, since_ms: u64 },
    /// Two cards have one display's key.
    Copied { display: DisplayId, at_ms: u64 },
    /// A final receipt.
    Receipt(Arc<Settled>),
}

impl Happening {
    pub fn kind(&self) -> Kind {
        match self {
            Happening::Up { .. } => Kind::DisplayUp,
            Happening::Down { .. } => Kind::DisplayDown,
            Happening::Copied { .. } => Kind::DisplayCopied,
            Happening::Receipt(_) => Kind::Receipt,
        }
    }

    /// The event's JSON. Its id is the same whoever tells it, and however often.
    pub fn to_event(&self, now_ms: u64) -> String {
        let (id, display, at_ms, data) = match self {
            Happening::Up { display, session, since_ms } => {
                let data = json!({"display": display, "since": UtcMillis(*since_ms)});
                (format!("up:{display}:{session}"), display, *since_ms, data)
            }
            Happening::Down { display, since_ms } => {
                let data = json!({"display": display, "missing_since": UtcMillis(*since_ms)});
                (format!("down:{display}:{since_ms}"), display, now_ms, data)
            }
            Happening::Copied { display, at_ms } => {
                (format!("copied:{display}:{at_ms}"), display, *at_ms, json!({"display": display}))
            }
            Happening::Receipt(settled) => {
                let Settled { event, display, receipt } = &**settled;
                let mut data = serde_json::to_value(receipt).unwrap_or_default();
                if let Value::Object(data) = &mut data {
                    data.insert("display".to_owned(), display.as_str().into());
                    // A picture or a log is not for here: it is asked for.
                    data.remove("result");
                }
                (format!("receipt:{display}:{event}:{}", receipt.event), display, now_ms, data)
            }
        };
        let mut event = Event::new(id, SOURCE, format!("pikiosk.{}", self.kind().name())).with_data(&data);
        event.subject = Some(crate::event::Address::Display(display.clone()));
        let mut object: Value = serde_json::from_str(&event.to_json()).unwrap_or_default();
        object["time"] = UtcMillis(at_ms).to_string().into();
        object.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Receipt, Status};

    #[test]
    fn what_is_told_is_a_cloudevent_of_its_display_and_the_same_event_each_time() {
        let display: DisplayId = "lobby".parse().unwrap();
        let receipt = Receipt::new("menu-7", "/kitchen", Status::Shown, 40).with_result(json!("a whole log"));
        let receipt = Arc::new(Settled { event: 9, display: display.clone(), receipt });
        for (happening, kind) in [
            (Happening::Up { display: display.clone(), session: "s".into(), since_ms: 1_000 }, "pikiosk.display.up"),
            (Happening::Down { display: display.clone(), since_ms: 1_000 }, "pikiosk.display.down"),
            (Happening::Copied { display: display.clone(), at_ms: 1_000 }, "pikiosk.display.copied"),
            (Happening::Receipt(receipt), "pikiosk.receipt"),
        ] {
            let text = happening.to_event(2_000);
            let event = Event::from_json(text.as_bytes()).unwrap();
            assert_eq!((event.kind.as_str(), event.subject.unwrap().to_string()), (kind, "display/lobby".to_owned()));
            let later: Value = serde_json::from_str(&happening.to_event(9_000)).unwrap();
            assert_eq!(later["id"], event.id, "a receiver can tell a repeat");
            assert_eq!(later["data"]["display"], "lobby");
            assert!(!text.contains("a whole log"));
        }
        assert_eq!(Kind::from_name("display.up"), Some(Kind::DisplayUp));
        assert_eq!(Kind::from_name("display"), None);
    }
}
