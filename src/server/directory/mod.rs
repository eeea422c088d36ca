//! Who is known here: operators' keys, what was revoked, which keys sign tokens, what renamed displays were called; whose
//! card was copied; and who did what. Kept in the store's records, read from
//! memory.
//!
//! ```text
//!  handlers --change a record--> store --Changed, by the feed--> every node's hub --controls--> Follower (one task)
//!      |                                                                                           | reads it again
//!      '------- refresh: done here before the answer -------------------------------------------->-+
//!                                                                                                  v
//!  requests, sockets --who is this?--> [ snapshots: operators | Trust {keys, revocations} ] <--jwks-- identity provider
//!                                                                                                  |
//!                                            hub: what the new revocations void ends <-------------'
//! ```
//!
//! A node that was cut off reads everything again every half minute, so that a change which it was not told reaches it.
//!
//! Rejected: asking the store at every request. On Redis that is a round trip for each publish, and a store that is down
//! would lock out the operator who comes to look why.

mod aliases;
mod audit;
mod copies;
pub mod jwks;
mod keys;
mod revocations;
mod trust;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use self::{
    aliases::{ALIASES, Aliases},
    copies::Replacements,
    jwks::Fetcher,
    keys::{KEYS, Operators},
    revocations::REVOCATIONS,
};
pub use self::{audit::Entry, copies::Copied, keys::KeyRemoval, trust::Trust};
use super::{
    App,
    store::{Control, Record, Store, StoreError},
};
use crate::auth::revocation::{Revocation, Revocations};

/// How often everything is read again though nobody said that it changed.
const AGAIN: Duration = Duration::from_secs(30);
/// Records read at once.
const PAGE: usize = 1_000;
/// Changes whose readers wait at a time; handlers beyond it wait for their turn.
const REFRESHES: usize = 64;

/// What handlers ask. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    shared: Arc<Shared>,
    refresh: mpsc::Sender<Refresh>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    trust: Arc<Trust>,
    operators: RwLock<Arc<Operators>>,
    aliases: RwLock<Arc<Aliases>>,
    /// Of this node, and lost with it: a copy is seen again within minutes.
    replaced: Mutex<Replacements>,
}

/// Reads what a collection holds now; answers when it counts.
#[derive(Debug)]
struct Refresh {
    collection: &'static str,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Keeps a [`Directory`] up to date. Its only writer.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    asked: mpsc::Receiver<Refresh>,
    fetcher: Fetcher,
}

/// Every collection that is read from memory.
const COLLECTIONS: [&str; 3] = [KEYS, REVOCATIONS, ALIASES];

impl Directory {
    /// Reads everything once.
    pub async fn open(
        store: Store,
        trust: Arc<Trust>,
        sources: Vec<jwks::Source>,
    ) -> Result<(Directory, Follower), StoreError> {
        let fetcher = Fetcher::new(sources, trust.clone());
        let shared = Arc::new(Shared {
            store,
            trust,
            operators: RwLock::default(),
            aliases: RwLock::default(),
            replaced: Mutex::default(),
        });
        let (refresh, asked) = mpsc::channel(REFRESHES);
        for collection in COLLECTIONS {
            shared.read(collection).await?;
        }
        Ok((Directory { shared: shared.clone(), refresh }, Follower { shared, asked, fetcher }))
    }

    pub fn trust(&self) -> &Arc<Trust> {
        &self.shared.trust
    }

    /// Keeps a record of a collection; on this node it counts when this returns, on the others a moment later.
    async fn put<T: Serialize>(&self, collection: &'static str, key: &str, value: &T) -> Result<(), StoreError> {
        let value = serde_json::to_vec(value).map_err(|error| StoreError::Io(error.to_string()))?;
        self.shared.store.put_record(collection, Record { key: key.to_owned(), value }).await?;
        self.changed(collection).await
    }

    /// Removes a record; false if there was none.
    async fn remove(&self, collection: &'static str, key: &str) -> Result<bool, StoreError> {
        let was = self.shared.store.remove_record(collection, key).await?;
        if was {
            self.changed(collection).await?;
        }
        Ok(was)
    }

    async fn changed(&self, collection: &'static str) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.refresh.send(Refresh { collection, done }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)??;
        self.shared.store.announce(Control::Changed { collection: collection.to_owned() }).await
    }

    async fn all<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<(String, T)>, StoreError> {
        self.shared.all(collection).await
    }
}

impl Shared {
    /// Takes what a collection holds now for what counts.
    async fn read(&self, collection: &str) -> Result<(), StoreError> {
        match collection {
            KEYS => {
                let operators = Arc::new(Operators::new(self.all(KEYS).await?));
                *self.operators.write().unwrap_or_else(PoisonError::into_inner) = operators;
            }
            REVOCATIONS => {
                let all: Vec<(String, Revocation)> = self.all(REVOCATIONS).await?;
                self.trust.set_revoked(Revocations::new(all.into_iter().map(|(_, one)| one)));
            }
            ALIASES => {
                let aliases = Arc::new(aliases::read(self.all(ALIASES).await?));
                *self.aliases.write().unwrap_or_else(PoisonError::into_inner) = aliases;
            }
            _ => {}
        }
        Ok(())
    }

    /// A whole collection. What cannot be read is left out, and told.
    async fn all<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<(String, T)>, StoreError> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.store.records(collection, &after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for Record { key, value } in page {
                match serde_json::from_slice(&value) {
                    Ok(value) => found.push((key.clone(), value)),
                    Err(error) => tracing::warn!(collection, key, %error, "a record cannot be read: it does not count"),
                }
                after = key;
            }
            if is_last {
                return Ok(found);
            }
        }
    }
}

impl Follower {
    /// Runs until `stop`: reads again what changed, and ends the sockets that a revocation voids.
    pub async fn run(self, app: Arc<App>, mut controls: broadcast::Receiver<Arc<Control>>, stop: CancellationToken) {
        let Follower { shared, mut asked, fetcher } = self;
        let fetching = fetcher.run(stop.clone());
        let following = async {
            let mut again = tokio::time::interval_at(tokio::time::Instant::now() + AGAIN, AGAIN);
            again.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Some(Refresh { collection, done }) = asked.recv() => {
                        // Who asked may have gone away: nothing to tell then.
                        let _ = done.send(read(&shared, &app, collection).await);
                    }
                    told = controls.recv() => match told {
                        Ok(control) => if let Control::Changed { collection } = &*control {
                            warned(read(&shared, &app, collection).await);
                        },
                        Err(broadcast::error::RecvError::Lagged(_)) => read_all(&shared, &app).await,
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    _ = again.tick() => read_all(&shared, &app).await,
                }
            }
        };
        tokio::join!(fetching, following);
    }
}

async fn read_all(shared: &Shared, app: &App) {
    for collection in COLLECTIONS {
        warned(read(shared, app, collection).await);
    }
}

/// First the snapshot, then the sockets: whoever comes in between is judged by the new snapshot, or is in the hub.
async fn read(shared: &Shared, app: &App, collection: &str) -> Result<(), StoreError> {
    let before = shared.trust.revoked();
    shared.read(collection).await?;
    let now = shared.trust.revoked();
    if *before != *now {
        app.hub.revoke(now, app.now_ms()).await;
    }
    Ok(())
}

fn warned(read: Result<(), StoreError>) {
    if let Err(error) = read {
        tracing::warn!(%error, "who is known here could not be read again: what was read last counts");
    }
}
