//! Redis as the broker of the workers, and as the back end where their results are.
//!
//! A result is a key and, at the same moment, a message on the channel of the same name. The message is what makes it quick;
//! the key is the truth: whatever was missed while the connection was away is found there, at the latest after [`LOOK`].

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::StreamExt;
use redis::{
    Client, Cmd,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSubSink},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    desk::Desk,
    outcome::{self, ENTRY_MAX},
    protocol::Task,
};
use crate::server::backoff::Backoff;

/// One connection attempt, and one answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Waits between two attempts to connect.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The keys of open calls are looked at this often.
const LOOK: Duration = Duration::from_secs(2);
/// Keys that are asked for at once.
const AT_ONCE: usize = 100;
/// Calls that begin at the same moment; more wait for their turn.
const BEGINNING: usize = 256;
/// What Celery puts before a task's id.
const KEY: &str = "celery-task-meta-";

/// A lazy connection that comes back by itself.
fn manager(client: Client) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(ANSWER))
        .set_response_timeout(Some(ANSWER));
    ConnectionManager::new_lazy_with_config(client, config)
}

/// The list that workers take tasks from.
pub struct Queue {
    connection: redis::RedisResult<ConnectionManager>,
    name: String,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Queue {
    pub fn new(client: Client, name: String) -> Self {
        Self { connection: manager(client), name }
    }

    /// Not tried again: a task whose answer was lost may be there already.
    pub async fn send(&self, task: &Task) -> Result<(), String> {
        let mut connection = self.connection.clone().map_err(|error| error.to_string())?;
        let asked = Cmd::lpush(&self.name, task.for_redis(&self.name));
        asked.query_async::<()>(&mut connection).await.map_err(|error| error.to_string())
    }
}

type Begun = (String, oneshot::Sender<()>);

/// Watches for the results of open calls.
#[derive(Debug)]
pub struct Watch(mpsc::Sender<Begun>);

impl Watch {
    pub fn start(client: Client, desk: Arc<Desk>, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (sender, begun) = mpsc::channel(BEGINNING);
        tasks.spawn(Watcher { client, desk, begun, stop }.watch());
        Self(sender)
    }

    /// Afterwards a message of this task's end is heard, or its key will be looked at.
    pub async fn watch(&self, id: &str) {
        let (heard, answer) = oneshot::channel();
        if self.0.send((id.to_owned(), heard)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

struct Watcher {
    client: Client,
    desk: Arc<Desk>,
    begun: mpsc::Receiver<Begun>,
    stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error("the connection ended")]
    Ended,
}

impl Watcher {
    async fn watch(mut self) {
        let mut again = Backoff::new(AGAIN.0, AGAIN.1);
        while let Err(error) = self.once(&mut again).await {
            let wait = again.wait(fastrand::f64());
            tracing::warn!(%error, again_in_ms = wait.as_millis(), "results of calls: Redis is lost");
            let mut rest = std::pin::pin!(tokio::time::sleep(wait));
            loop {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = &mut rest => break,
                    // Its key will be looked at once Redis is back.
                    Some((_, heard)) = self.begun.recv() => drop(heard),
                }
            }
        }
    }

    /// One connection, to its end. Ok only when the server ends.
    async fn once(&mut self, again: &mut Backoff) -> Result<(), WatchError> {
        let (mut sink, mut messages) = timeout(ANSWER, self.client.get_async_pubsub()).await??.split();
        let mut keys = manager(self.client.clone())?;
        let mut subscribed = HashSet::new();
        for id in self.desk.ids() {
            timeout(ANSWER, sink.subscribe(format!("{KEY}{id}"))).await??;
            subscribed.insert(id);
        }
        // The first look is now: for what ended while nobody listened.
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                begun = self.begun.recv() => {
                    let Some((id, heard)) = begun else { return Ok(()) };
                    timeout(ANSWER, sink.subscribe(format!("{KEY}{id}"))).await??;
                    subscribed.insert(id);
                    let _ = heard.send(());
                }
                message = messages.next() => {
                    let message = message.ok_or(WatchError::Ended)?;
                    if let Some(id) = message.get_channel_name().strip_prefix(KEY)
                        && let Some(outcome) = outcome::read(message.get_payload_bytes())
                    {
                        self.desk.settle(id, outcome);
                    }
                }
                _ = look.tick() => {
                    self.look(&mut keys).await?;
                    self.tidy(&mut sink, &mut subscribed).await?;
                    again.worked();
                }
            }
        }
    }

    async fn look(&self, keys: &mut ConnectionManager) -> Result<(), WatchError> {
        let ids = self.desk.ids();
        for some in ids.chunks(AT_ONCE) {
            let mut asked = redis::pipe();
            for id in some {
                // One byte more than is read: then it is known to be too large.
                asked.getrange(format!("{KEY}{id}"), 0, isize::try_from(ENTRY_MAX).unwrap_or(isize::MAX));
            }
            let entries: Vec<Vec<u8>> = timeout(ANSWER, asked.query_async(keys)).await??;
            for (id, entry) in some.iter().zip(entries) {
                if let Some(outcome) = outcome::read(&entry) {
                    self.desk.settle(id, outcome);
                }
            }
        }
        Ok(())
    }

    /// Ends the subscriptions of calls that are over, and finds out whether the connection still is one.
    async fn tidy(&self, sink: &mut PubSubSink, subscribed: &mut HashSet<String>) -> Result<(), WatchError> {
        let over: Vec<String> = subscribed.iter().filter(|id| !self.desk.is_open(id)).cloned().collect();
        for id in over {
            timeout(ANSWER, sink.unsubscribe(format!("{KEY}{id}"))).await??;
            subscribed.remove(&id);
        }
        timeout(ANSWER, sink.ping::<redis::Value>()).await??;
        Ok(())
    }
}
