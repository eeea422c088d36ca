//! A small disk of this test's own, laid over a folder: it can be full, or read-only. Needs root.

#![expect(clippy::print_stderr, reason = "a test that did not run says so")]

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A tmpfs; gone with it, and what was below it is there again.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Lays one of so many KiB over this folder, which is made; none, said in words, where only root could.
    #[track_caller]
    pub fn over(at: &Path, kib: u32, read_only: bool) -> Option<Disk> {
        fs::create_dir_all(at).expect("a folder is made");
        let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let options = format!("size={kib}k,mode=0700");
        match mount(Some("test"), at, Some("tmpfs"), flags, Some(options.as_str())) {
            Ok(()) => Some(Disk { at: at.to_owned() }),
            Err(error) => {
                eprintln!("SKIPPED: only root can have a disk of its own ({error})");
                None
            }
        }
    }

    #[track_caller]
    pub fn set_read_only(&self, read_only: bool) {
        let flag = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        mount(None::<&str>, &self.at, None::<&str>, MsFlags::MS_REMOUNT | flag, None::<&str>).expect("it is remounted");
    }

    /// Writes until there is no room for another byte.
    #[track_caller]
    pub fn fill(&self) {
        let mut file = fs::File::create(self.at.join("filler")).expect("it is made");
        let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).map_err(|error| assert!(full(&error), "{error}")).is_ok() {}
        }
    }

    #[track_caller]
    pub fn empty(&self) {
        fs::remove_file(self.at.join("filler")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}
