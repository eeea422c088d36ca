use std::{cell::RefCell, rc::Rc};

use super::*;
use crate::{
    event::{Event, Position, Receipt, Status, command::Kind},
    server::store::Committed,
};

#[derive(Debug, Default)]
struct Seen {
    events: Vec<u64>,
    closed: Option<CloseCode>,
}

#[derive(Debug, Clone)]
struct Socket {
    seen: Rc<RefCell<Seen>>,
    room: usize,
}

impl Outlet for Socket {
    fn give(&self, _slot: u16, chunk: &Arc<Chunk>) -> Given {
        let mut seen = self.seen.borrow_mut();
        let fits = seen.events.len() + chunk.events() <= self.room;
        if !fits {
            return Given::Full;
        }
        seen.events.extend(chunk.commits());
        Given::Flush
    }

    fn waiting(&self) -> (usize, usize) {
        (self.seen.borrow().events.len(), 0)
    }

    fn close(&self, code: CloseCode, _reason: &str) {
        self.seen.borrow_mut().closed.get_or_insert(code);
    }
}

#[derive(Debug, Clone)]
struct Publisher(Rc<RefCell<usize>>, usize);

impl Waiter for Publisher {
    fn settled(&self, _receipt: &Arc<Settled>) -> bool {
        *self.0.borrow_mut() += 1;
        *self.0.borrow() < self.1
    }
}

type TestHub = Hub<Socket, Publisher>;

fn hub() -> TestHub {
    Hub::new(Caps { sockets: 5, per_user: 2 })
}

fn enter(hub: &mut TestHub, display: Option<&str>, user: &str, addresses: &[&str]) -> (SocketId, Rc<RefCell<Seen>>) {
    let member = member(display, user, addresses, 3);
    let seen = member.outlet.seen.clone();
    let socket = hub.enter(member).unwrap();
    hub.go_live(socket);
    (socket, seen)
}

fn member(display: Option<&str>, user: &str, addresses: &[&str], room: usize) -> Member<Socket> {
    Member {
        name: user.into(),
        user: Some(format!("user/{user}").parse().unwrap()),
        display: display.map(|id| id.parse().unwrap()),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        session: user.into(),
        token: None,
        issued_ms: None,
        since_ms: 0,
        outlet: Socket { seen: Rc::default(), room },
    }
}

fn event(commit: u64, address: &str, kind: Option<Kind>, targets: &[&str]) -> Fed {
    let address: Address = address.parse().unwrap();
    let event = Event::new(commit.to_string(), "test", "t").to(address.clone());
    Fed::Event(Arc::new(Committed {
        commit,
        address,
        position: Position { epoch: "e".into(), offset: commit },
        text: "".into(),
        event,
        kind,
        expires_ms: None,
        targets: targets.iter().map(|id| id.parse().unwrap()).collect(),
    }))
}

#[test]
fn events_go_by_address_and_commands_to_the_displays_that_owe_a_receipt() {
    let mut hub = hub();
    let (_, lobby) = enter(&mut hub, Some("lobby"), "lobby", &["all", "display/lobby", "group/a"]);
    let (_, hall) = enter(&mut hub, Some("hall"), "hall", &["all", "display/hall"]);
    let (_, watcher) = enter(&mut hub, None, "anna", &["group/a"]);
    hub.feed(&[
        event(1, "group/a", None, &[]),
        event(2, "group/a", Some(Kind::Action), &["hall"]),
        event(3, "display/hall", None, &[]),
        event(4, "user/anna", None, &[]),
    ]);
    assert_eq!(lobby.borrow().events, [1], "it owes nothing for 2: it is in the group since later");
    assert_eq!(hall.borrow().events, [2, 3], "it was in the group when 2 was published");
    assert_eq!(watcher.borrow().events, [1, 2]);
}

#[test]
fn nothing_comes_before_a_socket_is_live_nor_after_it_left() {
    let mut hub = hub();
    let member = member(None, "anna", &["all"], 3);
    let seen = member.outlet.seen.clone();
    let socket = hub.enter(member).unwrap();
    hub.feed(&[event(1, "all", None, &[])]);
    hub.go_live(socket);
    hub.feed(&[event(2, "all", None, &[])]);
    hub.leave(socket);
    hub.leave(socket);
    hub.feed(&[event(3, "all", None, &[])]);
    assert_eq!(seen.borrow().events, [2]);
    assert_eq!(hub.counts(), Counts { delivered: 1, ..Counts::default() });

    let display = self::member(Some("lobby"), "lobby", &["all"], 3);
    let seen = display.outlet.seen.clone();
    let socket = hub.enter(display).unwrap();
    hub.feed(&[event(4, "all", Some(Kind::Action), &["lobby"])]);
    hub.go_live(socket);
    hub.feed(&[event(5, "all", Some(Kind::Action), &["lobby"])]);
    assert_eq!(seen.borrow().events, [5], "4 is in the backlog that it reads");
}

#[test]
fn a_slow_socket_is_cut_at_its_bound_and_the_others_are_not() {
    let mut hub = hub();
    let (_, slow) = enter(&mut hub, None, "anna", &["all"]);
    for commit in 1..=3 {
        hub.feed(&[event(commit, "all", None, &[])]);
    }
    let (_, quick) = enter(&mut hub, None, "bob", &["all"]);
    hub.feed(&[event(4, "all", None, &[])]);
    assert_eq!((slow.borrow().closed, slow.borrow().events.len()), (Some(CloseCode::Slow), 3));
    assert_eq!((quick.borrow().closed, &quick.borrow().events[..]), (None, &[4][..]));
    assert_eq!(hub.counts().sockets, 1);
}

#[test]
fn the_newest_socket_of_a_display_wins() {
    let mut hub = hub();
    let (older, before) = enter(&mut hub, Some("lobby"), "lobby", &["display/lobby"]);
    let (_, after) = enter(&mut hub, Some("lobby"), "lobby", &["display/lobby"]);
    assert_eq!(before.borrow().closed, Some(CloseCode::Replaced));
    hub.leave(older);
    assert!(hub.connected().contains(&"lobby".parse().unwrap()), "the older one's end does not take the newer with it");
    hub.feed(&[event(1, "display/lobby", Some(Kind::Action), &["lobby"])]);
    assert_eq!(after.borrow().events, [1]);
    hub.control(&Control::cut_display(&"lobby".parse().unwrap(), CloseCode::DisplayRemoved, ""));
    assert_eq!(after.borrow().closed, Some(CloseCode::DisplayRemoved));
    assert!(hub.connected().is_empty());
}

#[test]
fn a_display_that_opens_a_socket_on_another_node_loses_its_socket_here_and_not_its_own_claim() {
    let mut hub = hub();
    let (_, seen) = enter(&mut hub, Some("lobby"), "lobby", &["display/lobby"]);
    let claimed = |session: &str| Control::Claimed {
        display: "lobby".parse().unwrap(),
        node: "other".into(),
        session: session.into(),
    };
    hub.control(&claimed("lobby"));
    assert_eq!(seen.borrow().closed, None, "its own claim, come back by the feed");
    hub.control(&claimed("newer"));
    assert_eq!(seen.borrow().closed, Some(CloseCode::Replaced));
}

#[test]
fn a_revoked_principal_loses_every_socket_and_a_token_only_its_own() {
    let mut hub = hub();
    let (_, one) = enter(&mut hub, None, "anna", &["user/anna"]);
    let (_, two) = enter(&mut hub, None, "anna", &["user/anna"]);
    let (_, other) = enter(&mut hub, None, "bob", &["user/bob"]);
    let cut = |of| Control::Cut { of, code: 4501, reason: "revoked".into() };
    hub.control(&cut(CutOf::Token("no such".into())));
    assert_eq!(one.borrow().closed, None);
    hub.control(&cut(CutOf::Principal("anna".into())));
    assert_eq!((one.borrow().closed, two.borrow().closed), (Some(CloseCode::NotAllowed), Some(CloseCode::NotAllowed)));
    assert_eq!(other.borrow().closed, None);
}

#[test]
fn a_user_and_the_whole_server_have_their_caps() {
    let mut hub = hub();
    let (first, _) = enter(&mut hub, None, "anna", &["user/anna"]);
    enter(&mut hub, None, "anna", &["user/anna"]);
    let error = hub.enter(member(None, "anna", &["user/anna"], 3)).unwrap_err();
    assert!(matches!(error, CapError::Address { limit: 2, .. }), "{error}");
    hub.leave(first);
    enter(&mut hub, None, "anna", &["user/anna"]);
    for user in ["b", "c", "d"] {
        enter(&mut hub, None, user, &["all"]);
    }
    assert_eq!(hub.enter(member(None, "e", &["all"], 3)).unwrap_err(), CapError::Total(5));
    hub.close_all(CloseCode::GoingAway);
    assert_eq!(hub.enter(member(None, "f", &["all"], 3)).unwrap_err(), CapError::GoingAway);
}

#[test]
fn a_publisher_hears_of_the_receipts_of_its_own_event() {
    let mut hub = hub();
    let (heard, other) = (Rc::default(), Rc::default());
    hub.watch(&[7, 8], Publisher(Rc::clone(&heard), 3));
    hub.watch(&[9], Publisher(Rc::clone(&other), 9));
    let receipt = |event| {
        let receipt = Receipt::new("x", "s", Status::Done, 1);
        Fed::Receipt(Arc::new(Settled { event, display: "lobby".parse().unwrap(), receipt }))
    };
    hub.feed(&[receipt(7), receipt(8), receipt(6)]);
    assert_eq!((*heard.borrow(), *other.borrow()), (2, 0));
    hub.feed(&[receipt(7), receipt(7)]);
    assert_eq!(*heard.borrow(), 3, "a waiter that has too many is dropped");
    hub.forget(&[7, 8, 9], |_| true);
    hub.feed(&[receipt(9)]);
    assert_eq!(*other.borrow(), 0);
}
