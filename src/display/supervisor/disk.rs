//! A disk that takes nothing more: what was told is done all the same, the page stays on the glass, and it is said that a
//! power cut would be forgotten.

use tokio::time::Instant;

use super::{
    DiskFault, DiskTrouble, Effect, Out, Supervisor,
    recovery::{Cause, Rung},
};
use crate::{display::helper::Request, event::health};

impl DiskTrouble {
    fn cause(&self) -> Cause {
        match self.fault {
            DiskFault::Full => Cause::DiskFull,
            DiskFault::ReadOnly | DiskFault::Failed => Cause::DiskFailed,
        }
    }

    /// What is wrong and what to do, without its full stop.
    pub fn sentence(&self) -> String {
        let why = &self.why;
        match self.fault {
            DiskFault::Full => format!(
                "the disk is full ({why}): a power cut would be forgotten; \
                 `sudo du -xh / | sort -h | tail -20` tells what takes the room"
            ),
            DiskFault::ReadOnly => format!("the card can only be read ({why}): it is failing, replace it"),
            DiskFault::Failed => format!("nothing can be written down ({why}): a power cut would be forgotten"),
        }
    }
}

impl Supervisor {
    /// Told again for as long as it is so.
    pub(super) fn disk_failed(&mut self, trouble: DiskTrouble, out: &mut Out) {
        let cause = trouble.cause();
        if self.disk.as_ref() != Some(&trouble) {
            tracing::error!("{}", trouble.sentence());
        }
        self.disk = Some(trouble);
        // The machine is on its way down: whatever is wrong ends with it.
        if self.leaving.is_under_way() {
            return;
        }
        let rung = self.care.recovery.fault(cause, out.now);
        match rung {
            Rung::MakeRoom => out.push(Effect::MakeRoom),
            Rung::Reboot => self.ask_for(Request::Reboot, rung, out),
            _ => return,
        }
        tracing::warn!(cause = cause.name(), "{}: {}", cause.words(), rung.words());
    }

    pub(super) fn disk_worked(&mut self) {
        if self.disk.take().is_some() {
            tracing::info!("the disk can be written again");
        }
        self.care.recovery.disk_is_well();
    }

    /// What is wrong with the disk and what was done about it, for health.
    pub(super) fn disk_health(&self, now: Instant) -> Option<health::Trouble> {
        let (trouble, incident) = self.disk.as_ref().zip(self.recovery().disk())?;
        Some(health::Trouble {
            cause: incident.cause.name().to_owned(),
            rung: incident.rung.name().to_owned(),
            since_s: now.saturating_duration_since(incident.since).as_secs(),
            sentence: trouble.sentence(),
        })
    }
}
