//! Which displays are up and which are down, as people want to hear of it: a display that comes back within half a minute
//! (a restart, a lost packet, a deploy) was never away.
//!
//! ```text
//!   (unknown) --opened--> Up [told: up] --closed--> Away --30 s--> (elsewhere? forget) : told: down
//!                          ^------------opened-------'
//! ```

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{App, store::LEASE_MS, webhooks::Happening};
use crate::event::DisplayId;

/// How long a display may be away before it is down.
const GRACE_MS: u64 = 30_000;
/// At the start: displays that were seen so lately were connected when the server ended. The store notes it every five
/// minutes.
const LATELY_MS: u64 = 10 * 60_000;
/// Often enough for the lease.
const TICK: Duration = Duration::from_millis(LEASE_MS / 3);

#[derive(Debug)]
enum State {
    Up { session: String },
    Away { since_ms: u64, due_ms: u64 },
}

/// See the module.
#[derive(Debug, Default)]
pub struct Presence {
    displays: HashMap<DisplayId, State>,
    /// Connected to other nodes when this was last asked.
    elsewhere: HashSet<DisplayId>,
}

impl Presence {
    /// A display that may still come back after the server's own restart.
    pub fn expect(&mut self, display: DisplayId, last_seen_ms: u64, now_ms: u64) {
        if last_seen_ms + LATELY_MS >= now_ms {
            let due_ms = now_ms + 2 * GRACE_MS;
            self.displays.entry(display).or_insert(State::Away { since_ms: last_seen_ms, due_ms });
        }
    }

    /// A socket of a display opened.
    pub fn opened(&mut self, display: &DisplayId, session: &str, now_ms: u64) -> Option<Happening> {
        let before = self.displays.insert(display.clone(), State::Up { session: session.to_owned() });
        let is_news = before.is_none() && !self.elsewhere.contains(display);
        is_news.then(|| Happening::Up { display: display.clone(), session: session.to_owned(), since_ms: now_ms })
    }

    /// A socket of a display ended.
    pub fn closed(&mut self, display: &DisplayId, session: &str, now_ms: u64) {
        if let Some(state @ State::Up { .. }) = self.displays.get_mut(display)
            && matches!(state, State::Up { session: open } if open == session)
        {
            *state = State::Away { since_ms: now_ms, due_ms: now_ms + GRACE_MS };
        }
    }

    /// Those that have been away for too long; `elsewhere` are connected to other nodes.
    pub fn due(&mut self, elsewhere: HashSet<DisplayId>, now_ms: u64) -> Vec<Happening> {
        self.elsewhere = elsewhere;
        let mut down = Vec::new();
        // Nobody is waited for so long: that moment is of a clock that was set back since.
        let is_due = |due_ms: u64| due_ms <= now_ms || due_ms > now_ms + 2 * GRACE_MS;
        self.displays.retain(|display, state| match state {
            State::Away { since_ms, due_ms } if is_due(*due_ms) => {
                if !self.elsewhere.contains(display) {
                    down.push(Happening::Down { display: display.clone(), since_ms: *since_ms });
                }
                false
            }
            _ => true,
        });
        down
    }
}

/// Tells the other nodes what is here, and people what is not, until `stop`.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    match app.store.displays().await {
        Ok(displays) => {
            for row in displays {
                if let Some(last_seen_ms) = row.last_seen_ms {
                    app.witness.expect_display(row.id, last_seen_ms, app.now_ms());
                }
            }
        }
        Err(error) => tracing::warn!(%error, "who was connected before is not known"),
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = look(&app).await {
            tracing::warn!(error, "presence could not be told");
        }
    }
}

async fn look(app: &App) -> Result<(), String> {
    let (now_ms, text) = (app.now_ms(), |error: &dyn std::fmt::Display| error.to_string());
    let own = app.hub.present().await.map_err(|error| text(&error))?;
    app.store.tell_presence(&own, now_ms).await.map_err(|error| text(&error))?;
    let elsewhere = app.store.presence_elsewhere(now_ms).await.map_err(|error| text(&error))?;
    let elsewhere: HashSet<DisplayId> = elsewhere.into_iter().filter_map(|one| one.display).collect();
    let here: HashSet<DisplayId> = own.into_iter().filter_map(|one| one.display).collect();
    let enrolled = app.store.displays().await.map_err(|error| text(&error))?;
    let missing = enrolled.iter().filter(|row| !here.contains(&row.id) && !elsewhere.contains(&row.id)).count();
    app.witness.metrics.displays(enrolled.len(), missing);
    app.witness.displays_due(elsewhere, now_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DisplayId {
        text.parse().unwrap()
    }

    fn down(presence: &mut Presence, elsewhere: &[&str], now_ms: u64) -> usize {
        presence.due(elsewhere.iter().map(|text| id(text)).collect(), now_ms).len()
    }

    #[test]
    fn a_display_is_up_once_and_down_only_after_half_a_minute() {
        let (mut presence, lobby) = (Presence::default(), id("lobby"));
        assert!(matches!(presence.opened(&lobby, "a", 0), Some(Happening::Up { .. })));
        presence.closed(&lobby, "a", 1_000);
        assert!(presence.opened(&lobby, "b", 5_000).is_none(), "it was never away");
        presence.closed(&lobby, "a", 6_000);
        assert_eq!(down(&mut presence, &[], 100_000), 0, "the socket that ended had been replaced");
        presence.closed(&lobby, "b", 200_000);
        assert_eq!(down(&mut presence, &[], 229_999), 0);
        let told = presence.due(HashSet::new(), 230_000);
        assert!(matches!(told[..], [Happening::Down { since_ms: 200_000, .. }]), "{told:?}");
        assert_eq!(down(&mut presence, &[], 900_000), 0, "it is told once");
        assert!(presence.opened(&lobby, "c", 1_000_000).is_some());
    }

    #[test]
    fn a_display_that_was_away_when_the_clock_was_set_back_is_told_to_be_down() {
        let (mut presence, lobby) = (Presence::default(), id("lobby"));
        presence.opened(&lobby, "a", 3_600_000);
        presence.closed(&lobby, "a", 3_600_000);
        assert_eq!(down(&mut presence, &[], 3_600_001), 0);
        assert_eq!(down(&mut presence, &[], 1_000), 1);
    }

    #[test]
    fn a_display_that_went_to_another_node_is_not_down_and_one_that_comes_from_there_is_not_new() {
        let (mut presence, lobby) = (Presence::default(), id("lobby"));
        presence.opened(&lobby, "a", 0);
        presence.closed(&lobby, "a", 0);
        assert_eq!(down(&mut presence, &["lobby", "hall"], 60_000), 0);
        assert!(presence.opened(&id("hall"), "b", 61_000).is_none());
        presence.closed(&id("hall"), "b", 62_000);
        assert_eq!(down(&mut presence, &[], 100_000), 1);
    }

    #[test]
    fn after_a_restart_those_who_do_not_come_back_are_down_and_the_long_lost_are_not_told_again() {
        let mut presence = Presence::default();
        let now_ms = 100 * 60_000;
        presence.expect(id("lobby"), now_ms - 60_000, now_ms);
        presence.expect(id("hall"), now_ms - 60_000, now_ms);
        presence.expect(id("attic"), now_ms - 60 * 60_000, now_ms);
        assert!(presence.opened(&id("lobby"), "a", now_ms + 1_000).is_none(), "a deploy is no news");
        let told = presence.due(HashSet::new(), now_ms + 2 * GRACE_MS);
        assert!(matches!(&told[..], [Happening::Down { display, .. }] if *display == id("hall")), "{told:?}");
    }
}
