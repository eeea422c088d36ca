//! The power goes at any write: what was promised before it is there after it, and whole.
//!
//! ```text
//!  durable   the display's own writers, one thread each, on a real ext4
//!  naive     writers as people write them: the control, which must be found out
//!     |  write n, then promise n
//!  disk      loop -> FUSE -> qemu-storage-daemon (blklogwrites): every write and flush below the file system, in order,
//!     |      the promises among them
//!  log       that recording, read
//!  states    what a disk may hold when the power goes: every prefix, and any part of what was not flushed, sectors torn
//!  judge     mounts each (the kernel replays its journal), opens it with the display's own readers: torn? missing? older
//!            than promised?
//! ```
//!
//! Needs root, FUSE, loop devices and qemu-storage-daemon (package qemu-utils); says so where they are not. `make test`
//! looks at some hundred states, `make proof-power-cut` at 10,000 and more. `PIKIOSK_SEED` draws the same parts again; what
//! the kernel writes when is its own affair.
//!
//! Rejected: a file system that forgets (LD_PRELOAD, FUSE). It shows what its author thinks a crash does; the kernel's own
//! ext4 over its own journal shows what one does. dm-log-writes is the same as blklogwrites, and in few kernels.
#![cfg(feature = "display")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "counts and what was skipped are for whoever runs this with --nocapture")]

use std::{
    env,
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

mod disk;
mod durable;
mod judge;
mod log;
mod naive;
mod states;

use disk::Disk;
use judge::{Row, Verdicts};

/// A value that is written again and again: the n-th time with a content that follows from n.
trait Durable: Send + Sync {
    fn name(&self) -> &'static str;
    /// On disk when it returns, or so it claims. `folder` is its own, and n grows by one from 1.
    fn write(&mut self, folder: &Path, n: u64);
    /// Lets go of files that it holds open.
    fn end(&mut self) {}
    /// What the display finds when it starts again.
    fn read(&self, folder: &Path) -> Found;
}

/// What is there after a power cut.
#[derive(Debug, Default)]
struct Found {
    /// The highest n of which it and all before it count.
    newest: Option<u64>,
    /// What is neither an old value nor a new one.
    torn: Vec<String>,
}

/// Set by whoever wants many: then nothing is skipped.
const STATES: &str = "PIKIOSK_STATES";

#[test]
fn what_a_display_promised_outlives_a_power_cut_at_any_write() {
    in_a_place_of_its_own("the_displays_own_writers");
}

#[test]
fn naive_writers_are_found_out() {
    in_a_place_of_its_own("the_control");
}

#[test]
#[ignore = "the inside of what_a_display_promised_outlives_a_power_cut_at_any_write"]
fn the_displays_own_writers() {
    let wanted = number(STATES).unwrap_or(300);
    // Seen: 50 values of each subject gave 8,756 states where 10,000 were wanted.
    let values = (wanted / 100).max(6);
    let verdicts = cut(durable::all(), values, wanted);
    println!("{verdicts}");
    assert!(verdicts.states >= wanted, "too few states: {}", verdicts.states);
    assert!(verdicts.failures().is_empty(), "{:#?}", verdicts.failures());
}

#[test]
#[ignore = "the inside of naive_writers_are_found_out"]
fn the_control() {
    let wanted = number(STATES).map_or(200, |wanted| wanted / 10);
    let verdicts = cut(naive::all(), (wanted / 50).max(8), wanted);
    println!("{verdicts}");
    for row in verdicts.rows() {
        assert!(row.torn + row.missing + row.older > 0, "{} is not found out\n{verdicts}", row.name);
    }
    let kinds: [(&str, fn(&Row) -> u64); 3] =
        [("torn", |row| row.torn), ("missing", |row| row.missing), ("older", |row| row.older)];
    for (kind, count) in kinds {
        assert!(verdicts.rows().iter().map(count).sum::<u64>() > 0, "nobody is found to be {kind}\n{verdicts}");
    }
}

/// Writes, pulls the plug at many places, and judges.
fn cut(mut subjects: Vec<Box<dyn Durable>>, values: u64, wanted: u64) -> Verdicts {
    let began = Instant::now();
    let seed = number("PIKIOSK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("PIKIOSK_SEED={seed}, {values} values each");
    let disk = Disk::start();
    thread::scope(|scope| {
        for (index, subject) in subjects.iter_mut().enumerate() {
            let disk = &disk;
            scope.spawn(move || {
                let folder = disk.folder(subject.name());
                for n in 1..=values {
                    subject.write(&folder, n);
                    disk.promise(index, n);
                }
                subject.end();
            });
        }
    });
    let recording = disk.end();
    println!(
        "{} writes, {} flushes below the file system, {:.1?}",
        recording.writes(),
        recording.flushes(),
        began.elapsed()
    );
    let (sender, receiver) = std::sync::mpsc::sync_channel(8);
    let subjects: Arc<[Box<dyn Durable>]> = subjects.into();
    let judges = judge::start(receiver, subjects.clone());
    states::each(&recording, subjects.len(), wanted, fastrand::Rng::with_seed(seed), |state| {
        // Judges end early at nothing but a panic, which joining tells.
        sender.send(state).is_ok()
    });
    drop(sender);
    let mut verdicts = Verdicts::of(&subjects);
    for judge in judges {
        verdicts.add(judge.join().unwrap());
    }
    println!("judged in {:.1?}", began.elapsed());
    verdicts
}

/// Runs one of this file's ignored tests where its mounts are nobody else's and go with it.
fn in_a_place_of_its_own(test: &str) {
    if let Some(lacking) = lacking() {
        assert!(number(STATES).is_none(), "not possible here: {lacking}");
        println!("SKIPPED: {lacking}");
        return;
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed: see above");
}

fn lacking() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !nix::unistd::geteuid().is_root() || !works("unshare", &["--mount", "--pid", "--fork", "true"]) {
        Some("it takes root, and mounts")
    } else if !works("qemu-storage-daemon", &["--version"]) {
        Some("qemu-storage-daemon is not installed (apt install qemu-utils)")
    } else if !Path::new("/dev/fuse").exists() || !works("losetup", &["--find"]) {
        Some("there is no FUSE, or no loop device")
    } else {
        None
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Waits for a condition; a machine that is loaded by others takes its time.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
