//! Cards as the kernel has them: loop devices and files, and the process killed in the middle.
//!
//! `make proof-kill-flash` kills 200 times; `cargo test` does it 20 times.
#![cfg(feature = "tools")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]
#![expect(clippy::print_stdout, reason = "what was skipped, and the counts, are these tests' report")]

use std::{
    fs::File,
    io::{ErrorKind, Read},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use pikiosk::{
    flash::{
        card::{Card, Existing, FileSize},
        fault::{CardFault, Holds},
        flash,
        job::{Cancel, CardJob, CardOutcome, Image, Medium, Mode, Options},
        stream::{CHUNK, Chunk, Everything, ImageStream, StreamError},
    },
    io::{aligned::AlignedBuffer, block::BlockDevice, direct::DirectDevice},
};

const MIB: usize = 1 << 20;

/// Where the test's own settings go, in bytes.
const PLACE: u64 = 5 * MIB as u64 + 4000;

struct RawFile {
    file: File,
    at: u64,
    length: u64,
}

impl RawFile {
    fn open(path: &Path) -> Box<Self> {
        let file = File::open(path).unwrap();
        Box::new(Self { length: file.metadata().unwrap().len(), file, at: 0 })
    }
}

impl ImageStream for RawFile {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, StreamError> {
        let len = (self.length - self.at).min(CHUNK as u64) as usize;
        if len == 0 {
            return Ok(None);
        }
        let mut bytes = AlignedBuffer::zeroed(len);
        self.file.read_exact(&mut bytes)?;
        let offset = self.at;
        self.at += len as u64;
        Ok(Some(Chunk { offset, bytes: Arc::new(bytes) }))
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        None
    }
}

/// An image with a partition table, of bytes that repeat nowhere.
fn image_at(path: &Path, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(5).fill(&mut bytes);
    bytes[..512].fill(0);
    bytes[446 + 4] = 0x0c;
    bytes[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    bytes[446 + 12..446 + 16].copy_from_slice(&(len as u32 / 512 - 2048).to_le_bytes());
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

fn write(image: &Path, cards: Vec<Card>, options: &Options) -> Vec<CardOutcome> {
    let jobs = cards.into_iter().map(|card| CardJob {
        card,
        medium: Medium::default(),
        identity: None,
        config_sha256: None,
        customise: Some(Box::new(|it| Ok(it.device.write_at(PLACE, b"settings of this card")?))),
    });
    let image = Image {
        name: "test.img".into(),
        source: image.display().to_string(),
        stream: RawFile::open(image),
        used: Box::new(Everything),
    };
    flash(jobs.collect(), image, options.clone(), Arc::new(|_| {}), &Cancel::default())
}

fn with_settings(image: &[u8]) -> Vec<u8> {
    let mut card = image.to_vec();
    card[PLACE as usize..][..21].copy_from_slice(b"settings of this card");
    card
}

fn boots(card: &[u8]) -> bool {
    card[510..512] == [0x55, 0xaa]
}

/// The process that is killed: not a test.
#[test]
#[ignore = "the child of another test"]
fn child_that_flashes() {
    let Some(image) = std::env::var_os("PIKIOSK_TEST_IMAGE") else { return };
    let card = std::env::var_os("PIKIOSK_TEST_CARD").unwrap();
    let mode = if std::env::var_os("PIKIOSK_TEST_AGAIN").is_some() { Mode::Again } else { Mode::Write };
    let card = Card::file(Path::new(&card), FileSize::Image, Existing::Kept).unwrap();
    write(Path::new(&image), vec![card], &Options { mode, ..Options::default() })[0].result.as_ref().unwrap();
}

fn start_child(image: &Path, card: &Path, again: bool) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_that_flashes", "--ignored"]);
    command.env("PIKIOSK_TEST_IMAGE", image).env("PIKIOSK_TEST_CARD", card);
    if again {
        command.env("PIKIOSK_TEST_AGAIN", "1");
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_at_any_moment_a_card_does_not_boot_unless_it_is_complete() {
    let kills: u32 = std::env::var("PIKIOSK_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (image, card) = (directory.path().join("image"), directory.path().join("card"));
    let complete = with_settings(&image_at(&image, 24 * MIB));
    let mut old = vec![0x0d; 24 * MIB];
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&card, &old).unwrap();

    let begun = Instant::now();
    assert!(start_child(&image, &card, false).wait().unwrap().success());
    let whole = begun.elapsed();
    assert!(std::fs::read(&card).unwrap() == complete);

    let mut random = fastrand::Rng::with_seed(13);
    let (mut unbootable, mut done, mut untouched) = (0, 0, 0);
    for nth in 0..kills {
        if nth % 3 != 0 {
            std::fs::write(&card, &old).unwrap();
        }
        let before = std::fs::read(&card).unwrap();
        let mut child = start_child(&image, &card, nth % 2 == 1);
        std::thread::sleep(whole.mul_f64(random.f64() * 1.1));
        child.kill().unwrap();
        child.wait().unwrap();
        let held = std::fs::read(&card).unwrap();
        match boots(&held) {
            false => unbootable += 1,
            true if held == complete => done += 1,
            true => {
                assert!(held[MIB..] == before[MIB..], "kill {nth}: it boots and is neither what it was nor complete");
                untouched += 1;
            }
        }
    }
    println!("{kills} kills: {unbootable} cards do not boot, {done} are complete, {untouched} are as they were");
    assert!(unbootable > 0, "no kill came in the middle");
}

/// A loop device over a file of its own.
struct Loop {
    node: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    /// `None`, with words: this machine or user has none.
    fn new(len: u64) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(len).unwrap();
        let made = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output();
        match made {
            Ok(made) if made.status.success() => {
                let node = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
                Some(Self { node, _file: file })
            }
            _ => {
                println!("skipped: no loop device can be made here (it takes root, and losetup)");
                None
            }
        }
    }

    fn bytes(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = vec![0; range.len()];
        let device = free_again(&self.node);
        device.device().read_at(range.start as u64, &mut bytes).unwrap();
        bytes
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).status();
    }
}

#[test]
fn loop_devices_are_written_past_the_page_cache_four_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let complete = with_settings(&image_at(&image, 24 * MIB));
    let Some(loops) = (0..4).map(|_| Loop::new(40 * MIB as u64)).collect::<Option<Vec<_>>>() else { return };
    let cards = loops.iter().map(|it| free_again(&it.node)).collect();
    for outcome in write(&image, cards, &Options::default()) {
        let receipt = outcome.result.unwrap();
        assert_eq!(outcome.holds, Holds::Complete);
        assert_eq!(receipt.card.bytes, 40 * MIB as u64);
    }
    for it in &loops {
        assert!(it.bytes(0..24 * MIB) == complete);
    }

    let again = Options { mode: Mode::Again, ..Options::default() };
    let outcomes = write(&image, vec![free_again(&loops[0].node)], &again);
    let written = outcomes[0].result.as_ref().unwrap().written.bytes;
    // The block that was customised is put back, then customised again; and the first MiB.
    assert_eq!(written, 4096 * 2 + MIB as u64);
    assert!(loops[0].bytes(0..24 * MIB) == complete);
}

/// A child that another test starts right now holds what this process had open until it is a program of its own.
fn free_again(node: &Path) -> Card {
    let began = Instant::now();
    loop {
        match Card::disk(node) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && began.elapsed() < Duration::from_secs(60) => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            card => return card.unwrap(),
        }
    }
}

#[test]
fn a_device_that_is_mounted_or_too_short_is_refused() {
    let Some(device) = Loop::new(16 * MIB as u64) else { return };
    let quiet = |program: &str| {
        let mut command = Command::new(program);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let made = quiet("mkfs.ext4").arg("-q").arg(&device.node).status().is_ok_and(|status| status.success());
    let directory = tempfile::tempdir().unwrap();
    let mount = || quiet("mount").arg(&device.node).arg(directory.path()).status().is_ok_and(|status| status.success());
    if made && mount() {
        let error = Card::disk(&device.node).unwrap_err();
        assert!(quiet("umount").arg(directory.path()).status().unwrap().success());
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        let card = free_again(&device.node);
        assert!(!mount(), "while it is written nobody mounts it");
        drop(card);
    } else {
        println!("skipped: nothing can be mounted here");
    }

    let image = directory.path().join("image");
    image_at(&image, 24 * MIB);
    let before = device.bytes(0..16 * MIB);
    let outcome = write(&image, vec![free_again(&device.node)], &Options::default()).remove(0);
    assert!(matches!(outcome.result, Err(CardFault::TooSmall { .. })), "{outcome:?}");
    assert_eq!(outcome.holds, Holds::Untouched);
    assert!(device.bytes(0..16 * MIB) == before);
}

/// qemu-storage-daemon gives a file that fails as told, through the kernel: a read or write of it is a real one. It is
/// not in every `cargo test`: `make proof-bad-cards` runs it.
#[test]
#[ignore = "needs qemu-storage-daemon and FUSE: make proof-bad-cards"]
fn cards_that_fail_below_the_kernel_are_never_done() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let complete = with_settings(&image_at(&image, 24 * MIB));
    // Sectors are of 512 bytes, and an error without one is of any.
    let cases: [(&str, &str, &[&str]); 5] = [
        ("a good card", "", &[]),
        ("10 MiB cannot be written", "write", &["\"sector\": 20480"]),
        ("10 MiB cannot be read", "read", &["\"sector\": 20480"]),
        ("one write fails", "write", &["\"once\": true", "\"sector\": 30000"]),
        ("nothing can be flushed", "flush", &[]),
    ];
    for (name, event, details) in cases {
        let medium = directory.path().join("medium");
        File::create(&medium).unwrap().set_len(32 * MIB as u64).unwrap();
        let export = directory.path().join("card");
        File::create(&export).unwrap();
        let daemon = Daemon::start(directory.path(), &medium, &export, event, details);
        let card = Card::of("blkdebug", Arc::new(InPieces(DirectDevice::open_file(&export).unwrap())));
        let outcome = write(&image, vec![card], &Options::default()).remove(0);
        daemon.end();
        let held = std::fs::read(&medium).unwrap();
        println!("{name}: {:?}, {:?}", outcome.holds, outcome.result.as_ref().err().map(ToString::to_string));
        match name {
            "a good card" | "one write fails" => {
                assert!(outcome.result.is_ok(), "{name}: {outcome:?}");
                assert!(held[..24 * MIB] == complete, "{name}");
            }
            _ => {
                assert!(outcome.result.is_err(), "{name}: {outcome:?}");
                assert!(!boots(&held), "{name}: it boots");
            }
        }
    }
}

/// Requests of at most 128 KiB, one at a time. The kernel cuts a longer one into several at once, and of these
/// qemu-storage-daemon 10.0.2 writes the last one's bytes into all places (reading back found it).
struct InPieces(DirectDevice);

const PIECE: usize = 128 << 10;

impl BlockDevice for InPieces {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        let mut pieces = (0..).map(|nth| offset + nth * PIECE as u64).zip(into.chunks_mut(PIECE));
        pieces.try_for_each(|(offset, piece)| self.0.read_at(offset, piece))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let mut pieces = (0..).map(|nth| offset + nth * PIECE as u64).zip(bytes.chunks(PIECE));
        pieces.try_for_each(|(offset, piece)| self.0.write_at(offset, piece))
    }

    fn flush(&self) -> std::io::Result<()> {
        self.0.flush()
    }
}

struct Daemon {
    child: std::process::Child,
    export: PathBuf,
}

impl Daemon {
    fn start(directory: &Path, medium: &Path, export: &Path, event: &str, details: &[&str]) -> Self {
        let inject = match event {
            "" => String::new(),
            event => {
                let mut error =
                    vec![format!("\"event\": \"none\", \"iotype\": \"{event}\""), "\"errno\": 5".to_owned()];
                error.extend(details.iter().map(|detail| (*detail).to_owned()));
                format!(", \"inject-error\": [{{ {} }}]", error.join(", "))
            }
        };
        let blockdev = format!(
            "{{ \"driver\": \"blkdebug\", \"node-name\": \"card\"{inject}, \"image\": {{ \"driver\": \"file\", \
             \"filename\": \"{}\", \"cache\": {{ \"direct\": false }} }} }}",
            medium.display()
        );
        let log = File::create(directory.join("daemon.log")).unwrap();
        let mut child = Command::new("qemu-storage-daemon")
            .arg("--blockdev")
            .arg(blockdev)
            .arg("--export")
            .arg(format!("type=fuse,id=card,node-name=card,mountpoint={},writable=on,growable=off", export.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("qemu-storage-daemon is installed (qemu-utils or qemu-system-common)");
        let begun = Instant::now();
        while std::fs::metadata(export).map_or(0, |metadata| metadata.len()) != 32 * MIB as u64 {
            let log = || std::fs::read_to_string(directory.join("daemon.log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(20), "{}", log());
            std::thread::yield_now();
        }
        Self { child, export: export.to_owned() }
    }

    fn end(mut self) {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap()),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
        self.child.wait().unwrap();
        assert_eq!(std::fs::metadata(&self.export).unwrap().len(), 0, "it is exported no more");
    }
}
