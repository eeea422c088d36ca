//! The consumer of `[amqp]`: connects, takes, hands to the store, and answers the broker.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;

use super::{Told, dead, message, topology};
use crate::{
    config::AmqpSettings,
    event::Address,
    server::{
        App,
        backoff::Backoff,
        clock,
        metrics::By,
        rabbit::{self, BrokerError, Rabbit, RabbitError, short, within},
        store::{Publish, StoreError},
    },
};

/// Waits between two attempts to connect, and between two of handing a batch to a store that cannot take it.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// A server that stands by asks this often whether the queue is free.
const STAND_BY: Duration = Duration::from_secs(2);

/// A broker to take events from.
#[derive(Debug)]
pub struct Source {
    settings: AmqpSettings,
    rabbit: Rabbit,
}

impl Source {
    /// # Errors
    /// See `RabbitError`. The broker itself may be down.
    pub fn new(settings: &AmqpSettings) -> Result<Self, RabbitError> {
        Ok(Self { rabbit: Rabbit::new(&settings.url, settings.ca_file.as_ref())?, settings: settings.clone() })
    }
}

/// Takes events until `stop`. Never gives up: a broker that is gone is waited for.
pub async fn run(source: Source, app: Arc<App>, told: Arc<Told>, stop: CancellationToken) {
    let mut intake = Intake { source, app, told, stop };
    let mut again = Backoff::new(AGAIN.0, AGAIN.1);
    while let Err(error) = intake.once(&mut again).await {
        intake.told.connected.store(false, Ordering::Relaxed);
        intake.told.consuming.store(false, Ordering::Relaxed);
        intake.told.failures.fetch_add(1, Ordering::Relaxed);
        let wait = again.wait(fastrand::f64());
        let (broker, again_in_ms) = (intake.source.rabbit.host(), wait.as_millis());
        tracing::warn!(broker, %error, again_in_ms, "events from RabbitMQ: the connection is lost");
        if intake.rest(wait).await.is_none() {
            break;
        }
    }
    intake.told.connected.store(false, Ordering::Relaxed);
    intake.told.consuming.store(false, Ordering::Relaxed);
}

struct Intake {
    source: Source,
    app: Arc<App>,
    told: Arc<Told>,
    stop: CancellationToken,
}

/// What became of a message that is not stored.
type Reason = String;

impl Intake {
    /// One connection, to its end. Ok only when the server ends.
    async fn once(&mut self, again: &mut Backoff) -> Result<(), BrokerError> {
        let connection = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            connection = self.source.rabbit.connect("pikiosk events") => connection?,
        };
        self.told.connected.store(true, Ordering::Relaxed);
        let mut standing_by = false;
        loop {
            // Declared anew each time: whoever comes back after a fault may find nothing there.
            topology::declare(&connection, &self.source.settings).await?;
            let channel = rabbit::confirming(&connection).await?;
            match self.consume(&channel).await {
                Ok(consumer) => {
                    if standing_by || again.is_waiting() {
                        tracing::info!(broker = self.source.rabbit.host(), "events from RabbitMQ: taking them");
                    }
                    again.worked();
                    standing_by = false;
                    self.told.consuming.store(true, Ordering::Relaxed);
                    let ended = self.take(&channel, consumer).await;
                    self.told.consuming.store(false, Ordering::Relaxed);
                    match ended {
                        Ok(()) => {
                            // What was not acked goes back into the queue.
                            let _ = within(connection.close(200, "the server ends".into())).await;
                            return Ok(());
                        }
                        Err(error @ (BrokerError::Cancelled | BrokerError::Unroutable(_))) => {
                            tracing::warn!(%error, "events from RabbitMQ: the queue is declared again");
                            let _ = within(channel.close(200, "declared again".into())).await;
                            if self.rest(again.wait(fastrand::f64())).await.is_none() {
                                return Ok(());
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if error.is_in_use() => {
                    if !std::mem::replace(&mut standing_by, true) {
                        tracing::info!("events from RabbitMQ: another server takes them, this one stands by");
                    }
                    if self.rest(STAND_BY.mul_f64(0.75 + fastrand::f64() / 2.0)).await.is_none() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// None when the server ends meanwhile.
    async fn rest(&self, wait: Duration) -> Option<()> {
        tokio::time::timeout(wait, self.stop.cancelled()).await.is_err().then_some(())
    }

    async fn consume(&self, channel: &Channel) -> Result<Consumer, BrokerError> {
        let AmqpSettings { queue, prefetch, .. } = &self.source.settings;
        within(channel.basic_qos(*prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        within(channel.basic_consume(short(queue), "".into(), options, FieldTable::default())).await
    }

    /// Takes what comes, all that waits at a time. Ok when the server ends.
    async fn take(&self, channel: &Channel, mut consumer: Consumer) -> Result<(), BrokerError> {
        loop {
            let first = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                first = consumer.next() => first.ok_or(BrokerError::Cancelled)??,
            };
            let mut batch = vec![first];
            while batch.len() < usize::from(self.source.settings.prefetch)
                && let Some(Some(more)) = consumer.next().now_or_never()
            {
                batch.push(more?);
            }
            if self.hand_over(channel, &batch).await?.is_none() {
                return Ok(());
            }
        }
    }

    /// Stores a batch and answers the broker for each message. None when the server ends before the store took it.
    async fn hand_over(&self, channel: &Channel, batch: &[Delivery]) -> Result<Option<()>, BrokerError> {
        clock::settle(&self.app).await;
        let now_ms = self.app.now_ms();
        let mut waiting = Vec::with_capacity(batch.len());
        let mut dead: Vec<(usize, Reason)> = Vec::new();
        for (index, delivery) in batch.iter().enumerate() {
            match message::read(as_message(delivery), &self.app.store.random_id(), now_ms) {
                Ok(publish) => waiting.push((index, publish)),
                Err(reason) => dead.push((index, reason.to_string())),
            }
        }
        let mut stored = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            match self.store_some(channel, &mut waiting, &mut stored, &mut dead).await? {
                Some(()) => {}
                None => return Ok(None),
            }
        }
        self.told.messages.fetch_add(stored.len() as u64, Ordering::Relaxed);
        self.ack(&stored, batch).await?;
        for (index, reason) in dead {
            dead::bury(channel, &self.source.settings.dead_letter, &batch[index], &reason).await?;
            self.told.dead_letters.fetch_add(1, Ordering::Relaxed);
            self.ack(&[index], batch).await?;
        }
        Ok(Some(()))
    }

    /// Brings at least one message of `waiting` to where it stays; waits for as long as the store takes none.
    async fn store_some(
        &self,
        channel: &Channel,
        waiting: &mut Vec<(usize, Publish)>,
        stored: &mut Vec<usize>,
        dead: &mut Vec<(usize, Reason)>,
    ) -> Result<Option<()>, BrokerError> {
        let mut again = Backoff::new(AGAIN.0, AGAIN.1);
        loop {
            let all = waiting.iter().map(|(_, publish)| publish.clone()).collect();
            let refused = match self.app.publish(By::Amqp, all, self.app.now_ms()).await {
                Ok(_) => {
                    stored.extend(waiting.drain(..).map(|(index, _)| index));
                    return Ok(Some(()));
                }
                Err(error) => error,
            };
            let of_display = match &refused {
                StoreError::NotEnrolled(id) | StoreError::QueueFull { display: id, .. } => {
                    Some(Address::Display(id.clone()))
                }
                _ => None,
            };
            let to = |publish: &Publish| publish.event.subject == of_display;
            if of_display.is_some() && waiting.iter().any(|(_, publish)| to(publish)) {
                self.store_singly(waiting, &to, stored, dead).await;
                return Ok(Some(()));
            }
            tracing::warn!(error = %refused, messages = waiting.len(), "events from RabbitMQ wait for the store");
            if self.rest(again.wait(fastrand::f64())).await.is_none() {
                return Ok(None);
            }
            // The broker gives them out again, to whoever has the queue then.
            if !channel.status().connected() {
                return Err(BrokerError::TakenBack);
            }
        }
    }

    /// Those of one display one by one: as many as have room are stored, the rest is refused. What the store cannot take for
    /// a reason of its own stays in `waiting`, with all that follow.
    async fn store_singly(
        &self,
        waiting: &mut Vec<(usize, Publish)>,
        of_display: &impl Fn(&Publish) -> bool,
        stored: &mut Vec<usize>,
        dead: &mut Vec<(usize, Reason)>,
    ) {
        let mut held = false;
        let mut left = Vec::with_capacity(waiting.len());
        for (index, publish) in waiting.drain(..) {
            if held || !of_display(&publish) {
                left.push((index, publish));
                continue;
            }
            match self.app.publish(By::Amqp, vec![publish.clone()], self.app.now_ms()).await {
                Ok(_) => stored.push(index),
                Err(error @ (StoreError::NotEnrolled(_) | StoreError::QueueFull { .. })) => {
                    dead.push((index, error.to_string()));
                }
                Err(_) => {
                    held = true;
                    left.push((index, publish));
                }
            }
        }
        *waiting = left;
    }

    async fn ack(&self, which: &[usize], batch: &[Delivery]) -> Result<(), BrokerError> {
        let acks = which.iter().map(|index| batch[*index].ack(BasicAckOptions::default()));
        let acked = within(try_join_all(acks)).await?;
        // False: the channel is gone, and with it the claim to these messages.
        if acked.contains(&false) { Err(BrokerError::TakenBack) } else { Ok(()) }
    }
}

fn as_message(delivery: &Delivery) -> message::Message<'_> {
    let properties = &delivery.properties;
    message::Message {
        routing_key: delivery.routing_key.as_str(),
        body: &delivery.data,
        id: properties.message_id().as_ref().map(|text| text.as_str()),
        program: properties.app_id().as_ref().map(|text| text.as_str()),
        content_type: properties.content_type().as_ref().map(|text| text.as_str()),
        expiration: properties.expiration().as_ref().map(|text| text.as_str()),
    }
}
