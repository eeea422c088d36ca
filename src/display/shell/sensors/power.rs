//! Whether a Pi gets enough power: the commonest fault of one in the field, and one that looks like every other.
//!
//! The firmware knows. Raspberry Pi's own kernel shows its whole word (`get_throttled`), Debian's the alarm of the last two
//! seconds (the sensor `rpi_volt`). Other machines have neither.

use std::{fs, path::Path};

/// Bits of `get_throttled`, as the firmware documents them.
const UNDER_VOLTAGE: u32 = 1;
const THROTTLED: u32 = 1 << 2;
const UNDER_VOLTAGE_SEEN: u32 = 1 << 16;

/// What is known; None where it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Power {
    pub under_voltage: Option<bool>,
    /// Since the machine started.
    pub under_voltage_seen: Option<bool>,
    /// Slowed down, by heat or by the voltage.
    pub throttled: Option<bool>,
}

/// Reads below `root`, which is `/` but in tests.
pub fn read(root: &Path) -> Power {
    let word = fs::read_to_string(root.join("sys/devices/platform/soc/soc:firmware/get_throttled"));
    let word = word.ok().and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    if let Some(word) = word {
        let has = |bit| Some(word & bit != 0);
        return Power {
            under_voltage: has(UNDER_VOLTAGE),
            under_voltage_seen: has(UNDER_VOLTAGE_SEEN),
            throttled: has(THROTTLED),
        };
    }
    let sensors = fs::read_dir(root.join("sys/class/hwmon")).into_iter().flatten().flatten();
    let alarm = sensors
        .map(|sensor| sensor.path())
        .find(|sensor| fs::read_to_string(sensor.join("name")).is_ok_and(|name| name.trim() == "rpi_volt"))
        .and_then(|sensor| fs::read_to_string(sensor.join("in0_lcrit_alarm")).ok());
    Power { under_voltage: alarm.map(|alarm| alarm.trim() != "0"), ..Power::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::shell::sensors::tests::machine;

    #[test]
    fn raspberry_pis_own_kernel_tells_what_is_and_what_was() {
        let word = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let was = read(machine(&[(word, "50000\n")]).path());
        assert_eq!((was.under_voltage, was.under_voltage_seen, was.throttled), (Some(false), Some(true), Some(false)));
        let is = read(machine(&[(word, "0x50005")]).path());
        assert_eq!((is.under_voltage, is.throttled), (Some(true), Some(true)));
    }

    #[test]
    fn debians_kernel_tells_what_is_and_other_machines_tell_nothing() {
        let sensor = |alarm| {
            machine(&[
                ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
                ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
                ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm),
            ])
        };
        assert_eq!(read(sensor("1\n").path()), Power { under_voltage: Some(true), ..Power::default() });
        assert_eq!(read(sensor("0\n").path()).under_voltage, Some(false));
        assert_eq!(read(machine(&[]).path()), Power::default());
    }
}
