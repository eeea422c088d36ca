//! The journal's file under the loop: what is kept, when it is on disk, and what is done when it cannot be written.

use tokio::time::Instant;

use super::{SYNC_AFTER, Shell};
use crate::{
    display::journal::{JournalError, Record},
    io::http,
};

impl Shell {
    /// On disk when it returns. A card that never answers stops the loop here, and systemd's watchdog ends it.
    pub(super) async fn keep(&mut self, records: Vec<Record>) {
        let Some(mut file) = self.journal.take() else { return };
        let snapshot = file.is_long().then(|| self.supervisor.journal().snapshot());
        let written = tokio::task::spawn_blocking(move || {
            let kept = match &snapshot {
                Some(snapshot) => file.compact(snapshot),
                None => file.keep(&records, true),
            };
            (file, kept)
        });
        match written.await {
            Ok((file, kept)) => {
                self.journal = Some(file);
                self.sync_at = None;
                if let Err(error) = kept {
                    self.cure(&error);
                }
            }
            Err(error) => tracing::error!(%error, "the journal is lost"),
        }
    }

    pub(super) fn note(&mut self, records: &[Record]) {
        let Some(file) = &mut self.journal else { return };
        match file.keep(records, false) {
            Ok(()) => self.sync_at = self.sync_at.or(Some(Instant::now() + SYNC_AFTER)),
            Err(error) => self.cure(&error),
        }
    }

    /// A full disk or a failed fsync: a new file may still be written.
    fn cure(&mut self, error: &JournalError) {
        let cause = http::root_cause(error);
        let snapshot = self.supervisor.journal().snapshot();
        let cured = self.journal.as_mut().is_some_and(|file| file.compact(&snapshot).is_ok());
        tracing::error!(%error, cause, cured, "the journal could not be written");
        self.supervisor.journal_works(if cured { None } else { Some(cause) });
    }
}
