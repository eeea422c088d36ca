//! The session against a model of store, feed and hub, however they interleave.

use std::{collections::VecDeque, sync::Arc};

use proptest::prelude::*;
use serde_json::json;

use super::{
    tests::{NOW, begun, committed, frame, head, step, terms},
    *,
};
use crate::{
    event::command::{Kind, Slot},
    server::{
        outbound::{Due, Round},
        store::Committed,
    },
};

/// A store, its feed, a hub and a socket, as a list of what happens next.
#[derive(Debug)]
struct World {
    session: Session,
    display: bool,
    stored: Vec<Arc<Committed>>,
    /// How much of `stored` the hub has passed on.
    fed: usize,
    is_joined: bool,
    queue: VecDeque<Arc<Committed>>,
    /// What decides once the session is live.
    cursor: Option<Cursor>,
    asked: VecDeque<Effect>,
    sent: Vec<u64>,
    undrained: bool,
}

#[derive(Debug, Clone)]
enum Op {
    Commit(usize, u8),
    Feed,
    Answer(usize),
    Drain,
    /// A round of so many events.
    Deliver(usize),
}

const ADDRESSES: [&str; 3] = ["all", "display/lobby", "group/shops"];

fn kind(number: u8) -> Option<Kind> {
    match number {
        0 => Some(Kind::Action),
        1 => Some(Kind::State(Slot::Content)),
        2 => Some(Kind::State(Slot::Zoom)),
        _ => None,
    }
}

impl World {
    fn events_of(&self, address: &Address) -> impl Iterator<Item = &Arc<Committed>> {
        self.stored.iter().filter(move |event| event.address == *address)
    }

    fn heads(&self) -> Vec<(Address, Head)> {
        let addresses = ADDRESSES.iter().map(|text| text.parse::<Address>().unwrap());
        addresses.map(|address| (address.clone(), head(self.events_of(&address).count() as u64))).collect()
    }

    fn commit(&mut self, address: usize, number: u8) {
        let address: Address = ADDRESSES[address].parse().unwrap();
        let offset = self.events_of(&address).count() as u64 + 1;
        let commit = self.stored.len() as u64 + 1;
        self.stored.push(committed(commit, &address, offset, kind(number)));
    }

    fn input(&mut self, input: Input) {
        for effect in step(&mut self.session, input, NOW) {
            match effect {
                Effect::Send(text) => {
                    self.undrained = true;
                    self.sent.extend(text.as_str().parse::<u64>().ok());
                }
                Effect::Close(code, reason) => panic!("closed with {code:?} {reason}"),
                Effect::GoLive(cursor) => self.cursor = Some(cursor),
                effect => self.asked.push_back(effect),
            }
        }
    }

    fn answer(&mut self, number: usize) {
        if self.asked.is_empty() {
            return;
        }
        let effect = self.asked.remove(number % self.asked.len()).unwrap();
        let as_of = self.stored.len() as u64;
        match effect {
            Effect::Join => {
                self.is_joined = true;
                self.input(Input::Joined);
            }
            Effect::ReadHeads => {
                let heads = self.heads();
                self.input(Input::Heads(heads));
            }
            Effect::ReadHistory(address, after) => {
                let all: Vec<_> = self.events_of(&address).filter(|e| e.position.offset > after).cloned().collect();
                let events: Vec<_> = all.iter().take(3).cloned().collect();
                let head = head(self.events_of(&address).count() as u64);
                let more = all.len() > events.len();
                self.input(Input::History(address, History { head, events, more, as_of }));
            }
            Effect::ReadBacklog(_) => {
                let newest = |slot| self.stored.iter().rfind(|event| event.kind == Some(Kind::State(slot))).cloned();
                let state = [Slot::Content, Slot::Zoom].into_iter().filter_map(newest).collect();
                let actions = self.stored.iter().filter(|event| event.kind == Some(Kind::Action)).cloned();
                let backlog = Backlog { state, pending_actions: actions.collect(), settled: Vec::new(), as_of };
                self.input(Input::Backlog(Box::new(backlog)));
            }
            _ => {}
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Commit(address, number) => self.commit(*address, *number),
            Op::Feed => {
                if let Some(event) = self.stored.get(self.fed) {
                    self.fed += 1;
                    if self.is_joined {
                        self.queue.push_back(event.clone());
                    }
                }
            }
            Op::Answer(number) => self.answer(*number),
            Op::Drain => {
                if std::mem::take(&mut self.undrained) {
                    self.input(Input::Drained);
                }
            }
            Op::Deliver(count) => self.deliver(*count),
        }
    }

    /// As the hub does: events become chunks, and the cursor says what of each is due.
    fn deliver(&mut self, count: usize) {
        let Some(cursor) = &mut self.cursor else { return };
        let events: Vec<_> = self.queue.drain(..count.min(self.queue.len())).collect();
        let mut round = Round::default();
        events.iter().for_each(|event| round.push(event));
        for chunk in round.take() {
            let address = chunk.address.to_string();
            let slot = ADDRESSES.iter().position(|one| *one == address).unwrap();
            match cursor.take(slot as u16, &chunk) {
                Due::From(place) => self.sent.extend(chunk.commits().skip(place)),
                Due::Nothing => {}
                Due::Broken(reason) => panic!("{reason}"),
            }
        }
    }

    fn finish(&mut self) {
        while self.fed < self.stored.len() || !self.asked.is_empty() || self.undrained || !self.queue.is_empty() {
            for op in [Op::Feed, Op::Answer(0), Op::Drain, Op::Deliver(1)] {
                self.run(&op);
            }
        }
        assert!(self.session.is_live());
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..6_u8).prop_map(|(address, number)| Op::Commit(address, number)),
        4 => Just(Op::Feed),
        3 => (0..8_usize).prop_map(Op::Answer),
        2 => Just(Op::Drain),
        3 => (1..6_usize).prop_map(Op::Deliver),
    ]
}

fn world(display: bool, before: &[(usize, u8)], resume_from: Option<usize>) -> (World, Vec<u64>) {
    let mut terms = terms(display.then_some("lobby"), &ADDRESSES);
    terms.heartbeat_ms = u64::MAX / 8;
    let mut world = World {
        session: begun(terms.clone()),
        display,
        stored: Vec::new(),
        fed: 0,
        is_joined: false,
        queue: VecDeque::new(),
        cursor: None,
        asked: VecDeque::new(),
        sent: Vec::new(),
        undrained: false,
    };
    for (address, number) in before {
        world.commit(*address, *number);
    }
    let (session, _) = Session::begin(terms, &world.heads(), NOW);
    world.session = session;
    // What the client has, by offset of each address.
    let mut has: Vec<u64> = world.heads().into_iter().map(|(_, head)| head.last).collect();
    match resume_from {
        None => world.input(frame("kiosk.call", &json!({"task": "x"}))),
        Some(behind) => {
            let mut positions = BTreeMap::new();
            for ((address, head), has) in world.heads().into_iter().zip(&mut has) {
                *has = head.last.saturating_sub(behind as u64);
                positions.insert(address, Position { epoch: head.epoch, offset: *has });
            }
            world.input(frame("kiosk.resume", &Resume { positions }));
        }
    }
    world.undrained = false;
    (world, has)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// However commits, the feed, reads and sends interleave: nothing is missed, nothing comes twice, each address in order.
    #[test]
    fn a_client_gets_everything_after_its_position_once_and_in_order(
        display in any::<bool>(),
        before in prop::collection::vec((0..3_usize, 0..6_u8), 0..90),
        resume_from in prop::option::of(0..40_usize),
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let (mut world, has) = world(display, &before, resume_from);
        for op in &ops {
            world.run(op);
        }
        world.finish();
        let mut seen = std::collections::BTreeSet::new();
        for commit in &world.sent {
            prop_assert!(seen.insert(*commit), "commit {commit} came twice: {:?}", world.sent);
        }
        for (address, has) in ADDRESSES.iter().zip(&has) {
            let address: Address = address.parse().unwrap();
            let due = world.events_of(&address).filter(|e| e.position.offset > *has && !(world.display && e.kind.is_some()));
            let due: Vec<u64> = due.map(|event| event.commit).collect();
            let of_address = |commit: &&u64| {
                let event = &world.stored[usize::try_from(**commit).unwrap() - 1];
                event.address == address && !(world.display && event.kind.is_some())
            };
            let came: Vec<u64> = world.sent.iter().filter(of_address).copied().collect();
            prop_assert_eq!(came, due, "{}", address);
        }
        if world.display {
            let actions = world.stored.iter().filter(|event| event.kind == Some(Kind::Action));
            for action in actions {
                prop_assert!(seen.contains(&action.commit), "an action is missing");
            }
            for slot in [Slot::Content, Slot::Zoom] {
                let is_slot = |commit: &&u64| world.stored[usize::try_from(**commit).unwrap() - 1].kind == Some(Kind::State(slot));
                let last = world.sent.iter().rfind(is_slot).copied();
                let newest = world.stored.iter().rfind(|event| event.kind == Some(Kind::State(slot)));
                prop_assert_eq!(last, newest.map(|event| event.commit), "the last state that came is the newest");
            }
        }
    }
}
