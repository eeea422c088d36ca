//! Who is connected, and who gets what: the pure part of the hub.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    auth::revocation::{Holder, Revocations},
    event::{Address, DisplayId, frame::CloseCode},
    server::{
        outbound::{Chunk, Given, Round},
        store::{Control, CutOf, Fed, Present, Settled},
    },
};

/// Names one socket while the server runs.
pub type SocketId = u64;

/// The hub's end of one socket.
pub trait Outlet: Clone {
    /// Takes events for the socket's `slot`th address; commands may also go to its display past its addresses.
    fn give(&self, slot: u16, chunk: &Arc<Chunk>) -> Given;
    /// Events that wait for the socket, and their bytes.
    fn waiting(&self) -> (usize, usize);
    /// Asks the socket to end. The first reason stays.
    fn close(&self, code: CloseCode, reason: &str);
}

/// Where receipts of a publish are waited for.
pub trait Waiter {
    /// False where nobody waits any more, or it has too many to read: it is dropped, and asks the store.
    fn settled(&self, receipt: &Arc<Settled>) -> bool;
}

/// A live socket at one of its addresses.
#[derive(Debug)]
struct Listener<O> {
    socket: SocketId,
    outlet: O,
    is_display: bool,
    /// The place of the address among the socket's.
    slot: u16,
}

/// One socket as the hub knows it.
#[derive(Debug, Clone)]
pub struct Member<O> {
    /// Who it is, for presence.
    pub name: String,
    /// `user/<name>`, whose sockets are counted.
    pub user: Option<Address>,
    pub display: Option<DisplayId>,
    pub addresses: Vec<Address>,
    /// Random; names the session on every node.
    pub session: String,
    /// `jti` of its token.
    pub token: Option<String>,
    /// When its token or ticket was made, where it says so.
    pub issued_ms: Option<u64>,
    pub since_ms: u64,
    pub outlet: O,
}

/// Why a socket may not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    #[error("the server holds {0} sockets, which is its limit")]
    Total(usize),
    #[error("`{address}` has {limit} sockets open, which is the limit")]
    Address { address: Address, limit: usize },
    #[error("the server is going away")]
    GoingAway,
}

/// How much there is, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sockets: usize,
    /// Displays among them.
    pub displays: usize,
    /// Events handed to sockets since the start.
    pub delivered: u64,
    /// Events that wait for sockets, and their bytes.
    pub waiting_events: usize,
    pub waiting_bytes: usize,
    /// Sockets for which something waits.
    pub behind: usize,
}

/// Bounds of the hub.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    pub sockets: usize,
    /// Sockets of one user. A display has one: its newest.
    pub per_user: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Hub<O, W> {
    caps: Caps,
    next: SocketId,
    members: BTreeMap<SocketId, Box<Member<O>>>,
    displays: HashMap<DisplayId, SocketId>,
    users: HashMap<Address, usize>,
    /// Live sockets by address, ordered by socket. A display is here for the page's events; commands go to it by the
    /// ledger's rows.
    live: HashMap<Address, Vec<Listener<O>>>,
    is_live: HashSet<SocketId>,
    /// Sockets of displays whose claim has come by in the feed of several nodes: a later one of another socket ends them.
    claimed: HashSet<SocketId>,
    waiters: HashMap<u64, Vec<W>>,
    leaving: bool,
    delivered: u64,
}

impl<O: Outlet, W: Waiter> Hub<O, W> {
    pub fn new(caps: Caps) -> Self {
        Hub {
            caps,
            next: 1,
            members: BTreeMap::new(),
            displays: HashMap::new(),
            users: HashMap::new(),
            live: HashMap::new(),
            is_live: HashSet::new(),
            claimed: HashSet::new(),
            waiters: HashMap::new(),
            leaving: false,
            delivered: 0,
        }
    }

    /// Takes a socket in. An older socket of the same display is asked to end: the newest wins.
    pub fn enter(&mut self, member: impl Into<Box<Member<O>>>) -> Result<SocketId, CapError> {
        let member = member.into();
        if self.leaving {
            return Err(CapError::GoingAway);
        }
        if let Some(id) = &member.display
            && let Some(older) = self.displays.get(id).copied()
        {
            self.end(older, CloseCode::Replaced, CloseCode::Replaced.reason());
        }
        if self.members.len() >= self.caps.sockets {
            return Err(CapError::Total(self.caps.sockets));
        }
        if member.display.is_none()
            && let Some(address) = &member.user
        {
            let count = self.users.entry(address.clone()).or_default();
            if *count >= self.caps.per_user {
                return Err(CapError::Address { address: address.clone(), limit: self.caps.per_user });
            }
            *count += 1;
        }
        let socket = self.next;
        self.next += 1;
        if let Some(id) = &member.display {
            self.displays.insert(id.clone(), socket);
        }
        self.members.insert(socket, member);
        Ok(socket)
    }

    /// From now on the socket gets what the feed brings. What is on disk already is its own to read, afterwards.
    pub fn go_live(&mut self, socket: SocketId) {
        let Some(member) = self.members.get(&socket) else { return };
        if !self.is_live.insert(socket) {
            return;
        }
        for (slot, address) in (0..).zip(&member.addresses) {
            let listener =
                Listener { socket, outlet: member.outlet.clone(), is_display: member.display.is_some(), slot };
            let listeners = self.live.entry(address.clone()).or_default();
            // Most addresses are one user's or display's: room for one.
            listeners.reserve_exact(usize::from(listeners.is_empty()));
            listeners.insert(listeners.partition_point(|one| one.socket < socket), listener);
        }
    }

    /// Forgets a socket. Nothing happens if it is gone already.
    pub fn leave(&mut self, socket: SocketId) {
        let Some(member) = self.members.remove(&socket) else { return };
        self.is_live.remove(&socket);
        self.claimed.remove(&socket);
        for address in &member.addresses {
            let Some(listeners) = self.live.get_mut(address) else { continue };
            if let Ok(place) = listeners.binary_search_by_key(&socket, |one| one.socket) {
                listeners.remove(place);
            }
            if listeners.is_empty() {
                self.live.remove(address);
            }
        }
        match (&member.display, &member.user) {
            (Some(id), _) if self.displays.get(id) == Some(&socket) => {
                self.displays.remove(id);
            }
            (None, Some(address)) => {
                if let Some(count) = self.users.get_mut(address) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.users.remove(address);
                    }
                }
            }
            _ => {}
        }
    }

    /// Does what a node told all nodes.
    pub fn control(&mut self, control: &Control) {
        match control {
            Control::Claimed { display, session, .. } => {
                let Some(socket) = self.displays.get(display).copied() else { return };
                if self.members.get(&socket).is_some_and(|member| member.session == *session) {
                    self.claimed.insert(socket);
                } else if self.claimed.contains(&socket) {
                    // A socket whose own claim is yet to come opened later than this one: it stays.
                    self.end(socket, CloseCode::Replaced, CloseCode::Replaced.reason());
                }
            }
            Control::Cut { of, code, reason } => {
                let code = CloseCode::from_code(*code).unwrap_or(CloseCode::GoingAway);
                for socket in self.sockets_of(of) {
                    self.end(socket, code, reason);
                }
            }
            Control::Changed { .. } => {}
        }
    }

    fn sockets_of(&self, of: &CutOf) -> Vec<SocketId> {
        let mut found: Vec<SocketId> = Vec::new();
        match of {
            CutOf::Display(id) => found.extend(self.displays.get(id)),
            CutOf::Principal(name) => {
                found.extend(self.members.iter().filter(|(_, member)| member.name == *name).map(|(id, _)| *id));
            }
            CutOf::Token(token) => {
                let by_token = |member: &Member<O>| member.token.as_ref() == Some(token);
                found.extend(self.members.iter().filter(|(_, member)| by_token(member)).map(|(id, _)| *id));
            }
        }
        found
    }

    /// The socket goes on with another token of its principal.
    pub fn retell(&mut self, socket: SocketId, token: Option<String>, issued_ms: Option<u64>) {
        if let Some(member) = self.members.get_mut(&socket) {
            (member.token, member.issued_ms) = (token, issued_ms);
        }
    }

    /// Ends the sockets whose credentials no longer count.
    pub fn revoke(&mut self, revoked: &Revocations, now_ms: u64) {
        let is_void = |member: &Member<O>| {
            let holder = Holder {
                name: &member.name,
                display: member.display.as_ref(),
                token: member.token.as_deref(),
                issued_ms: member.issued_ms,
            };
            revoked.judge(holder, now_ms).is_err()
        };
        let void = self.members.iter().filter(|(_, member)| is_void(member)).map(|(socket, _)| *socket);
        for socket in void.collect::<Vec<_>>() {
            self.end(socket, CloseCode::NotAllowed, "revoked");
        }
    }

    /// From now on no socket enters. How many are open.
    pub fn let_none_in(&mut self) -> usize {
        self.leaving = true;
        self.members.len()
    }

    /// Asks so many of those that are open longest to end.
    pub fn close_some(&mut self, count: usize, code: CloseCode, reason: &str) {
        let sockets: Vec<SocketId> = self.members.keys().copied().take(count).collect();
        for socket in sockets {
            self.end(socket, code, reason);
        }
    }

    /// Asks every socket to end, and lets none in any more.
    pub fn close_all(&mut self, code: CloseCode) {
        self.leaving = true;
        self.close_some(usize::MAX, code, code.reason());
    }

    /// What came is not all there was: every socket ends and resumes from the history, every waiter reads the ledger.
    fn come_back(&mut self) {
        self.close_some(usize::MAX, CloseCode::Slow, "events were lost, resume");
        self.waiters.clear();
    }

    fn end(&mut self, socket: SocketId, code: CloseCode, reason: &str) {
        if let Some(member) = self.members.get(&socket) {
            member.outlet.close(code, reason);
        }
        self.leave(socket);
    }

    /// Passes on what is on disk, in commit order. Sockets at their bound are ended as slow. Returns the outlets that are
    /// to be flushed.
    pub fn feed<'a>(&mut self, round: impl IntoIterator<Item = &'a Fed>) -> Vec<O> {
        let mut flush = Vec::new();
        let mut gathered = Round::default();
        for item in round {
            match item {
                Fed::Event(event) => gathered.push(event),
                Fed::Receipt(receipt) => self.settle(receipt),
                Fed::Control(control) => {
                    self.pass_on(&mut gathered, &mut flush);
                    self.control(control);
                }
                Fed::Lost => {
                    self.pass_on(&mut gathered, &mut flush);
                    self.come_back();
                }
            }
        }
        self.pass_on(&mut gathered, &mut flush);
        flush
    }

    fn pass_on(&mut self, gathered: &mut Round<'_>, flush: &mut Vec<O>) {
        let mut ended = Vec::new();
        for chunk in gathered.take() {
            let mut give = |socket: SocketId, outlet: &O, slot: u16| {
                self.delivered += chunk.events() as u64;
                match outlet.give(slot, &chunk) {
                    Given::Flush => flush.push(outlet.clone()),
                    Given::Kept => {}
                    Given::Full => ended.push((socket, CloseCode::Slow.reason())),
                    Given::Broken(reason) => ended.push((socket, reason)),
                }
            };
            for listener in self.live.get(&chunk.address).into_iter().flatten() {
                if !(chunk.is_command && listener.is_display) {
                    give(listener.socket, &listener.outlet, listener.slot);
                }
            }
            // A command goes to the displays that owe a receipt for it, whatever their sockets believed their groups to be.
            for display in &chunk.targets {
                if let Some(socket) = self.displays.get(display)
                    && self.is_live.contains(socket)
                    && let Some(member) = self.members.get(socket)
                {
                    give(*socket, &member.outlet, 0);
                }
            }
        }
        for (socket, reason) in ended {
            self.end(socket, CloseCode::Slow, reason);
        }
    }

    fn settle(&mut self, receipt: &Arc<Settled>) {
        if let Some(waiters) = self.waiters.get_mut(&receipt.event) {
            waiters.retain(|waiter| waiter.settled(receipt));
            if waiters.is_empty() {
                self.waiters.remove(&receipt.event);
            }
        }
    }

    /// Waits for receipts of these events (by commit number).
    pub fn watch(&mut self, commits: &[u64], waiter: W)
    where
        W: Clone,
    {
        for commit in commits {
            self.waiters.entry(*commit).or_default().push(waiter.clone());
        }
    }

    /// Forgets waiters for whom `is_gone` says so.
    pub fn forget(&mut self, commits: &[u64], is_gone: impl Fn(&W) -> bool) {
        for commit in commits {
            if let Some(waiters) = self.waiters.get_mut(commit) {
                waiters.retain(|waiter| !is_gone(waiter));
                if waiters.is_empty() {
                    self.waiters.remove(commit);
                }
            }
        }
    }

    pub fn connected(&self) -> HashSet<DisplayId> {
        self.displays.keys().cloned().collect()
    }

    pub fn present(&self) -> Vec<Present> {
        let one = |member: &Member<O>| Present {
            session: member.session.clone(),
            name: member.name.clone(),
            display: member.display.clone(),
            since_ms: member.since_ms,
        };
        self.members.values().map(|member| one(member)).collect()
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            sockets: self.members.len(),
            displays: self.displays.len(),
            delivered: self.delivered,
            ..Counts::default()
        };
        for member in self.members.values() {
            let (events, bytes) = member.outlet.waiting();
            counts.waiting_events += events;
            counts.waiting_bytes += bytes;
            counts.behind += usize::from(events > 0);
        }
        counts
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
