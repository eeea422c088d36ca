//! From what a person configured to a server that can run: keys are read, the store is opened, the operator's key made.

use std::{io, path::PathBuf};

use super::{
    Parts, Settings, ingest,
    rabbit::RabbitError,
    store::{self, Store, StoreError},
    tasks::{Celery, TasksError},
    tickets::{RedisTickets, TicketStore},
};
use crate::{
    auth::jwt::{self, JwtKey, JwtKeys, KeyError, Material},
    config::{self, JwtKeySource, ServerSettings, StoreKind},
    io::random,
};

/// The name of the file in the data directory that holds the operator's first key.
const OPERATOR_KEY: &str = "operator.key";

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("read the key `{id}` from {}", path.display())]
    KeyFile { id: String, path: PathBuf, source: io::Error },
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
    let keys = configured.auth.jwt.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let keys = JwtKeys::new(keys).map_err(|source| OpenError::Keys { source })?;
    let limits = &configured.limits;
    let store_limits = store::Limits {
        history_events: limits.history_events.into(),
        pending_actions: limits.display_queue.into(),
        ..store::Limits::default()
    };
    // The operator's key is written there also where the store itself is in memory.
    std::fs::create_dir_all(&configured.data)
        .map_err(|source| OpenError::Data { path: configured.data.clone(), source })?;
    let data = (configured.store.kind == StoreKind::Embedded).then(|| configured.data.clone());
    let failed = |source| OpenError::Store { source };
    let (store, feed) = Store::open(store::Options { data, limits: store_limits }, random::fill).map_err(failed)?;
    let tickets = match &configured.tickets_redis {
        None => TicketStore::Store(store.clone()),
        Some(url) => TicketStore::Redis(
            RedisTickets::new(url.as_str(), random::fill).map_err(|problem| OpenError::Redis { problem })?,
        ),
    };
    let amqp = configured.amqp.as_ref().map(ingest::amqp::Source::new).transpose();
    let amqp = amqp.map_err(|source| OpenError::Rabbit { key: "amqp", source })?;
    let celery = configured.celery.as_ref().map(|celery| Celery::new(celery, random::fill)).transpose();
    let celery = celery.map_err(|source| OpenError::Celery { source })?;
    let operator_key = configured.data.join(OPERATOR_KEY);
    let key_is_new = store.ensure_operator_key(&operator_key, now_ms).await.map_err(failed)?;
    let as_size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let settings = Settings {
        per_message: configured.auth.per_message,
        origins: configured.auth.origins.clone(),
        frame_bytes: as_size(limits.frame_bytes),
        publish_bytes: as_size(limits.publish_bytes),
        handshake: limits.handshake(),
        goodbye: limits.goodbye(),
        socket_queue: as_size(limits.socket_queue),
        sockets_per_user: as_size(limits.sockets_per_address),
        connections_per_ip: as_size(limits.connections_per_ip),
        ..Settings::default()
    };
    Ok(Opened { settings, parts: Parts { store, feed, tickets, keys, amqp, celery }, operator_key, key_is_new })
}

fn key(configured: &config::JwtKey) -> Result<JwtKey, OpenError> {
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
    };
    let one = |text: &Option<String>| text.iter().cloned().collect();
    JwtKey::new(id(), algorithm, material, one(&configured.audience), one(&configured.issuer))
        .map_err(|source| OpenError::Key { id: id(), source })
}
