//! `server.toml`: where the event server listens, what it keeps, whom it believes, and its limits.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these texts are for people, in server.toml"
)]

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::Refusals;
use super::{
    Document, RedisAddress,
    layers::Sources,
    server_amqp::{AmqpFile, AmqpSettings},
    server_auth::{AuthFile, AuthSettings},
    server_celery::{CeleryFile, CelerySettings},
    server_store::{self, StoreFile, StoreSettings},
    server_webhooks::{WebhookFile, WebhookSettings},
};

/// The settings of the event server.
#[derive(Clone, PartialEq)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Where the store and `operator.key` are.
    pub data: PathBuf,
    pub store: StoreSettings,
    /// The Redis in which another application mints tickets; `None`: tickets live in the store.
    pub tickets_redis: Option<RedisAddress>,
    pub auth: AuthSettings,
    /// The RabbitMQ from which events are taken.
    pub amqp: Option<AmqpSettings>,
    /// The workers that `kiosk.call` reaches.
    pub celery: Option<CelerySettings>,
    pub limits: Limits,
    /// One JSON line on stdout for each request and socket.
    pub access_log: bool,
    pub webhooks: Vec<WebhookSettings>,
    _sole: Sole,
}

/// The address of the Redis may carry a password: it stays out of logs.
impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, data, store, tickets_redis, auth, amqp, celery, limits, access_log, webhooks, _sole } = self;
        f.debug_struct("ServerSettings")
            .field("listen", listen)
            .field("data", data)
            .field("store", store)
            .field("tickets_redis", tickets_redis)
            .field("auth", auth)
            .field("amqp", amqp)
            .field("celery", celery)
            .field("limits", limits)
            .field("access_log", access_log)
            .field("webhooks", webhooks)
            .finish()
    }
}

/// What the server takes from one client, and keeps for one; each is a bound that a test can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// The longest WebSocket frame, in bytes; a longer one is refused from its declared length.
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub frame_bytes: u32,
    /// The largest body of a publish, in bytes.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub publish_bytes: u32,
    /// Seconds from a connection to the end of its handshake.
    #[schemars(range(min = 1, max = 300))]
    pub handshake_seconds: u32,
    /// Seconds over which sockets are let go when the server ends; the more there are, the more of it is used (1,000 go
    /// in a second). Their clients spread their return over as long.
    #[schemars(range(min = 0, max = 300))]
    pub goodbye_seconds: u32,
    /// Connections from one IP address at a time. Displays behind one router share one address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_ip: u32,
    /// Sockets that receive from one user address at a time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sockets_per_address: u32,
    /// Events that may wait for one socket; a client that is slower is told so and comes back.
    #[schemars(range(min = 8, max = 65_536))]
    pub socket_queue: u32,
    /// And their bytes.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub socket_queue_bytes: u32,
    /// WebSockets that one IP address may open in a second (of IPv6, one /64); ten seconds' worth may come at once, more
    /// are answered 429. Loopback, which is a proxy, is not limited. 0: no limit.
    pub connects_per_second: u32,
    /// Events that one user or display may publish in a second, by HTTP and by its sockets; ten seconds' worth may come at
    /// once. 0: no limit.
    pub publishes_per_second: u32,
    /// The same for one API key, which is a program's. 0: no limit.
    pub key_publishes_per_second: u32,
    /// Action commands that may wait for one display; a publish beyond it is refused.
    #[schemars(range(min = 1, max = 100_000))]
    pub display_queue: u32,
    /// Events of one address that are kept to replay to those who come back.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub history_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 65_536,
            publish_bytes: 1_048_576,
            handshake_seconds: 10,
            goodbye_seconds: 10,
            connections_per_ip: 2000,
            sockets_per_address: 64,
            socket_queue: 256,
            socket_queue_bytes: 1_048_576,
            connects_per_second: 100,
            publishes_per_second: 50,
            key_publishes_per_second: 0,
            display_queue: 1000,
            history_events: 1000,
        }
    }
}

impl Limits {
    pub fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds.into())
    }

    pub fn goodbye(&self) -> Duration {
        Duration::from_secs(self.goodbye_seconds.into())
    }
}

impl ServerSettings {
    /// The settings that a text of `server.toml` makes, alone; for tests and for the demo.
    pub fn from_text(text: &str) -> Result<Self, super::ConfigError> {
        super::from_text(text)
    }

    /// The settings of these sources, and the origin of each.
    pub fn load(sources: &Sources) -> Result<super::Loaded<Self>, super::ConfigError> {
        super::load(sources)
    }
}

/// The event server.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "server.toml")]
#[serde(default)]
pub struct ServerFile {
    /// Address and port to listen on. Put a proxy with TLS before it when it is not 127.0.0.1.
    listen: String,
    /// The folder of the store and of operator.key. A relative path is beside this file.
    #[schemars(extend("format" = "path"))]
    data: String,
    /// What keeps events, receipts, displays and tickets.
    store: StoreFile,
    /// The one-time tickets that open a WebSocket.
    tickets: TicketsFile,
    /// Whom the server believes.
    auth: AuthFile,
    /// Events from a RabbitMQ.
    amqp: AmqpFile,
    /// Tasks that pages and displays may start on your Celery workers.
    celery: CeleryFile,
    /// What the server takes from one client, and keeps for one.
    limits: Limits,
    /// What is written down of those who come.
    log: LogFile,
    /// Who is told what happens, one [[webhooks]] for each.
    webhooks: Vec<WebhookFile>,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8400".to_owned(),
            data: "/var/lib/pikiosk-server".to_owned(),
            store: StoreFile::default(),
            tickets: TicketsFile::default(),
            auth: AuthFile::default(),
            amqp: AmqpFile::default(),
            celery: CeleryFile::default(),
            limits: Limits::default(),
            log: LogFile::default(),
            webhooks: Vec::new(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct LogFile {
    /// true: one JSON line on standard output for each request, and each WebSocket that opens or ends. Never a token.
    access: bool,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct TicketsFile {
    /// A Redis in which your web application mints tickets (key wstoken…, as the manual says). While it is down,
    /// no ticket is accepted. Without it, tickets live in the store.
    #[schemars(extend("examples" = ["redis://127.0.0.1:6379/0"]))]
    redis: Option<String>,
}

/// Only this module can make one, so only `from_file` makes settings.
#[derive(Debug, Clone, PartialEq)]
struct Sole;

impl Document for ServerSettings {
    const NAME: &'static str = "server";
    const NOT_YET: &[&str] = &[];
    type File = ServerFile;

    fn every_key() -> ServerFile {
        ServerFile { auth: AuthFile::every_key(), webhooks: vec![WebhookFile::default()], ..ServerFile::default() }
    }

    fn from_file(file: ServerFile, refusals: &mut Refusals<'_>) -> Option<Self> {
        let listen = file.listen.parse::<SocketAddr>().ok();
        if listen.is_none() {
            let says = format!("{:?} is no address and port", file.listen);
            refusals.refuse("listen", says, "write numbers, such as 127.0.0.1:8400 or 0.0.0.0:8400 or [::]:8400");
        }
        if file.data.trim().is_empty() {
            refusals.refuse("data", "the folder has no name", "write a path, such as /var/lib/pikiosk-server");
        }
        let store = file.store.settings(refusals);
        let tickets_redis = file.tickets.redis.and_then(|text| server_store::address("tickets.redis", &text, refusals));
        let auth = file.auth.settings(refusals);
        let amqp = file.amqp.settings(refusals);
        let celery = file.celery.settings(refusals);
        let webhooks = file.webhooks.into_iter().enumerate();
        let webhooks = webhooks.filter_map(|(n, webhook)| webhook.settle(n, refusals)).collect();
        Some(Self {
            listen: listen?,
            data: PathBuf::from(file.data),
            store: store?,
            tickets_redis,
            auth,
            amqp,
            celery,
            limits: file.limits,
            access_log: file.log.access,
            webhooks,
            _sole: Sole,
        })
    }
}
