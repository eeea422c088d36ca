use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const MAX: usize = 1_000;

/// Frames as a client sends them: masked.
fn frames(messages: &[Message]) -> Vec<u8> {
    let mut context = WebSocketContext::new(Role::Client, None);
    let mut out = Vec::new();
    let mut pipe = Pipe { input: &[], answers: &mut out };
    for message in messages {
        let _ = context.write(&mut pipe, message.clone());
    }
    let _ = context.flush(&mut pipe);
    out
}

fn seen(reader: &mut Reader) -> Vec<Seen> {
    std::iter::from_fn(|| reader.take_next()).collect()
}

/// A frame by hand, with a mask of zeros.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    out.extend_from_slice(payload);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_are_read_however_the_network_cuts_them(
        texts in prop::collection::vec("[a-zäöü]{0,300}", 1..6),
        cuts in prop::collection::vec(1..400_usize, 1..8),
    ) {
        let messages: Vec<_> = texts.iter().flat_map(|text| [Message::text(text.clone()), Message::Ping(Bytes::from_static(b"p"))]).collect();
        let bytes = frames(&messages);
        let mut reader = Reader::new(MAX);
        let (mut rest, mut answers, mut cuts) = (&bytes[..], Vec::new(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            answers.extend(reader.take(now));
            rest = later;
        }
        let expected: Vec<_> = texts.iter().flat_map(|text| [Seen::Text(text.as_str().into()), Seen::Sign]).collect();
        prop_assert_eq!(seen(&mut reader), expected);
        prop_assert_eq!(answers, b"\x8a\x01p".repeat(texts.len()));
        prop_assert!(reader.partial.capacity() == 0 && reader.context.is_none(), "an idle reader keeps nothing");
    }
}

#[test]
fn a_fragmented_message_is_one_text_also_with_a_ping_inside() {
    let mut reader = Reader::new(MAX);
    let mut bytes = raw(0x01, "zw\u{f6}".as_bytes().split_at(3).0);
    bytes.extend(raw(0x89, b"p"));
    assert_eq!(reader.take(&bytes), b"\x8a\x01p");
    assert!(reader.context.is_some());
    reader.take(&raw(0x80, "zw\u{f6}lf".as_bytes().split_at(3).1));
    assert_eq!(seen(&mut reader), [Seen::Sign, Seen::Text("zwölf".into())]);
    assert!(reader.context.is_none());
}

#[test]
fn a_close_frame_is_echoed_and_nothing_follows() {
    let mut reader = Reader::new(MAX);
    let mut bytes = frames(&[Message::Close(None)]);
    bytes.extend(frames(&[Message::text("late")]));
    assert_eq!(reader.take(&bytes), [0x88, 0]);
    reader.take(&frames(&[Message::text("later")]));
    assert_eq!(seen(&mut reader), [Seen::Gone]);
}

#[test]
fn what_breaks_the_rules_is_named() {
    let long = frames(&[Message::text("x".repeat(MAX + 1))]);
    for (bytes, words) in [
        (long[..8].to_vec(), "at most 1000 bytes"),
        ([raw(0x01, &[b'x'; 100]), raw(0x80, &[b'x'; 100])].concat().repeat(1), ""),
        (vec![0x81, 1, b'x'], "masked"),
        (frames(&[Message::binary(vec![1])]), "only text frames"),
        (raw(0x81, &[0xff]), "UTF-8"),
        (raw(0x80, b"x"), "ontinue"),
        (raw(0x91, b"x"), "eserved"),
        (raw(0x83, b"x"), "opcode"),
        (raw(0x09, b"x"), "ragmented"),
    ] {
        let mut reader = Reader::new(MAX);
        reader.take(&bytes);
        match reader.take_next() {
            Some(Seen::Bad(reason)) => assert!(!words.is_empty() && reason.contains(words), "{reason}, not {words}"),
            other => assert!(words.is_empty() && matches!(other, Some(Seen::Text(_))), "{other:?} {words}"),
        }
    }
    let mut reader = Reader::new(150);
    reader.take(&[raw(0x01, &[b'x'; 100]), raw(0x80, &[b'x'; 100])].concat());
    assert!(matches!(reader.take_next(), Some(Seen::Bad(reason)) if reason.contains("at most 150")));
}
