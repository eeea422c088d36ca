use proptest::prelude::*;

use super::*;

const FULL: &str = r#"{"specversion":"1.0","id":"a-1","source":"/shop/till","type":"kiosk.navigate","subject":"display/lobby-1","time":"2026-05-04T12:00:00Z","expirytime":"2026-05-04T12:00:30.000Z","epoch":"k3","offset":"17","tenant":"acme","data":{"url":"http://x/","n":1.10}}"#;

#[test]
fn a_structured_event_is_written_as_it_was_read_with_the_publishers_data_untouched() {
    let event = Event::from_json(FULL.as_bytes()).unwrap();
    assert_eq!(event.to_json(), FULL);
    assert_eq!(event.subject, Some("display/lobby-1".parse().unwrap()));
    assert_eq!(event.position.as_ref().unwrap().offset, 17);
    assert_eq!(event.json_data().get(), r#"{"url":"http://x/","n":1.10}"#);
}

#[test]
fn what_is_no_event_is_refused_and_the_place_is_named() {
    for (json, named) in [
        ("", "EOF"),
        ("[]", "CloudEvents"),
        (r#"{"id":"1","source":"s","type":"t"}"#, "specversion"),
        (r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#, "specversion"),
        (r#"{"specversion":"1.0","source":"s","type":"t"}"#, "`id`"),
        (r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "`id`"),
        (r#"{"specversion":"1.0","id":1,"source":"s","type":"t"}"#, "`id`"),
        (r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}"#, "twice"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"lobby"}"#, "display/<id>"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon"}"#, "RFC 3339"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","offset":"1"}"#, "epoch"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","offset":1,"epoch":"e"}"#, "offset"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","Upper":"x"}"#, "Upper"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","deep":{"a":1}}"#, "deep"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"AA=="}"#, "exclude"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"???"}"#, "base64"),
    ] {
        let error = Event::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(named), "{json}\n  {error}");
    }
}

#[test]
fn a_batch_says_which_of_its_events_is_wrong() {
    let good = r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#;
    assert_eq!(Event::batch_from_json(format!("[{good},{good}]").as_bytes()).unwrap().len(), 2);
    let error = Event::batch_from_json(format!(r#"[{good},{{"specversion":"1.0"}}]"#).as_bytes()).unwrap_err();
    assert!(matches!(error, EnvelopeError::InBatch { index: 1, .. }), "{error}");
    let many = format!("[{}]", vec![good; BATCH_MAX + 1].join(","));
    assert_eq!(Event::batch_from_json(many.as_bytes()).unwrap_err(), EnvelopeError::BatchSize(BATCH_MAX + 1));
}

fn headers<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a [u8])> {
    let base = [("specversion", "1.0"), ("id", "1"), ("source", "s"), ("type", "t")];
    base.iter().chain(more).map(|(name, value)| (*name, value.as_bytes())).collect()
}

#[test]
fn binary_mode_takes_attributes_from_headers_and_data_from_the_body() {
    let event = Event::from_binary(headers(&[("subject", "user/Zo%C3%AB")]), None, br#"{"a":1}"#).unwrap();
    assert_eq!(event.subject.unwrap().to_string(), "user/Zoë");
    assert_eq!(event.data, Some(Data::Json(RawValue::from_string(r#"{"a":1}"#.into()).unwrap())));

    let text = Event::from_binary(headers(&[]), Some("text/plain; charset=utf-8"), b"hi \"you\"").unwrap();
    assert_eq!(text.json_data().get(), r#""hi \"you\"""#);
    let bytes = Event::from_binary(headers(&[]), Some("image/png"), &[0, 255]).unwrap();
    assert_eq!(bytes.data, Some(Data::Base64("AP8=".into())));
    assert_eq!(bytes.datacontenttype.as_deref(), Some("image/png"));
    assert!(Event::from_binary(headers(&[]), None, b"").unwrap().data.is_none());

    assert!(matches!(Event::from_binary(headers(&[]), None, b"{nope"), Err(EnvelopeError::Body(_))));
    let header = Event::from_binary(headers(&[("time", "noon")]), None, b"").unwrap_err().to_string();
    assert!(header.contains("ce-time"), "{header}");
}

#[test]
fn a_token_never_shows_in_a_log_line() {
    let mut event = Event::new("1", "s", "kiosk.auth");
    event.token = Some(Token("eyJhbGciOi.secret".into()));
    assert!(!format!("{event:?}").contains("secret"));
    assert!(event.to_json().contains("secret"));
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::from_json(&bytes);
        let _ = Event::batch_from_json(&bytes);
        let _ = Event::from_binary(headers(&[]), None, &bytes);
    }

    #[test]
    fn every_event_reads_back_equal(id in "[ -~]{1,40}", source in "[!-~]{1,40}", kind in "[a-z.]{1,40}", n in any::<i32>(), offset in any::<u64>(), text in ".*") {
        let mut event = Event::new(id, source, kind).to(Address::All).with_data(&serde_json::json!({"text": text}));
        event.position = Some(Position { epoch: "e".into(), offset });
        event.extensions.insert("n".into(), n.into());
        prop_assert_eq!(Event::from_json(event.to_json().as_bytes()).unwrap(), event);
    }

    #[test]
    fn the_text_written_by_hand_is_what_the_serialiser_says_and_within_its_bound(
        texts in proptest::collection::vec(proptest::option::of(".{1,30}"), 9),
        user in "[^\\p{Cc}]{1,40}",
        offset in any::<u64>(),
        base64 in any::<bool>(),
    ) {
        let text = |n: usize| texts[n].clone().unwrap_or_default();
        let mut event = Event::new(text(0), text(1), text(2));
        event.subject = format!("user/{user}").parse().ok();
        (event.time, event.datacontenttype, event.dataschema) = (texts[3].clone(), texts[4].clone(), texts[5].clone());
        event.position = texts[6].clone().map(|epoch| Position { epoch, offset });
        event.token = texts[7].clone().map(Token);
        event.expirytime = texts[7].is_none().then_some(UtcMillis(offset % (1 << 47)));
        event.extensions.insert("a".into(), text(8).into());
        event.extensions.insert("b".into(), (-2_147_483_648_i64).into());
        event.data = Some(if base64 { Data::Base64("AP8=".into()) } else { Data::Json(serde_json::value::to_raw_value(&texts).unwrap()) });
        let written = event.to_json();
        prop_assert_eq!(&written, &serde_json::to_string(&event).unwrap());
        prop_assert!(written.len() <= event.json_bytes_at_most());
    }
}
