//! One receiver's task: posts its queue, batch by batch.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Queue, Webhook,
    queue::{Verdict, WAITING_MAX},
    sign,
};
use crate::{
    io::http::{Redirects, client, root_cause},
    server::{metrics::Metrics, now_ms, witness::Witness},
};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A receiver that does more than to take a batch in does so afterwards.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// When the server ends: what waits is posted for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One receiver.
#[derive(Debug)]
pub struct Receiver {
    pub webhook: Webhook,
    /// Its name in metrics and log.
    host: String,
    queue: Mutex<Queue>,
    more: Notify,
}

impl Receiver {
    pub fn new(webhook: Webhook) -> Self {
        let host = webhook.url.host_str().unwrap_or_default();
        let host = webhook.url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        Receiver { webhook, host, queue: Mutex::default(), more: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, event: Arc<str>, metrics: &Metrics) {
        let (one_went, waiting) = {
            let mut queue = self.lock();
            (queue.push(event), queue.len())
        };
        if one_went {
            metrics.webhook_dropped(&self.host, 1);
            // Once for each queueful that is lost.
            tracing::debug!(to = self.host, "a webhook's queue is full: the oldest goes");
        } else if waiting == WAITING_MAX {
            tracing::warn!(to = self.host, "a webhook's receiver is away and its queue is full: the oldest goes");
        }
        metrics.webhook_waits(&self.host, waiting);
        self.more.notify_one();
    }
}

/// Posts until `stop`, and a moment longer.
pub async fn run(receiver: Arc<Receiver>, witness: Arc<Witness>, random: fn(&mut [u8]), stop: CancellationToken) {
    let client = match client(Redirects::Refused, CONNECT_WITHIN) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(to = receiver.host, %error, "a webhook's receiver gets nothing: no HTTP client");
            return;
        }
    };
    let poster = Poster { receiver, witness, client, random };
    tokio::select! {
        () = stop.cancelled() => {}
        () = poster.work(true) => {}
    }
    let _ = timeout(LAST_WORDS, poster.work(false)).await;
}

struct Poster {
    receiver: Arc<Receiver>,
    witness: Arc<Witness>,
    client: reqwest::Client,
    random: fn(&mut [u8]),
}

impl Poster {
    /// `forever`, or until nothing waits.
    async fn work(&self, forever: bool) {
        let mut id = None;
        loop {
            let batch = self.receiver.lock().batch();
            if batch.is_empty() {
                if !forever {
                    return;
                }
                self.receiver.more.notified().await;
                continue;
            }
            let id_of_batch = id.get_or_insert_with(|| self.random_id()).clone();
            let verdict = self.post(&id_of_batch, &batch).await;
            let (rest, waiting) = {
                let mut queue = self.receiver.lock();
                (queue.done(verdict, self.random_part()), queue.len())
            };
            self.count(verdict, batch.len(), waiting);
            match rest {
                Some(rest) => tokio::time::sleep(rest).await,
                None => id = None,
            }
        }
    }

    async fn post(&self, id: &str, batch: &[Arc<str>]) -> Verdict {
        let body = format!("[{}]", batch.join(","));
        let timestamp_s = now_ms() / 1_000;
        let signature = sign::signature(&self.receiver.webhook.secret, id, timestamp_s, &body);
        let request = self
            .client
            .post(self.receiver.webhook.url.clone())
            .header("content-type", "application/cloudevents-batch+json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .timeout(ANSWER_WITHIN)
            .body(body);
        match request.send().await {
            Ok(answer) => {
                let verdict = Verdict::of(Some(answer.status().as_u16()));
                if verdict != Verdict::Taken {
                    tracing::warn!(
                        to = self.receiver.host,
                        status = answer.status().as_u16(),
                        "a webhook was not taken"
                    );
                }
                verdict
            }
            Err(error) => {
                // The error itself names the whole URL.
                let why = root_cause(&error.without_url());
                tracing::warn!(to = self.receiver.host, why, "a webhook's receiver does not answer");
                Verdict::of(None)
            }
        }
    }

    fn count(&self, verdict: Verdict, count: usize, waiting: usize) {
        let (metrics, to) = (&self.witness.metrics, &self.receiver.host);
        let result = match verdict {
            Verdict::Taken => "taken",
            Verdict::Again => "failed",
            Verdict::Refused => "refused",
        };
        metrics.webhook_posted(to, result);
        if verdict == Verdict::Refused {
            metrics.webhook_dropped(to, count as u64);
        }
        metrics.webhook_waits(to, waiting);
    }

    fn random_id(&self) -> String {
        let mut bytes = [0; 12];
        (self.random)(&mut bytes);
        bytes.iter().fold("msg_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn random_part(&self) -> f64 {
        let mut bytes = [0; 4];
        (self.random)(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }
}
