//! A program that publishes through RabbitMQ: what the broker confirmed is published.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::time::{sleep, timeout};

use super::{
    log::{Log, Saw},
    plan::Item,
    publisher::event,
};

/// How long a confirmation may take, before the courier begins anew.
const LIMIT: Duration = Duration::from_secs(10);
/// Messages under way at a time.
const WINDOW: usize = 8;

#[derive(Debug)]
pub struct Courier {
    pub log: Log,
    /// The road to the broker.
    pub broker: SocketAddr,
    pub accepted: Arc<AtomicUsize>,
    pub now_ms: fn() -> u64,
}

impl Courier {
    /// Publishes all of them, in order; returns when each is confirmed.
    pub async fn publish(self, items: Vec<Item>) {
        let mut line = None;
        for window in items.chunks(WINDOW) {
            let mut window: Vec<(&Item, String)> =
                window.iter().map(|item| (item, event(item, self.now_ms).to_string())).collect();
            while !window.is_empty() {
                if line.is_none() {
                    line = timeout(LIMIT, self.connect()).await.ok().flatten();
                }
                let confirmed = match &line {
                    Some((_, channel)) => self.send(channel, &window).await,
                    None => 0,
                };
                self.accepted.fetch_add(confirmed, Ordering::Relaxed);
                window.drain(..confirmed);
                if !window.is_empty() {
                    line = None;
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connect(&self) -> Option<(Connection, Channel)> {
        let url = format!("amqp://guest:guest@{}/%2f", self.broker);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.ok()?;
        let channel = connection.create_channel().await.ok()?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
        Some((connection, channel))
    }

    /// How many of them, from the first on, are confirmed.
    async fn send(&self, channel: &Channel, window: &[(&Item, String)]) -> usize {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut under_way = Vec::new();
        for (item, body) in window {
            self.log.add(Saw::Sent(item.number));
            let key = format!("commands.{}", item.address.replacen("display/", "", 1).replacen('/', ".", 1));
            let properties = BasicProperties::default().with_delivery_mode(2);
            let sent = channel.basic_publish("kiosk".into(), key.into(), options, body.as_bytes(), properties);
            let Ok(Ok(confirm)) = timeout(LIMIT, sent).await else { break };
            under_way.push(confirm);
        }
        let mut confirmed = 0;
        for (confirm, (item, _)) in under_way.into_iter().zip(window) {
            match timeout(LIMIT, confirm).await {
                Ok(Ok(Confirmation::Ack(None))) => self.log.add(Saw::Accepted(item.number, None)),
                // No queue (yet), or no broker: it goes again, with all that follow.
                _ => break,
            }
            confirmed += 1;
        }
        confirmed
    }
}
