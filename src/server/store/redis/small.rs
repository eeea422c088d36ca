//! Tickets, records, results, presence, controls, and forgetting what is old.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use redis::Value;
use tokio::time::timeout;

use super::{
    Control, LEASE_MS, Present, Record, Redis, StoreError, StoredResult,
    engine::hex,
    reply,
    scripts::{PRUNE, RESULT, RESULTS, SMALL},
};
use crate::{
    auth::ticket::{self, Grant, Minted},
    event::DisplayId,
};

/// A socket waits for its ticket: rather refused than later than this.
const TICKET_WAIT: Duration = Duration::from_secs(2);
/// What results may take of Redis' memory in all, in bytes: the oldest go.
const RESULTS_BYTES: u64 = 256 * 1024 * 1024;
/// How long a result is kept, in ms: as long as the longest an action may wait.
const RESULT_MS: u64 = 7 * 24 * 3_600_000;
/// Events looked at in one call of the pruner: a few ms in which nobody else is served.
const STEPS: u64 = 1_000;
/// Calls in one round (about a second): more than is published in it.
const CALLS: usize = 20;
/// How long the pruner rests after it came to events that are all to be kept, in ms.
const REST_MS: u64 = 60_000;

/// Where the pruner of this node stands. Lost with the process, which costs one walk.
#[derive(Debug, Default)]
pub(super) struct Pruner {
    cursor: u64,
    rests_until_ms: u64,
    /// Events of this node when it last went to rest.
    events: u64,
}

impl Redis {
    pub async fn mint_ticket(&self, grant: &Grant, now_ms: u64) -> Result<Minted, StoreError> {
        let minted = ticket::mint(self.random(), grant, now_ms);
        // A second longer than its life: its value's time has whole seconds, and `ticket::judge` is the judge.
        let end_ms = minted.expires_ms.saturating_add(1_000).to_string();
        let most = self.engine.limits.one_time;
        let words = ["ticket", &minted.key, &minted.value, &end_ms, &most.to_string()];
        match self.small(&words, now_ms).await?.as_str() {
            "ok" => Ok(minted),
            _ => Err(StoreError::Full { what: "tickets", limit: most as u64 }),
        }
    }

    pub async fn take_ticket(&self, ticket: &str) -> Result<Option<String>, StoreError> {
        let words: [&[u8]; 2] = [b"take", ticket.as_bytes()];
        let answer = timeout(TICKET_WAIT, self.engine.call(&SMALL, 0, &words)).await;
        let mut answer = answer.unwrap_or(Err(StoreError::Timeout))?.into_iter();
        match reply::text(reply::next(&mut answer)?)?.as_str() {
            "ok" => reply::text(reply::next(&mut answer)?).map(Some),
            _ => Ok(None),
        }
    }

    pub async fn use_once(&self, text: &str, end_ms: u64, now_ms: u64) -> Result<bool, StoreError> {
        let most = self.engine.limits.one_time;
        let words = ["once", text, &end_ms.to_string(), &most.to_string()];
        match self.small(&words, now_ms).await?.as_str() {
            "ok" => Ok(true),
            "used" => Ok(false),
            _ => Err(StoreError::Full { what: "used nonces", limit: most as u64 }),
        }
    }

    pub async fn put_record(&self, collection: &str, record: Record) -> Result<(), StoreError> {
        let limit = self.engine.limits.records;
        let most = limit.to_string();
        let args: [&[u8]; 5] = [b"put", collection.as_bytes(), record.key.as_bytes(), &record.value, most.as_bytes()];
        let answer = self.engine.call(&SMALL, 0, &args).await?;
        match first(answer)?.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreError::Full { what: "records of one kind", limit }),
        }
    }

    pub async fn remove_record(&self, collection: &str, key: &str) -> Result<bool, StoreError> {
        Ok(self.small(&["drop", collection, key], 0).await? == "ok")
    }

    pub async fn records(&self, collection: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        let limit = limit.to_string();
        let args: [&[u8]; 4] = [b"records", collection.as_bytes(), after.as_bytes(), limit.as_bytes()];
        let answer = self.engine.call(&SMALL, 0, &args).await?;
        let mut found = Vec::new();
        for row in answer.into_iter().skip(1) {
            let mut row = reply::list(row)?.into_iter();
            let key = reply::text(reply::next(&mut row)?)?;
            found.push(Record { key, value: reply::bytes(reply::next(&mut row)?)? });
        }
        Ok(found)
    }

    pub async fn announce(&self, control: Control) -> Result<(), StoreError> {
        self.small(&["announce", &reply::to_json(&control)], 0).await.map(|_| ())
    }

    pub async fn claim(&self, display: &DisplayId, session: &str) -> Result<(), StoreError> {
        let (display, node, session) = (display.clone(), self.node.to_string(), session.to_owned());
        self.announce(Control::Claimed { display, node, session }).await
    }

    pub async fn tell_presence(&self, own: &[Present], now_ms: u64) -> Result<(), StoreError> {
        let words = ["present", &self.node, &reply::to_json(&own), &LEASE_MS.to_string()];
        self.small(&words, now_ms).await.map(|_| ())
    }

    pub async fn presence_elsewhere(&self, now_ms: u64) -> Result<Vec<Present>, StoreError> {
        let args: [&[u8]; 2] = [b"elsewhere", self.node.as_bytes()];
        let answer = self.engine.call(&SMALL, now_ms, &args).await?;
        let mut found = Vec::new();
        for text in answer.into_iter().skip(1) {
            found.extend(reply::json::<Vec<Present>>(&reply::bytes(text)?)?);
        }
        Ok(found)
    }

    pub async fn put_result(
        &self,
        display: &DisplayId,
        event: &str,
        content_type: &str,
        body: Bytes,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let limits = &self.engine.limits;
        if body.len() > limits.result_bytes {
            return Err(StoreError::TooLarge { bytes: body.len(), limit: limits.result_bytes });
        }
        let media: String = content_type.chars().take(200).collect();
        let name = hex(&ring::digest::digest(&ring::digest::SHA256, event.as_bytes()).as_ref()[..16]);
        let (most, most_bytes) = (limits.results.to_string(), RESULTS_BYTES.to_string());
        let args: [&[u8]; 7] = [
            display.as_str().as_bytes(),
            event.as_bytes(),
            name.as_bytes(),
            media.as_bytes(),
            &body,
            most.as_bytes(),
            most_bytes.as_bytes(),
        ];
        match first(self.engine.call(&RESULT, now_ms, &args).await?)?.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreError::UnknownEvent(event.chars().take(80).collect())),
        }
    }

    pub async fn result(&self, display: &DisplayId, event: &str) -> Result<Option<StoredResult>, StoreError> {
        self.newest_result(display, event, "").await
    }

    pub async fn latest_result(&self, display: &DisplayId, prefix: &str) -> Result<Option<StoredResult>, StoreError> {
        self.newest_result(display, "", prefix).await
    }

    async fn newest_result(
        &self,
        display: &DisplayId,
        event: &str,
        media: &str,
    ) -> Result<Option<StoredResult>, StoreError> {
        let args: [&[u8]; 3] = [display.as_str().as_bytes(), event.as_bytes(), media.as_bytes()];
        let mut answer = self.engine.call(&RESULTS, 0, &args).await?.into_iter();
        if reply::text(reply::next(&mut answer)?)? != "ok" {
            return Ok(None);
        }
        Ok(Some(StoredResult {
            event: reply::text(reply::next(&mut answer)?)?,
            content_type: reply::text(reply::next(&mut answer)?)?,
            taken_ms: reply::number(reply::next(&mut answer)?)?,
            body: reply::bytes(reply::next(&mut answer)?)?.into(),
        }))
    }

    /// Forgets a little. Any node may do it at any time: nothing is forgotten that is promised to be kept.
    pub(super) async fn prune(&self, now_ms: u64) -> Result<(), StoreError> {
        // That the clock was set forward makes nothing older: a wrong clock costs no history.
        let now_ms = now_ms.saturating_sub(self.engine.forward_ms.load(Ordering::Relaxed));
        let Ok(mut pruner) = self.pruner.try_lock() else { return Ok(()) };
        let events = self.stats().events;
        // A minute, or so many events that something may be over what is kept.
        if now_ms < pruner.rests_until_ms && events < pruner.events + STEPS {
            return Ok(());
        }
        let limits = &self.engine.limits;
        for _ in 0..CALLS {
            let words = [pruner.cursor, STEPS, limits.detail_events, limits.dedupe_ms, limits.history_ms, RESULT_MS]
                .map(|number| number.to_string());
            let args = words.each_ref().map(|word| word.as_bytes());
            let next = first(self.engine.call(&PRUNE, now_ms, &args).await?)?;
            pruner.cursor = next.parse().map_err(|_| reply::damaged("the pruner's place"))?;
            if pruner.cursor == 0 {
                pruner.rests_until_ms = now_ms.saturating_add(REST_MS);
                pruner.events = events;
                break;
            }
        }
        Ok(())
    }

    async fn small(&self, words: &[&str], now_ms: u64) -> Result<String, StoreError> {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        first(self.engine.call(&SMALL, now_ms, &args).await?)
    }
}

fn first(answer: Vec<Value>) -> Result<String, StoreError> {
    reply::text(reply::next(&mut answer.into_iter())?)
}
