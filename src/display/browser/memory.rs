//! How much memory Firefox takes, and what is ended for it.
//!
//! A page that allocates without end would take a Pi's last page within a second or two, and then nothing answers, not
//! even what is to help. So its process is ended by the loop itself, which needs nobody's answer for it; the supervisor
//! hears of it and decides what follows.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    display::supervisor::Overgrown,
    io::process::{self, Identity},
};

/// Without a word in kiosk.toml Firefox may take this share of the machine's memory, in hundredths...
const SHARE: u64 = 60;
/// ...and no more than this however large the machine is: a page for a display that needs more is broken.
const LIMIT_MAX_KB: u64 = 2 * 1024 * 1024;
/// Firefox itself needs most of this.
const LIMIT_MIN_KB: u64 = 300 * 1024;
/// When the whole machine has less than this share left, in hundredths, the largest page goes before the kernel begins to
/// search for what to kill.
const LOW: u64 = 6;
/// A page smaller than this share, in hundredths, is not what took it.
const LARGE: u64 = 25;

/// A page with more than this share of the limit, in hundredths, is loaded anew at a quiet moment; and so is a page of
/// [`LARGE`] of the machine while something waits for memory in this share of the time.
const MOST: u64 = 70;
const PRESSED: u64 = 10;
/// That is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// At rest, and while something grows fast.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_WHILE_GROWING: Duration = Duration::from_millis(100);
/// The whole tree is looked through this seldom: between, the children of what is known are asked for.
const SCAN_AFTER: u32 = 15;

/// One process below the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    process: Identity,
    /// It runs pages.
    content: bool,
    /// What is its own: anonymous, shared by it, and swapped out.
    kb: u64,
}

/// All of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Machine {
    total_kb: u64,
    available_kb: u64,
    /// In hundredths of the last ten seconds something waited for memory; 0 where the kernel does not tell.
    pressure: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// This process runs pages and goes at once.
    Kill(Taken),
    /// This process runs pages and has most of what it may have.
    Large(Taken),
    /// Firefox as a whole is too large, by itself.
    Grown {
        kb: u64,
    },
}

/// The most that Firefox may take.
fn limit_kb(configured_mb: Option<u32>, total_kb: u64) -> u64 {
    let default = (total_kb * SHARE / 100).clamp(LIMIT_MIN_KB, LIMIT_MAX_KB);
    configured_mb.map_or(default, |mb| u64::from(mb) * 1024)
}

fn judge(taken: &[Taken], machine: Machine, limit_kb: u64) -> Verdict {
    let all: u64 = taken.iter().map(|it| it.kb).sum();
    let largest = taken.iter().filter(|it| it.content).max_by_key(|it| it.kb);
    let is_low = machine.total_kb > 0 && machine.available_kb < machine.total_kb * LOW / 100;
    match largest {
        Some(page) if page.kb > limit_kb || (all > limit_kb && page.kb > all / 2) => Verdict::Kill(*page),
        Some(page) if is_low && page.kb > machine.total_kb * LARGE / 100 => Verdict::Kill(*page),
        _ if all > limit_kb => Verdict::Grown { kb: all },
        Some(page) if page.kb > limit_kb * MOST / 100 => Verdict::Large(*page),
        Some(page) if machine.pressure >= PRESSED && page.kb > machine.total_kb * LARGE / 100 => Verdict::Large(*page),
        _ => Verdict::Fine,
    }
}

/// Reads what Firefox takes, at little cost.
#[derive(Debug, Default)]
pub struct Watch {
    known: Vec<(Identity, bool)>,
    /// Processes that run pages and that nobody was told of yet.
    pages: Vec<Identity>,
    /// Looks since the whole tree was looked through.
    looks: u32,
    largest_kb: u64,
    pace: Duration,
    /// The supervisor was told of Firefox as a whole: once for each start.
    told: bool,
    told_large: Option<Instant>,
}

impl Watch {
    /// When to look next.
    pub fn pace(&self) -> Duration {
        self.pace.max(EVERY_WHILE_GROWING)
    }

    /// Looks, and ends a page that takes too much; what is to be told of it.
    pub fn tend(&mut self, configured_mb: Option<u32>) -> Option<Overgrown> {
        let machine = machine();
        let limit = limit_kb(configured_mb, machine.total_kb);
        let told =
            |content, killed, kb: u64| Some(Overgrown { content, killed, megabytes: kb / 1024, limit: limit / 1024 });
        match judge(&self.look(limit), machine, limit) {
            Verdict::Kill(page) => {
                let _ = page.process.signal(Signal::SIGKILL);
                tracing::warn!(pid = page.process.pid, kb = page.kb, limit, "a page took too much memory: killed");
                told(true, true, page.kb)
            }
            Verdict::Grown { kb } if !std::mem::replace(&mut self.told, true) => told(false, false, kb),
            Verdict::Large(page) if self.told_large.is_none_or(|at| at.elapsed() >= TOLD_EVERY) => {
                self.told_large = Some(Instant::now());
                told(true, false, page.kb)
            }
            Verdict::Large(_) | Verdict::Grown { .. } | Verdict::Fine => None,
        }
    }

    /// Processes that run pages and were found since this was asked last.
    pub fn new_pages(&mut self) -> Vec<Identity> {
        std::mem::take(&mut self.pages)
    }

    /// What is below this process now.
    fn look(&mut self, limit_kb: u64) -> Vec<Taken> {
        let own = nix::unistd::getpid().as_raw();
        if self.known.is_empty() || self.looks >= SCAN_AFTER {
            self.looks = 0;
            let before = std::mem::take(&mut self.known);
            let known = |it: &Identity| before.iter().any(|(known, content)| known == it && *content);
            self.known = process::descendants(own).into_iter().map(|it| (it, known(&it))).collect();
        } else {
            self.looks += 1;
            let born = self.known.iter().flat_map(|(parent, _)| children(parent.pid));
            let born: Vec<i32> = born.filter(|pid| self.known.iter().all(|(it, _)| it.pid != *pid)).collect();
            self.known.extend(born.into_iter().filter_map(Identity::of).map(|it| (it, false)));
        }
        // Firefox forks a process first and gives it its name then.
        for (process, content) in self.known.iter_mut().filter(|(_, content)| !content) {
            *content = process::name(process.pid).is_some_and(|name| is_content(&name));
            self.pages.extend(content.then_some(*process));
        }
        let mut taken = Vec::with_capacity(self.known.len());
        self.known.retain(|(process, content)| {
            let kb = own_kb(process.pid).filter(|_| process.is_alive());
            taken.extend(kb.map(|kb| Taken { process: *process, content: *content, kb }));
            kb.is_some()
        });
        let largest = taken.iter().filter(|it| it.content).map(|it| it.kb).max().unwrap_or(0);
        // A page that is large and rests is looked at once a second like any other.
        let grows_fast = largest > self.largest_kb + limit_kb / 100 && self.largest_kb > 0;
        self.pace = if grows_fast { EVERY_WHILE_GROWING } else { EVERY };
        self.largest_kb = largest;
        taken
    }
}

/// Whether a process of this name runs pages.
pub fn is_content(name: &str) -> bool {
    name.starts_with("Web Content") || name.starts_with("Isolated Web")
}

fn machine() -> Machine {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let pressure = pressure(&fs::read_to_string("/proc/pressure/memory").unwrap_or_default());
    Machine { total_kb: field(&text, "MemTotal:"), available_kb: field(&text, "MemAvailable:"), pressure }
}

/// `some avg10=12.34 avg60=...`
fn pressure(text: &str) -> u64 {
    let share = text.strip_prefix("some avg10=").and_then(|rest| rest.split('.').next());
    share.and_then(|whole| whole.parse().ok()).unwrap_or(0)
}

fn own_kb(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    Some(["RssAnon:", "RssShmem:", "VmSwap:"].iter().map(|name| field(&text, name)).sum())
}

/// Of the process's first thread, which is the only one of Firefox's fork server. Nothing where the kernel does not tell.
fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024;
    const PI: Machine = Machine { total_kb: 906 * MB, available_kb: 300 * MB, pressure: 0 };

    fn taken(pages: &[u64], rest: u64) -> Vec<Taken> {
        let process = |pid| Identity { pid, started: 1 };
        let pages = pages.iter().zip(2..).map(|(mb, pid)| Taken { process: process(pid), content: true, kb: mb * MB });
        pages.chain([Taken { process: process(1), content: false, kb: rest * MB }]).collect()
    }

    fn killed(verdict: Verdict) -> Option<i32> {
        match verdict {
            Verdict::Kill(taken) => Some(taken.process.pid),
            _ => None,
        }
    }

    #[test]
    fn the_largest_page_goes_and_firefox_itself_is_left_to_the_supervisor() {
        let limit = limit_kb(None, PI.total_kb);
        assert!((520 * MB..560 * MB).contains(&limit), "{limit}");
        assert_eq!(judge(&taken(&[40, 60], 180), PI, limit), Verdict::Fine);
        assert_eq!(killed(judge(&taken(&[40, 600], 180), PI, limit)), Some(3));
        assert_eq!(killed(judge(&taken(&[400, 40], 180), PI, limit)), Some(2), "together they are too large");
        assert!(matches!(judge(&taken(&[400], 100), PI, limit), Verdict::Large(_)));
        assert!(matches!(judge(&taken(&[60], 600), PI, limit), Verdict::Grown { .. }));
    }

    #[test]
    fn a_machine_that_has_no_memory_left_loses_its_largest_page_and_no_small_one() {
        let low = Machine { available_kb: 40 * MB, ..PI };
        assert_eq!(killed(judge(&taken(&[250], 100), low, 800 * MB)), Some(2));
        assert_eq!(judge(&taken(&[100], 100), low, 800 * MB), Verdict::Fine, "something else took it");
    }

    #[test]
    fn a_large_page_on_a_machine_that_waits_for_memory_is_loaded_anew_and_a_small_one_stays() {
        let text = "some avg10=12.34 avg60=3.00 avg300=1.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressed = Machine { pressure: pressure(text), ..PI };
        assert_eq!(pressed.pressure, 12);
        let limit = limit_kb(None, PI.total_kb);
        assert_eq!(judge(&taken(&[250], 100), PI, limit), Verdict::Fine);
        assert!(matches!(judge(&taken(&[250], 100), pressed, limit), Verdict::Large(_)));
        assert_eq!(judge(&taken(&[100], 100), pressed, limit), Verdict::Fine, "something else takes it");
        assert_eq!(pressure(""), 0);
    }

    #[test]
    fn a_large_machine_gives_a_page_no_more_than_a_display_needs() {
        assert_eq!(limit_kb(None, 64 * 1024 * MB), 2048 * MB);
        assert_eq!(limit_kb(None, 256 * MB), 300 * MB);
        assert_eq!(limit_kb(Some(700), 906 * MB), 700 * MB);
    }

    #[test]
    fn what_a_process_takes_is_read() {
        let own = nix::unistd::getpid().as_raw();
        assert!(own_kb(own).unwrap() > 500);
        assert!(machine().total_kb > machine().available_kb);
        let mut watch = Watch::default();
        let mut child = process::spawn_bound(std::process::Command::new("sleep").arg("1007")).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(watch.look(limit_kb(None, 0)).iter().any(|it| it.process.pid == pid && !it.content));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(watch.look(limit_kb(None, 0)).iter().all(|it| it.process.pid != pid));
    }
}
