use super::*;
use crate::event::command::Kind;

const NOW: u64 = 1_777_896_000_000;

fn of(routing_key: &str, body: &str) -> Result<Publish, Unusable> {
    read(Message { routing_key, body: body.as_bytes(), ..Message::default() }, "made-up", NOW)
}

fn data(publish: &Publish) -> &str {
    publish.event.json_data().get()
}

#[test]
fn the_routing_key_is_the_address() {
    for (key, text) in [
        ("commands.all", "all"),
        ("commands.lobby-1", "display/lobby-1"),
        ("commands.group.shops", "group/shops"),
        ("commands.user.anna", "user/anna"),
        ("commands.user.a.b@example.org", "user/a.b@example.org"),
        ("commands.user.Zoë ops", "user/Zoë ops"),
    ] {
        assert_eq!(address(key).unwrap().to_string(), text, "{key}");
    }
    for key in ["", "commands", "commands.", "orders.lobby", "commands.group.", "commands.user.", "commands.user"]
        .into_iter()
        .chain(["commands.a.b", "commands.all.x", "commands.Lobby", "commands.group", "commands.group.a.b"])
    {
        let error = address(key).unwrap_err().to_string();
        assert!(error.contains("names no address"), "{key}: {error}");
    }
}

#[test]
fn a_cloud_event_is_taken_as_it_is() {
    let body = r#"{"specversion":"1.0","id":"7","source":"shop","type":"org.example.order","data":{"n": 1.50}}"#;
    let publish = of("commands.user.anna", body).unwrap();
    assert_eq!((publish.event.id.as_str(), publish.event.source.as_str()), ("7", "shop"));
    assert_eq!(publish.event.subject, Some("user/anna".parse().unwrap()), "the key fills in what is absent");
    assert_eq!(data(&publish), r#"{"n": 1.50}"#);
    let same = body.replace(r#""id""#, r#""subject":"user/anna","id""#);
    assert!(of("commands.user.anna", &same).is_ok());
    let error = of("commands.user.berta", &same).unwrap_err().to_string();
    assert!(error.contains("`user/anna`") && error.contains("`user/berta`"), "{error}");
    let typed = Message { content_type: Some("application/cloudevents+json; charset=utf-8"), ..Message::default() };
    let error = read(Message { routing_key: "commands.all", body: b"{}", ..typed }, "x", NOW).unwrap_err();
    assert!(error.to_string().contains("specversion"), "what says that it is an event must be one: {error}");
}

#[test]
fn an_object_with_a_command_becomes_that_command() {
    let publish = of("commands.lobby", r#"{"command":"navigate","url":"https://example.org/?a=1"}"#).unwrap();
    assert_eq!(publish.event.kind, "kiosk.navigate");
    assert_eq!(data(&publish), r#"{"url":"https://example.org/?a=1"}"#);
    assert!(matches!(publish.command, Some(Kind::State(_))));
    let event = of("commands.all", r#"{"name":"order","data": {"n":1.0, "b":[ ]},"command":"event"}"#).unwrap();
    assert_eq!(data(&event), r#"{"name":"order","data":{"n":1.0, "b":[ ]}}"#);
    assert_eq!(event.expires_ms, Some(NOW + 60_000));
    let reload = of("commands.group.shops", r#"{"command":"reload"}"#).unwrap();
    assert_eq!(data(&reload), "{}");
    for (body, words) in [
        (r#"{"command":"fly"}"#, "no command `fly`"),
        (r#"{"command":"navigate"}"#, "missing field `url`"),
        (r#"{"command":7}"#, "`command` is the command's name"),
        (r#"{"command":"reload","command":"reload"}"#, "twice"),
    ] {
        let error = of("commands.all", body).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
    let error = of("commands.user.anna", r#"{"command":"reload"}"#).unwrap_err().to_string();
    assert!(error.contains("no address of displays"), "{error}");
}

#[test]
fn anything_else_is_handed_to_the_page_byte_for_byte() {
    for (body, data_says) in [
        (r#"{"order": 41.0,  "x":"é"}"#, r#"{"order": 41.0,  "x":"é"}"#),
        ("[1, 2]", "[1, 2]"),
        ("12345678901234567890123.0", "12345678901234567890123.0"),
        ("null", "null"),
        ("Table 4 is \"ready\"\n", r#""Table 4 is \"ready\"\n""#),
        ("", r#""""#),
        ("{broken", r#""{broken""#),
    ] {
        let publish = of("commands.lobby", body).unwrap();
        assert_eq!(publish.event.kind, "kiosk.event");
        assert_eq!(data(&publish), format!(r#"{{"name":"message","data":{data_says}}}"#), "{body}");
        assert_eq!(publish.command, Some(Kind::Action));
    }
    let text =
        Message { routing_key: "commands.all", body: b"[1]", content_type: Some("text/plain"), ..Message::default() };
    assert_eq!(data(&read(text, "x", NOW).unwrap()), r#"{"name":"message","data":"[1]"}"#);
    let bytes = Message { routing_key: "commands.all", body: &[0xff, 0xfe], ..Message::default() };
    assert_eq!(read(bytes, "x", NOW).unwrap_err(), Unusable::Bytes);
}

#[test]
fn a_user_gets_it_too_and_nobody_owes_a_receipt() {
    let publish = of("commands.user.anna", r#"{"order":41}"#).unwrap();
    assert_eq!(publish.event.kind, "kiosk.event");
    assert_eq!((publish.command, publish.expires_ms), (None, None));
    let error = of("commands.user.anna", &"x".repeat(EVENT_MAX)).unwrap_err().to_string();
    assert!(error.contains("fit one frame"), "{error}");
}

#[test]
fn the_messages_properties_name_the_event_and_end_it() {
    let message = Message {
        routing_key: "commands.lobby",
        body: b"hello",
        id: Some("order-41"),
        program: Some("shop"),
        expiration: Some("1500"),
        ..Message::default()
    };
    let publish = read(message, "made-up", NOW).unwrap();
    assert_eq!((publish.event.id.as_str(), publish.event.source.as_str()), ("order-41", "amqp/shop"));
    assert_eq!(publish.expires_ms, Some(NOW + 1500));
    assert_eq!(of("commands.lobby", "hello").unwrap().event.id, "made-up");
    assert_eq!(of("commands.lobby", "hello").unwrap().event.source, "amqp");
    let for_ever = read(Message { expiration: Some("99999999999999"), ..message }, "x", NOW).unwrap();
    assert!(for_ever.expires_ms.is_some_and(|end| end > NOW));
    assert_eq!(read(Message { id: Some("a\nb"), ..message }, "x", NOW).unwrap_err(), Unusable::Id);
    assert_eq!(read(Message { id: Some(""), ..message }, "x", NOW).unwrap_err(), Unusable::Id);
    assert!(matches!(read(Message { expiration: Some("soon"), ..message }, "x", NOW), Err(Unusable::Expiration(_))));
}

#[test]
fn a_body_that_is_nested_very_deeply_is_refused_and_breaks_nothing() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    assert!(of("commands.lobby", &deep).is_err());
    assert!(of("commands.user.anna", &deep).is_ok(), "a user's data is not read here, only carried");
    let object = "{\"a\":".repeat(5_000);
    assert_eq!(of("commands.user.anna", &object).unwrap().event.kind, "kiosk.event", "half an object is a text");
}

proptest::proptest! {
    #[test]
    fn no_message_makes_it_panic_and_what_is_taken_keeps_its_body(
        key in "(commands\\.)?(all|group\\.|user\\.)?.{0,12}",
        body in "\\PC{0,40}|\\{(\"(command|specversion|a)\":(\"reload\"|1|\\{\\}),?){0,3}\\}?|[\\x00-\\x7f]{0,20}",
    ) {
        if let Ok(publish) = of(&key, &body) && publish.event.id == "made-up" && publish.event.kind == "kiosk.event" {
            let wrapped = data(&publish);
            let inner = wrapped.strip_prefix(r#"{"name":"message","data":"#).and_then(|rest| rest.strip_suffix('}'));
            let kept = inner.is_some_and(|inner| {
                inner == body.trim() || serde_json::from_str::<String>(inner).is_ok_and(|text| text == body)
            });
            proptest::prop_assert!(kept, "{body:?} -> {wrapped}");
        }
    }
}
