//! How long this machine has been up: a clock that nobody sets.

use std::{fs, time::Duration};

/// `/proc/uptime`: what the machine slept counts (CLOCK_BOOTTIME). None where there is no such file.
pub fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_is_up() {
        assert!(super::uptime().is_some_and(|uptime| uptime.as_secs() > 0));
    }
}
