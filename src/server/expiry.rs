//! Commands whose time has passed: a tick to the store once a second, after a look at the clock.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{App, clock};

/// What a page publishes by a clock that was set just now is judged by the old one for so long at most.
const LOOK: Duration = Duration::from_millis(250);
/// So many of them are a second.
const LOOKS: u32 = 4;

/// Runs until `stop`. The receipts reach waiting publishers by the store's feed.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for look in (0..LOOKS).cycle() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        clock::follow(&app).await;
        if look > 0 {
            continue;
        }
        let Ok(connected) = app.hub.connected().await else { return };
        match app.store.expire(app.now_ms(), connected).await {
            Ok(expired) if expired.is_empty() => {}
            Ok(expired) => tracing::info!(count = expired.len(), "commands expired"),
            Err(error) => tracing::warn!(%error, "commands could not be expired"),
        }
    }
}
