//! Whether the wall clock may be set to what the supervisor heard from its server.
//!
//! A display whose network lets no NTP through would show the wrong year for ever and refuse every certificate. Its
//! server is authenticated and knows the time. But a server's word counts less than a time service's, and nobody's word
//! brings a time before the program was made: certificates that ran out since would be good again.

use std::{
    io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use nix::{libc, sys::time::TimeSpec};

use super::deed::Deed;

/// What is less than this away is left as it is: the network's own delay is of this size.
const CLOSE_ENOUGH_MS: u64 = 2_000;
/// Nobody uses a program for so long: a clock that says so is the one that is wrong.
const AT_MOST_AFTER_MS: u64 = 20 * 365 * 24 * 3600 * 1000;

/// What is known of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What it shows, in ms since 1970.
    pub now_ms: u64,
    /// A time service has set it since the machine started.
    pub synchronised: bool,
    /// When this program was made or laid down.
    pub floor_ms: u64,
}

impl Clock {
    /// This machine's.
    pub fn read() -> Self {
        let ms = |time: std::time::SystemTime| {
            u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
        };
        let program = std::env::current_exe().and_then(std::fs::metadata).and_then(|file| file.modified());
        Clock {
            now_ms: ms(std::time::SystemTime::now()),
            synchronised: Path::new("/run/systemd/timesync/synchronized").exists() || kernel_is_synchronised(),
            floor_ms: program.map(ms).unwrap_or_default(),
        }
    }

    /// What is done to show `unix_ms`, or why nothing is.
    pub fn judge(self, unix_ms: u64) -> Result<Deed, String> {
        if self.synchronised {
            return Err("a time service keeps this clock".to_owned());
        }
        if unix_ms < self.floor_ms {
            return Err("this time is before the one at which pikiosk was installed".to_owned());
        }
        if unix_ms - self.floor_ms > AT_MOST_AFTER_MS {
            return Err("this time is more than twenty years after pikiosk was installed".to_owned());
        }
        if self.now_ms.abs_diff(unix_ms) < CLOSE_ENOUGH_MS {
            return Ok(Deed::Nothing);
        }
        Ok(Deed::SetClock { unix_ms })
    }
}

/// Sets the wall clock. The battery-backed one, where a machine has one, follows by the kernel.
pub fn set(unix_ms: u64) -> io::Result<()> {
    let time = TimeSpec::from_duration(Duration::from_millis(unix_ms));
    #[expect(unsafe_code, reason = "nix is built without clock_settime")]
    // SAFETY: it reads the time that the pointer leads to, which lives until it returns.
    let set = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, std::ptr::from_ref(time.as_ref())) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Every time service tells the kernel once it is sure (`adjtimex(2)`).
fn kernel_is_synchronised() -> bool {
    #[expect(unsafe_code, reason = "nix has no adjtimex")]
    // SAFETY: all zero is a `timex` that asks and changes nothing, and the kernel fills it in.
    let status = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        match libc::adjtimex(&raw mut timex) {
            -1 => libc::STA_UNSYNC,
            _ => timex.status,
        }
    };
    status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;
    const MADE: u64 = 20_000 * DAY;

    fn clock(now_ms: u64) -> Clock {
        Clock { now_ms, synchronised: false, floor_ms: MADE }
    }

    #[test]
    fn a_clock_that_nobody_has_set_takes_the_servers_time_from_either_side() {
        for wrong in [0, MADE - 1, MADE + 400 * DAY, MADE + 9000 * DAY] {
            assert_eq!(clock(wrong).judge(MADE + 300 * DAY), Ok(Deed::SetClock { unix_ms: MADE + 300 * DAY }));
        }
        assert_eq!(clock(MADE + DAY).judge(MADE + DAY + 1500), Ok(Deed::Nothing), "the network's delay");
    }

    #[test]
    fn no_server_brings_back_the_past_or_a_far_future_or_overrules_a_time_service() {
        assert!(clock(0).judge(MADE - 1).unwrap_err().contains("before"));
        assert!(clock(0).judge(0).is_err());
        assert!(clock(0).judge(u64::MAX).unwrap_err().contains("twenty years"));
        let kept = Clock { synchronised: true, ..clock(0) };
        assert!(kept.judge(MADE + DAY).unwrap_err().contains("time service"));
    }

    #[test]
    fn this_machine_has_a_clock_and_a_program_of_some_age() {
        let clock = Clock::read();
        assert!(clock.floor_ms > 0 && clock.floor_ms <= clock.now_ms + 1000, "{clock:?}");
    }
}
