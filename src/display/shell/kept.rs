//! What is kept on the card, under the loop: pictures of the glass, whose they are by the time they come and when they are
//! taken away, and what the playlist needs.

use serde_json::Value;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Shell,
    chores::{self, Album},
    glass::Picture,
};
use crate::{
    display::{
        offline::{self, Offline, Wants},
        supervisor::{AskId, Input},
    },
    event::{health::ClockSource, time::UtcMillis},
};

/// Fetches what the playlist needs, if any of it may be kept; it is told through this.
pub(super) fn keeper(offline: &Offline) -> Option<Wants> {
    (!offline.media.is_closed()).then(|| offline::keep(offline.media.clone(), fastrand::Rng::new()))
}

impl Shell {
    /// The pictures and films of the playlist are fetched before they are needed.
    pub(super) fn want_media(&self) {
        let Some(media) = &self.media else { return };
        let wanted = self.supervisor.content().media();
        media.files.send_if_modified(|urls| {
            let is_new = *urls != wanted;
            *urls = wanted;
            is_new
        });
    }

    /// Asks the site of a picture or film for what it has now.
    pub(super) fn fetch_at_once(&mut self, ask: AskId, url: String) {
        let (answer, told) = oneshot::channel();
        let asked = self.media.as_ref().map(|media| media.at_once.try_send((url, answer)));
        self.chores.spawn(async move {
            let result = match asked {
                // Nothing is kept, so there is nothing old.
                None => Ok(()),
                Some(Ok(())) => told.await.unwrap_or_else(|_| Err("the display is ending".to_owned())),
                Some(Err(_)) => Err("another file is being fetched".to_owned()),
            };
            Input::Gathered { ask, result: result.map(|()| Value::Null) }
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
            wanted: self.supervisor.content().pages(),
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
