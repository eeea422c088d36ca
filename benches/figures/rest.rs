//! What processes cost while nothing happens: memory, processor, how often they wake a Pi's core.

use std::time::{Duration, Instant};

use crate::{
    rounds,
    support::{process, wait::until},
    table::Table,
};

/// Who is looked at, and what was promised for it.
pub struct Idler<'a> {
    pub name: &'a str,
    /// Which build it is.
    pub build: &'a str,
    pub pid: i32,
    pub memory: &'a str,
    pub processor: &'a str,
}

/// All over the same minute.
pub fn measure(table: &mut Table, idlers: &[Idler]) {
    let minute = Duration::from_secs(if rounds(10) == 10 { 60 } else { 6 });
    let look = |idler: &Idler| (process::cpu_seconds(idler.pid).unwrap_or(0.0), process::switches(idler.pid));
    let before: Vec<_> = idlers.iter().map(look).collect();
    let began = Instant::now();
    until("a minute of rest", minute * 2, || (began.elapsed() >= minute).then_some(()));
    let elapsed = began.elapsed().as_secs_f64();
    for (idler, (cpu, switches)) in idlers.iter().zip(before) {
        let now = look(idler);
        let percent = (now.0 - cpu) / elapsed * 100.0;
        let each_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed;
        let wakes = each_second(now.1.slept, switches.slept);
        let pushed = each_second(now.1.pushed_off, switches.pushed_off);
        let field = |name: &str| process::status_field(idler.pid, name).unwrap_or(0);
        let mb = |name: &str| field(name) as f64 / 1024.0;
        let note = format!(
            "{}; peak {:.1} MB, of its own (anonymous) {:.1} MB, {} threads",
            idler.build,
            mb("VmHWM"),
            mb("RssAnon"),
            field("Threads")
        );
        table.row(format!("{}: memory (RSS)", idler.name), format!("{:.1} MB", mb("VmRSS")), idler.memory, note);
        table.row(
            format!("{}: processor at rest", idler.name),
            format!("{percent:.2} %"),
            idler.processor,
            format!("over {elapsed:.0} s; all its threads woke {wakes:.1} times a second, pushed off the core {pushed:.1} times"),
        );
    }
}
