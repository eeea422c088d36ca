//! A disk with a real ext4 that records every write and flush below it.
//!
//! Requests reach qemu-storage-daemon one at a time: a loop device's worker sends one, waits, and sends the next. Its FUSE
//! export (10.0.2) mixes the bytes of requests that are under way together; that the recording is what the disk holds is
//! checked at the end.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use nix::{
    errno::Errno,
    mount::umount,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{log::Recording, until};

/// Of the file system: small, so that its journal (4 MiB) goes round.
pub const SIZE: u64 = 24 << 20;
/// Behind it, one sector takes the promises.
const PROMISES: u64 = SIZE;
const WHOLE: u64 = SIZE + (1 << 20);
pub const SECTOR: usize = 512;

pub struct Disk {
    place: tempfile::TempDir,
    daemon: Child,
    base: Vec<u8>,
    promises: Mutex<File>,
}

/// What a sector of promises says.
pub struct Promise;

impl Promise {
    const MAGIC: &'static [u8] = b"promise:";
    const END: u64 = u64::MAX;

    fn write(subject: u64, n: u64) -> Vec<u8> {
        [Self::MAGIC, &subject.to_le_bytes(), &n.to_le_bytes()].concat()
    }

    /// The subject and its n; `None` for a subject is the end.
    pub fn read(at: u64, bytes: &[u8]) -> Option<(Option<usize>, u64)> {
        let rest = bytes.strip_prefix(Self::MAGIC).filter(|_| at == PROMISES)?;
        let number = |from: usize| u64::from_le_bytes(rest[from..from + 8].try_into().unwrap());
        Some(((number(0) != Self::END).then(|| usize::try_from(number(0)).unwrap()), number(8)))
    }
}

impl Disk {
    pub fn start() -> Self {
        let place = tempfile::Builder::new().prefix("pikiosk-power-").tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        File::create(path("medium")).unwrap().set_len(WHOLE).unwrap();
        // As on a Pi: blocks of 4 KiB. Nothing is left to be done after the first mount.
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
        run(make.arg(path("medium")).arg(format!("{}K", SIZE / 1024))).unwrap();
        let mut base = fs::read(path("medium")).unwrap();
        base.truncate(usize::try_from(SIZE).unwrap());

        for name in ["log", "export"] {
            File::create(path(name)).unwrap();
        }
        let file = |node: &str| format!("driver=file,node-name={node},filename={}", path(node).display());
        let logged = "driver=blklogwrites,node-name=logged,file=medium,log=log,log-sector-size=512";
        let export = format!("type=fuse,id=disk,node-name=logged,mountpoint={},writable=on", path("export").display());
        let daemon = Command::new("qemu-storage-daemon")
            .args([
                "--blockdev",
                &file("medium"),
                "--blockdev",
                &file("log"),
                "--blockdev",
                logged,
                "--export",
                &export,
            ])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("the disk is there", || (fs::metadata(path("export")).ok()?.len() == WHOLE).then_some(()));

        fs::create_dir(path("mount")).unwrap();
        mount(&path("export"), &path("mount")).unwrap();
        let device = source_of(&path("mount"));
        // Past all caches: it must be in the log when this returns, and flush nothing.
        let direct = nix::fcntl::OFlag::O_DIRECT.bits();
        let promises = OpenOptions::new().write(true).custom_flags(direct).open(device).unwrap();
        Disk { place, daemon, base, promises: Mutex::new(promises) }
    }

    /// On it, for one writer.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.place.path().join("mount").join(name);
        pikiosk::io::store::make_dir(&folder).unwrap();
        folder
    }

    /// From here on the n-th value of this subject, and all before it, must be found.
    pub fn promise(&self, subject: usize, n: u64) {
        self.note(subject as u64, n);
    }

    fn note(&self, subject: u64, n: u64) {
        let mut room = vec![0; 2 * SECTOR];
        let start = room.as_ptr().align_offset(SECTOR);
        let sector = &mut room[start..start + SECTOR];
        let text = Promise::write(subject, n);
        sector[..text.len()].copy_from_slice(&text);
        self.promises.lock().unwrap().write_all_at(sector, PROMISES).unwrap();
    }

    /// All that was written to it so far.
    pub fn end(mut self) -> Recording {
        self.note(Promise::END, 0);
        self.stop();
        let path = |name: &str| self.place.path().join(name);
        let medium = fs::read(path("medium")).unwrap();
        Recording::read(std::mem::take(&mut self.base), &fs::read(path("log")).unwrap(), &medium)
    }

    fn stop(&mut self) {
        unmount(&self.place.path().join("mount"));
        // The last one that had the loop device open: with it the device goes.
        self.promises = Mutex::new(File::open("/dev/null").unwrap());
        let export = self.place.path().join("export").display().to_string();
        until("the loop device lets go", || (!backing_files().contains(&export)).then_some(()));
        // With SIGTERM it writes down how long its log is.
        kill(Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), Signal::SIGTERM).unwrap();
        self.daemon.wait().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Already gone, unless a test failed.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn backing_files() -> String {
    let output = Command::new("losetup").args(["--noheadings", "--output", "BACK-FILE"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn source_of(mount: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounts.lines().find(|line| line.split(' ').nth(1) == mount.to_str()).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// Mounts a file by a loop device, or gives what `mount` says against it.
pub fn mount(file: &Path, at: &Path) -> Result<(), String> {
    run(Command::new("mount").args(["-o", "loop,noatime"]).arg(file).arg(at))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}

/// A child that another thread starts right now holds all open files of this process until it is a program of its own:
/// then a disk is busy for a moment.
pub fn unmount(mount: &Path) {
    until("nobody uses the disk any more", || {
        let ended = umount(mount);
        (ended != Err(Errno::EBUSY)).then(|| ended.unwrap())
    });
}
