//! Who is connected, and who gets what: the pure part of the hub.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    auth::revocation::{Holder, Revocations},
    event::{Address, DisplayId, frame::CloseCode},
    server::store::{Committed, Control, CutOf, Fed, Present, Settled},
};

/// Names one socket while the server runs.
pub type SocketId = u64;

/// The hub's end of one socket.
pub trait Outlet: Clone {
    /// Takes an event, or says that the queue is at its bound.
    fn offer(&self, event: &Arc<Committed>) -> bool;
    /// Asks the socket to end. The first reason stays.
    fn close(&self, code: CloseCode, reason: &str);
}

/// Where receipts of a publish are waited for.
pub trait Waiter {
    /// False where nobody waits any more, or it has too many to read: it is dropped, and asks the store.
    fn settled(&self, receipt: &Arc<Settled>) -> bool;
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
    members: BTreeMap<SocketId, Member<O>>,
    displays: HashMap<DisplayId, SocketId>,
    users: HashMap<Address, usize>,
    /// Live sockets by address. A display is here for the page's events; commands go to it by the ledger's rows.
    live: HashMap<Address, HashMap<SocketId, (O, bool)>>,
    is_live: HashSet<SocketId>,
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
            waiters: HashMap::new(),
            leaving: false,
            delivered: 0,
        }
    }

    /// Takes a socket in. An older socket of the same display is asked to end: the newest wins.
    pub fn enter(&mut self, member: Member<O>) -> Result<SocketId, CapError> {
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
        for address in &member.addresses {
            let entry = (member.outlet.clone(), member.display.is_some());
            self.live.entry(address.clone()).or_default().insert(socket, entry);
        }
        self.is_live.insert(socket);
    }

    /// Forgets a socket. Nothing happens if it is gone already.
    pub fn leave(&mut self, socket: SocketId) {
        let Some(member) = self.members.remove(&socket) else { return };
        self.is_live.remove(&socket);
        for address in &member.addresses {
            if let Some(sockets) = self.live.get_mut(address) {
                sockets.remove(&socket);
                if sockets.is_empty() {
                    self.live.remove(address);
                }
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
                let other = self
                    .displays
                    .get(display)
                    .copied()
                    .filter(|socket| self.members.get(socket).is_some_and(|member| member.session != *session));
                if let Some(socket) = other {
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

    /// Asks every socket to end, and lets none in any more.
    pub fn close_all(&mut self, code: CloseCode) {
        self.leaving = true;
        let sockets: Vec<SocketId> = self.members.keys().copied().collect();
        for socket in sockets {
            self.end(socket, code, code.reason());
        }
    }

    fn end(&mut self, socket: SocketId, code: CloseCode, reason: &str) {
        if let Some(member) = self.members.get(&socket) {
            member.outlet.close(code, reason);
        }
        self.leave(socket);
    }

    /// Passes on a batch of what is on disk, in commit order. Sockets at their bound are ended as slow.
    pub fn feed(&mut self, batch: &[Fed]) {
        let mut slow = Vec::new();
        for item in batch {
            match item {
                Fed::Event(event) => self.pass_on(event, &mut slow),
                Fed::Receipt(receipt) => self.settle(receipt),
                Fed::Control(control) => self.control(control),
            }
        }
        for socket in slow {
            self.end(socket, CloseCode::Slow, CloseCode::Slow.reason());
        }
    }

    fn pass_on(&mut self, event: &Arc<Committed>, slow: &mut Vec<SocketId>) {
        let is_command = event.kind.is_some();
        let mut offer = |socket: SocketId, outlet: &O| {
            if outlet.offer(event) {
                self.delivered += 1;
            } else {
                slow.push(socket);
            }
        };
        if let Some(sockets) = self.live.get(&event.address) {
            for (socket, (outlet, is_display)) in sockets {
                if !(is_command && *is_display) {
                    offer(*socket, outlet);
                }
            }
        }
        // A command goes to the displays that owe a receipt for it, whatever their sockets believed their groups to be.
        for display in &event.targets {
            if let Some(socket) = self.displays.get(display)
                && self.is_live.contains(socket)
                && let Some(member) = self.members.get(socket)
            {
                offer(*socket, &member.outlet);
            }
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
        self.members.values().map(one).collect()
    }

    /// Sockets open, displays among them, and events handed to sockets since the start.
    pub fn counts(&self) -> (usize, usize, u64) {
        (self.members.len(), self.displays.len(), self.delivered)
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
