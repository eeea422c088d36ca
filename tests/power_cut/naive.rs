//! Writers as people write them: each breaks one rule of `io/store.rs` or of the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use pikiosk::{display::journal::JournalFile, io::store};

use super::{Durable, Found, durable};

pub fn all() -> Vec<Box<dyn Durable>> {
    let plain = |name, write| Box::new(Plain { name, write }) as Box<dyn Durable>;
    vec![
        plain("overwrites", |path, bytes| fs::write(path, bytes).unwrap()),
        plain("overwrites-and-syncs", |path, bytes| {
            // Cut to nothing first, ext4 would nearly always have it right: it keeps the old blocks until the new are there.
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
            file.write_all(bytes).and_then(|()| file.set_len(bytes.len() as u64)).unwrap();
            file.sync_all().unwrap();
        }),
        plain("renames-without-sync", |path, bytes| store::write_atomically(path, bytes, 0o600).unwrap()),
        plain("forgets-the-folder", |path, bytes| {
            let beside = path.with_extension("new");
            let mut file = File::create(&beside).unwrap();
            file.write_all(bytes).unwrap();
            file.sync_all().unwrap();
            rename(&beside, path);
        }),
        Box::new(JournalWithoutSync(None)),
    ]
}

#[expect(clippy::disallowed_methods, reason = "what the ban is there for")]
fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

/// A file of some blocks.
struct Plain {
    name: &'static str,
    write: fn(&Path, &[u8]),
}

const LINES: usize = 900;

fn text(n: u64) -> Vec<u8> {
    format!("value {n}\n").repeat(LINES).into_bytes()
}

impl Durable for Plain {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&mut self, folder: &Path, n: u64) {
        (self.write)(&folder.join("value"), &text(n));
    }

    fn read(&self, folder: &Path) -> Found {
        let Ok(bytes) = fs::read(folder.join("value")) else { return Found::default() };
        let words = String::from_utf8_lossy(&bytes);
        let n = words.lines().next().and_then(|line| line.strip_prefix("value ")?.parse().ok());
        match n {
            Some(n) if text(n) == bytes => Found { newest: Some(n), torn: Vec::new() },
            _ => Found { newest: None, torn: vec![format!("{} bytes that nobody wrote as a whole", bytes.len())] },
        }
    }
}

/// The journal, by somebody who thinks that writing is enough.
struct JournalWithoutSync(Option<JournalFile>);

impl Durable for JournalWithoutSync {
    fn name(&self) -> &'static str {
        "journal-without-sync"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let file = self.0.get_or_insert_with(|| JournalFile::open(&folder.join("journal")).unwrap().0);
        file.keep(&durable::journal::taken(n), false).unwrap();
    }

    fn end(&mut self) {
        self.0 = None;
    }

    fn read(&self, folder: &Path) -> Found {
        durable::journal::read(folder)
    }
}
