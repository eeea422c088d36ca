//! The journal's file under the loop: what is kept, when it is on disk, and what is done when it cannot be written.

use std::{future::ready, io, path::Path, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

use super::Shell;
use crate::{
    display::{
        journal::{JournalError, JournalFile, Record},
        supervisor::{DiskFault, DiskTrouble, Input},
    },
    io::{http, room::Room},
};

/// What is noted of a command and not kept reaches the disk this late; what only says how far was read, this late.
const SYNC_AFTER: Duration = Duration::from_secs(2);
const READ_SYNC_AFTER: Duration = Duration::from_secs(60);
/// A disk that could not be written is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

impl Shell {
    /// On disk when it returns. A card that never answers stops the loop here, and systemd's watchdog ends it.
    pub(super) async fn keep(&mut self, records: Vec<Record>) {
        let is_long = self.journal.as_ref().is_some_and(JournalFile::is_long);
        let snapshot = is_long.then(|| self.supervisor.journal().snapshot());
        let kept = self.write(move |file| match &snapshot {
            Some(snapshot) => file.compact(snapshot),
            None => file.keep(&records, true),
        });
        match kept.await {
            Ok(()) => self.disk_works(),
            Err(error) => {
                tracing::warn!(cause = http::root_cause(&error), "the journal could not be written");
                self.mend_disk().await;
            }
        }
    }

    pub(super) fn note(&mut self, records: &[Record]) {
        let Some(file) = &mut self.journal else { return };
        match file.keep(records, false) {
            Ok(()) => {
                let at = Instant::now() + sync_after(records);
                self.sync_at = Some(self.sync_at.map_or(at, |earlier| earlier.min(at)));
            }
            Err(error) => self.suspect_disk(&error),
        }
    }

    /// What was noted goes to the disk, if it is time.
    pub(super) async fn sync(&mut self, now: Instant) {
        if self.sync_at.take_if(|at| *at <= now).is_some()
            && let Err(error) = self.write(JournalFile::sync).await
        {
            self.suspect_disk(&error);
        }
    }

    fn suspect_disk(&mut self, error: &JournalError) {
        tracing::warn!(cause = http::root_cause(error), "the journal could not be written");
        self.disk_again = Some(Instant::now());
    }

    /// A full disk or a failed fsync: a new file may still be written. All that the journal holds goes into it.
    pub(super) async fn mend_disk(&mut self) {
        let snapshot = self.supervisor.journal().snapshot();
        match self.write(move |file| file.compact(&snapshot)).await {
            Ok(()) => self.disk_works(),
            Err(error) => {
                self.disk_again = Some(Instant::now() + AGAIN_AFTER);
                let trouble = to_trouble(&error, &self.state, self.offline.media.bytes());
                self.chores.spawn(ready(Input::DiskFailed(trouble)));
            }
        }
    }

    fn disk_works(&mut self) {
        if self.disk_again.take().is_some() {
            self.chores.spawn(ready(Input::DiskWorked));
        }
    }

    /// What was kept for when the network is away goes, as far as others need the room.
    pub(super) async fn make_room(&mut self) {
        self.forget_pictures();
        let media = self.offline.media.clone();
        if let Err(error) = spawn_blocking(move || media.shrink()).await {
            tracing::error!(%error, "no room was made");
        }
        self.disk_again = Some(Instant::now());
    }

    async fn write(
        &mut self,
        how: impl FnOnce(&mut JournalFile) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<(), JournalError> {
        let Some(mut file) = self.journal.take() else { return Ok(()) };
        let written = spawn_blocking(move || {
            let written = how(&mut file);
            (file, written)
        });
        match written.await {
            Ok((file, written)) => {
                self.journal = Some(file);
                if written.is_ok() {
                    self.sync_at = None;
                }
                written
            }
            Err(error) => {
                tracing::error!(%error, "the journal is lost");
                Ok(())
            }
        }
    }
}

/// How long what was noted may wait for the disk. Where reading goes on can: a page that hears something every second would
/// wear the card, and after a power cut there is a new page, which has heard nothing.
fn sync_after(records: &[Record]) -> Duration {
    let only_read = records.iter().all(|record| matches!(record, Record::Read(_)));
    if only_read { READ_SYNC_AFTER } else { SYNC_AFTER }
}

/// `cache`: bytes that pikiosk keeps for when the network is away.
fn to_trouble(error: &JournalError, state: &Path, cache: u64) -> DiskTrouble {
    let (JournalError::Read(error) | JournalError::Write(error)) = error;
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let room = Room::of(state).map_or_else(|_| error.to_string(), |room| room.words());
            DiskTrouble { fault: DiskFault::Full, why: format!("{room}; the cache of playlists has {}", cache >> 20) }
        }
        io::ErrorKind::ReadOnlyFilesystem => DiskTrouble { fault: DiskFault::ReadOnly, why: error.to_string() },
        _ => DiskTrouble { fault: DiskFault::Failed, why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::display::journal::EventKey;

    #[test]
    fn what_a_page_hears_every_second_is_written_to_the_card_once_a_minute() {
        let told = Record::Told(EventKey { source: "/a".into(), id: "1".into() });
        let read = Record::Read(BTreeMap::new());
        assert_eq!(sync_after(std::slice::from_ref(&read)), READ_SYNC_AFTER);
        assert_eq!(sync_after(&[read, told]), SYNC_AFTER, "what became of a command waits for nothing");
    }
}
