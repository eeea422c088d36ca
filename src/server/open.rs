//! From what a person configured to a server that can run: keys are read, the store is opened, the operator's key made.

use std::{io, path::PathBuf, sync::Arc};

use super::{
    Parts, Settings,
    clock::Clock,
    directory::{Directory, Trust, jwks},
    ingest,
    rabbit::RabbitError,
    rate::PerSecond,
    store::{self, Store, StoreError},
    tasks::{Celery, TasksError},
    tickets::{RedisTickets, TicketStore},
    webhooks::{self, Webhook},
};
use crate::{
    auth::{
        jwks::Source,
        jwt::{self, JwtKey, JwtKeys, KeyError, Material},
    },
    config::{self, JwtKeySource, RedisSettings, ServerSettings, StoreKind},
    io::random,
};

/// Clocks that a time service keeps are not so far from each other.
const CLOCKS_APART_MS: u64 = 2_000;
/// The name of the file in the data directory that holds the operator's first key.
const OPERATOR_KEY: &str = "operator.key";

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("read the key `{id}` from {}", path.display())]
    KeyFile { id: String, path: PathBuf, source: io::Error },
    #[error("read the key `{id}` from the environment variable {name}")]
    KeyVariable { id: String, name: String },
    #[error("use the key `{id}`")]
    Key { id: String, source: KeyError },
    #[error("use the keys together")]
    Keys { source: KeyError },
    #[error("make the data directory {}", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error("use the Redis of `tickets.redis`: {problem}")]
    Redis { problem: String },
    #[error("use the RabbitMQ of `{key}`")]
    Rabbit { key: &'static str, source: RabbitError },
    #[error("use the table [celery]")]
    Celery { source: TasksError },
    #[error("read {} of `[store]`", path.display())]
    StoreFile { path: PathBuf, source: io::Error },
    #[error("read the secret of the webhook to {host} from {}", path.display())]
    WebhookSecret { host: String, path: PathBuf, source: io::Error },
    #[error("open the store")]
    Store { source: StoreError },
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct Opened {
    pub settings: Settings,
    pub parts: Parts,
    /// Where the operator's key is, if its text was ever written.
    pub operator_key: PathBuf,
    /// True if it was made just now.
    pub key_is_new: bool,
}

/// Opens everything that the settings name.
///
/// # Errors
/// See [`OpenError`]. Nothing is left open.
pub async fn open(configured: &ServerSettings, now_ms: u64) -> Result<Opened, OpenError> {
    let mut keys = Vec::new();
    let mut sources = Vec::new();
    for of in &configured.auth.jwt {
        match key(of)? {
            Key::Here(key) => keys.push(key),
            Key::Fetched(source) => sources.push(source),
        }
    }
    let keys = JwtKeys::new(keys).map_err(|source| OpenError::Keys { source })?;
    let webhooks = configured.webhooks.iter().map(webhook).collect::<Result<Vec<_>, _>>()?;
    let limits = &configured.limits;
    let store_limits = store::Limits {
        history_events: limits.history_events.into(),
        pending_actions: limits.display_queue.into(),
        ..store::Limits::default()
    };
    // The operator's key is written there also where the store itself is in memory.
    std::fs::create_dir_all(&configured.data)
        .map_err(|source| OpenError::Data { path: configured.data.clone(), source })?;
    let failed = |source| OpenError::Store { source };
    let (store, feed) = match &configured.store.redis {
        Some(redis) => Store::open_redis(redis_setup(redis, store_limits)?, random::fill).await,
        None => {
            let data = (configured.store.kind == StoreKind::Embedded).then(|| configured.data.clone());
            Store::open(store::Options { data, limits: store_limits }, random::fill)
        }
    }
    .map_err(failed)?;
    let clock = Clock::new(clock_of(&store, now_ms).await.map_err(failed)?);
    let tickets = match &configured.tickets_redis {
        None => TicketStore::Store(store.clone()),
        Some(url) => {
            TicketStore::Redis(RedisTickets::new(url, random::fill).map_err(|problem| OpenError::Redis { problem })?)
        }
    };
    let amqp = configured.amqp.as_ref().map(ingest::amqp::Source::new).transpose();
    let amqp = amqp.map_err(|source| OpenError::Rabbit { key: "amqp", source })?;
    let celery = configured.celery.as_ref().map(|celery| Celery::new(celery, random::fill)).transpose();
    let celery = celery.map_err(|source| OpenError::Celery { source })?;
    let operator_key = configured.data.join(OPERATOR_KEY);
    let trust = Arc::new(Trust::new(keys));
    let (directory, follower) = Directory::open(store.clone(), trust, sources).await.map_err(failed)?;
    let key_is_new = directory.ensure_first_key(&operator_key, clock.now_ms()).await.map_err(failed)?;
    let as_size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let settings = Settings {
        per_message: configured.auth.per_message,
        origins: configured.auth.origins.clone(),
        name: configured.auth.name.clone(),
        grace_ms: u64::from(configured.auth.grace_seconds) * 1000,
        frame_bytes: as_size(limits.frame_bytes),
        publish_bytes: as_size(limits.publish_bytes),
        handshake: limits.handshake(),
        access_log: configured.access_log,
        webhooks,
        goodbye: limits.goodbye(),
        socket_queue: as_size(limits.socket_queue),
        sockets_per_user: as_size(limits.sockets_per_address),
        connections_per_ip: as_size(limits.connections_per_ip),
        socket_queue_bytes: as_size(limits.socket_queue_bytes),
        rates: PerSecond {
            connects: limits.connects_per_second,
            publishes: limits.publishes_per_second,
            key_publishes: limits.key_publishes_per_second,
        },
        ..Settings::default()
    };
    let parts = Parts { store, feed, clock, tickets, directory, follower, amqp, celery };
    Ok(Opened { settings, parts, operator_key, key_is_new })
}

/// What the server's clock is to show: what the store's does, where it has one; a difference that matters is told.
async fn clock_of(store: &Store, machine_ms: u64) -> Result<u64, StoreError> {
    let Some(shown_ms) = store.time().await? else { return Ok(machine_ms) };
    if shown_ms.abs_diff(machine_ms) > CLOCKS_APART_MS {
        tracing::warn!(
            by_ms = i128::from(shown_ms) - i128::from(machine_ms),
            "the clock of Redis' machine is ahead of this one's: every server of this Redis goes by that of Redis"
        );
    }
    Ok(shown_ms)
}

fn redis_setup(redis: &RedisSettings, limits: store::Limits) -> Result<store::RedisSetup, OpenError> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|source| OpenError::StoreFile { path: path.clone(), source });
    let own = match &redis.certificate_files {
        Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
        None => None,
    };
    let tls = store::Tls { authority: redis.authority_file.as_ref().map(read).transpose()?, own };
    Ok(store::RedisSetup { address: redis.address.clone(), tls, prefix: redis.prefix.clone(), limits })
}

/// A key is in our hands now, or is fetched.
enum Key {
    Here(JwtKey),
    Fetched(jwks::Source),
}

fn webhook(configured: &config::WebhookSettings) -> Result<Webhook, OpenError> {
    let path = &configured.secret_file;
    let failed = |source| {
        let host = configured.url.host_str().unwrap_or_default().to_owned();
        OpenError::WebhookSecret { host, path: path.clone(), source }
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let secret = webhooks::secret(text.strip_suffix('\n').unwrap_or(&text));
    let secret = secret.ok_or_else(|| failed(io::Error::other("it is empty, or not Base64 behind whsec_")))?;
    let kinds = configured.events.iter().filter_map(|name| webhooks::Kind::from_name(name)).collect();
    Ok(Webhook { url: configured.url.clone(), kinds, secret })
}

fn key(configured: &config::JwtKey) -> Result<Key, OpenError> {
    let id = || configured.id.clone();
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| OpenError::KeyFile { id: id(), path: path.clone(), source })
    };
    let algorithm = match configured.algorithm {
        config::Algorithm::HS256 => jwt::Algorithm::HS256,
        config::Algorithm::RS256 => jwt::Algorithm::RS256,
        config::Algorithm::ES256 => jwt::Algorithm::ES256,
        config::Algorithm::EdDSA => jwt::Algorithm::EdDSA,
    };
    let one = |text: &Option<String>| text.iter().cloned().collect::<Vec<String>>();
    let (audience, issuer) = (one(&configured.audience), one(&configured.issuer));
    let bytes;
    let material = match &configured.source {
        JwtKeySource::SecretFile(path) => {
            bytes = read(path)?;
            Material::SecretFile(&bytes)
        }
        JwtKeySource::PublicKeyFile(path) => {
            bytes = read(path)?;
            Material::PublicKeyFile(&bytes)
        }
        JwtKeySource::SecretEnv(name) => {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            let missing = || OpenError::KeyVariable { id: id(), name: name.clone() };
            bytes = std::os::unix::ffi::OsStringExt::into_vec(value.ok_or_else(missing)?);
            Material::Secret(&bytes)
        }
        JwtKeySource::JwksUrl(url) => {
            let of = Source { id: id(), algorithm, audience, issuer };
            return Ok(Key::Fetched(jwks::Source { url: url.clone(), of }));
        }
    };
    JwtKey::new(id(), algorithm, material, audience, issuer)
        .map(Key::Here)
        .map_err(|source| OpenError::Key { id: id(), source })
}
