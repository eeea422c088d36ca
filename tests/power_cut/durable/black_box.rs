//! `STATE/blackbox/`: why the machine was started again, and what was last seen before it.

use std::{fs, path::Path};

use pikiosk::{
    display::blackbox::{BlackBox, Entry, Leave, Now, Ring},
    event::{
        health::{Restart, RestartCause, Restarted},
        time::UtcMillis,
    },
    io::{log_ring::LogRing, store},
};
use tokio::time::Instant;

use super::{Durable, Found};

/// Entries of the ring, each with a picture.
pub struct Entries;

fn entry(n: u64) -> Entry {
    let restart = Restart {
        at: UtcMillis(n),
        of: Restarted::Machine,
        cause: RestartCause::Power,
        sentence: format!("restart {n}"),
        down_s: None,
    };
    let lines = (0..20).map(|line| format!("line {line} before restart {n}")).collect();
    Entry {
        restart,
        version: "1".into(),
        last_sentence: n.to_string(),
        last_written: UtcMillis(n),
        lines,
        frames: Vec::new(),
    }
}

fn picture(n: u64) -> Vec<u8> {
    format!("picture {n} ").repeat(700).into_bytes()
}

impl Durable for Entries {
    fn name(&self) -> &'static str {
        "black-box-entries"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let ring = Ring::of(folder);
        store::make_dir(ring.folder()).unwrap();
        let frame = ring.folder().join("frame-0.jpg");
        fs::write(&frame, picture(n)).unwrap();
        ring.add(entry(n), &[frame]).unwrap();
    }

    fn read(&self, folder: &Path) -> Found {
        let ring = Ring::of(folder);
        let Ok(entries) = ring.entries() else { return Found::default() };
        let mut found = Found { newest: entries.first().map(|entry| entry.restart.at.0), torn: Vec::new() };
        let names = fs::read_dir(ring.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let numbered = names.filter(|name| !name.starts_with('.') && name.ends_with(".json")).count();
        if numbered != entries.len() {
            found.torn.push(format!("{} of {numbered} entries can be read", entries.len()));
        }
        for pair in entries.windows(2) {
            if pair[0].restart.at.0 != pair[1].restart.at.0 + 1 {
                found
                    .torn
                    .push(format!("there is none between {} and {}", pair[1].last_sentence, pair[0].last_sentence));
            }
        }
        for kept in &entries {
            let n = kept.restart.at.0;
            let whole = Entry { frames: kept.frames.clone(), ..entry(n) };
            let pictures = kept.frames.iter().map(|name| fs::read(ring.folder().join(name)).unwrap_or_default());
            if *kept != whole || kept.frames.len() != 1 || pictures.into_iter().any(|bytes| bytes != picture(n)) {
                // The oldest one may have lost its picture already: it is on its way out.
                if found.newest.is_some_and(|newest| n + 32 > newest) {
                    found.torn.push(format!("{n} or its picture is not whole"));
                }
            }
        }
        found
    }
}

/// Boots that end in good order, each by a command of its own.
#[derive(Default)]
pub struct Flights(Option<tempfile::TempDir>);

fn now(boot: u64) -> Now {
    Now {
        at: UtcMillis(boot),
        boot: Some(format!("boot-{boot}")),
        machine_uptime_s: Some(50),
        version: "1".into(),
        watchdog: None,
        kernel_crashed: false,
    }
}

impl Durable for Flights {
    fn name(&self) -> &'static str {
        "black-box-flight"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        // RUNTIME is in memory: a power cut takes it.
        let runtime = self.0.get_or_insert_with(|| tempfile::tempdir().unwrap());
        let at = Instant::now();
        let mut opened = BlackBox::open(runtime.path(), folder, now(n), LogRing::default(), at);
        opened.leave(Leave::Command { name: format!("reboot-{n}") }, at);
    }

    /// What the next boot says of the last: its command, or a power cut after it.
    fn read(&self, folder: &Path) -> Found {
        if !folder.exists() {
            return Found::default();
        }
        let runtime = tempfile::tempdir().unwrap();
        BlackBox::open(runtime.path(), folder, now(u64::MAX), LogRing::default(), Instant::now());
        let entries = Ring::of(folder).entries().unwrap_or_default();
        let told = |entry: &Entry| {
            let words = entry.restart.sentence.strip_prefix("The command reboot-")?;
            words.strip_suffix(" asked for it.")?.parse::<u64>().ok()
        };
        let newest = entries.iter().filter_map(told).max();
        // A cut while a boot began is told as one, between two that ended well; nothing else ever happened.
        let others = entries.iter().filter(|entry| told(entry).is_none() && entry.restart.cause != RestartCause::Power);
        Found { newest, torn: others.map(|entry| entry.restart.sentence.clone()).collect() }
    }
}
