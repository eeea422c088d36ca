//! Pictures of the glass under the loop: whose they are by the time they come, and when they are taken away.

use tokio::time::Instant;

use super::{
    Shell,
    chores::{self, Album},
    glass::Picture,
};
use crate::{
    display::supervisor::AskId,
    event::{health::ClockSource, time::UtcMillis},
};

impl Shell {
    /// A picture of a page that has gone meanwhile is not kept as its last good one.
    pub(super) fn picture_came(&mut self, ask: AskId, what: Picture, base64: String) {
        let now = Instant::now();
        let what = match what {
            Picture::Hash { of } => {
                Picture::Hash { of: of.filter(|url| self.supervisor.picture_of(now) == Some(url.as_str())) }
            }
            screenshot @ Picture::Screenshot { .. } => screenshot,
        };
        let is_right = self.clock.health(now).set_by != ClockSource::Nobody;
        let album = Album {
            state: self.state.clone(),
            pictures: self.offline.pictures.clone(),
            now: is_right.then(|| UtcMillis(super::clock::wall_ms())),
        };
        self.chores.spawn(chores::picture(ask, what, base64, self.outbox(), album));
    }

    /// What pages left here is to be cleared, and these are of pages.
    pub(super) fn forget_pictures(&self) {
        if let Err(error) = self.offline.pictures.forget() {
            tracing::error!(%error, "the last pictures of pages cannot be taken away");
        }
        self.page.update(|state| {
            if let Some(outage) = &mut state.outage {
                outage.picture = None;
            }
        });
    }
}
