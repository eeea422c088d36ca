//! `pikiosk run` on a disk that is full, or that the kernel has made read-only: real ones, small, of this test's own.
#![cfg(feature = "display")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{
    disk::Disk,
    process::Process,
    server::{free_port, pikiosk},
    wait::{seconds, until},
};

struct Alone {
    run: Option<Process>,
    disk: Disk,
    folder: tempfile::TempDir,
}

impl Alone {
    fn start() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().unwrap();
        let disk = Disk::over(&folder.path().join("state"), 512, false)?;
        let text = format!("[display]\nid = \"alone\"\n[page]\nlisten = \"127.0.0.1:{}\"\n", free_port());
        fs::write(folder.path().join("kiosk.toml"), text).unwrap();
        let mut alone = Alone { run: None, disk, folder };
        alone.start_again();
        alone.says("is well", |health| health["trouble"].is_null());
        Some(alone)
    }

    /// As after a boot: what it writes down first it writes now.
    fn start_again(&mut self) {
        self.run = None;
        let at = self.folder.path();
        // The last one's word is not the next one's.
        let _ = fs::remove_file(at.join("run/status.json"));
        let mut command = pikiosk(&["run", "--config"]);
        command.arg(at.join("kiosk.toml")).arg("--runtime").arg(at.join("run")).arg("--state").arg(at.join("state"));
        self.run = Some(Process::start("run", at, &mut command));
    }

    #[track_caller]
    fn says(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = self.folder.path().join("run/status.json");
        until(what, seconds(25), || health(&path).filter(|health| holds(health)))
    }

    #[track_caller]
    fn says_cause(&self, cause: &str) -> String {
        let health = self.says(cause, |health| health["trouble"]["cause"] == cause);
        let sentence = health["trouble"]["sentence"].as_str().unwrap().to_owned();
        assert!(health["status"].as_str().unwrap().contains(&sentence), "{health}");
        sentence
    }
}

fn health(path: &Path) -> Option<Value> {
    let status: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(status["health"].clone())
}

#[test]
fn a_full_disk_is_told_in_words_what_is_kept_for_later_goes_and_all_is_well_once_there_is_room() {
    let Some(mut alone) = Alone::start() else { return };
    let picture = alone.folder.path().join("state/pictures/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(picture.parent().unwrap()).unwrap();
    fs::write(&picture, vec![0; 32 * 1024]).unwrap();
    alone.disk.fill();
    alone.start_again();
    until("what was kept of pages is taken away", seconds(25), || (!picture.exists()).then_some(()));
    alone.says("that made room enough", |health| health["trouble"].is_null());

    alone.disk.empty();
    alone.disk.fill();
    alone.start_again();
    let said = alone.says_cause("disk-full");
    assert!(said.starts_with("the disk is full (0 of 0 MiB are free; the cache of playlists has 0)"), "{said}");
    alone.disk.empty();
    alone.says("it is well again", |health| health["trouble"].is_null());
}

#[test]
fn a_supervisor_starts_on_a_disk_that_can_only_be_read_and_says_that_the_card_is_failing() {
    let Some(mut alone) = Alone::start() else { return };
    for was_there in [true, false] {
        // Whoever has a file open for writing keeps a disk from being made read-only; the kernel alone does it all the same.
        alone.run = None;
        if !was_there {
            fs::remove_file(alone.folder.path().join("state/journal")).unwrap();
        }
        alone.disk.set_read_only(true);
        alone.start_again();
        let said = alone.says_cause("disk-failed");
        assert!(said.starts_with("the card can only be read"), "{said}");
        assert!(said.ends_with("it is failing, replace it"), "{said}");
        let run = alone.run.as_mut().unwrap();
        assert!(run.ended().is_none(), "{}", run.log());
        alone.disk.set_read_only(false);
        alone.says("it is well again", |health| health["trouble"].is_null());
    }
}
