//! Webhooks: what happens is posted to those whom `[[webhooks]]` names.
//!
//! ```text
//!  Witness --Happening--> queue of each receiver (10,000) --batch of up to 100, in order--> POST, signed --2xx--> gone
//!                          full: the oldest goes                        ^--- 429, 5xx, no answer: again, 1 s to 5 min
//!                          (counted, logged)                                 any other: dropped, counted, logged
//! ```
//!
//! A batch is a CloudEvents batch (`application/cloudevents-batch+json`) of `pikiosk.display.up`, `pikiosk.display.down`,
//! `pikiosk.display.copied` and `pikiosk.receipt`, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it:
//! `webhook-signature: v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))`. A batch that is posted again has its first
//! `webhook-id`, and each event its `id`: a receiver that was slow to answer sees a thing twice, and can tell.
//!
//! Nobody waits for a receiver: what it does not take is dropped in the end. The ledger and `GET /v1/displays` are the
//! truth, a webhook is a nudge to look. Over several nodes each happening is told by one: the node whose socket it was,
//! and for receipts the one that is first to say so in the store.
//!
//! Rejected: a queue on disk. A receiver that comes back after a day wants to know how things are, not how they were.

mod happening;
mod queue;
mod send;
mod sign;

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    happening::{Happening, Kind},
    sign::secret,
};
use self::{queue::Queue, send::Receiver};
use super::{metrics::Metrics, now_ms};

/// One `[[webhooks]]`.
#[derive(Clone)]
pub struct Webhook {
    pub url: url::Url,
    pub kinds: Vec<Kind>,
    pub secret: Vec<u8>,
}

/// Neither the secret nor the path, which some receivers use as one.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).field("kinds", &self.kinds).finish()
    }
}

/// The queues of all receivers.
#[derive(Debug, Default)]
pub struct Webhooks {
    receivers: Vec<Arc<Receiver>>,
}

impl Webhooks {
    pub fn new(wanted: Vec<Webhook>) -> Webhooks {
        Webhooks { receivers: wanted.into_iter().map(|webhook| Arc::new(Receiver::new(webhook))).collect() }
    }

    /// Whether anybody wants to know.
    pub fn wants(&self, kind: Kind) -> bool {
        self.receivers.iter().any(|receiver| receiver.webhook.kinds.contains(&kind))
    }

    /// Tells those who want to know. Never waits.
    pub fn tell(&self, happening: &Happening, metrics: &Metrics) {
        let text: Arc<str> = happening.to_event(now_ms()).into();
        for receiver in self.receivers.iter().filter(|receiver| receiver.webhook.kinds.contains(&happening.kind())) {
            receiver.push(text.clone(), metrics);
        }
    }

    /// Starts a task for each receiver; after `stop` each has a moment to post what waits.
    pub fn start(
        &self,
        witness: &Arc<super::witness::Witness>,
        random: fn(&mut [u8]),
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        for receiver in &self.receivers {
            tasks.spawn(send::run(receiver.clone(), witness.clone(), random, stop.clone()));
        }
    }
}
