//! Calling a script, and making sure first that this Redis holds what it held.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::timeout;

use super::{
    Limits, StoreError,
    connect::{Connector, Link, Shared, Waits},
    mend::Mended,
    reply,
    scripts::{self, ATTACH, Script},
};

/// How long a call may take in all, a second try after a broken connection included.
const ANSWER: Duration = Duration::from_secs(10);
/// Of every connection of the store: one that answers nothing is given up before the call is.
pub const WAITS: Waits =
    Waits { connect: Duration::from_secs(3), answer: Duration::from_secs(8), pause: Duration::from_millis(250) };

/// Where a node stands in the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// What the epochs come from, as the node knew it; empty before the first look.
    pub lineage: String,
    /// Number and tag of the last entry that was read.
    pub seen: u64,
    pub tag: String,
}

/// What Redis does with what it accepts.
struct Keeps {
    /// It writes a log.
    appends: bool,
    /// And has it on its disk before it answers.
    safe: bool,
}

/// The newest shape of the store that is known here.
const SCHEMA: u64 = 2;

/// What the handle and the reader of the feed share.
pub struct Engine {
    pub limits: Limits,
    pub random: fn(&mut [u8]),
    shared: Shared,
    meta: String,
    place: Mutex<Place>,
    /// The hub is yet to be told that entries of the feed are lost.
    pub lost: AtomicBool,
    /// One looks at a time.
    looking: tokio::sync::Mutex<()>,
    warned: AtomicBool,
    /// A new life of Redis was begun by this node, which has yet to ask for its file to be written anew.
    owes_rewrite: AtomicBool,
    /// It was said that the file is not written anew.
    pub told_of_rewrite: AtomicBool,
    /// How often what waits was moved along with Redis' clock, at the last look at it and at the one before.
    pub clock_sets: [AtomicU64; 2],
    /// By how much it was set forward since this node opened the store.
    pub forward_ms: AtomicU64,
    /// It was said that Redis does not tell its time.
    pub told_of_time: AtomicBool,
    pub secret: std::sync::OnceLock<[u8; 32]>,
    pub closed: AtomicBool,
    pub events: AtomicU64,
    pub operations: AtomicU64,
    pub failures: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(connector: Connector, prefix: &str, limits: Limits, random: fn(&mut [u8])) -> Self {
        Engine {
            limits,
            random,
            shared: Shared::new(connector),
            meta: format!("{{{prefix}}}:meta"),
            place: Mutex::default(),
            lost: AtomicBool::new(false),
            looking: tokio::sync::Mutex::default(),
            warned: AtomicBool::new(false),
            owes_rewrite: AtomicBool::new(false),
            told_of_rewrite: AtomicBool::new(false),
            clock_sets: [AtomicU64::new(0), AtomicU64::new(0)],
            forward_ms: AtomicU64::new(0),
            told_of_time: AtomicBool::new(false),
            secret: std::sync::OnceLock::new(),
            closed: AtomicBool::new(false),
            events: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// The name of a key of this store.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", &self.meta[..self.meta.len() - "meta".len()])
    }

    pub fn connector(&self) -> &Connector {
        self.shared.connector()
    }

    pub fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn random_hex<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        hex(&bytes)
    }

    /// Calls a script. The answer is a list; a first word that is not `ok` is the caller's to read.
    ///
    /// A connection that breaks is tried a second time: every script may be called again with the same arguments, and at
    /// most says that it was done already.
    pub async fn call(&self, script: &Script, now_ms: u64, args: &[&[u8]]) -> Result<Vec<Value>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        self.operations.fetch_add(1, Ordering::Relaxed);
        let tag = self.random_hex::<8>();
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&script.sha).arg(1).arg(&self.meta).arg(tag).arg(now_ms);
        for arg in args {
            cmd.arg(*arg);
        }
        let answer = timeout(ANSWER, self.until_answered(&cmd)).await.unwrap_or(Err(StoreError::Timeout));
        if answer.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        reply::list(answer?)
    }

    async fn until_answered(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        for _ in 0..3 {
            match self.ask(cmd).await {
                // Nothing of ours runs on a Redis that was not looked at.
                Err(error) if error.kind() == ServerErrorKind::NoScript.into() => self.attach().await?,
                Err(error) if error.is_connection_dropped() || error.is_cluster_error() => {
                    tracing::debug!(%error, "the connection to Redis broke");
                }
                answer => return answer.map_err(|error| told(&error)),
            }
        }
        self.ask(cmd).await.map_err(|error| told(&error))
    }

    /// A plain command that only reads; within the deadline, and once more where the connection breaks.
    pub async fn read(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        timeout(ANSWER, self.until_answered(cmd)).await.unwrap_or(Err(StoreError::Timeout))
    }

    /// One command on the shared connection.
    pub async fn ask(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        self.shared.ask(cmd).await
    }

    /// Looks whether this Redis holds what it held, and gives it our scripts. See the module.
    pub async fn attach(&self) -> Result<(), StoreError> {
        let _one = self.looking.lock().await;
        let keeps = self.keeps_what_it_accepts().await?;
        self.look(&keeps).await?;
        if self.mend().await? == Mended::Anew {
            // Every epoch is new: this node has to know.
            self.look(&keeps).await?;
        }
        for script in scripts::all() {
            let mut cmd = redis::cmd("SCRIPT");
            cmd.arg("LOAD").arg(&script.text);
            let sha = reply::text(self.ask(&cmd).await.map_err(|error| told(&error))?)?;
            debug_assert_eq!(sha, script.sha, "{}", script.name);
        }
        if self.owes_rewrite.load(Ordering::Relaxed) {
            self.rewrite(keeps.appends).await?;
            self.owes_rewrite.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn look(&self, keeps: &Keeps) -> Result<(), StoreError> {
        let Place { lineage, seen, tag } = self.place().clone();
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(&ATTACH.text).arg(1).arg(&self.meta).arg(self.random_hex::<8>()).arg(0);
        cmd.arg(self.random_hex::<16>())
            .arg(self.random_hex::<32>())
            .arg(u8::from(keeps.safe))
            .arg(lineage)
            .arg(seen)
            .arg(tag);
        let answer = self.ask(&cmd).await.map_err(|error| told(&error))?;
        let mut answer = reply::list(answer)?.into_iter();
        let outcome = reply::text(reply::next(&mut answer)?)?;
        match outcome.as_str() {
            "kept" | "lost" | "behind" => {}
            "newer" => {
                let found = reply::number(reply::next(&mut answer)?)?;
                return Err(StoreError::NewerSchema { path: self.meta.clone().into(), found, known: SCHEMA });
            }
            _ => {
                return Err(StoreError::Forbidden("it may not ask INFO".to_owned()));
            }
        }
        let lineage = reply::text(reply::next(&mut answer)?)?;
        let secret = reply::text(reply::next(&mut answer)?)?;
        let seen = reply::number(reply::next(&mut answer)?)?;
        let tag = reply::text(reply::next(&mut answer)?)?;
        self.owes_rewrite.fetch_or(reply::number(reply::next(&mut answer)?)? == 1, Ordering::Relaxed);
        if let Some(secret) = unhex(&secret) {
            // The same for the life of a store; one that was emptied while we run keeps what was handed out.
            let _ = self.secret.set(secret);
        }
        {
            let mut place = self.place();
            let is_first = place.lineage.is_empty();
            if outcome != "kept" && !is_first {
                tracing::warn!(outcome, "entries of the feed are lost to this node: every socket comes back");
                self.lost.store(true, Ordering::Release);
            }
            if outcome == "lost" && is_first {
                tracing::warn!("Redis began anew and may have lost what it accepted: every epoch is new");
            }
            if outcome != "kept" || is_first {
                *place = Place { lineage, seen, tag };
            }
        }
        Ok(())
    }

    /// Whether what Redis accepts is on its disk before it answers; and says in words what may be lost, once.
    async fn keeps_what_it_accepts(&self) -> Result<Keeps, StoreError> {
        let (mut appends, mut fsync) = (None, None);
        if !self.connector().is_cluster() {
            let setting = async |name: &str| -> Result<Option<String>, StoreError> {
                let mut cmd = redis::cmd("CONFIG");
                cmd.arg("GET").arg(name);
                match self.ask(&cmd).await {
                    Ok(value) => Ok(reply::list(value)?.into_iter().nth(1).map(reply::text).transpose()?),
                    // Managed ones do not let themselves be asked.
                    Err(error) if error.code().is_some() => Ok(None),
                    Err(error) => Err(told(&error)),
                }
            };
            appends = setting("appendonly").await?;
            fsync = setting("appendfsync").await?;
            let eviction = setting("maxmemory-policy").await?;
            if !self.warned.load(Ordering::Relaxed)
                && let Some(policy) = eviction.filter(|policy| policy != "noeviction")
            {
                tracing::warn!(
                    policy,
                    "this Redis throws keys away when its memory is full, and accepted events with them: set maxmemory-policy noeviction"
                );
            }
        }
        let safe = appends.as_deref() == Some("yes") && fsync.as_deref() == Some("always");
        if !self.warned.swap(true, Ordering::Relaxed) && !safe {
            match (appends.as_deref(), fsync.as_deref()) {
                (Some("no"), _) => tracing::warn!(
                    "this Redis writes no log (appendonly no): an accepted event is lost when it ends; set appendonly yes and appendfsync always"
                ),
                (_, Some(fsync)) => tracing::warn!(
                    appendfsync = fsync,
                    "this Redis syncs its log later: about a second of accepted events is lost when it is cut off; set appendfsync always"
                ),
                _ => tracing::warn!(
                    "this Redis does not say whether it keeps what it accepts (CONFIG GET): after each of its restarts every display gets its state anew"
                ),
            }
        }
        Ok(Keeps { appends: appends.as_deref() == Some("yes"), safe })
    }

    /// A connection of the caller's own.
    pub async fn own_link(&self) -> Result<Link, StoreError> {
        self.connector().connect().await.map_err(|error| told(&error))
    }
}

/// An error of Redis as the store's, in words that tell what to do.
pub fn told(error: &RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Memory,
        Some("LOADING") => StoreError::Loading,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => StoreError::Forbidden(error.to_string()),
        _ if error.kind() == ErrorKind::AuthenticationFailed => StoreError::Forbidden(error.to_string()),
        _ if error.is_timeout() => StoreError::Timeout,
        _ => StoreError::Unreachable(error.to_string()),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}
