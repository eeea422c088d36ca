//! Reads the feed for one node's hub: woken by XREAD, read on by a script that proves that nothing is between.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use redis::{Value, aio::ConnectionLike};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Fed, StoreError,
    connect::Link,
    engine::{Engine, Place},
    reply,
    scripts::FEED,
};

/// Entries that one read brings at most: one batch for the hub.
const BATCH: usize = 512;
/// How long one XREAD waits. A connection that says nothing for longer is dead.
const WAIT: Duration = Duration::from_secs(4);
/// How long it may take on top of that.
const SLACK: Duration = Duration::from_secs(4);
/// From the first to the longest pause between two attempts.
const BACK_OFF_MS: [u64; 5] = [50, 200, 500, 1_000, 2_000];

/// Runs until the store is closed, or nobody reads any more.
pub async fn run(engine: Arc<Engine>, feed: mpsc::Sender<Vec<Fed>>) {
    let mut failures = 0;
    loop {
        let error = match follow(&engine, &feed, &mut failures).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if engine.closed.load(Ordering::Acquire) || feed.is_closed() {
            return;
        }
        if failures == 0 {
            tracing::warn!(%error, "the feed from Redis is cut; sockets stay, and are told if something was missed");
        }
        let pause = BACK_OFF_MS[failures.min(BACK_OFF_MS.len() - 1)];
        failures += 1;
        // Nodes that lost the same Redis must not all come back in the same moment.
        let mut random = [0; 1];
        (engine.random)(&mut random);
        sleep(Duration::from_millis(pause + pause * u64::from(random[0]) / 512)).await;
    }
}

async fn follow(engine: &Engine, feed: &mpsc::Sender<Vec<Fed>>, failures: &mut usize) -> Result<(), StoreError> {
    let mut link = engine.own_link().await?;
    engine.attach().await?;
    if std::mem::take(failures) > 0 {
        tracing::info!("the feed from Redis is back");
    }
    loop {
        while read_on(engine, feed).await? {}
        if engine.closed.load(Ordering::Acquire) || feed.is_closed() {
            return Ok(());
        }
        wait(engine, feed, &mut link).await?;
    }
}

/// Reads one piece and hands it on; true if more is known to be there.
async fn read_on(engine: &Engine, feed: &mpsc::Sender<Vec<Fed>>) -> Result<bool, StoreError> {
    if engine.lost.swap(false, Ordering::AcqRel) && feed.send(vec![Fed::Lost]).await.is_err() {
        return Ok(false);
    }
    let before = engine.place().clone();
    let (seen, most) = (before.seen.to_string(), BATCH.to_string());
    let args = [before.lineage.as_bytes(), seen.as_bytes(), before.tag.as_bytes(), most.as_bytes()];
    let mut answer = engine.call(&FEED, 0, &args).await?.into_iter();
    let outcome = reply::text(reply::next(&mut answer)?)?;
    if outcome == "torn" {
        engine.attach().await?;
        return Ok(true);
    }
    let after = Place {
        lineage: before.lineage.clone(),
        seen: reply::number(reply::next(&mut answer)?)?,
        tag: reply::text(reply::next(&mut answer)?)?,
    };
    let entries = reply::list(answer.next().unwrap_or(Value::Nil))?;
    let full = entries.len() >= BATCH;
    let batch = entries.into_iter().filter_map(|entry| fed(entry).transpose()).collect::<Result<Vec<_>, _>>()?;
    {
        let mut place = engine.place();
        if *place != before {
            // Somebody looked at Redis meanwhile, and found this place to be gone.
            return Ok(true);
        }
        *place = after;
    }
    if outcome == "gone" {
        tracing::warn!("this node fell so far behind the feed that entries are gone: every socket comes back");
        engine.lost.store(true, Ordering::Release);
        return Ok(true);
    }
    if !batch.is_empty() && feed.send(batch).await.is_err() {
        return Ok(false);
    }
    // What came meanwhile, the next XREAD answers at once.
    Ok(full)
}

fn fed(entry: Value) -> Result<Option<Fed>, StoreError> {
    let mut row = reply::list(entry)?.into_iter();
    Ok(Some(match reply::text(reply::next(&mut row)?)?.as_str() {
        "e" => Fed::Event(Arc::new(reply::committed(reply::next(&mut row)?)?)),
        "r" => Fed::Receipt(Arc::new(reply::settled(row.collect())?)),
        "c" => Fed::Control(Arc::new(reply::json(&reply::bytes(reply::next(&mut row)?)?)?)),
        // The mark of a new lineage: who reads on over it was told by the one that made it.
        _ => return Ok(None),
    }))
}

/// Waits until the feed goes on. The answer is only a wake-up: what it holds is read by the script.
async fn wait(engine: &Engine, feed: &mpsc::Sender<Vec<Fed>>, link: &mut Link) -> Result<(), StoreError> {
    let mut cmd = redis::cmd("XREAD");
    cmd.arg("COUNT").arg(1).arg("BLOCK").arg(WAIT.as_millis().to_string());
    cmd.arg("STREAMS").arg(engine.key("feed")).arg(format!("{}-0", engine.place().seen));
    let answer = tokio::select! {
        answer = timeout(WAIT + SLACK, link.req_packed_command(&cmd)) => answer,
        () = feed.closed() => return Ok(()),
    };
    match answer {
        Ok(Ok(value)) => value.extract_error().map(|_| ()).map_err(|error| super::engine::told(&error)),
        Ok(Err(error)) => Err(super::engine::told(&error)),
        Err(_) => Err(StoreError::Unreachable("it stopped answering".into())),
    }
}
