//! `kiosk.call`: a page or a display starts a task on the Celery workers that the publisher has anyway.
//!
//! ```text
//!  socket --kiosk.call--> may it? (rules.rs) --> a seat (desk.rs) --> task message (protocol.rs) --> queue: amqp.rs | redis.rs
//!     ^                       |                    ^                                                   |
//!     '------kiosk.result-----'---- outcome.rs <---'--- results: a queue of ours (rpc://) | keys and messages of Redis --- worker
//! ```
//!
//! The result goes to the socket that called, and to nobody else: it is the caller's. A socket that is gone gets none (the
//! task runs all the same), and a call that is sent again is another call. Everything that does not end with a result ends
//! with one of `refused`, `timeout`, `unavailable`, `too_large`, at the latest after `timeout_seconds`.
//!
//! The task knows who called it by `self.request.pikiosk_caller`: `user/<name>` or `display/<id>`, checked by this server.
//!
//! Rejected: a Celery client library. Those for Rust speak to one broker each, and give results to none.

mod amqp;
mod desk;
mod outcome;
mod protocol;
mod redis;
mod rules;

use std::{sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    desk::{Desk, STATES},
    outcome::Outcome,
    rules::Rules,
};
use super::{
    now_ms,
    rabbit::{Rabbit, RabbitError},
};
use crate::{
    config::{CeleryBackend, CeleryBroker, CelerySettings},
    event::frame::{Call, CallResult},
};

/// Open calls of one socket. A page that has more does not wait for its results.
pub const CALLS_PER_SOCKET: usize = 32;
/// A broker that has not taken a task within this will not be waited for. Longer than any wait between two attempts to
/// connect (`AGAIN` in `amqp.rs`): a broker that is back is found in time.
const HAND_OVER: Duration = Duration::from_secs(10);

/// The open calls of one socket; dropped with it.
pub type OpenCalls = FuturesUnordered<BoxFuture<'static, CallResult>>;

/// Why `[celery]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    #[error("use the broker")]
    Rabbit(#[from] RabbitError),
    #[error("use the address of the Redis: {0}")]
    Redis(String),
}

/// `[celery]`, checked and not yet connected.
#[derive(Debug)]
pub struct Celery {
    rules: Rules,
    queue: String,
    timeout: Duration,
    random: fn(&mut [u8]),
    broker: Broker,
    results: Results,
}

#[derive(Debug)]
enum Broker {
    Amqp(Rabbit),
    Redis(Box<::redis::Client>),
}

#[derive(Debug)]
enum Results {
    Rpc,
    Redis(Box<::redis::Client>),
}

impl Celery {
    /// # Errors
    /// See [`TasksError`]. Nothing is asked of broker or back end: they may be down.
    pub fn new(settings: &CelerySettings, random: fn(&mut [u8])) -> Result<Self, TasksError> {
        let redis =
            |url: &url::Url| ::redis::Client::open(url.as_str()).map_err(|error| TasksError::Redis(error.to_string()));
        let broker = match &settings.broker {
            CeleryBroker::Amqp(url) => Broker::Amqp(Rabbit::new(url, None)?),
            CeleryBroker::Redis(url) => Broker::Redis(Box::new(redis(url)?)),
        };
        let results = match &settings.backend {
            CeleryBackend::Rpc => Results::Rpc,
            CeleryBackend::Redis(url) => Results::Redis(Box::new(redis(url)?)),
        };
        let rules = Rules::new(settings.tasks.clone(), settings.principals.clone());
        Ok(Self { rules, queue: settings.queue.clone(), timeout: settings.timeout, random, broker, results })
    }

    /// Connects, now and after every fault, until `stop`.
    pub fn start(self, tasks: &TaskTracker, stop: &CancellationToken) -> Calls {
        let desk = Arc::new(Desk::default());
        let reply_to = matches!(self.results, Results::Rpc).then(|| {
            let mut bytes = [0; 16];
            (self.random)(&mut bytes);
            format!("pikiosk.results.{}", protocol::uuid(bytes))
        });
        let sender = match self.broker {
            Broker::Amqp(rabbit) => {
                Sender::Amqp(amqp::Link::start(rabbit, self.queue.clone(), reply_to, desk.clone(), tasks, stop.clone()))
            }
            Broker::Redis(client) => Sender::Redis(redis::Queue::new(*client, self.queue.clone())),
        };
        let watch = match self.results {
            Results::Rpc => None,
            Results::Redis(client) => Some(redis::Watch::start(*client, desk.clone(), tasks, stop.clone())),
        };
        let Self { rules, timeout, random, .. } = self;
        Calls(Some(Arc::new(Office { rules, timeout, random, desk, sender, watch })))
    }
}

#[derive(Debug)]
struct Office {
    rules: Rules,
    timeout: Duration,
    random: fn(&mut [u8]),
    desk: Arc<Desk>,
    sender: Sender,
    watch: Option<redis::Watch>,
}

#[derive(Debug)]
enum Sender {
    Amqp(amqp::Link),
    Redis(redis::Queue),
}

/// Where calls are made. Without `[celery]` each is refused.
#[derive(Debug, Clone, Default)]
pub struct Calls(Option<Arc<Office>>);

/// How it is with the calls, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    pub open: usize,
    /// By state, in the order of `desk::STATES`.
    pub ended: [u64; 7],
}

impl Calls {
    /// Calls, and gives the answer to the event `id`. Dropped: nobody waits for it any more.
    pub fn call(&self, id: String, caller: String, call: Call) -> BoxFuture<'static, CallResult> {
        match self.0.clone() {
            None => Box::pin(std::future::ready(Outcome::Refused(None).answer(id))),
            Some(office) => Box::pin(async move {
                let answer = office.call(&caller, &call).await.answer(id);
                office.desk.note(&answer.state);
                tracing::debug!(caller, task = call.task, state = answer.state, "a call ended");
                answer
            }),
        }
    }

    /// The answer to a call that its own socket has no room for.
    pub fn too_many(&self, id: String) -> BoxFuture<'static, CallResult> {
        let answer = Outcome::Refused(Some(format!("{CALLS_PER_SOCKET} calls are open already"))).answer(id);
        if let Some(office) = &self.0 {
            office.desk.note(&answer.state);
        }
        Box::pin(std::future::ready(answer))
    }

    /// The numbers for a scrape, in OpenMetrics text.
    pub fn text(&self) -> String {
        use std::fmt::Write;
        let Numbers { open, ended } = self.numbers();
        let mut text = format!(
            "# HELP pikiosk_calls_open Tasks that pages and displays wait for.\n# TYPE pikiosk_calls_open gauge\npikiosk_calls_open {open}\n\
             # HELP pikiosk_calls Calls of tasks that ended, by what the caller was told.\n# TYPE pikiosk_calls counter\n"
        );
        for (state, count) in STATES.iter().zip(ended) {
            // Writing into a String does not fail.
            let _ = writeln!(text, "pikiosk_calls_total{{state=\"{state}\"}} {count}");
        }
        text
    }

    pub fn numbers(&self) -> Numbers {
        self.0
            .as_ref()
            .map(|office| Numbers { open: office.desk.count(), ended: office.desk.ended() })
            .unwrap_or_default()
    }
}

impl Office {
    async fn call(&self, caller: &str, call: &Call) -> Outcome {
        if !self.rules.allow(caller, &call.task) {
            let task: String = call.task.chars().take(100).collect();
            tracing::info!(caller, task, "a call is refused: not a task of this caller's");
            return Outcome::Refused(None);
        }
        let mut bytes = [0; 16];
        (self.random)(&mut bytes);
        let task = protocol::task(protocol::uuid(bytes), caller, call, now_ms(), self.timeout);
        let Some(mut seat) = self.desk.seat(task.id.clone()) else {
            return Outcome::Refused(Some("too many calls are open".to_owned()));
        };
        let ends = Instant::now() + self.timeout;
        let hand_over = async {
            if let Some(watch) = &self.watch {
                watch.watch(&task.id).await;
            }
            match &self.sender {
                Sender::Amqp(link) => link.send(&task).await,
                Sender::Redis(queue) => queue.send(&task).await,
            }
        };
        let within = HAND_OVER.min(self.timeout);
        tokio::select! {
            // A worker may be done before the broker says that it has the task.
            outcome = seat.outcome() => return outcome,
            sent = timeout(within, hand_over) => match sent {
                Ok(Ok(())) => tracing::debug!(caller, task = call.task, "a call is with the broker"),
                Ok(Err(problem)) => return self.unavailable(problem),
                Err(_) => return self.unavailable(format!("no answer within {} s", within.as_secs())),
            }
        }
        timeout_at(ends, seat.outcome()).await.unwrap_or(Outcome::Timeout)
    }

    /// The log says why; the caller need not know how the server reaches its broker.
    fn unavailable(&self, problem: String) -> Outcome {
        tracing::warn!(problem, "a call could not be handed to the broker");
        Outcome::Unavailable("the task could not be handed over".to_owned())
    }
}
