//! What is kept on the card, under the loop: pictures of the glass, whose they are by the time they come and when they are
//! taken away, and what the playlist needs.

use tokio::{sync::watch, time::Instant};

use super::{
    Shell,
    chores::{self, Album},
    glass::Picture,
};
use crate::{
    display::{
        offline::{self, Offline},
        supervisor::AskId,
    },
    event::{health::ClockSource, time::UtcMillis},
};

/// Fetches what the playlist needs, if any of it may be kept; it is told through this.
pub(super) fn keeper(offline: &Offline) -> Option<watch::Sender<Vec<String>>> {
    if offline.media.is_closed() {
        return None;
    }
    let (media, wanted) = watch::channel(Vec::new());
    tokio::spawn(offline::keep(offline.media.clone(), wanted, fastrand::Rng::new()));
    Some(media)
}

impl Shell {
    /// The pictures and films of the playlist are fetched before they are needed.
    pub(super) fn want_media(&self) {
        let Some(media) = &self.media else { return };
        let wanted = self.supervisor.content().media();
        media.send_if_modified(|urls| {
            let is_new = *urls != wanted;
            *urls = wanted;
            is_new
        });
    }

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
