//! `pikiosk flash` as a technician uses it, on cards that are files.
#![cfg(feature = "tools")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pikiosk::io::block::FileDevice;
use pikiosk::io::system::Observe;
use pikiosk::io::system::image::ImageSystem;

#[path = "support/golden.rs"]
mod golden;

use golden::{Format, Golden};

/// A desk: an image, a configuration, and room for cards.
struct Desk {
    image: Golden,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { image: golden::image(Format::Ours) };
        let mut kernel = vec![0; 4096];
        kernel[56..60].copy_from_slice(b"ARMd");
        desk.put("kernel8.img", &kernel);
        for name in ["bootcode.bin", "start.elf", "fixup.dat", "bcm2710-rpi-3-b.dtb"] {
            desk.put(name, b"firmware");
        }
        let program = desk.file("pikiosk-for-the-pi");
        let mut elf = vec![0; 2 << 20];
        elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0");
        fs::write(program, elf).unwrap();
        fs::write(desk.file("kiosk.toml"), "[display]\nurl = \"https://example.org/\"\n").unwrap();
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.image.folder.path().join(name)
    }

    /// Puts a file on the image's boot partition.
    fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.file(name);
        fs::write(&file, bytes).unwrap();
        let onto = format!("{}@@{}", self.image.path.display(), golden::Layout::BOOT_START);
        let output = golden::tool("mcopy").args(["-o", "-i", &onto]).arg(&file).arg("::/").output().unwrap();
        assert!(output.status.success(), "{}", golden::said(&output));
    }

    fn command(&self, image: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pikiosk"));
        command.arg("flash").arg(image).args(arguments).current_dir(self.image.folder.path()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.file("cache"));
        command
    }

    fn flash(&self, arguments: &[&str]) -> Output {
        self.command(&self.image.path, arguments).output().unwrap()
    }

    /// What is in a file of the system on a card.
    fn on_card(&self, card: &str, path: &str) -> String {
        String::from_utf8(self.bytes_on_card(card, path)).unwrap()
    }

    fn bytes_on_card(&self, card: &str, path: &str) -> Vec<u8> {
        let file = File::open(self.file(card)).unwrap();
        let len = file.metadata().unwrap().len();
        let system = ImageSystem::open(Arc::new(FileDevice::new(file, len))).unwrap();
        system.read(Path::new(path)).unwrap()
    }
}

const CONFIGURED: &[&str] = &["--config", "kiosk.toml", "--binary", "pikiosk-for-the-pi"];

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn is_blank(path: &Path) -> bool {
    let mut first = vec![0; 1 << 20];
    let read = File::open(path).unwrap().read(&mut first).unwrap();
    first[..read].iter().all(|byte| *byte == 0)
}

#[test]
fn two_cards_of_one_run_are_two_displays_with_a_receipt_and_a_label_each() {
    let desk = Desk::new();
    fs::write(desk.file("cards.csv"), "id,code,url\nlobby,AAAA-1111,\ncafe,BBBB-2222,https://example.org/menu\n")
        .unwrap();
    let config = ["--csv", "cards.csv", "--set", "server.url=http://192.168.1.20:8400", "--label"];
    let output = desk.flash(&[CONFIGURED, &["--to", "one.img", "--to", "two.img"], &config].concat());
    assert_eq!(code(&output), Some(0), "{}", golden::said(&output));
    let (one, two) = ("one.img", "two.img");
    for (card, id, code, url) in
        [(one, "lobby", "AAAA-1111", "https://example.org/"), (two, "cafe", "BBBB-2222", "https://example.org/menu")]
    {
        let settings = desk.on_card(card, "/etc/pikiosk/kiosk.toml");
        for part in [id, code, url, "http://192.168.1.20:8400"] {
            assert!(settings.contains(part), "{card}: {part} is missing in\n{settings}");
        }
        assert_eq!(desk.on_card(card, "/etc/hostname").trim(), id);
        let manifest = desk.on_card(card, "/boot/firmware/pikiosk-manifest.json");
        assert!(manifest.contains(&format!("\"display\": \"{id}\"")), "{manifest}");
        assert!(!manifest.contains(code), "a code is a secret");
    }
    let mut kept: Vec<_> = fs::read_dir(desk.file("receipts")).unwrap().map(|it| it.unwrap().file_name()).collect();
    kept.sort();
    let kinds: Vec<_> = kept.iter().map(|name| name.to_str().unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!(kinds, ["json", "svg", "json", "svg"], "{kept:?}");
}

#[test]
fn an_image_that_holds_pikiosk_keeps_it_whatever_a_card_is_told_to_be() {
    let desk = Desk::new();
    // As `make image` makes it: provisioned, with a receipt that knows the program.
    let made = desk.flash(&[CONFIGURED, &["--to", "base.img", "--id", "base"]].concat());
    assert_eq!(code(&made), Some(0), "{}", golden::said(&made));
    let base = desk.file("base.img");
    let output = desk.command(&base, &["--to", "made.img", "--set", "display.id=lobby"]).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", golden::said(&output));
    let program = |card: &str| desk.bytes_on_card(card, "/usr/bin/pikiosk");
    assert!(program("made.img") == fs::read(desk.file("pikiosk-for-the-pi")).unwrap());
    assert_eq!(desk.on_card("made.img", "/etc/hostname").trim(), "lobby");
}

#[test]
fn a_card_verifies_as_written_and_a_changed_byte_is_told_with_its_place() {
    let desk = Desk::new();
    let written = desk.flash(&[CONFIGURED, &["--to", "made.img", "--id", "lobby"]].concat());
    assert_eq!(code(&written), Some(0), "{}", golden::said(&written));
    let verified = desk.flash(&["--to", "made.img", "--verify-only"]);
    assert_eq!(code(&verified), Some(0), "{}", golden::said(&verified));
    // In the kernel: a part that no card has of its own.
    let place = place_of(&desk.file("made.img"), b"ARMd");
    let card = File::options().write(true).open(desk.file("made.img")).unwrap();
    card.write_all_at(b"x", place).unwrap();
    let changed = desk.flash(&["--to", "made.img", "--verify-only"]);
    assert_eq!(code(&changed), Some(13), "{}", golden::said(&changed));
    assert!(golden::said(&changed).contains(&(place / 4096 * 4096).to_string()), "{}", golden::said(&changed));
    // Only that is written again.
    let again = desk.flash(&[CONFIGURED, &["--to", "made.img", "--id", "lobby", "--again", "--json"]].concat());
    assert_eq!(code(&again), Some(0), "{}", golden::said(&again));
    let result = String::from_utf8(again.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(result.lines().last().unwrap()).unwrap();
    let bytes = result["cards"][0]["receipt"]["written"]["bytes"].as_u64().unwrap();
    assert!(bytes < 8 << 20, "{bytes} bytes were written");
    assert_eq!(code(&desk.flash(&["--to", "made.img", "--verify-only"])), Some(0));
}

#[test]
fn an_image_that_is_not_what_it_should_be_is_refused_before_the_card_is_touched() {
    let desk = Desk::new();
    let whole = fs::read(&desk.image.path).unwrap();
    let packed = golden::tool("xz").args(["-0", "-T2", "--block-size=8MiB", "--stdout"]).arg(&desk.image.path).output();
    let packed = packed.unwrap().stdout;
    let put = |name: &str, bytes: &[u8]| fs::write(desk.file(name), bytes).unwrap();
    put("short.img.xz", &packed[..packed.len() - 100]);
    put("short.img", &whole[..whole.len() / 2]);
    put("more.img.xz", &[&packed[..], b"and something else"].concat());
    put("text.img", &b"<!doctype html><title>Log in to the network</title>".repeat(100));
    put("empty.img", b"");
    put("wrong.img.xz", &packed);
    put("wrong.img.xz.sha256", format!("{}  wrong.img.xz\n", "0".repeat(64)).as_bytes());
    for name in ["short.img.xz", "short.img", "more.img.xz", "text.img", "empty.img", "wrong.img.xz", "missing.img"] {
        put("made.img", b"what was on the card before");
        let output = desk.command(&desk.file(name), &["--to", "made.img", "--yes"]).output().unwrap();
        assert_eq!(code(&output), Some(12), "{name}: {}", golden::said(&output));
        assert!(golden::said(&output).contains("hint: "), "{name}: {}", golden::said(&output));
        assert_eq!(fs::read(desk.file("made.img")).unwrap(), b"what was on the card before", "{name}");
    }
    let output = desk.command(&desk.image.path, &["--to", "made.img", "--sha256", &"a".repeat(64)]).output().unwrap();
    assert_eq!(code(&output), Some(12), "{}", golden::said(&output));
}

#[test]
fn what_is_no_card_is_refused_and_told_why() {
    let desk = Desk::new();
    let refused = |to: &str| {
        let output = desk.flash(&["--to", to, "--yes"]);
        assert_eq!(code(&output), Some(11), "{to}: {}", golden::said(&output));
        golden::said(&output)
    };
    assert!(refused("/dev/null").contains("no disk"));
    assert!(refused("/dev/nosuch").contains("--list"));
    let itself = desk.image.path.to_str().unwrap().to_owned();
    let before = fs::read(&itself).unwrap();
    assert!(refused(&itself).contains("the image itself"));
    assert_eq!(fs::read(&itself).unwrap(), before);
    let twice = desk.flash(&["--to", "a.img", "--to", "./a.img"]);
    assert_eq!(code(&twice), Some(11), "{}", golden::said(&twice));
    let list = Command::new(env!("CARGO_BIN_EXE_pikiosk")).args(["flash", "--list", "--json"]).output().unwrap();
    assert_eq!(code(&list), Some(0));
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    // Whatever this machine runs from, no disk of it is safe.
    for disk in list["disks"].as_array().unwrap() {
        let runs = disk["mounted"].as_array().unwrap().iter().any(|at| at == "/");
        assert!(!runs || disk["safe"] == false, "{disk}");
    }
}

#[test]
fn mistakes_in_the_plan_are_told_before_anything_is_written() {
    let desk = Desk::new();
    fs::write(desk.file("cards.csv"), "id,colour\nlobby,red\n").unwrap();
    fs::write(desk.file("two.csv"), "id\nlobby\ncafe\n").unwrap();
    let told = |arguments: &[&str], expected: i32| {
        let output = desk.flash(&[&["--to", "made.img"], arguments].concat());
        assert_eq!(code(&output), Some(expected), "{arguments:?}: {}", golden::said(&output));
        assert!(!desk.file("made.img").exists(), "{arguments:?}");
        golden::said(&output)
    };
    assert!(told(&["--csv", "cards.csv"], 10).contains("cards.csv:2: colour: there is no such key"));
    assert!(told(&["--csv", "two.csv"], 2).contains("--row"));
    assert!(told(&["--csv", "two.csv", "--row", "bar"], 2).contains("lobby, cafe"));
    assert!(told(&["--set", "display.id=Lobby"], 10).contains("small letters"));
    assert!(told(&["--set", "display"], 2).contains("KEY=VALUE"));
    assert!(told(&["--config", "nosuch.toml"], 10).contains("nosuch.toml"));
    assert!(told(&["--id", "x", "--binary", "kiosk.toml"], 2).contains("aarch64"));
}

#[test]
fn a_card_that_is_stopped_half_way_does_not_boot_and_says_so() {
    let desk = Desk::new();
    let mut command =
        desk.command(&desk.image.path, &[CONFIGURED, &["--to", "made.img", "--id", "lobby", "--json"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let began = lines.find(|line| line.contains("\"writing\"") || line.contains("\"result\"")).unwrap();
    assert!(began.contains("writing"), "{began}");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let last = lines.last().unwrap();
    let status = child.wait().unwrap();
    let result: serde_json::Value = serde_json::from_str(&last).unwrap();
    let holds = result["cards"][0]["holds"].as_str().unwrap();
    match status.code() {
        Some(130) => {
            assert_eq!(holds, "unbootable", "{result}");
            assert!(is_blank(&desk.file("made.img")));
        }
        // It was done before the signal came.
        code => assert_eq!((code, holds), (Some(0), "complete"), "{result}"),
    }
}

fn place_of(path: &Path, needle: &[u8]) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64
}
