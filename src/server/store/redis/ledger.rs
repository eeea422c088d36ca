//! Receipts, what a display is given, and what expires.

use std::{collections::HashSet, sync::Arc};

use redis::Value;

use super::{
    Backlog, Committed, ReceiptOutcome, Redis, Settled, StoreError,
    events::dedupe_hash,
    reply,
    scripts::{BACKLOG, EXPIRE, RECEIPT},
    words,
};
use crate::event::{DisplayId, Receipt};

/// How many rows one `expire` ends at most; the rest are next.
const EXPIRE_MAX: usize = 2_000;
/// Overdue rows that one question brings.
const PAGE: usize = 5_000;
/// How often a receipt is judged anew because another node changed the row meanwhile.
const TRIES: usize = 8;

impl Redis {
    pub async fn receipt(
        &self,
        display: &DisplayId,
        receipt: Receipt,
        now_ms: u64,
    ) -> Result<ReceiptOutcome, StoreError> {
        let hash = receipt.source.as_deref().map(|source| dedupe_hash(source, &receipt.event)).unwrap_or_default();
        let (mut text, mut expected) = (reply::to_json(&receipt), Vec::new());
        for _ in 0..TRIES {
            let args: [&[u8]; 5] =
                [display.as_str().as_bytes(), hash.as_bytes(), receipt.event.as_bytes(), text.as_bytes(), &expected];
            let mut answer = self.engine.call(&RECEIPT, now_ms, &args).await?.into_iter();
            match reply::text(reply::next(&mut answer)?)?.as_str() {
                "first" => return Ok(ReceiptOutcome::First),
                "updated" => return Ok(ReceiptOutcome::Updated),
                "kept" => {}
                _ => return Ok(ReceiptOutcome::UnknownEvent),
            }
            reply::next(&mut answer)?;
            expected = reply::bytes(reply::next(&mut answer)?)?;
            let Some(completed) = completed(reply::json(&expected)?, &receipt) else {
                return Ok(ReceiptOutcome::AlreadyFinal);
            };
            text = reply::to_json(&completed);
        }
        Err(StoreError::Busy)
    }

    pub async fn backlog(&self, display: &DisplayId, now_ms: u64) -> Result<Backlog, StoreError> {
        let attempts = self.engine.limits.attempts;
        let (most, poison) = (attempts.to_string(), words::poison(attempts));
        let args: [&[u8]; 3] = [display.as_str().as_bytes(), most.as_bytes(), poison.as_bytes()];
        let mut answer = self.engine.call(&BACKLOG, now_ms, &args).await?.into_iter();
        if reply::text(reply::next(&mut answer)?)? != "ok" {
            return Err(StoreError::NotEnrolled(display.clone()));
        }
        let events = |value: Value| -> Result<Vec<Arc<Committed>>, StoreError> {
            reply::list(value)?.into_iter().map(|row| reply::committed(row).map(Arc::new)).collect()
        };
        let state = events(reply::next(&mut answer)?)?;
        let pending_actions = events(reply::next(&mut answer)?)?;
        let settled = settled(reply::list(reply::next(&mut answer)?)?)?;
        let as_of = reply::number(reply::next(&mut answer)?)?;
        Ok(Backlog { state, pending_actions, settled, as_of })
    }

    pub async fn expire(&self, now_ms: u64, connected: HashSet<DisplayId>) -> Result<Vec<Settled>, StoreError> {
        self.save_seen().await;
        self.prune(now_ms).await?;
        let overdue = self.overdue(now_ms, connected).await?;
        if overdue.is_empty() {
            return Ok(Vec::new());
        }
        let args: Vec<&[u8]> = overdue.iter().flat_map(|(commit, id)| [commit.as_bytes(), id.as_bytes()]).collect();
        settled(self.engine.call(&EXPIRE, now_ms, &args).await?)
    }

    /// Commit and display of what is to be ended now. A display that is connected, here or elsewhere, may be acting.
    async fn overdue(
        &self,
        now_ms: u64,
        mut connected: HashSet<DisplayId>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let grace = self.engine.limits.expiry_grace_ms;
        let (mut overdue, mut asked_others) = (Vec::new(), false);
        for page in 0.. {
            let mut cmd = redis::cmd("ZRANGEBYSCORE");
            cmd.arg(self.engine.key("expiry")).arg("-inf").arg(now_ms).arg("WITHSCORES");
            cmd.arg("LIMIT").arg(page * PAGE).arg(PAGE);
            let rows = reply::list(self.engine.read(&cmd).await?)?;
            let count = rows.len() / 2;
            let mut rows = rows.into_iter();
            while let Some(member) = rows.next() {
                let member = reply::text(member)?;
                let score = reply::text(reply::next(&mut rows)?)?;
                let due_ms = score.parse::<f64>().map_err(|_| reply::damaged("an expiry"))?;
                let (commit, display) = member.split_once(' ').ok_or_else(|| reply::damaged("an expiry"))?;
                // Whole numbers below 2^53 in both.
                #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
                let is_over = due_ms + grace as f64 <= now_ms as f64;
                if !is_over {
                    if !std::mem::replace(&mut asked_others, true) {
                        let elsewhere = self.presence_elsewhere(now_ms).await?;
                        connected.extend(elsewhere.into_iter().filter_map(|present| present.display));
                    }
                    if connected.contains(&reply::display(display)?) {
                        continue;
                    }
                }
                overdue.push((commit.to_owned(), display.to_owned()));
                if overdue.len() >= EXPIRE_MAX {
                    return Ok(overdue);
                }
            }
            if count < PAGE {
                break;
            }
        }
        Ok(overdue)
    }
}

/// The kept receipt with what the new one adds; None if it adds nothing.
fn completed(mut kept: Receipt, receipt: &Receipt) -> Option<Receipt> {
    let completes = kept.is_completed_by(receipt)
        || (kept.status == receipt.status && kept.result.is_none() && receipt.result.is_some());
    if !completes {
        return None;
    }
    kept.frame_sha256 = kept.frame_sha256.or_else(|| receipt.frame_sha256.clone());
    kept.result = kept.result.or_else(|| receipt.result.clone());
    Some(kept)
}

fn settled(rows: Vec<Value>) -> Result<Vec<Settled>, StoreError> {
    rows.into_iter().map(|row| reply::settled(reply::list(row)?)).collect()
}
