//! What the processes of a server used, as the kernel counts it: processor time and memory.

use std::fs;

use crate::support::process;

/// The roots of what is measured; their children count too.
#[derive(Debug, Clone)]
pub struct Group(pub Vec<i32>);

impl Group {
    fn all(&self) -> Vec<i32> {
        let mut all = self.0.clone();
        for root in &self.0 {
            all.extend(process::below(*root).into_iter().map(|seen| seen.pid));
        }
        all
    }

    /// Time on a processor so far, in seconds: the sum over threads, to the nanosecond. /proc/PID/stat counts in 10 ms,
    /// which is a fifth of what a fast server needs for a whole flood. A thread that ends takes its time with it.
    pub fn cpu(&self) -> f64 {
        let of_task = |path: &std::path::Path| {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        let of = |pid: i32| -> u64 {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            tasks.filter_map(|task| of_task(&task.path())).sum()
        };
        self.all().into_iter().map(of).sum::<u64>() as f64 / 1e9
    }

    /// Resident memory in KiB, shared pages split among those who share them.
    pub fn memory(&self) -> f64 {
        let of = |pid: i32| -> Option<f64> {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        self.all().into_iter().filter_map(of).sum()
    }
}

/// The load of the machine (one, five minutes) and processors, to say beside figures.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut parts = text.split(' ');
    let (one, five) = (parts.next().unwrap_or("?"), parts.next().unwrap_or("?"));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("load {one} (5 min: {five}) on {processors} processors")
}
