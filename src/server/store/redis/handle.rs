//! The handle of a Redis store: opening, closing, and how it is. Cheap to clone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Feed, Limits, Stats, StoreError,
    connect::{Connector, Tls},
    engine::{Engine, told},
    feed, reply,
    scripts::SMALL,
};
use crate::{
    config::RedisAddress,
    event::{DisplayId, health::Health},
};

/// The oldest version that has GETDEL, which a ticket needs.
const OLDEST: (u64, u64) = (6, 2);
/// How long a Redis may take to be there when a server starts: where a machine boots, both start at once.
const START: Duration = Duration::from_secs(15);
/// How long one may take that is there and serves nobody yet: it reads its file, or has no time. systemd gives up a service
/// that is not up in 90 s; this server ends by itself before, saying why, and is started again.
const SERVES: Duration = Duration::from_secs(60);
/// Between two looks, from the first on; twice as long each time up to the last.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// How long `/readyz` waits.
const READY: Duration = Duration::from_secs(2);

/// Where the store is, and its bounds.
#[derive(Debug, Clone)]
pub struct Setup {
    pub address: RedisAddress,
    pub tls: Tls,
    /// Before every key, as its hash tag. Two stores in one Redis have two.
    pub prefix: String,
    pub limits: Limits,
}

/// When a display was last heard of by this node, and how it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub at_ms: u64,
    pub health: Option<Arc<Health>>,
    /// It stands in Redis.
    pub saved: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Redis {
    pub(super) engine: Arc<Engine>,
    /// Names this node to the others.
    pub(super) node: Arc<str>,
    pub(super) seen: Arc<Mutex<HashMap<DisplayId, Seen>>>,
    pub(super) pruner: Arc<tokio::sync::Mutex<super::small::Pruner>>,
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Redis {
    /// Connects, looks whether this Redis is one that can be used and holds what it held, and begins to read the feed.
    ///
    /// # Errors
    /// `Unreachable`, `TooOld`, `NewerSchema`.
    pub async fn open(setup: Setup, random: fn(&mut [u8])) -> Result<(Redis, Feed), StoreError> {
        let Setup { address, tls, prefix, limits } = setup;
        let connector =
            Connector::new(&address, &tls, super::engine::WAITS).map_err(|error| at(&address, told(&error)))?;
        let (to_feed, feed) = mpsc::channel(limits.feed);
        let engine = Arc::new(Engine::new(connector, &prefix, limits, random));
        let opened = timeout(SERVES, until_there(&engine)).await.unwrap_or(Err(StoreError::Timeout));
        opened.map_err(|error| at(&address, error))?;
        let node: Arc<str> = engine.random_hex::<8>().into();
        let reader = tokio::spawn(feed::run(engine.clone(), to_feed));
        let redis = Redis {
            engine,
            node,
            seen: Arc::default(),
            pruner: Arc::default(),
            reader: Arc::new(Mutex::new(Some(reader))),
        };
        Ok((redis, feed))
    }

    pub(super) fn seen_here(&self) -> MutexGuard<'_, HashMap<DisplayId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Secret of this store, the same on every node.
    pub fn secret(&self) -> [u8; 32] {
        *self.engine.secret.get().expect("a store is handed out after its secret was read")
    }

    /// 16 secure random bytes as 32 hex digits.
    pub fn random_id(&self) -> String {
        self.engine.random_hex::<16>()
    }

    pub fn randomness(&self) -> fn(&mut [u8]) {
        self.engine.random
    }

    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.engine.random)(&mut bytes);
        bytes
    }

    pub fn stats(&self) -> Stats {
        let Engine { events, operations, failures, .. } = &*self.engine;
        let operations = operations.load(Ordering::Relaxed);
        Stats {
            events: events.load(Ordering::Relaxed),
            commits: operations,
            operations,
            failures: failures.load(Ordering::Relaxed),
            file_bytes: 0,
        }
    }

    /// Whether Redis answers now.
    pub async fn is_ready(&self) -> bool {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(self.engine.key("meta")).arg("schema");
        !self.engine.closed.load(Ordering::Acquire) && matches!(timeout(READY, self.engine.ask(&cmd)).await, Ok(Ok(_)))
    }

    /// Writes what is not written yet, and lets go. Clones that are still held find it closed.
    pub async fn close(self) {
        self.save_seen().await;
        let words: [&[u8]; 2] = [b"absent", self.node.as_bytes()];
        let _ = timeout(READY, self.engine.call(&SMALL, 0, &words)).await;
        self.engine.closed.store(true, Ordering::Release);
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            // It may wait in an XREAD for seconds; what was committed by now it has either handed on or nobody reads.
            reader.abort();
            let _ = reader.await;
        }
    }
}

/// Errors at the start tell where the Redis was looked for.
fn at(address: &RedisAddress, error: StoreError) -> StoreError {
    match error {
        StoreError::Unreachable(problem) => StoreError::Unreachable(format!("{address}: {problem}")),
        StoreError::Forbidden(problem) => StoreError::Forbidden(format!("{address}: {problem}")),
        StoreError::Timeout => StoreError::Unreachable(format!("{address}: no answer in time")),
        StoreError::Loading => StoreError::Unreachable(format!("{address}: it is still reading its file")),
        other => other,
    }
}

/// Tries until Redis is there and serves.
async fn until_there(engine: &Engine) -> Result<(), StoreError> {
    let [mut pause, longest] = PAUSE;
    let (began, mut is_told) = (Instant::now(), false);
    loop {
        let (error, within) = match check(engine).await {
            Ok(()) => return Ok(()),
            Err(error @ StoreError::Unreachable(_)) => (error, START),
            Err(error @ (StoreError::Loading | StoreError::Timeout)) => (error, SERVES),
            Err(other) => return Err(other),
        };
        if began.elapsed() + pause > within {
            return Err(error);
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(%error, within_s = within.as_secs(), "this server waits for its Redis");
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn check(engine: &Engine) -> Result<(), StoreError> {
    if !engine.connector().is_cluster() {
        let mut cmd = redis::cmd("INFO");
        cmd.arg("server");
        let info = reply::text(engine.ask(&cmd).await.map_err(|error| told(&error))?)?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("0").trim();
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
            return Err(StoreError::TooOld { found: version.to_owned() });
        }
    }
    engine.attach().await
}
