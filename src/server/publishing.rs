//! What may be published, and as what: the same rules for HTTP and for `kiosk.publish`. Pure.

use crate::{
    auth::Principal,
    event::{
        Event,
        command::{self, CommandError, Kind, Meaning, TTL_MAX},
        frame::FRAME_MAX,
        time::UtcMillis,
    },
    server::store::Publish,
};

/// Room for what the server adds to an event: `epoch`, `offset`, `expirytime`.
const ADDED: usize = 256;
/// The largest event, in bytes of JSON: with what the server adds it fits one frame.
pub const EVENT_MAX: usize = FRAME_MAX - ADDED;

/// Why an event is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the event has no `subject`: write display/<id>, group/<name>, user/<name> or all")]
    NoSubject,
    #[error("you may not publish {what} to `{address}`")]
    NotAllowed { what: String, address: String },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("`{0}` is no address of displays: a command goes to display/<id>, group/<name> or all")]
    CommandToUser(String),
    #[error("the event has {0} bytes as JSON: at most {EVENT_MAX} fit one frame")]
    TooLarge(usize),
    #[error("`expirytime` is more than {} days ahead", TTL_MAX.as_secs() / 86_400)]
    ExpiryTooFar,
}

/// Checks an event and makes it ready for the store. What only the server may say (`offset`, `epoch`) is dropped, and so
/// is the publisher's `token`.
///
/// # Errors
/// See [`PublishError`]; `NotAllowed` is judged first, so that nothing is told to who may not publish.
pub fn prepare(mut event: Event, principal: &Principal, now_ms: u64) -> Result<Publish, PublishError> {
    let address = event.subject.clone().ok_or(PublishError::NoSubject)?;
    if !principal.may_publish(&address, event.kiosk_name()) {
        return Err(PublishError::NotAllowed { what: event.kind, address: address.to_string() });
    }
    event.token = None;
    event.position = None;
    let mut expires_ms = event.expirytime.map(|moment| moment.0);
    if expires_ms.is_some_and(|moment| moment > now_ms.saturating_add(millis(TTL_MAX))) {
        return Err(PublishError::ExpiryTooFar);
    }
    let command = match command::meaning(&event)? {
        Meaning::ForPage => None,
        Meaning::Command(spec, _) => {
            if !address.reaches_displays() {
                return Err(PublishError::CommandToUser(address.to_string()));
            }
            if spec.kind == Kind::Action {
                let ttl = spec.ttl.map_or(millis(TTL_MAX), millis);
                let due = *expires_ms.get_or_insert(now_ms.saturating_add(ttl));
                event.expirytime = Some(UtcMillis(due));
            }
            Some(spec.kind)
        }
    };
    // Nearly every event is far from the limit: it is written as JSON once, by the store.
    if event.json_bytes_at_most() > EVENT_MAX {
        let bytes = event.to_json().len();
        if bytes > EVENT_MAX {
            return Err(PublishError::TooLarge(bytes));
        }
    }
    Ok(Publish { event, command, expires_ms })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{Position, envelope::Token};

    const NOW: u64 = 1_777_896_000_000;

    fn to(address: &str, kind: &str) -> Event {
        Event::new("1", "test", kind).to(address.parse().unwrap())
    }

    #[test]
    fn an_action_gets_its_time_to_live_and_state_gets_none() {
        let operator = Principal::from_operator_key();
        let message = to("display/a", "kiosk.message").with_data(&json!({"text": "hi"}));
        let publish = prepare(message, &operator, NOW).unwrap();
        assert_eq!(publish.expires_ms, Some(NOW + 300_000));
        assert_eq!(publish.event.expirytime, Some(UtcMillis(NOW + 300_000)), "the display sees it too");
        let navigate = to("all", "kiosk.navigate").with_data(&json!({"url": "http://a/"}));
        assert_eq!(prepare(navigate, &operator, NOW).unwrap().expires_ms, None);
    }

    #[test]
    fn what_only_the_server_says_and_what_is_secret_is_dropped() {
        let mut event = to("user/anna", "org.example.note");
        event.position = Some(Position { epoch: "e".into(), offset: 9 });
        event.token = Some(Token("secret".into()));
        let publish = prepare(event, &Principal::from_operator_key(), NOW).unwrap();
        assert_eq!((publish.event.position, publish.event.token, publish.command), (None, None, None));
    }

    #[test]
    fn what_no_display_can_do_or_nobody_can_carry_is_refused() {
        let operator = Principal::from_operator_key();
        let late = UtcMillis(NOW + 8 * 86_400_000);
        for (event, words) in [
            (Event::new("1", "s", "t"), "no `subject`"),
            (to("user/a", "kiosk.reload"), "no address of displays"),
            (to("all", "kiosk.fly"), "no command"),
            (to("all", "kiosk.hello"), "no command"),
            (to("all", "t").with_data(&"x".repeat(EVENT_MAX)), "fit one frame"),
            (Event { expirytime: Some(late), ..to("all", "kiosk.reload") }, "7 days"),
        ] {
            let error = prepare(event, &operator, NOW).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let nobody = Principal { operator: false, ..Principal::from_operator_key() };
        let error = prepare(to("all", "kiosk.fly"), &nobody, NOW).unwrap_err();
        assert!(matches!(error, PublishError::NotAllowed { .. }), "{error}");
    }
}
