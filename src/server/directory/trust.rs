//! Which tokens are believed at this moment: signed by one of the keys, and not revoked. Both change while the server
//! runs; whoever judges a token sees one state or the next.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    auth::{
        Principal,
        jwt::{Claims, JwtError, JwtKeys},
        revocation::{Holder, Revocations, Revoked},
    },
    event::DisplayId,
};

/// The longest that a token with an unknown `kid` waits for the keys to be fetched.
const KEYS_WAIT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Trust {
    /// As configured; what is fetched comes on top.
    configured: JwtKeys,
    keys: RwLock<Arc<JwtKeys>>,
    revoked: RwLock<Arc<Revocations>>,
    /// Some keys are fetched, so one that is not known may be known in a moment.
    pub(super) fetches: AtomicBool,
    /// Somebody came with a key that is not known.
    pub(super) wanted: Notify,
    /// Counts the answers to that, also those that say "not now".
    pub(super) answered: watch::Sender<u64>,
}

impl Trust {
    pub fn new(configured: JwtKeys) -> Self {
        Self {
            keys: RwLock::new(Arc::new(configured.clone())),
            configured,
            revoked: RwLock::default(),
            fetches: AtomicBool::new(false),
            wanted: Notify::new(),
            answered: watch::Sender::new(0),
        }
    }

    /// Checks a token; `now_ms` is ms since 1970.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, JwtError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let claims = keys.verify(token, now_ms).inspect_err(|error| {
            if self.may_be_fetched(error) {
                self.wanted.notify_one();
            }
        })?;
        self.revoked().judge(claims.holder(), now_ms).map_err(JwtError::Revoked)?;
        Ok(claims)
    }

    /// [`Self::verify`], and if its key is not known, once more when the keys were fetched.
    pub async fn verify_patiently(&self, token: &str, now_ms: u64) -> Result<Claims, JwtError> {
        let mut answered = self.answered.subscribe();
        match self.verify(token, now_ms) {
            Err(error) if self.may_be_fetched(&error) => {
                let _ = tokio::time::timeout(KEYS_WAIT, answered.changed()).await;
                self.verify(token, now_ms)
            }
            judged => judged,
        }
    }

    /// Whether a token that is refused for this may be good in a moment: its key is being asked for.
    pub fn may_be_fetched(&self, error: &JwtError) -> bool {
        matches!(error, JwtError::UnknownKid(_) | JwtError::NoKeys) && self.fetches.load(Ordering::Relaxed)
    }

    /// Whether what was believed once (an open socket, a ticket) still counts.
    pub fn stands(&self, principal: &Principal, now_ms: u64) -> Result<(), Revoked> {
        self.revoked().judge(principal.holder(), now_ms)
    }

    /// Whether this display may come in at all.
    pub fn lets_in(&self, display: &DisplayId, now_ms: u64) -> Result<(), Revoked> {
        let own = Holder { name: display.as_str(), display: Some(display), token: None, issued_ms: Some(now_ms) };
        self.revoked().judge(own, now_ms)
    }

    pub fn revoked(&self) -> Arc<Revocations> {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_revoked(&self, revoked: Revocations) {
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(revoked);
    }

    /// What was fetched takes the place of all that was fetched before.
    pub(super) fn set_fetched(&self, fetched: impl IntoIterator<Item = crate::auth::jwt::JwtKey>) {
        let keys = Arc::new(self.configured.with_fetched(fetched));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}
