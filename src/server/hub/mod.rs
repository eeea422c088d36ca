//! The hub: who is connected, and who gets what.
//!
//! ```text
//!  store --Feed (batches, commit order)--> +---------------+ --Chunk--> Line of each live socket (see `outbound`)
//!                                          | one task owns |
//!  sockets --enter, go_live, leave-------> | core::Hub     | --close code-------> a socket that is slow, replaced,
//!  http    --watch, present, close-------> +---------------+                      removed, or must come back
//! ```
//!
//! One task owns the maps, so they are not locked; it takes all batches that wait in a round, and it never waits for the
//! store or a socket: a line at its bound means close 4001, and the client comes back and resumes.
//!
//! Rejected: `tokio::sync::broadcast` per address. A lagging reader loses events silently into a `Lagged` error, every
//! socket wakes for every event of `all`, and an address with one display costs a whole ring.

mod core;

use std::{collections::HashSet, sync::Arc, time::Instant};

use tokio::sync::{broadcast, mpsc, oneshot};

pub use self::core::{CapError, Caps, Counts, SocketId};
use self::core::{Hub, Member, Outlet, Waiter};
use crate::{
    auth::{Principal, revocation::Revocations},
    event::{Address, DisplayId, frame::CloseCode},
    server::{
        outbound::{self, Bounds, Chunk, Given, Line},
        store::{Control, Fed, Feed, Present, Settled},
        witness::Witness,
    },
};

/// Requests that wait for the hub; each is answered within a round, so this is a burst of connects.
const ASKS: usize = 1024;
/// Receipts that wait for one publisher; more than this and it reads the ledger instead.
const RECEIPTS: usize = 1024;
/// Controls that wait for whoever listens; one that is further behind looks at everything anew.
const CONTROLS: usize = 256;
/// Batches taken in one round.
const ROUND: usize = 64;

impl Outlet for Arc<Line> {
    fn give(&self, slot: u16, chunk: &Arc<Chunk>) -> Given {
        Line::give(self, slot, chunk)
    }

    fn waiting(&self) -> (usize, usize) {
        Line::waiting(self)
    }

    fn close(&self, code: CloseCode, reason: &str) {
        Line::close(self, code, reason);
    }
}

#[derive(Debug, Clone)]
struct ReceiptWaiter(mpsc::Sender<Arc<Settled>>);

impl Waiter for ReceiptWaiter {
    fn settled(&self, receipt: &Arc<Settled>) -> bool {
        self.0.try_send(receipt.clone()).is_ok()
    }
}

enum Ask {
    Enter(Box<Member<Arc<Line>>>, oneshot::Sender<Result<SocketId, CapError>>),
    GoLive(SocketId, oneshot::Sender<()>),
    Retell(SocketId, Option<String>, Option<u64>, oneshot::Sender<()>),
    Revoke(Arc<Revocations>, u64, oneshot::Sender<()>),
    Leave(SocketId),
    Watch(Vec<u64>, ReceiptWaiter, oneshot::Sender<()>),
    Forget(Vec<u64>),
    LetNoneIn(oneshot::Sender<usize>),
    CloseSome(usize, CloseCode, String, oneshot::Sender<()>),
    CloseAll(CloseCode),
    Connected(oneshot::Sender<HashSet<DisplayId>>),
    Present(oneshot::Sender<Vec<Present>>),
    Counts(oneshot::Sender<Counts>),
}

/// The hub is gone: the server is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is going away")]
pub struct Gone;

/// What the rest of the server asks the hub with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HubHandle {
    asks: mpsc::Sender<Ask>,
    controls: broadcast::Sender<Arc<Control>>,
    /// What may wait for one socket.
    bounds: Bounds,
}

/// A socket's place in the hub; dropping it leaves.
#[derive(Debug)]
pub struct Place {
    pub socket: SocketId,
    pub line: Arc<Line>,
    hub: HubHandle,
}

impl Place {
    /// From now on the line gets what the feed brings.
    pub fn go_live(&self) -> impl Future<Output = Result<(), Gone>> + Send + use<> {
        let (hub, socket) = (self.hub.clone(), self.socket);
        async move { hub.ask(|answer| Ask::GoLive(socket, answer)).await }
    }
}

impl Place {
    /// The socket goes on with another token of its principal.
    pub fn retell(&self, principal: &Principal) -> impl Future<Output = Result<(), Gone>> + Send + use<> {
        let (hub, socket) = (self.hub.clone(), self.socket);
        let (token, issued_ms) = (principal.token.clone(), principal.issued_ms);
        async move { hub.ask(|answer| Ask::Retell(socket, token, issued_ms, answer)).await }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.tell(Ask::Leave(self.socket));
    }
}

/// A publisher's wait for receipts; dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    pub receipts: mpsc::Receiver<Arc<Settled>>,
    commits: Vec<u64>,
    hub: HubHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.receipts.close();
        self.hub.tell(Ask::Forget(std::mem::take(&mut self.commits)));
    }
}

/// Who wants to enter.
#[derive(Debug)]
pub struct Entrant {
    pub name: String,
    pub user: Option<Address>,
    pub display: Option<DisplayId>,
    pub addresses: Vec<Address>,
    /// Random; names the session on every node.
    pub session: String,
    /// `jti` of its token.
    pub token: Option<String>,
    /// When its token or ticket was made, in ms since 1970, where it says so.
    pub issued_ms: Option<u64>,
}

/// Why a socket did not enter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    #[error(transparent)]
    Cap(#[from] CapError),
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl HubHandle {
    /// Starts the hub's task; it ends when the store closes its feed.
    pub fn start(
        feed: Feed,
        caps: Caps,
        bounds: Bounds,
        witness: Arc<Witness>,
    ) -> (HubHandle, tokio::task::JoinHandle<()>) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let controls = broadcast::Sender::new(CONTROLS);
        let task = tokio::spawn(run(Hub::new(caps), feed, inbox, controls.clone(), witness));
        (HubHandle { asks, controls, bounds }, task)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(question(answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Without waiting, for `Drop`.
    fn tell(&self, ask: Ask) {
        if let Err(mpsc::error::TrySendError::Full(ask)) = self.asks.try_send(ask)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let asks = self.asks.clone();
            runtime.spawn(async move { asks.send(ask).await });
        }
    }

    pub async fn enter(&self, entrant: Entrant, now_ms: u64) -> Result<Place, EnterError> {
        let line = Arc::new(Line::new(self.bounds));
        let member = Box::new(Member {
            name: entrant.name,
            user: entrant.user,
            display: entrant.display,
            addresses: entrant.addresses,
            session: entrant.session,
            token: entrant.token,
            issued_ms: entrant.issued_ms,
            since_ms: now_ms,
            outlet: line.clone(),
        });
        let socket = self.ask(|answer| Ask::Enter(member, answer)).await??;
        Ok(Place { socket, line, hub: self.clone() })
    }

    /// From now on receipts of these events arrive; what the ledger holds already is the caller's to read, afterwards.
    pub async fn watch(&self, commits: Vec<u64>) -> Result<Watch, Gone> {
        let (sender, receipts) = mpsc::channel(RECEIPTS);
        let for_hub = commits.clone();
        self.ask(|answer| Ask::Watch(for_hub, ReceiptWaiter(sender), answer)).await?;
        Ok(Watch { receipts, commits, hub: self.clone() })
    }

    /// What nodes tell all nodes, from now on. The hub has done its part of each by then.
    pub fn controls(&self) -> broadcast::Receiver<Arc<Control>> {
        self.controls.subscribe()
    }

    /// Ends the sockets whose credentials no longer count.
    pub async fn revoke(&self, revoked: Arc<Revocations>, now_ms: u64) {
        let _ = self.ask(|answer| Ask::Revoke(revoked, now_ms, answer)).await;
    }

    /// From now on no socket enters; answers how many are open.
    pub async fn let_none_in(&self) -> Result<usize, Gone> {
        self.ask(Ask::LetNoneIn).await
    }

    /// Asks so many of those that are open longest to end.
    pub async fn close_some(&self, count: usize, code: CloseCode, reason: &str) -> Result<(), Gone> {
        self.ask(|answer| Ask::CloseSome(count, code, reason.to_owned(), answer)).await
    }

    /// Asks every socket to end, and lets none in any more.
    pub async fn close_all(&self, code: CloseCode) {
        let _ = self.asks.send(Ask::CloseAll(code)).await;
    }

    pub async fn connected(&self) -> Result<HashSet<DisplayId>, Gone> {
        self.ask(Ask::Connected).await
    }

    pub async fn present(&self) -> Result<Vec<Present>, Gone> {
        self.ask(Ask::Present).await
    }

    pub async fn counts(&self) -> Result<Counts, Gone> {
        self.ask(Ask::Counts).await
    }
}

async fn run(
    mut hub: Hub<Arc<Line>, ReceiptWaiter>,
    mut feed: Feed,
    mut inbox: mpsc::Receiver<Ask>,
    controls: broadcast::Sender<Arc<Control>>,
    witness: Arc<Witness>,
) {
    let mut batches = Vec::new();
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    loop {
        tokio::select! {
            taken = feed.recv_many(&mut batches, ROUND) => {
                if taken == 0 {
                    return;
                }
                let followed = witness.fed(&batches, Instant::now());
                let lines = hub.feed(batches.iter().flatten());
                for item in batches.drain(..).flatten() {
                    if let Fed::Control(control) = item {
                        // Nobody may listen.
                        let _ = controls.send(control);
                    }
                }
                outbound::flush_all(lines, workers).await;
                if !followed.is_empty() {
                    witness.flushed(&followed, Instant::now());
                }
            }
            ask = inbox.recv() => match ask {
                Some(ask) => answer(&mut hub, ask),
                None => return,
            },
        }
    }
}

/// An asker that has gone needs no answer: the results of `send` are nobody's.
fn answer(hub: &mut Hub<Arc<Line>, ReceiptWaiter>, ask: Ask) {
    match ask {
        Ask::Enter(member, answer) => {
            let entered = hub.enter(member);
            if let Err(Ok(socket)) = answer.send(entered) {
                hub.leave(socket);
            }
        }
        Ask::GoLive(socket, answer) => {
            hub.go_live(socket);
            let _ = answer.send(());
        }
        Ask::Retell(socket, token, issued_ms, answer) => {
            hub.retell(socket, token, issued_ms);
            let _ = answer.send(());
        }
        Ask::Revoke(revoked, now_ms, answer) => {
            hub.revoke(&revoked, now_ms);
            let _ = answer.send(());
        }
        Ask::Leave(socket) => hub.leave(socket),
        Ask::Watch(commits, waiter, answer) => {
            hub.watch(&commits, waiter);
            let _ = answer.send(());
        }
        Ask::Forget(commits) => hub.forget(&commits, |waiter| waiter.0.is_closed()),
        Ask::LetNoneIn(answer) => {
            let _ = answer.send(hub.let_none_in());
        }
        Ask::CloseSome(count, code, reason, answer) => {
            hub.close_some(count, code, &reason);
            let _ = answer.send(());
        }
        Ask::CloseAll(code) => hub.close_all(code),
        Ask::Connected(answer) => {
            let _ = answer.send(hub.connected());
        }
        Ask::Present(answer) => {
            let _ = answer.send(hub.present());
        }
        Ask::Counts(answer) => {
            let _ = answer.send(hub.counts());
        }
    }
}
