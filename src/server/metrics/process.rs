//! This process, by the names that every Prometheus client uses. What cannot be read stays at its last value.

use std::{fs, sync::atomic::AtomicU64};

use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

#[derive(Debug, Default)]
pub struct Process {
    resident_bytes: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    open_fds: Gauge,
    threads: Gauge,
}

impl Process {
    pub fn register(&self, to: &mut Registry) {
        to.register("process_resident_memory_bytes", "Memory in use", self.resident_bytes.clone());
        to.register("process_cpu_seconds", "CPU time used", self.cpu_seconds.clone());
        to.register("process_open_fds", "File descriptors open", self.open_fds.clone());
        to.register("process_threads", "Threads", self.threads.clone());
    }

    /// Reads `/proc/self` (`proc(5)`).
    pub fn read(&self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> Option<i64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        if let Some(kilobytes) = field("VmRSS:") {
            self.resident_bytes.set(kilobytes * 1024);
        }
        if let Some(threads) = field("Threads:") {
            self.threads.set(threads);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(entries.count()).unwrap_or(i64::MAX));
        }
        if let Some(seconds) = cpu_seconds() {
            self.cpu_seconds.inner().store(seconds.to_bits(), std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything: fields are counted behind it. utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(f64::from(ticks) / f64::from(i32::try_from(per_second).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told() {
        let process = Process::default();
        process.read();
        assert!(process.resident_bytes.get() > 1_000_000 && process.open_fds.get() > 2 && process.threads.get() > 0);
        assert!(cpu_seconds().is_some());
    }
}
