//! `?wait=`: a publisher waits until every display has given its final receipt, or its time is over.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    Problem,
    events::{self, Placed},
};
use crate::server::{
    App,
    store::{EventRecord, Settled},
};

/// The answers of all published events, with the receipts so far.
pub async fn receipts(app: &App, placed: &[Placed], wait: Duration) -> Result<Vec<Value>, Problem> {
    let until = Instant::now() + wait;
    let commits: Vec<u64> = placed.iter().map(|one| one.published.commit).collect();
    loop {
        // Watch first, read then: a receipt is in the ledger that is read, or it arrives.
        let mut watch = app.hub.watch(commits.clone()).await?;
        let mut records = BTreeMap::new();
        for Placed { published, source } in placed {
            let record = app.store.event(&published.id, Some(source)).await?;
            records.extend(record.map(|record| (published.commit, record)));
        }
        let in_time = loop {
            if records.values().all(|record| record.pending.is_empty()) {
                break true;
            }
            match timeout_at(until, watch.receipts.recv()).await {
                Ok(Some(settled)) => {
                    if let Some(record) = records.get_mut(&settled.event) {
                        settle(record, &settled);
                    }
                }
                // Too many at once for the channel: read the ledger again.
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if in_time {
            let answer = |one: &Placed| {
                let mut answer = events::place(&one.published);
                if let (Some(answer), Some(record)) = (answer.as_object_mut(), records.get(&one.published.commit))
                    && let Value::Object(outcome) = events::outcome(record)
                {
                    answer.extend(outcome);
                }
                answer
            };
            return Ok(placed.iter().map(answer).collect());
        }
    }
}

fn settle(record: &mut EventRecord, settled: &Settled) {
    record.pending.retain(|display| *display != settled.display);
    match record.receipts.iter_mut().find(|(display, _)| *display == settled.display) {
        Some((_, receipt)) => *receipt = settled.receipt.clone(),
        None => record.receipts.push((settled.display.clone(), settled.receipt.clone())),
    }
}
