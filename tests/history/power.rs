//! Cutting the power of a process that runs with `power.c`: kill -9 comes first, then its files lose what was not synced.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use fastrand::Rng;

/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// The shim, built once a run, and where it notes what is synced.
#[derive(Debug, Clone)]
pub struct Power {
    shim: PathBuf,
    folder: PathBuf,
    /// The disk is not told of syncs: the run must fail.
    pub lies: bool,
}

impl Power {
    /// None where there is no C compiler.
    pub fn new(folder: &Path) -> Option<Power> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history/power.c");
        let shim = folder.join("power.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).arg("-ldl").status();
        built.is_ok_and(|status| status.success()).then(|| Power { shim, folder: folder.to_owned(), lies: false })
    }

    /// Lets a process run on such a disk; `name` keeps its files apart from those of others.
    pub fn load(&self, name: &str, suffixes: &str, command: &mut Command) {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder is made");
        command.env("LD_PRELOAD", &self.shim).env("POWER_FOLDER", folder).env("POWER_FILES", suffixes);
        if self.lies {
            command.env("POWER_LIES", "1");
        }
    }

    /// Puts `file` of a process that was killed into a state that a power cut may leave.
    pub fn cut(&self, name: &str, file: &Path, rng: &mut Rng) -> io::Result<Cut> {
        let base = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let synced = self.folder.join(name).join(format!("{base}.synced"));
        let waiting = self.folder.join(name).join(format!("{base}.waiting"));
        let disk = File::options().write(true).open(&synced)?;
        // Sometimes all of it, sometimes none: both are common.
        let odds = [0, 20, 50, 80, 100][rng.usize(..5)];
        let mut cut = Cut::default();
        for record in records(&fs::read(&waiting)?) {
            match record {
                Record::Size(size) => {
                    cut.all += 1;
                    if rng.u8(..100) < odds {
                        cut.kept += 1;
                        disk.set_len(size)?;
                    }
                }
                Record::Bytes(at, bytes) => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        cut.all += 1;
                        if rng.u8(..100) < odds {
                            cut.kept += 1;
                            disk.write_all_at(sector, at + (number * SECTOR) as u64)?;
                        }
                    }
                }
            }
        }
        fs::copy(&synced, file)?;
        fs::write(&waiting, b"")?;
        Ok(cut)
    }

    /// The same for a file that is only appended to: a file system that orders its writes leaves a part of the tail.
    pub fn cut_tail(&self, name: &str, file: &Path, rng: &mut Rng) -> io::Result<Cut> {
        let base = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let synced = self.folder.join(name).join(format!("{base}.synced"));
        let waiting = self.folder.join(name).join(format!("{base}.waiting"));
        // Nothing was ever written into it.
        if !synced.exists() {
            return Ok(Cut::default());
        }
        let sure = fs::metadata(&synced)?.len();
        let length = fs::metadata(file)?.len();
        let end = rng.u64(sure.min(length)..=length);
        File::options().write(true).open(file)?.set_len(end)?;
        fs::copy(file, &synced)?;
        fs::write(&waiting, b"")?;
        // Shorter than what was synced: Redis itself took a torn end away when it started.
        let beyond = |length: u64| usize::try_from(length.saturating_sub(sure)).unwrap_or(0);
        Ok(Cut { kept: beyond(end), all: beyond(length) })
    }
}

/// What was written and not synced when the power went: sectors, or bytes of a tail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cut {
    /// How many of them are on the disk.
    pub kept: usize,
    pub all: usize,
}

enum Record<'a> {
    Size(u64),
    Bytes(u64, &'a [u8]),
}

/// What was written and not synced; a record that the kill cut short is none.
fn records(mut rest: &[u8]) -> Vec<Record<'_>> {
    let mut found = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(16) {
        let number = |at: usize| i64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let at = u64::try_from(number(0)).expect("offsets are not negative");
        let Ok(length) = usize::try_from(number(8)) else {
            found.push(Record::Size(at));
            rest = after;
            continue;
        };
        let Some((bytes, after)) = after.split_at_checked(length) else { break };
        found.push(Record::Bytes(at, bytes));
        rest = after;
    }
    found
}
