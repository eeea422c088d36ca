//! The event server.
//!
//! ```text
//!  GET /v1/ws --> accept/ --by hand--> socket/ (who, then one small task: session, pure) <--> display, page, program
//!  the rest   --> accept/ --hyper----> http/ (one table of routes)                               ^
//!  RabbitMQ   --> ingest/ ------.       | publishing (what may be published, pure)               | one writev of
//!                               v       v                                                        | what is due
//!                              store/ (memory | embedded | redis) --Feed--> hub/ --Chunk--> outbound/ (a Line each)
//!                                ^                                           |
//!                                '--- expiry, clock, presence (ticks)        '--> witness -> metrics, webhooks, access log
//!  directory/  operators' keys, revocations, JWKS, the audit log: records of the store, held in memory, on every node
//!  tickets     the store's own, or a web application's Redis          tasks/     kiosk.call -> Celery -> kiosk.result
//!  rate        how often anybody may ask (pure)                       goodbye    an end that is no outage
//! ```
//!
//! `session`, `hub::core`, `outbound::Cursor`, `publishing`, `rate`, `ingest::message`, `tasks::protocol` and
//! `socket::credentials` decide and do no I/O; the rest does what they say.
//!
//! Rejected: `axum::serve`. It has no limit on the time of a request's head, no cap on connections, and its upgrade
//! keeps 130 KB of buffers for each socket.

pub mod accept;
mod access;
mod backoff;
pub mod clock;
pub mod directory;
mod expiry;
mod goodbye;
pub mod http;
pub mod hub;
pub mod ingest;
mod metrics;
pub mod open;
pub mod outbound;
mod presence;
pub mod publishing;
mod rabbit;
pub mod rate;
pub mod session;
pub mod settings;
pub mod socket;
pub mod store;
pub mod tasks;
pub mod tickets;
pub mod webhooks;
mod witness;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    clock::Clock,
    directory::{Directory, Entry, Follower, Trust},
    goodbye::Goodbye,
    hub::HubHandle,
    metrics::By,
    store::{Feed, Publish, Published, Store, StoreError},
    tickets::TicketStore,
    witness::Witness,
};
pub use self::{clock::machine_ms as now_ms, open::open, settings::Settings};
use crate::{auth::Principal, event::frame::CloseCode};

/// How long sockets and requests may take to end when the server does.
const GOODBYE: Duration = Duration::from_secs(10);

/// What a server is made of, opened and checked.
#[derive(Debug)]
pub struct Parts {
    pub store: Store,
    pub feed: Feed,
    pub clock: Clock,
    pub tickets: TicketStore,
    pub directory: Directory,
    pub follower: Follower,
    /// The broker that events are taken from.
    pub amqp: Option<ingest::amqp::Source>,
    /// The workers that `kiosk.call` reaches.
    pub celery: Option<tasks::Celery>,
}

/// What every handler and socket shares.
#[derive(Debug)]
pub struct App {
    pub store: Store,
    pub clock: Clock,
    pub hub: HubHandle,
    pub tickets: TicketStore,
    pub directory: Directory,
    /// Of the directory: what sockets judge tokens by.
    pub trust: Arc<Trust>,
    pub settings: Settings,
    pub rates: rate::Rates,
    /// How it is with the broker.
    pub broker: Arc<ingest::Told>,
    /// Where `kiosk.call` goes.
    pub calls: tasks::Calls,
    pub goodbye: Goodbye,
    pub witness: Arc<Witness>,
    /// Connections and sockets, so that the end of the server can wait for them.
    pub tasks: TaskTracker,
}

impl App {
    /// Milliseconds since 1970, by the server's clock.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// [`Store::publish`], measured.
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, by: By, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        let began = Instant::now();
        self.witness.metrics.publishing(&batch, began);
        let answer = self.store.publish(batch, now_ms).await;
        self.witness.metrics.published(by, &answer, began.elapsed());
        answer
    }

    /// Notes in the audit log what somebody did.
    pub async fn note(&self, principal: &Principal, what: &str, on: &str, more: impl serde::Serialize) {
        let more = serde_json::to_value(more).unwrap_or_default();
        let (who, what, on) = (principal.who(), what.to_owned(), on.to_owned());
        self.directory.note(Entry { at_ms: self.now_ms(), who, what, on, more }).await;
    }
}

/// Serves until `shutdown` ends; then sockets are closed with 4000 (see `goodbye`), requests end, and the store is closed.
pub async fn serve(listener: TcpListener, settings: Settings, parts: Parts, shutdown: impl Future<Output = ()>) {
    let caps = hub::Caps { sockets: settings.sockets, per_user: settings.sockets_per_user };
    let witness = Arc::new(Witness::new(settings.access_log, settings.webhooks.clone()));
    let (hub, hub_task) = HubHandle::start(
        parts.feed,
        caps,
        outbound::Bounds { events: settings.socket_queue, bytes: settings.socket_queue_bytes },
        witness.clone(),
    );
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    // Not among `tasks`: sockets that end still have calls to drop.
    let workers = TaskTracker::new();
    let calls = parts.celery.map(|celery| celery.start(&workers, &stop)).unwrap_or_default();
    let app = Arc::new(App {
        store: parts.store.clone(),
        clock: parts.clock,
        hub,
        tickets: parts.tickets,
        trust: parts.directory.trust().clone(),
        directory: parts.directory,
        rates: rate::Rates::new(settings.rates),
        settings,
        broker: Arc::default(),
        calls,
        goodbye: Goodbye::default(),
        witness: witness.clone(),
        tasks: tasks.clone(),
    });
    let intake =
        parts.amqp.map(|source| tokio::spawn(ingest::amqp::run(source, app.clone(), app.broker.clone(), stop.clone())));
    let expiry = tokio::spawn(expiry::run(app.clone(), stop.clone()));
    let follower = tokio::spawn(parts.follower.run(app.clone(), app.hub.controls(), stop.clone()));
    let presence = tokio::spawn(presence::run(app.clone(), stop.clone()));
    let claims = witness.claims(&app.store).map(|claims| tokio::spawn(claims.run(app.clone(), stop.clone())));
    witness.webhooks.start(&witness, app.store.randomness(), &stop, &tasks);
    let caps = accept::Caps {
        connections: app.settings.connections,
        per_ip: app.settings.connections_per_ip,
        head_wait: app.settings.handshake,
        unread_wait: app.settings.unread,
    };
    let accepting = accept::run(listener, app.clone(), http::router(app.clone()), caps, stop.clone());
    let leaving = async {
        shutdown.await;
        app.goodbye.say(&app.hub, app.settings.goodbye).await;
    };
    // Until the goodbye is over everything but a new socket is served.
    tokio::select! {
        () = accepting => {}
        () = leaving => {}
    }
    stop.cancel();
    app.hub.close_all(CloseCode::GoingAway).await;
    tasks.close();
    if tokio::time::timeout(GOODBYE, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections did not end in time");
    }
    let _ = tokio::join!(expiry, follower, presence);
    if let Some(claims) = claims {
        let _ = claims.await;
    }
    workers.close();
    let _ = tokio::time::timeout(GOODBYE, workers.wait()).await;
    if let Some(intake) = intake {
        let abort = intake.abort_handle();
        if tokio::time::timeout(GOODBYE, intake).await.is_err() {
            abort.abort();
        }
    }
    // The hub reads the feed until the writer is through; the file is closed with the store's last clone, which is here.
    drop(app);
    parts.store.close().await;
    hub_task.abort();
}
