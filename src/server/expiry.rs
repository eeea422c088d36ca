//! Commands whose time has passed: a tick to the store once a second.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::App;

const TICK: Duration = Duration::from_secs(1);

/// Runs until `stop`. The receipts reach waiting publishers by the store's feed.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let Ok(connected) = app.hub.connected().await else { return };
        match app.store.expire(app.now_ms(), connected).await {
            Ok(expired) if expired.is_empty() => {}
            Ok(expired) => tracing::info!(count = expired.len(), "commands expired"),
            Err(error) => tracing::warn!(%error, "commands could not be expired"),
        }
    }
}
