//! Recovery: from a cause to the least that may help, and no more often than its budget allows. Pure.
//!
//! ```text
//!   pulse, content, looks, memory --Cause--> Recovery::fault --Rung--> supervisor/care.rs: what is done
//!                                               |       ^
//!                                               v       | what was done in the last hours of running
//!                                             ledger.rs (STATE/recovery.json, on disk before the rung is climbed)
//!
//!   navigate -> replace content -> restart browser -> plain profile -> restart X session -> reboot -> say so, go on trying
//! ```
//!
//! The disk is another matter: the page stays on the glass, and its incident goes beside the glass' own, with the ladder
//! `make room -> say so` where it is full, and `reboot -> say so` where it has failed. Such a disk remembers no budget: the
//! machine's own uptime has to do ([`RESTED`]).
//!
//! Each cause has a ladder of its own ([`Cause::ladder`]): what a dead site never gets is anything above navigate, and
//! only a cause on this very machine may end in a reboot. Within one incident the rungs only go up; an incident is over
//! when the right page has been painted and has answered for [`CALM`]. At the top nothing is given up: every
//! [`BEGIN_AGAIN`] the ladder begins anew, with what its budgets have left.
//!
//! Rejected: one timer that restarts more and more (the field's way). A dead web server would reboot the display every
//! ten minutes, for ever.

mod cause;
mod ledger;

use std::time::Duration;

use tokio::time::Instant;

pub use cause::{Cause, Rung};
pub use ledger::{Ledger, RunningTime};

/// A display that has been right for so long has recovered: the next fault begins at the lowest rung.
pub const CALM: Duration = Duration::from_secs(60);
/// At the top of its ladder an incident begins anew after so long: nothing is given up for good.
pub const BEGIN_AGAIN: Duration = Duration::from_secs(300);
/// A machine that has been up for so long may be started again for a disk that remembers nothing: four times a day at most.
pub const RESTED: Duration = Duration::from_secs(6 * 3600);

/// What is wrong now, and how far it was climbed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub cause: Cause,
    pub rung: Rung,
    pub since: Instant,
    /// How often in a row this rung was taken.
    in_a_row: u32,
    /// When it was taken last.
    taken: Instant,
    /// Since when all has been well again.
    well: Option<Instant>,
}

/// The machine.
#[derive(Debug)]
pub struct Recovery {
    ledger: Ledger,
    started: Instant,
    incident: Option<Incident>,
    /// The disk's own.
    disk: Option<Incident>,
    /// Why the ledger cannot be kept: then nothing is done that may only be done so often.
    forgetful: Option<String>,
    /// There is somebody who may do what only root may.
    helped: bool,
}

impl Recovery {
    /// `ledger` is as the disk kept it, and says what the running time is at `now`.
    pub fn new(ledger: Ledger, now: Instant) -> Self {
        Recovery { ledger, started: now, incident: None, disk: None, forgetful: None, helped: true }
    }

    /// Something is wrong, still or again: the rung to take now. It is in the ledger already.
    pub fn fault(&mut self, cause: Cause, now: Instant) -> Rung {
        let running = self.running(now);
        let before = self.slot(cause).take().filter(|incident| !incident.is_over(now));
        let top = cause.top();
        let begins_again = |incident: &Incident| incident.rung == top && now >= incident.taken + BEGIN_AGAIN;
        // Another cause goes on from where this one had come to only where both lie in this machine and not in a page: a
        // page that is killed a moment after Firefox was started again is no reason to start it once more.
        let goes_on = |incident: &&Incident| {
            let machine = cause.is_of_this_machine() && incident.cause.is_of_this_machine();
            let climbs_on = machine && incident.rung != top && cause.ladder().contains(&incident.rung);
            (incident.cause == cause || climbs_on) && !begins_again(incident)
        };
        let from = before.as_ref().filter(goes_on);
        let taken_in_a_row = |rung: Rung| from.filter(|from| from.rung == rung).map_or(0, |from| from.in_a_row);
        let lowest = from.map_or(Rung::Navigate, |from| from.rung);
        let mut rungs = cause.ladder().iter().copied().filter(|rung| *rung >= lowest);
        let may = |rung: &Rung| taken_in_a_row(*rung) < rung.in_a_row(cause) && self.may(*rung, cause, now);
        let rung = rungs.find(may).unwrap_or(top);
        let in_a_row = taken_in_a_row(rung).saturating_add(1);
        // At the top the time runs from when it was reached.
        let taken = from.filter(|from| from.rung == rung && rung == top).map_or(now, |from| from.taken);
        let since = before.as_ref().map_or(now, |incident| incident.since);
        *self.slot(cause) = Some(Incident { cause, rung, since, in_a_row, taken, well: None });
        self.ledger.spend(rung, running);
        rung
    }

    /// The right page is painted and answers, or not.
    pub fn is_well(&mut self, well: bool, now: Instant) {
        if let Some(incident) = &mut self.incident {
            incident.well = well.then(|| incident.well.unwrap_or(now));
        }
    }

    /// The disk can be written.
    pub fn disk_is_well(&mut self) {
        self.disk = None;
    }

    /// What is wrong with the disk.
    pub fn disk(&self) -> Option<&Incident> {
        self.disk.as_ref()
    }

    /// When an incident will be over, if all stays well.
    pub fn deadline(&self) -> Option<Instant> {
        self.incident.as_ref()?.well.map(|well| well + CALM)
    }

    pub fn due(&mut self, now: Instant) {
        if self.incident.as_ref().is_some_and(|incident| incident.is_over(now)) {
            self.incident = None;
        }
    }

    /// What is wrong, or was a moment ago.
    pub fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    /// The ledger as the disk is to keep it.
    pub fn kept(&self, now: Instant) -> String {
        self.ledger.to_text(self.running(now))
    }

    /// Whether there is somebody who may do what only root may: without, nothing is asked of nobody.
    pub fn has_helper(&mut self, helped: bool) {
        self.helped = helped;
    }

    /// Whether the ledger could be written.
    pub fn remembers(&mut self, trouble: Option<String>) {
        self.forgetful = trouble;
    }

    fn slot(&mut self, cause: Cause) -> &mut Option<Incident> {
        if cause.is_of_the_disk() { &mut self.disk } else { &mut self.incident }
    }

    fn may(&self, rung: Rung, cause: Cause, now: Instant) -> bool {
        let running = self.running(now);
        let remembered = match cause {
            Cause::DiskFailed => self.ledger.uptime(running) >= RESTED,
            _ => self.forgetful.is_none(),
        };
        let kept = (remembered && self.helped) || !rung.needs_memory();
        kept && rung.budget().is_none_or(|(times, window)| self.ledger.spent(rung, window, running) < times)
    }

    fn running(&self, now: Instant) -> RunningTime {
        self.ledger.at_start() + now.saturating_duration_since(self.started)
    }
}

impl Incident {
    fn is_over(&self, now: Instant) -> bool {
        self.well.is_some_and(|well| now >= well + CALM)
    }

    /// All has been well since the last rung, though not for long enough yet.
    pub fn is_passing(&self) -> bool {
        self.well.is_some()
    }
}

#[cfg(test)]
mod tests;
