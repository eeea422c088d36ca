//! How often each rung was taken, kept on disk: `STATE/recovery.json`. Pure; the shell reads and writes the text.
//!
//! Time in it is *running time*: seconds that this display's machine has been up since the ledger began, counted by the
//! kernel's uptime and the boot's id. No wall clock goes in: one that jumps by ten years would give every budget back,
//! or take it for good. What the machine was switched off does not count, so a budget comes back late and never early.

use std::{ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

use super::Rung;

/// Rungs are forgotten after this long: the longest window of a budget.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most that is kept, however often the cheap rungs were taken.
const ENTRIES_MAX: usize = 200;

/// Time that the machine was up since the ledger began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunningTime(Duration);

impl Add<Duration> for RunningTime {
    type Output = Self;
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

/// What was done, and when in running time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    at_start: RunningTime,
    /// The boot that this is, and its uptime when the ledger was read.
    boot: String,
    uptime: Duration,
    entries: Vec<(Rung, RunningTime)>,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    boot: String,
    /// Of that boot, when this was written.
    uptime_s: f64,
    /// Running time at that moment.
    running_s: f64,
    taken: Vec<Taken>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    rung: Rung,
    at_s: f64,
}

impl Ledger {
    /// Goes on from what the disk kept: `None` is a display that never had to recover. `boot` and `uptime` are this
    /// boot's. A text that cannot be read counts as everything spent: rather an hour without a reboot than one too many.
    pub fn resume(text: Option<&str>, boot: &str, uptime: Duration) -> Self {
        let fresh = |entries| Ledger { at_start: RunningTime(uptime), boot: boot.to_owned(), uptime, entries };
        let Some(text) = text else { return fresh(Vec::new()) };
        let kept: Option<Kept> = serde_json::from_str(text).ok();
        let read = |kept: Kept| -> Option<Self> {
            let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
            let (before, running) = (seconds(kept.uptime_s)?, seconds(kept.running_s)?);
            let since = if kept.boot == boot { uptime.saturating_sub(before) } else { uptime };
            let entries = kept.taken.iter().map(|taken| Some((taken.rung, RunningTime(seconds(taken.at_s)?))));
            let entries: Option<Vec<_>> = entries.collect();
            Some(Ledger { at_start: RunningTime(running) + since, entries: entries?, ..fresh(Vec::new()) })
        };
        kept.and_then(read).unwrap_or_else(|| {
            let rungs = [Rung::PlainProfile, Rung::RestartSession, Rung::Reboot];
            let spent = rungs.into_iter().flat_map(|rung| {
                std::iter::repeat_n((rung, RunningTime(uptime)), rung.budget().map_or(0, |(times, _)| times))
            });
            fresh(spent.collect())
        })
    }

    /// The running time when it was read.
    pub fn at_start(&self) -> RunningTime {
        self.at_start
    }

    /// Of the machine, at this running time.
    pub fn uptime(&self, now: RunningTime) -> Duration {
        self.uptime + now.0.saturating_sub(self.at_start.0)
    }

    /// How often a rung was taken within the last `window`.
    pub fn spent(&self, rung: Rung, window: Duration, now: RunningTime) -> usize {
        self.entries.iter().filter(|(taken, at)| *taken == rung && *at + window > now).count()
    }

    pub fn spend(&mut self, rung: Rung, now: RunningTime) {
        // The top of a ladder has no budget.
        if rung.budget().is_none() {
            return;
        }
        self.entries.retain(|(_, at)| *at + REMEMBERED > now);
        if self.entries.len() >= ENTRIES_MAX {
            // A cheap one goes: those that end a session are the ones that must not be forgotten.
            let oldest = self.entries.iter().position(|(rung, _)| !rung.needs_memory());
            oldest.map(|at| self.entries.remove(at));
        }
        self.entries.push((rung, now));
    }

    /// As the disk is to keep it.
    pub fn to_text(&self, now: RunningTime) -> String {
        let kept = Kept {
            boot: self.boot.clone(),
            uptime_s: self.uptime(now).as_secs_f64(),
            running_s: now.0.as_secs_f64(),
            taken: self.entries.iter().map(|(rung, at)| Taken { rung: *rung, at_s: at.0.as_secs_f64() }).collect(),
        };
        serde_json::to_string(&kept).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn reboots(ledger: &Ledger, later: Duration) -> usize {
        ledger.spent(Rung::Reboot, 60 * MINUTE, ledger.at_start() + later)
    }

    #[test]
    fn what_was_done_is_remembered_by_the_next_supervisor_and_by_the_next_boot() {
        let mut ledger = Ledger::resume(None, "boot-a", 10 * MINUTE);
        ledger.spend(Rung::Reboot, ledger.at_start() + MINUTE);
        let text = ledger.to_text(ledger.at_start() + MINUTE);

        let same_boot = Ledger::resume(Some(&text), "boot-a", 20 * MINUTE);
        assert_eq!(reboots(&same_boot, 50 * MINUTE), 1);
        assert_eq!(reboots(&same_boot, 51 * MINUTE), 0, "an hour after it was done");

        let next_boot = Ledger::resume(Some(&text), "boot-b", MINUTE);
        assert_eq!(reboots(&next_boot, 58 * MINUTE), 1);
        assert_eq!(reboots(&next_boot, 60 * MINUTE), 0);
        let again = Ledger::resume(Some(&next_boot.to_text(next_boot.at_start() + 30 * MINUTE)), "boot-c", MINUTE);
        assert_eq!((reboots(&again, 27 * MINUTE), reboots(&again, 29 * MINUTE)), (1, 0), "over two boots");
    }

    #[test]
    fn a_ledger_that_cannot_be_read_gives_no_reboot_for_an_hour() {
        for text in ["", "{", "{\"boot\":\"a\",\"uptime_s\":-1,\"running_s\":1e300,\"taken\":[]}"] {
            let ledger = Ledger::resume(Some(text), "boot", MINUTE);
            let (times, _) = Rung::Reboot.budget().unwrap();
            assert_eq!(reboots(&ledger, 59 * MINUTE), times, "{text}");
            assert_eq!(reboots(&ledger, 60 * MINUTE), 0, "{text}");
        }
    }

    #[test]
    fn it_stays_small_and_forgets_no_reboot() {
        let mut ledger = Ledger::resume(None, "boot", MINUTE);
        ledger.spend(Rung::Reboot, ledger.at_start());
        for n in 0..5000 {
            ledger.spend(Rung::Navigate, ledger.at_start() + Duration::from_millis(n));
        }
        assert_eq!(reboots(&ledger, MINUTE), 1);
        assert!(ledger.to_text(ledger.at_start()).len() < 16 * 1024);
    }
}
