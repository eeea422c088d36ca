use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    auth::jwt::JwtKeys,
    event::{
        command::Kind,
        envelope::Token,
        frame::{CallResult, PublishAnswer},
    },
    server::store::Committed,
};

pub(super) const NOW: u64 = 1_777_896_000_000;

fn principal(name: &str) -> Principal {
    let user: Address = format!("user/{name}").parse().unwrap();
    Principal {
        name: name.to_owned(),
        receives: vec![user.clone()],
        user: Some(user),
        operator: false,
        ..Principal::from_operator_key()
    }
}

pub(super) fn terms(display: Option<&str>, addresses: &[&str]) -> Terms {
    Terms {
        session: "s".into(),
        principal: principal("anna"),
        display: display.map(|id| id.parse().unwrap()),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        heartbeat_ms: 25_000,
        per_message: false,
        grace_ms: 10_000,
    }
}

pub(super) fn head(last: u64) -> Head {
    Head { epoch: "e".into(), last, first: 1 }
}

pub(super) fn committed(commit: u64, address: &Address, offset: u64, kind: Option<Kind>) -> Arc<Committed> {
    let event = Event::new(commit.to_string(), "test", "t").to(address.clone());
    Arc::new(Committed {
        commit,
        address: address.clone(),
        position: Position { epoch: "e".into(), offset },
        text: commit.to_string().into(),
        event,
        kind,
        expires_ms: None,
        targets: Vec::new(),
    })
}

pub(super) fn step(session: &mut Session, input: Input, now_ms: u64) -> Vec<Effect> {
    session.step(input, Context { now_ms, keys: &Trust::new(JwtKeys::default()) })
}

pub(super) fn frame(kind: &str, data: &impl serde::Serialize) -> Input {
    Input::Frame(Event::new("f1", "client", kind).with_data(data).to_json().into())
}

pub(super) fn begun(terms: Terms) -> Session {
    let heads: Vec<_> = terms.addresses.iter().map(|address| (address.clone(), head(3))).collect();
    Session::begin(terms, &heads, NOW).0
}

fn closed(effects: &[Effect]) -> Option<(u16, String)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close(code, reason) => Some((code.code(), reason.clone())),
        _ => None,
    })
}

fn said(effects: &[Effect]) -> Vec<Event> {
    let read = |effect: &Effect| match effect {
        Effect::Send(text) => Event::from_json(text.as_bytes()).ok(),
        _ => None,
    };
    effects.iter().filter_map(read).collect()
}

#[test]
fn hello_says_where_the_client_stands_and_nothing_follows_before_its_first_frame() {
    let heads = [("user/anna".parse().unwrap(), head(3))];
    let (mut session, effects) = Session::begin(terms(None, &["user/anna"]), &heads, NOW);
    let hello: Hello = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    assert_eq!(hello.positions[&heads[0].0].offset, 3);
    assert_eq!((hello.server_time, hello.heartbeat_s), (UtcMillis(NOW), 25));
    assert!(step(&mut session, Input::Tick, NOW + 1_999).is_empty());
    assert!(matches!(step(&mut session, Input::Tick, NOW + 2_000)[..], [Effect::Join]));
}

#[test]
fn resume_is_answered_address_by_address() {
    let mut session = begun(terms(None, &["user/anna", "all"]));
    let resume = json!({"positions": {
        "user/anna": {"epoch": "e", "offset": "2"}, "all": {"epoch": "lost", "offset": "2"},
        "group/left": {"epoch": "e", "offset": "9"},
    }});
    assert!(matches!(step(&mut session, frame("kiosk.resume", &resume), NOW)[..], [Effect::ReadHeads]));
    let heads = vec![("user/anna".parse().unwrap(), head(3)), (Address::All, head(2))];
    let effects = step(&mut session, Input::Heads(heads), NOW);
    let resumed: Resumed = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    let answers: Vec<bool> = resumed.recovered.into_values().collect();
    assert_eq!(answers, [false, false, true], "all, group/left, user/anna");
    assert!(matches!(effects[1], Effect::Join));
}

#[test]
fn what_a_client_may_not_say_ends_its_socket_with_the_right_code() {
    let per_message = Terms { per_message: true, ..terms(None, &["user/anna"]) };
    let user = || terms(None, &["user/anna"]);
    let inner = Event::new("1", "c", "org.example.note").to("user/bob".parse().unwrap());
    for (terms, input, code, words) in [
        (user(), Input::Frame("{".into()), 4500, "CloudEvents"),
        (user(), frame("kiosk.hello", &()), 4500, "not something a client says"),
        (user(), frame("kiosk.resume", &json!({"positions": 7})), 4500, "kiosk.resume"),
        (
            user(),
            frame("kiosk.receipt", &Receipt::new("x", "s", crate::event::Status::Done, 1)),
            4501,
            "only a display",
        ),
        (user(), frame("kiosk.health", &Health::default()), 4501, "only a display"),
        (user(), frame("kiosk.publish", &inner), 4501, "may not publish"),
        (user(), frame("kiosk.auth", &json!({"token": "nonsense"})), 4501, crate::auth::REFUSED),
        (per_message, frame("kiosk.resume", &Resume::default()), 4501, crate::auth::REFUSED),
    ] {
        let mut session = begun(terms);
        let (got, reason) = closed(&step(&mut session, input, NOW)).unwrap();
        assert!(got == code && reason.contains(words), "{got} {reason}, not {code} {words}");
        assert!(step(&mut session, Input::Tick, u64::MAX).is_empty(), "a closed session does no more");
    }
}

#[test]
fn a_second_resume_is_a_bad_frame() {
    let mut session = begun(terms(None, &["user/anna"]));
    step(&mut session, frame("kiosk.call", &json!({"task": "a"})), NOW);
    let effects = step(&mut session, frame("kiosk.resume", &Resume::default()), NOW);
    assert_eq!(closed(&effects).unwrap().0, 4500);
}

#[test]
fn a_call_is_made_in_the_callers_name_and_its_answer_names_it() {
    let mut session = begun(terms(None, &["user/anna"]));
    let effects = step(&mut session, frame("kiosk.call", &json!({"task": "app.add", "args": [1, 2]})), NOW);
    let [Effect::Join, Effect::Call { id, caller, call }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((id.as_str(), caller.as_str(), call.task.as_str()), ("f1", "user/anna", "app.add"));
    let refused = CallResult { call: "f1".into(), state: "refused".into(), result: serde_json::Value::Null };
    let effects = step(&mut session, Input::Called(Box::new(refused)), NOW);
    let result: CallResult = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    assert_eq!((result.call.as_str(), result.state.as_str()), ("f1", "refused"));
    assert!(closed(&effects).is_none());
    let mut display = begun(terms(Some("lobby"), &["display/lobby"]));
    let effects = step(&mut display, frame("kiosk.call", &json!({"task": "app.add"})), NOW);
    let caller = effects.iter().find_map(|effect| match effect {
        Effect::Call { caller, .. } => Some(caller.as_str()),
        _ => None,
    });
    assert_eq!(caller, Some("display/lobby"), "a display calls as itself, whoever its ticket is for");
}

#[test]
fn a_publish_within_the_claims_is_answered_with_its_position_or_its_mistake() {
    let mut allowed = terms(None, &["user/anna"]);
    allowed.principal.publishes = ["user/bob".parse().unwrap(), Address::All].into();
    allowed.principal.commands = ["navigate".to_owned()].into();
    let mut session = begun(allowed);
    let mut inner = Event::new("1", "c", "org.example.note").to("user/bob".parse().unwrap());
    inner.token = Some(Token("secret".into()));
    let effects = step(&mut session, frame("kiosk.publish", &inner), NOW);
    let publish = effects.iter().find_map(|effect| match effect {
        Effect::Publish(reply_to, publish) => Some((reply_to.clone(), publish.event.token.clone())),
        _ => None,
    });
    assert_eq!(publish, Some(("f1".to_owned(), None)), "a token goes no further");
    let position = Position { epoch: "e".into(), offset: 1 };
    let effects = step(&mut session, Input::Published("f1".into(), Ok(position.clone())), NOW);
    let answer: PublishAnswer = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    assert_eq!((answer.event.as_str(), answer.position), ("f1", Some(position)));
    let bad = Event::new("2", "c", "kiosk.navigate").to(Address::All).with_data(&json!({"url": "lobby"}));
    let effects = step(&mut session, frame("kiosk.publish", &bad), NOW);
    let answer: PublishAnswer = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    assert!(answer.error.unwrap().contains("navigate") && closed(&effects).is_none());
}

#[test]
fn a_silent_socket_is_pinged_and_then_given_up_and_a_token_ends_on_time() {
    let mut session = begun(terms(None, &["user/anna"]));
    step(&mut session, Input::Tick, NOW + 2_000);
    assert_eq!(session.deadline_ms(), NOW + 25_000);
    assert!(matches!(step(&mut session, Input::Tick, NOW + 25_000)[..], [Effect::Ping]));
    step(&mut session, Input::Heard, NOW + 25_010);
    step(&mut session, Input::Tick, NOW + 50_000);
    step(&mut session, Input::Tick, NOW + 75_000);
    assert_eq!(session.deadline_ms(), NOW + 25_010 + 62_500);
    assert_eq!(closed(&step(&mut session, Input::Tick, NOW + 25_010 + 62_500)).unwrap().0, 4008);

    for (expires_ms, ends_ms) in [(NOW + 9_000, NOW + 19_000), (NOW - 25_000, NOW + 5_000)] {
        let mut short = terms(None, &["user/anna"]);
        short.principal.expires_ms = Some(expires_ms);
        let mut session = begun(short);
        assert!(closed(&step(&mut session, Input::Tick, ends_ms - 1)).is_none());
        assert_eq!(closed(&step(&mut session, Input::Tick, ends_ms)).unwrap().0, 4002, "leeway is used once");
    }
}

#[test]
fn a_receipt_is_kept_though_its_result_is_too_large() {
    let mut session = begun(terms(Some("lobby"), &["display/lobby"]));
    let receipt = Receipt::new("x", "s", crate::event::Status::Done, 1).with_result("y".repeat(20_000).into());
    let effects = step(&mut session, frame("kiosk.receipt", &receipt), NOW);
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::Receipt(_, receipt) => Some(receipt.result.clone()),
        _ => None,
    });
    assert_eq!(kept, Some(None));
}
