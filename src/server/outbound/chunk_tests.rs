use super::*;
use crate::event::{Event, Position, command::Kind};

pub(crate) fn event(commit: u64, address: &str, offset: u64, kind: Option<Kind>) -> Committed {
    let address: Address = address.parse().unwrap();
    Committed {
        commit,
        position: Position { epoch: "e".into(), offset },
        text: format!("<{commit}>").into(),
        event: Event::new(commit.to_string(), "test", "t").to(address.clone()),
        address,
        kind,
        expires_ms: None,
        targets: Vec::new(),
    }
}

fn chunks(events: &[Committed]) -> Vec<(String, u64, Vec<u64>)> {
    let mut round = Round::default();
    events.iter().for_each(|event| round.push(event));
    let of = |chunk: Arc<Chunk>| (chunk.address.to_string(), chunk.first, chunk.commits().collect());
    round.take().map(of).collect()
}

#[test]
fn events_of_one_address_in_a_row_become_one_chunk_of_frames() {
    let events: Vec<_> = (1..=3).map(|n| event(n, "all", n + 10, None)).collect();
    assert_eq!(chunks(&events), [("all".to_owned(), 11, vec![1, 2, 3])]);
    let mut round = Round::default();
    events.iter().for_each(|event| round.push(event));
    let chunk = round.take().next().unwrap();
    assert_eq!(chunk.bytes_from(0), &b"\x81\x03<1>\x81\x03<2>\x81\x03<3>"[..]);
    assert_eq!(chunk.bytes_from(2), &b"\x81\x03<3>"[..]);
    assert_eq!((chunk.events(), chunk.last()), (3, 13));
    assert_eq!(round.take().count(), 0);
}

#[test]
fn a_hole_another_epoch_other_targets_or_a_full_chunk_begins_a_new_one() {
    let command = |commit, target: &str| Committed {
        targets: vec![target.parse().unwrap()],
        ..event(commit, "all", commit, Some(Kind::Action))
    };
    let mut later = event(2, "all", 2, None);
    later.position.epoch = "new".into();
    let large = |commit| Committed { text: "x".repeat(40_000).into(), ..event(commit, "all", commit, None) };
    for pair in [
        [event(1, "all", 1, None), event(2, "all", 3, None)],
        [event(1, "all", 1, None), later],
        [event(1, "all", 1, None), command(2, "a")],
        [command(1, "a"), command(2, "b")],
        [large(1), large(2)],
    ] {
        assert_eq!(chunks(&pair).len(), 2, "{pair:?}");
    }
    assert_eq!(chunks(&[command(1, "a"), command(2, "a")]).len(), 1);
}

#[test]
fn displays_and_users_are_gathered_past_one_another_and_never_past_all_or_a_group() {
    let events = [
        event(1, "user/a", 1, None),
        event(2, "display/b", 1, None),
        event(3, "user/a", 2, None),
        event(4, "group/g", 1, None),
        event(5, "user/a", 3, None),
        event(6, "display/b", 2, Some(Kind::Action)),
        event(7, "display/b", 3, None),
    ];
    let expected = [
        ("user/a", 1, vec![1, 3]),
        ("display/b", 1, vec![2]),
        ("group/g", 1, vec![4]),
        ("user/a", 3, vec![5]),
        ("display/b", 2, vec![6]),
        ("display/b", 3, vec![7]),
    ];
    assert_eq!(chunks(&events), expected.map(|(address, first, commits)| (address.to_owned(), first, commits)));
}
