//! What every handle and the writer share.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::{Database, ReadTransaction};

use super::{Limits, StoreError, one_time::OneTime, results::Results, schema};
use crate::event::{DisplayId, health::Health};

/// When a display was last heard of, and how it was.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub at_ms: u64,
    pub health: Option<Arc<Health>>,
    /// `at_ms` is in the file.
    pub saved: bool,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub events: AtomicU64,
    pub commits: AtomicU64,
    pub operations: AtomicU64,
    pub failures: AtomicU64,
}

pub struct Shared {
    pub limits: Limits,
    /// None while it is being opened anew after a fault of the disk.
    database: RwLock<Option<Arc<Database>>>,
    /// Of the epochs; set once the file is open.
    pub seed: OnceLock<[u8; 32]>,
    pub random: fn(&mut [u8]),
    /// The file; None in memory.
    pub file: Option<PathBuf>,
    pub tickets: OneTime,
    /// What was used once and is not to be used again.
    pub used: OneTime,
    pub results: Results,
    seen: Mutex<HashMap<DisplayId, Seen>>,
    pub stats: Counters,
    /// The last commit number of the processes before this one.
    pub opened_at: AtomicU64,
    /// By how much the clock was set forward since.
    forward_ms: AtomicU64,
    /// The writer ends after what waits.
    pub closing: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Shared {
    pub fn new(limits: Limits, file: Option<PathBuf>, results: Results, random: fn(&mut [u8])) -> Self {
        Self {
            database: RwLock::new(None),
            seed: OnceLock::new(),
            random,
            file,
            tickets: OneTime::new("tickets", limits.one_time),
            used: OneTime::new("used nonces", limits.one_time),
            results,
            seen: Mutex::new(HashMap::new()),
            stats: Counters::default(),
            opened_at: AtomicU64::new(0),
            forward_ms: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            limits,
        }
    }

    pub fn database(&self) -> Option<Arc<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_database(&self, db: Arc<Database>) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(db);
    }

    pub fn take_database(&self) -> Option<Arc<Database>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn snapshot(&self) -> Result<ReadTransaction, StoreError> {
        let db = self.database().ok_or_else(|| StoreError::Io("the file is being opened anew".into()))?;
        schema::snapshot(&db)
    }

    pub fn seed(&self) -> &[u8; 32] {
        self.seed.get().expect("the seed is set before a handle exists")
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    pub fn seen(&self) -> MutexGuard<'_, HashMap<DisplayId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock was set.
    pub fn was_set(&self, by_ms: i64) {
        let forward_ms = self.forward_ms.load(Ordering::Relaxed).saturating_add_signed(by_ms);
        self.forward_ms.store(forward_ms, Ordering::Relaxed);
    }

    /// How old something is. That the clock was set forward makes nothing older: a wrong clock costs no history.
    pub fn age_ms(&self, stored_ms: u64, now_ms: u64) -> u64 {
        now_ms.saturating_sub(stored_ms).saturating_sub(self.forward_ms.load(Ordering::Relaxed))
    }

    /// Free space where the file lies; None in memory, or if it cannot be told.
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = nix::sys::statvfs::statvfs(self.file.as_ref()?).ok()?;
        #[allow(clippy::useless_conversion, reason = "these are 32 bits wide on a 32-bit Pi")]
        Some(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
    }

    pub fn stats(&self) -> super::Stats {
        let file_bytes = self.file.as_ref().and_then(|file| std::fs::metadata(file).ok()).map_or(0, |meta| meta.len());
        super::Stats {
            events: self.stats.events.load(Ordering::Relaxed),
            commits: self.stats.commits.load(Ordering::Relaxed),
            operations: self.stats.operations.load(Ordering::Relaxed),
            failures: self.stats.failures.load(Ordering::Relaxed),
            file_bytes,
        }
    }
}
