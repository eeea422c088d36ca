use super::*;
use crate::{
    event::{Event, Position, command::Kind},
    server::store::Head,
};

fn event(commit: u64, address: &str, offset: u64, kind: Option<Kind>) -> Arc<Committed> {
    let address: Address = address.parse().unwrap();
    let event = Event::new(commit.to_string(), "test", "t").to(address.clone());
    Arc::new(Committed {
        commit,
        address,
        position: Position { epoch: "e".into(), offset },
        text: event.to_json().into(),
        event,
        kind,
        expires_ms: None,
        targets: Vec::new(),
    })
}

fn history(events: Vec<Arc<Committed>>, last: u64, more: bool) -> History {
    History { head: Head { epoch: "e".into(), last, first: 1 }, events, more, as_of: 0 }
}

fn commits(events: &[Arc<Committed>]) -> Vec<u64> {
    events.iter().map(|event| event.commit).collect()
}

fn all() -> Address {
    Address::All
}

fn user() -> Address {
    "user/a".parse().unwrap()
}

#[test]
fn histories_come_out_as_one_stream_in_commit_order() {
    let mut merge = Merge::new([(all(), 0), (user(), 0)], false);
    assert_eq!(merge.next(), Step::Read(vec![(all(), 0), (user(), 0)]));
    merge.take(&all(), history(vec![event(1, "all", 1, None), event(4, "all", 2, None)], 2, false)).unwrap();
    assert!(merge.ready().is_empty(), "what the other address has may be older");
    assert_eq!(merge.next(), Step::Wait);
    merge.take(&user(), history(vec![event(2, "user/a", 1, None), event(3, "user/a", 2, None)], 3, true)).unwrap();
    assert_eq!(commits(&merge.ready()), [1, 2, 3]);
    assert_eq!(merge.next(), Step::Read(vec![(user(), 2)]));
    merge.take(&user(), history(vec![event(5, "user/a", 3, None)], 3, false)).unwrap();
    assert_eq!(commits(&merge.ready()), [4, 5]);
    assert_eq!(merge.next(), Step::Done);
    assert_eq!(merge.read_to().map(|(_, offset)| offset).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_displays_commands_come_from_its_backlog_and_not_from_history() {
    let reload = || event(2, "all", 2, Some(Kind::Action));
    let mut merge = Merge::new([(all(), 0)], true);
    merge.add_backlog(&Backlog {
        state: vec![event(9, "display/a", 1, Some(Kind::Action))],
        pending_actions: vec![reload()],
        ..Backlog::default()
    });
    merge.next();
    let page = [event(1, "all", 1, None), reload(), event(3, "all", 3, None)];
    merge.take(&all(), history(page.to_vec(), 3, false)).unwrap();
    assert_eq!(commits(&merge.ready()), [1, 2, 3, 9], "each once");
    assert_eq!(merge.read_to().next(), Some((&all(), 3)));
}

#[test]
fn history_that_was_pruned_while_it_was_read_is_noticed() {
    let taken = |events, last, more| Merge::new([(all(), 4)], false).take(&all(), history(events, last, more));
    assert_eq!(taken(vec![event(9, "all", 6, None)], 6, false), Err(Gap(all())));
    assert_eq!(taken(vec![], 6, false), Err(Gap(all())));
    assert_eq!(taken(vec![event(9, "all", 5, None)], 6, false), Err(Gap(all())));
    assert_eq!(taken(vec![event(8, "all", 4, None), event(9, "all", 5, None)], 5, false), Ok(()));
}
