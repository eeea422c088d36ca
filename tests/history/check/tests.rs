//! The judge is judged: an honest run passes, and each broken promise is seen for what it is.

use std::collections::BTreeMap;

use pikiosk::event::{Position, Status};

use super::{
    super::{
        log::{Entry, Kept, Number, Place, Saw},
        plan::{Item, Size, USERS, What},
    },
    Evidence, Rule, judge,
};

const SIZE: Size = Size { displays: 3, commands: 2, faults: 0, publishers: 1 };
const D: &str = "display/d002";

fn place(address: &str, offset: u64) -> Place {
    Place { address: address.into(), epoch: "e".into(), offset }
}

fn head(offset: u64) -> Position {
    Position { epoch: "e".into(), offset }
}

fn log(saw: Vec<Saw>) -> Vec<Entry> {
    (0..).map(|at| at * 10).zip(saw).map(|(at, saw)| Entry { at, saw }).collect()
}

fn opened(address: &str, offset: u64) -> Saw {
    Saw::Opened { heads: BTreeMap::from([(address.to_owned(), head(offset))]) }
}

fn resumed(address: &str, from: Position, recovered: bool) -> Saw {
    Saw::Resumed {
        asked: BTreeMap::from([(address.to_owned(), from)]),
        recovered: BTreeMap::from([(address.to_owned(), recovered)]),
    }
}

fn items() -> Vec<Item> {
    let user = format!("user/{}", USERS[0]);
    let of = [(D, What::Action), (D, What::Action), (D, What::State), (&user, What::Plain), (&user, What::Plain)];
    let item = |(number, (address, what)): (usize, (&str, What))| Item {
        number: Number::try_from(number).unwrap(),
        address: address.to_owned(),
        what,
        is_brief: false,
        padding: 0,
        by_broker: false,
    };
    of.into_iter().enumerate().map(item).collect()
}

/// Two actions and a state for one display, two events for one user; all went well.
fn honest(events: &[Item]) -> Evidence<'_> {
    let user = events[3].address.as_str();
    let places: Vec<Place> =
        [1, 2, 3, 1, 2].into_iter().zip(events).map(|(offset, item)| place(&item.address, offset)).collect();
    let published = places.iter().zip(0..).flat_map(|(place, n)| [Saw::Sent(n), Saw::Accepted(n, Some(place.clone()))]);
    let did = (0..3).flat_map(|n| [Saw::Got(n, places[n as usize].clone()), Saw::Acted(n), Saw::Said(n, Status::Done)]);
    let read = [opened(user, 0), Saw::Got(3, places[3].clone()), Saw::Ended(0), opened(user, 1)];
    let read = read.into_iter().chain([resumed(user, head(1), true), Saw::Got(4, places[4].clone())]);
    let kept = |(event, place): (usize, &Place)| Kept {
        event: Number::try_from(event).unwrap(),
        place: place.clone(),
        receipts: if event < 3 { vec![("d002".to_owned(), Status::Done, None)] } else { Vec::new() },
        pending: Vec::new(),
    };
    Evidence {
        size: SIZE,
        events,
        publishers: vec![("publisher".into(), log(published.collect()))],
        displays: vec![("d002".into(), log([opened(D, 0)].into_iter().chain(did).collect()))],
        readers: vec![("reader".into(), log(read.collect()))],
        ledger: places.iter().enumerate().map(kept).collect(),
        heads: BTreeMap::from([(user.to_owned(), ("e".to_owned(), 2))]),
        history_events: 1_000,
    }
}

#[track_caller]
fn assert_seen(rule: Rule, spoil: impl FnOnce(&mut Evidence<'_>)) {
    let events = items();
    let mut evidence = honest(&events);
    spoil(&mut evidence);
    let found = judge(&evidence);
    assert!(found.iter().any(|violation| violation.rule == rule), "{rule:?} is not seen: {found:?}");
}

fn saw(log: &mut [Entry], wanted: impl Fn(&Saw) -> bool) -> &mut Saw {
    &mut log.iter_mut().find(|entry| wanted(&entry.saw)).unwrap().saw
}

#[test]
fn an_honest_run_keeps_every_promise() {
    let events = items();
    assert_eq!(judge(&honest(&events)), []);
}

#[test]
fn what_was_accepted_and_is_not_kept_or_not_done_is_lost() {
    assert_seen(Rule::Lost, |evidence| {
        evidence.ledger.remove(4);
    });
    assert_seen(Rule::Lost, |evidence| {
        evidence.ledger[0].receipts.clear();
        evidence.ledger[0].pending.push("d002".into());
    });
}

#[test]
fn what_is_done_or_stored_or_settled_twice_is_seen() {
    assert_seen(Rule::Twice, |evidence| {
        let again = Entry { at: 1_000, saw: Saw::Acted(0) };
        evidence.displays[0].1.push(again);
    });
    assert_seen(Rule::Twice, |evidence| {
        let again = Entry { at: 1_000, saw: Saw::Accepted(0, Some(place(D, 9))) };
        evidence.publishers[0].1.push(again);
    });
    assert_seen(Rule::Twice, |evidence| {
        let again = evidence.ledger[0].receipts[0].clone();
        evidence.ledger[0].receipts.push(again);
    });
}

#[test]
fn what_comes_in_another_order_than_it_was_accepted_is_seen() {
    assert_seen(Rule::Order, |evidence| {
        let entries = &mut evidence.displays[0].1;
        let places: Vec<usize> = (0..entries.len()).filter(|n| matches!(entries[*n].saw, Saw::Acted(0 | 1))).collect();
        entries.swap(places[0], places[1]);
    });
    // Accepted one after the other, stored the other way round.
    assert_seen(Rule::Order, |evidence| {
        for (event, offset) in [(3, 2), (4, 1)] {
            let entries = &mut evidence.publishers[0].1;
            let Saw::Accepted(_, place) = saw(entries, |saw| matches!(saw, Saw::Accepted(n, _) if *n == event)) else {
                unreachable!()
            };
            place.as_mut().unwrap().offset = offset;
            evidence.ledger[event as usize].place.offset = offset;
        }
        evidence.readers.clear();
    });
    assert_seen(Rule::Order, |evidence| evidence.ledger[4].place.offset = 1);
}

#[test]
fn a_gap_that_nobody_was_told_of_is_seen() {
    // It resumes after nothing, and the first event does not come.
    assert_seen(Rule::SilentGap, |evidence| {
        let address = evidence.events[3].address.clone();
        let entries = &mut evidence.readers[0].1;
        entries.retain(|entry| !matches!(entry.saw, Saw::Got(3, _)));
        *saw(entries, |saw| matches!(saw, Saw::Resumed { .. })) = resumed(&address, head(0), true);
    });
    // The last is missing.
    assert_seen(Rule::SilentGap, |evidence| {
        evidence.readers[0].1.pop();
    });
    // It says `recovered` of an epoch that is gone.
    assert_seen(Rule::SilentGap, |evidence| {
        let address = evidence.events[3].address.clone();
        let entries = &mut evidence.readers[0].1;
        let foreign = Position { epoch: "of before".into(), offset: 1 };
        *saw(entries, |saw| matches!(saw, Saw::Resumed { .. })) = resumed(&address, foreign, true);
    });
}

#[test]
fn history_that_is_called_lost_and_is_there_is_a_false_alarm() {
    assert_seen(Rule::FalseAlarm, |evidence| {
        let address = evidence.events[3].address.clone();
        let entries = &mut evidence.readers[0].1;
        *saw(entries, |saw| matches!(saw, Saw::Resumed { .. })) = resumed(&address, head(1), false);
    });
}

#[test]
fn a_receipt_of_what_did_not_happen_is_seen() {
    assert_seen(Rule::FalseReceipt, |evidence| {
        evidence.displays[0].1.retain(|entry| entry.saw != Saw::Acted(1));
    });
    assert_seen(Rule::FalseReceipt, |evidence| {
        evidence.ledger[0].receipts[0] = ("d002".into(), Status::Failed, Some("interrupted".into()));
    });
    // Nothing waited for it.
    assert_seen(Rule::FalseReceipt, |evidence| {
        let full = "the queue of this display is full".to_owned();
        evidence.ledger[0].receipts[0] = ("d002".into(), Status::Failed, Some(full));
    });
    assert_seen(Rule::FalseReceipt, |evidence| {
        evidence.ledger[0].receipts[0] = ("d002".into(), Status::Expired, None);
    });
}

#[test]
fn a_glass_that_shows_nothing_or_an_old_state_is_seen() {
    assert_seen(Rule::State, |evidence| {
        evidence.displays[0].1.push(Entry { at: 1_000, saw: Saw::Killed });
    });
}
