//! RabbitMQ as the broker of the workers, and (`rpc://`) as the way their results come back.
//!
//! The queue of results outlives a connection that breaks, and a broker that starts again. Where it is gone all the same (a
//! new disk, another broker), the results in it are gone, and the tasks most likely too: who waits for them is told so.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{desk::Desk, outcome, protocol::Task};
use crate::server::{
    backoff::Backoff,
    rabbit::{self, BrokerError, PERSISTENT, Rabbit, short, within},
};

/// Waits between two attempts to connect.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A connection that broke is noticed within this where nothing is read from it.
const LOOK: Duration = Duration::from_millis(500);
/// The queue of results outlives a broken connection, in ms; one whose server never comes back goes by itself.
const RESULTS_LIVE_MS: i32 = 600_000;

/// Where tasks are sent.
#[derive(Debug)]
pub struct Link {
    queue: String,
    desk: Arc<Desk>,
    /// The queue that results come to.
    reply_to: Option<String>,
    /// None while the broker is away.
    channel: watch::Receiver<Option<Channel>>,
}

impl Link {
    pub fn start(
        rabbit: Rabbit,
        queue: String,
        reply_to: Option<String>,
        desk: Arc<Desk>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, channel) = watch::channel(None);
        let keeper =
            Keeper { rabbit, reply_to: reply_to.clone(), declared: false, desk: desk.clone(), channel: sender, stop };
        tasks.spawn(keeper.keep());
        Self { queue, desk, reply_to, channel }
    }

    /// Waits for the broker, and until it has the task. For a caller with a deadline.
    pub async fn send(&self, task: &Task) -> Result<(), String> {
        let mut receiver = self.channel.clone();
        let gone = "the server is going away".to_owned();
        let channel = receiver.wait_for(Option::is_some).await.map_err(|_| gone.clone())?.clone();
        let channel = channel.ok_or(gone)?;
        self.desk.sent(&task.id);
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_headers(table(&task.headers))
            .with_delivery_mode(PERSISTENT)
            .with_priority(0)
            .with_correlation_id(short(&task.id));
        if let Some(queue) = &self.reply_to {
            properties = properties.with_reply_to(short(queue));
        }
        let body = task.body.as_bytes();
        let sent = match rabbit::publish(&channel, "", &self.queue, body, properties.clone()).await {
            // No worker has ever made the queue: it is made as Celery makes it, and the task waits there.
            Err(BrokerError::Unroutable(_)) => {
                let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
                let declared = channel.queue_declare(short(&self.queue), options, FieldTable::default());
                within(declared).await.map_err(|error| error.to_string())?;
                rabbit::publish(&channel, "", &self.queue, body, properties).await
            }
            sent => sent,
        };
        sent.map_err(|error| error.to_string())
    }
}

/// Keeps the connection.
struct Keeper {
    rabbit: Rabbit,
    reply_to: Option<String>,
    /// The queue of results was there once.
    declared: bool,
    desk: Arc<Desk>,
    channel: watch::Sender<Option<Channel>>,
    stop: CancellationToken,
}

impl Keeper {
    async fn keep(mut self) {
        let mut again = Backoff::new(AGAIN.0, AGAIN.1);
        while let Err(error) = self.once(&mut again).await {
            self.channel.send_replace(None);
            let wait = again.wait(fastrand::f64());
            let again_in_ms = wait.as_millis();
            tracing::warn!(broker = self.rabbit.host(), %error, again_in_ms, "calls: the connection is lost");
            if timeout(wait, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// One connection, to its end. Ok only when the server ends.
    async fn once(&mut self, again: &mut Backoff) -> Result<(), BrokerError> {
        let connection = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            connection = self.rabbit.connect("pikiosk calls") => connection?,
        };
        let channel = rabbit::confirming(&connection).await?;
        // Before any task is sent, so that no result comes before there is a place for it.
        let mut results = match &self.reply_to {
            Some(queue) => {
                let results = within(connection.create_channel()).await?;
                let lost = self.declared && is_gone(&connection, queue).await?;
                declare(&results, queue).await?;
                self.declared = true;
                if lost {
                    let calls = self.desk.give_up("the broker lost what it had: whether the task ran is not known");
                    tracing::warn!(broker = self.rabbit.host(), calls, "calls: the broker lost the queue of results");
                }
                let options = BasicConsumeOptions::default();
                Some(within(results.basic_consume(short(queue), "".into(), options, FieldTable::default())).await?)
            }
            None => None,
        };
        self.channel.send_replace(Some(channel.clone()));
        again.worked();
        loop {
            let result = async {
                match &mut results {
                    Some(results) => results.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                delivery = result => {
                    let delivery = delivery.ok_or(BrokerError::Cancelled)??;
                    if let Some(id) = delivery.properties.correlation_id()
                        && let Some(outcome) = outcome::read(&delivery.data)
                    {
                        self.desk.settle(id.as_str(), outcome);
                    }
                    // Only now: what was under way when a connection broke comes again.
                    delivery.acker.ack(BasicAckOptions::default()).await?;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            if !channel.status().connected() {
                return Err(BrokerError::TakenBack);
            }
        }
        self.channel.send_replace(None);
        if let Some(queue) = &self.reply_to {
            let _ = within(channel.queue_delete(short(queue), QueueDeleteOptions::default())).await;
        }
        let _ = within(connection.close(200, "the server ends".into())).await;
        Ok(())
    }
}

/// True if the broker has no such queue any more, or not now: then it cannot be declared again.
async fn is_gone(connection: &Connection, queue: &str) -> Result<bool, BrokerError> {
    let channel = within(connection.create_channel()).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match within(channel.queue_declare(short(queue), options, FieldTable::default())).await {
        Ok(_) => Ok(false),
        Err(error) if error.is_not_there() => Ok(true),
        Err(error) => Err(error),
    }
}

async fn declare(channel: &Channel, queue: &str) -> Result<(), BrokerError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(RESULTS_LIVE_MS));
    within(channel.queue_declare(short(queue), options, arguments)).await?;
    Ok(())
}

/// Celery's headers in the types of AMQP.
fn table(headers: &Value) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers.as_object().into_iter().flatten() {
        table.insert(short(name), field(value));
    }
    table
}

fn field(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(yes) => AMQPValue::Boolean(*yes),
        Value::Number(number) => number.as_i64().map_or(AMQPValue::Void, AMQPValue::LongLongInt),
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(items) => AMQPValue::FieldArray(items.iter().map(field).collect::<Vec<_>>().into()),
        Value::Object(_) => AMQPValue::FieldTable(table(value)),
    }
}
