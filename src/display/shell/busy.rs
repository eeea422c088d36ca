//! How busy this machine is: for how long something on it has waited for a processor. Looked at when there is something
//! else to do anyway, so that a display at rest is not woken for it.

use std::{fs, time::Duration};

use tokio::time::Instant;

use crate::display::supervisor::Input;

/// The page is asked every three seconds whether it is alive: so often there is something else to do.
const EVERY: Duration = Duration::from_secs(2);

/// When it was looked at last.
#[derive(Debug, Default)]
pub struct Busy {
    looked: Option<Instant>,
}

impl Busy {
    /// What the supervisor is to know, where the kernel tells (`/proc/pressure`).
    pub fn look(&mut self, now: Instant) -> Option<Input> {
        if self.looked.is_some_and(|at| now < at + EVERY) {
            return None;
        }
        self.looked = Some(now);
        held_up(&fs::read_to_string("/proc/pressure/cpu").ok()?).map(Input::HeldUp)
    }
}

/// Of the machine's whole running time, in which at least one process could not go on for want of a processor.
fn held_up(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let microseconds = line.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    microseconds.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_which_something_waited_for_a_processor_is_read() {
        let text =
            "some avg10=1.20 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(held_up(text), Some(Duration::from_millis(2500)));
        assert_eq!(held_up("nothing of that kind"), None);
    }
}
