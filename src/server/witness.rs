//! What happens in this node, told once to those who want to know: the metrics, the access log, the webhooks.
//!
//! ```text
//!  hub's round --fed--> Witness --> metrics: receipts, delays
//!  sockets --opened, closed--^ |--> access log
//!                              |--> presence --> webhooks: display.up, display.down
//!                              '--> (Claims, where there are several nodes) --> webhooks: receipt
//! ```

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    App,
    access::{self, Access},
    metrics::Metrics,
    presence::Presence,
    store::{Fed, Settled, Store},
    webhooks::{Happening, Kind, Webhook, Webhooks},
};
use crate::event::{DisplayId, frame::CloseCode};

/// Receipts that are remembered, so that the frame's hash that follows one does not count as another.
const RECENT: usize = 8192;
/// Receipts that wait to be claimed among several nodes; those beyond it are told by no webhook.
const CLAIMS: usize = 4096;
/// How long a claim is remembered: the nodes hear of a receipt within seconds of each other.
const CLAIM_MS: u64 = 10 * 60_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Witness {
    pub metrics: Metrics,
    pub access: Access,
    pub webhooks: Webhooks,
    presence: Mutex<Presence>,
    recent: Mutex<Recent>,
    claims: OnceLock<mpsc::Sender<Arc<Settled>>>,
}

/// The receipts of late, by event and display.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<(u64, DisplayId)>,
    order: VecDeque<(u64, DisplayId)>,
}

impl Recent {
    fn is_new(&mut self, settled: &Settled) -> bool {
        let key = (settled.event, settled.display.clone());
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Witness {
    pub fn new(access_log: bool, webhooks: Vec<Webhook>) -> Self {
        let access = if access_log { Access::start() } else { Access::default() };
        Witness { access, webhooks: Webhooks::new(webhooks), ..Witness::default() }
    }

    /// Before a round of the hub. Returns when the publishes began that are followed: for [`Witness::flushed`].
    pub fn fed(&self, round: &[Vec<Fed>], now: Instant) -> Vec<Instant> {
        let began = self.metrics.delays.fed(round.iter().flatten());
        for item in round.iter().flatten() {
            if let Fed::Receipt(settled) = item {
                self.receipt(settled, now);
            }
        }
        began
    }

    /// After it: everything that the kernel takes is with it.
    pub fn flushed(&self, began: &[Instant], now: Instant) {
        self.metrics.delivered(began, now);
    }

    fn receipt(&self, settled: &Arc<Settled>, now: Instant) {
        if !self.recent.lock().unwrap_or_else(PoisonError::into_inner).is_new(settled) {
            return;
        }
        self.metrics.receipt(settled.receipt.status, self.metrics.delays.command(settled.event), now);
        match self.claims.get() {
            Some(claims) => {
                if claims.try_send(settled.clone()).is_err() {
                    self.metrics.webhook_dropped("unclaimed", 1);
                }
            }
            None => self.tell(Kind::Receipt, || Happening::Receipt(settled.clone())),
        }
    }

    /// A WebSocket opened.
    pub fn opened(&self, socket: access::Socket<'_>, from: Option<SocketAddr>, now_ms: u64) {
        self.metrics.socket_opened();
        if !self.access.opened(&socket, from, now_ms) {
            self.metrics.access_line_dropped();
        }
        if let Some(display) = socket.display {
            let news = self.presence().opened(display, socket.session, now_ms);
            self.tell_all(news);
        }
    }

    /// It ended; without a code where the client was gone.
    pub fn closed(&self, socket: access::Socket<'_>, code: Option<CloseCode>, since_ms: u64, now_ms: u64) {
        self.metrics.socket_closed(code);
        if !self.access.closed(&socket, code, since_ms, now_ms) {
            self.metrics.access_line_dropped();
        }
        if let Some(display) = socket.display {
            self.presence().closed(display, socket.session, now_ms);
        }
    }

    /// A request that was answered.
    pub fn request(&self, request: &access::Request<'_>, now_ms: u64) {
        if !self.access.request(request, now_ms) {
            self.metrics.access_line_dropped();
        }
    }

    /// Two cards have the key of this display.
    pub fn copied(&self, display: &DisplayId, at_ms: u64) {
        self.tell(Kind::DisplayCopied, || Happening::Copied { display: display.clone(), at_ms });
    }

    /// See [`Presence::expect`].
    pub fn expect_display(&self, display: DisplayId, last_seen_ms: u64, now_ms: u64) {
        self.presence().expect(display, last_seen_ms, now_ms);
    }

    /// See [`Presence::due`].
    pub fn displays_due(&self, elsewhere: HashSet<DisplayId>, now_ms: u64) {
        let news = self.presence().due(elsewhere, now_ms);
        self.tell_all(news);
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self, news: impl IntoIterator<Item = Happening>) {
        for happening in news {
            self.tell(happening.kind(), || happening);
        }
    }

    fn tell(&self, kind: Kind, happening: impl FnOnce() -> Happening) {
        if self.webhooks.wants(kind) {
            self.webhooks.tell(&happening(), &self.metrics);
        }
    }

    /// Where several nodes hear of every receipt, each is told by the one that claims it first. To be called once.
    pub fn claims(&self, store: &Store) -> Option<Claims> {
        if !store.is_shared() || !self.webhooks.wants(Kind::Receipt) {
            return None;
        }
        let (sender, receipts) = mpsc::channel(CLAIMS);
        self.claims.set(sender).ok().map(|()| Claims { receipts })
    }
}

/// The task that claims receipts among several nodes.
#[derive(Debug)]
pub struct Claims {
    receipts: mpsc::Receiver<Arc<Settled>>,
}

impl Claims {
    pub async fn run(mut self, app: Arc<App>, stop: CancellationToken) {
        loop {
            let settled = tokio::select! {
                () = stop.cancelled() => return,
                settled = self.receipts.recv() => match settled {
                    Some(settled) => settled,
                    None => return,
                },
            };
            let text = format!("webhook {} {} {}", settled.event, settled.display, settled.receipt.event);
            let now_ms = app.now_ms();
            match app.store.use_once(&text, now_ms + CLAIM_MS, now_ms).await {
                Ok(true) => app.witness.tell(Kind::Receipt, || Happening::Receipt(settled)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "a receipt is told by no webhook");
                    app.witness.metrics.webhook_dropped("unclaimed", 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Receipt, Status};

    #[test]
    fn the_hash_that_follows_a_receipt_does_not_count_as_another_receipt() {
        let witness = Witness::default();
        let settled = |event, display: &str| {
            let receipt = Receipt::new("x", "s", Status::Shown, 1);
            Fed::Receipt(Arc::new(Settled { event, display: display.parse().unwrap(), receipt }))
        };
        let now = Instant::now();
        witness.fed(&[vec![settled(1, "a"), settled(1, "a")], vec![settled(1, "b"), settled(2, "a")]], now);
        witness.fed(&[vec![settled(1, "a")]], now);
        let text = witness.metrics.text(&super::super::hub::Counts::default(), &Default::default(), "");
        assert!(text.contains("pikiosk_receipts_total{status=\"shown\"} 3\n"), "{text}");
        for n in 0..3 * RECENT as u64 {
            witness.fed(&[vec![settled(n, "a")]], now);
        }
        let recent = witness.recent.lock().unwrap();
        assert_eq!((recent.known.len(), recent.order.len()), (RECENT, RECENT));
    }
}
