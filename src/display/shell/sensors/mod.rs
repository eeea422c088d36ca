//! How this machine is: what `/proc`, `/sys` and the kernel tell. What cannot be read is left out.
//!
//! ```text
//!   /proc, statvfs, /sys/class/thermal --> here   memory, disk, load, heat, addresses, pressure --+
//!   the firmware's word, /sys/class/hwmon -> power  too weak a supply, now and since the boot ----+--> Health
//!   /sys/block, /sys/fs/ext4, mounts ------> card   what it is, how worn, its errors, read-only --+
//!   nl80211 -------------------------------> wifi   which network, how strong --------------------'
//! ```
//!
//! Rejected: programs (vcgencmd, iw, smartctl). Each would be one more package and one more process a minute.

mod card;
mod power;
mod wifi;

use std::{fs, net::IpAddr, path::Path};

use nix::ifaddrs::getifaddrs;

use crate::{
    display::blackbox,
    event::{
        health::{Health, Pressure},
        time::UtcMillis,
    },
    io::{room::Room, uptime::uptime},
};

/// Fills in what the machine itself can tell.
pub fn read_machine(health: &mut Health, state: &Path) {
    let read = |path: &str| fs::read_to_string(path).ok();
    let first = |text: Option<String>| text?.split_whitespace().next()?.parse::<f64>().ok();
    health.machine_uptime_s = uptime().map(|uptime| uptime.as_secs());
    health.load_1m = first(read("/proc/loadavg"));
    if let Some(memory) = read("/proc/meminfo") {
        health.memory_total_kb = kilobytes(&memory, "MemTotal:");
        health.memory_available_kb = kilobytes(&memory, "MemAvailable:");
    }
    let room = Room::of(state).ok();
    health.disk_total_kb = room.map(|room| room.size / 1024);
    health.disk_free_kb = room.map(|room| room.free / 1024);
    health.temperature_c = first(read("/sys/class/thermal/thermal_zone0/temp")).map(|thousandths| thousandths / 1000.0);
    let power = power::read(Path::new("/"));
    health.under_voltage = power.under_voltage;
    health.under_voltage_seen = power.under_voltage_seen;
    health.throttled = power.throttled;
    health.wifi = wifi::read();
    health.card = card::read(Path::new("/"));
    health.pressure = read("/proc/pressure/memory").as_deref().and_then(pressure);
    health.model = read("/proc/device-tree/model").map(|model| model.trim_end_matches('\0').to_owned());
    health.os = read("/etc/os-release").as_deref().and_then(os_name);
    health.addresses = addresses().into_iter().map(|(_, address)| address.to_string()).collect();
}

/// Interface names and addresses, without loopback and link-local ones.
pub fn addresses() -> Vec<(String, IpAddr)> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let mut found: Vec<(String, IpAddr)> = all
        .filter_map(|interface| {
            let address = interface.address?;
            let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                (None, None) => return None,
            };
            let is_local = match ip {
                IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
                IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
            };
            (!is_local).then_some((interface.interface_name, ip))
        })
        .collect();
    found.sort_by_key(|(name, ip)| (ip.is_ipv6(), name.clone()));
    found
}

/// Names this boot: the kernel makes a new one at each start.
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// What the black box asks of the machine that was just started, or of the one that only its supervisor was.
pub fn of_this_start(at: UtcMillis) -> blackbox::Now {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    blackbox::Now {
        at,
        boot: boot_id(),
        machine_uptime_s: uptime().map(|uptime| uptime.as_secs()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        watchdog: number("/sys/class/watchdog/watchdog0/bootstatus"),
        kernel_crashed: kernel_crashed(Path::new("/var/lib/systemd/pstore")),
    }
}

/// systemd moves what a failing kernel left behind into a folder here, in the first seconds of the next start.
fn kernel_crashed(folder: &Path) -> bool {
    let Some(uptime) = uptime() else { return false };
    let age = |entry: &fs::DirEntry| entry.metadata().ok()?.modified().ok()?.elapsed().ok();
    let of_this_boot = |entry: &fs::DirEntry| age(entry).is_some_and(|age| age <= uptime);
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| of_this_boot(&entry)))
}

/// Whether the wall clock was set since boot, as far as this machine tells.
pub fn clock_is_trusted() -> bool {
    let timesync = Path::new("/run/systemd/timesync");
    // Without systemd's own time service somebody else keeps the clock, or there is a battery.
    timesync.join("synchronized").exists() || !timesync.exists()
}

/// The average of the last minute, of each line.
fn pressure(text: &str) -> Option<Pressure> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("avg60="))?.parse().ok()
    };
    Some(Pressure { some: of("some")?, full: of("full")? })
}

/// `PRETTY_NAME` of `os-release(5)`.
fn os_name(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

fn kilobytes(memory: &str, name: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of which only these files can be read.
    pub fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn this_machine_tells_how_it_is() {
        let mut health = Health::default();
        read_machine(&mut health, Path::new("/"));
        assert!(health.memory_total_kb.unwrap() > health.memory_available_kb.unwrap());
        assert!(health.disk_free_kb.unwrap() <= health.disk_total_kb.unwrap());
        assert_eq!(os_name("ID=debian\nPRETTY_NAME=\"Debian 13\"\n").as_deref(), Some("Debian 13"));
        assert!(health.disk_free_kb.is_some() && health.load_1m.is_some() && health.machine_uptime_s.is_some());
        let text = "some avg10=0.00 avg60=12.50 avg300=1.00 total=7\nfull avg10=0.00 avg60=3.25 avg300=0.00 total=2\n";
        assert_eq!(pressure(text), Some(Pressure { some: 12.5, full: 3.25 }));
        assert!(addresses().iter().all(|(_, ip)| !ip.is_loopback()));
    }
}
