use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{
    command::{Kind, Slot},
    envelope::Token,
};

const NOW: u64 = 1_777_896_000_000;

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

fn terms(display: Option<&str>, addresses: &[&str]) -> Terms {
    Terms {
        session: "s".into(),
        principal: principal("anna"),
        display: display.map(|id| id.parse().unwrap()),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        heartbeat_ms: 25_000,
        per_message: false,
    }
}

fn head(last: u64) -> Head {
    Head { epoch: "e".into(), last, first: 1 }
}

fn committed(commit: u64, address: &Address, offset: u64, kind: Option<Kind>) -> Arc<Committed> {
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

fn step(session: &mut Session, input: Input, now_ms: u64) -> Vec<Effect> {
    session.step(input, Context { now_ms, keys: &JwtKeys::default() })
}

fn frame(kind: &str, data: &impl serde::Serialize) -> Input {
    Input::Frame(Event::new("f1", "client", kind).with_data(data).to_json().into())
}

fn begun(terms: Terms) -> Session {
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
fn a_task_is_refused_and_the_socket_stays() {
    let mut session = begun(terms(None, &["user/anna"]));
    let effects = step(&mut session, frame("kiosk.call", &json!({"task": "app.add", "args": [1, 2]})), NOW);
    let result: CallResult = serde_json::from_str(said(&effects)[0].json_data().get()).unwrap();
    assert_eq!((result.call.as_str(), result.state.as_str()), ("f1", "refused"));
    assert!(closed(&effects).is_none());
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

    for (expires_ms, ends_ms) in [(NOW + 9_000, NOW + 9_000), (NOW - 25_000, NOW + 5_000)] {
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
    Deliver,
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
                let backlog = Backlog { state, pending_actions: actions.collect(), superseded: Vec::new(), as_of };
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
            Op::Deliver => {
                if self.session.is_live()
                    && let Some(event) = self.queue.pop_front()
                {
                    self.input(Input::Live(event));
                }
            }
        }
    }

    fn finish(&mut self) {
        while self.fed < self.stored.len() || !self.asked.is_empty() || self.undrained || !self.queue.is_empty() {
            for op in [Op::Feed, Op::Answer(0), Op::Drain, Op::Deliver] {
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
        3 => Just(Op::Deliver),
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
