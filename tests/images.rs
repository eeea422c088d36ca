//! `pikiosk image`, on small images that the tests make.
#![cfg(feature = "tools")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

#[path = "support/golden.rs"]
mod golden;

use golden::{Format, Golden};

fn pikiosk(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pikiosk")).args(arguments).output().expect("pikiosk starts")
}

fn path(golden: &Golden) -> &str {
    golden.path.to_str().expect("UTF-8")
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", golden::said(output)))
}

/// Puts a file on the boot partition, as people do with a card in a reader.
fn put(golden: &Golden, name: &str, bytes: &[u8]) {
    let file = golden.folder.path().join(name);
    fs::write(&file, bytes).expect("a file");
    let onto = format!("{}@@{}", path(golden), golden::Layout::BOOT_START);
    let output = golden::tool("mcopy").args(["-o", "-i", &onto]).arg(&file).arg("::/").output().expect("mcopy starts");
    assert!(output.status.success(), "{}", golden::said(&output));
}

/// What the boot partition of the golden images lacks to start a Pi 3.
fn complete(golden: &Golden) {
    let mut kernel = vec![0; 4096];
    kernel[56..60].copy_from_slice(b"ARMd");
    put(golden, "kernel8.img", &kernel);
    for name in ["bootcode.bin", "start.elf", "fixup.dat", "bcm2710-rpi-3-b.dtb"] {
        put(golden, name, b"firmware");
    }
}

#[test]
fn inspect_tells_what_a_raspberry_pi_os_image_is_and_that_it_starts() {
    let golden = golden::image(Format::Trixie);
    complete(&golden);
    let output = pikiosk(&["image", "inspect", path(&golden)]);
    let said = golden::said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in [
        "partition 1 fat     48 MiB    bootfs",
        "partition 2 ext4    96 MiB    rootfs",
        "system      Debian GNU/Linux 13 (trixie)",
        "for         arm64, 1 packages",
        "kiosk       none yet",
        "Pi 3        would start from it",
        "yes: cmdline.txt finds the root by its partition",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    let told = json(&pikiosk(&["image", "inspect", path(&golden), "--json"]));
    assert_eq!(told["boots_pi3"], true);
    assert_eq!(told["system"]["architecture"], "arm64");
    assert_eq!(told["partitions"][1]["label"], "rootfs");
}

#[test]
fn an_image_that_would_not_start_ends_with_12_and_names_what_is_missing() {
    let golden = golden::image(Format::Debian);
    let output = pikiosk(&["image", "inspect", path(&golden)]);
    let said = golden::said(&output);
    assert_eq!(output.status.code(), Some(12), "{said}");
    assert!(said.contains("would NOT start"), "{said}");
    assert!(said.contains("NO:  the boot firmware of a Pi 3 lacks bootcode.bin, start.elf, fixup.dat"), "{said}");
    assert!(said.contains("NO:  kernel8.img is no kernel for arm64"), "{said}");
}

#[test]
fn something_else_than_an_image_is_refused_with_12() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter.img");
    fs::write(&file, "Dear Ada, this is no image.\n".repeat(1000)).expect("a file");
    let output = pikiosk(&["image", "inspect", file.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(12), "{}", golden::said(&output));
    assert!(golden::said(&output).contains("hint: "), "{}", golden::said(&output));
}

#[test]
fn describe_writes_a_map_with_which_the_used_blocks_alone_make_the_same_card() {
    let golden = golden::image(Format::Ours);
    let output = pikiosk(&["image", "describe", path(&golden)]);
    assert_eq!(output.status.code(), Some(0), "{}", golden::said(&output));
    let beside = |extension: &str| fs::read_to_string(format!("{}.{extension}", path(&golden))).expect("it is written");

    // A card full of old bytes gets the mapped blocks only; its file systems must be as clean as the image's.
    let image = fs::File::open(&golden.path).expect("the image opens");
    let len = image.metadata().expect("it has a length").len();
    let card = golden.folder.path().join("old-card.img");
    fs::write(&card, vec![0xa5; usize::try_from(len).expect("small")]).expect("room for a card");
    let card_file = fs::File::options().write(true).open(&card).expect("the card opens");
    let map = beside("bmap");
    let mut mapped = 0;
    for range in map.lines().filter_map(|line| line.split("\"> ").nth(1)?.strip_suffix(" </Range>")) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().expect("a block"), last.parse().expect("a block"));
        let mut bytes = vec![0; usize::try_from((last + 1 - first) * 4096).expect("small")];
        image.read_exact_at(&mut bytes, first * 4096).expect("the image is read");
        card_file.write_all_at(&bytes, first * 4096).expect("the card is written");
        mapped += last + 1 - first;
    }
    assert!(mapped * 4096 < len / 3, "{mapped} blocks of an almost empty image matter");
    assert!(map.contains(&format!("<MappedBlocksCount> {mapped} </MappedBlocksCount>")));
    let root = golden.folder.path().join("root.ext4");
    golden::part(&card, golden.layout.root_start(), golden.layout.root_len(), &root);
    let checked = golden::tool("e2fsck").arg("-fn").arg(&root).output().expect("e2fsck starts");
    assert!(checked.status.success(), "{}", golden::said(&checked));
    let boot = golden.folder.path().join("boot.fat");
    golden::part(&card, golden::Layout::BOOT_START, golden.layout.boot_len(), &boot);
    let checked = golden::tool("fsck.vfat").arg("-n").arg(&boot).output().expect("fsck.vfat starts");
    assert!(checked.status.success(), "{}", golden::said(&checked));

    let summed = Command::new("sha256sum")
        .args(["--check", "--quiet"])
        .arg(format!("{}.sha256", path(&golden)))
        .current_dir(golden.folder.path())
        .status()
        .expect("sha256sum starts");
    assert!(summed.success());
    let sbom: serde_json::Value = serde_json::from_str(&beside("sbom.json")).expect("JSON");
    assert_eq!(sbom["components"][0]["purl"], "pkg:deb/debian/base-files@12.4?arch=arm64&distro=trixie");
    let list: serde_json::Value = serde_json::from_str(&beside("manifest.json")).expect("JSON");
    assert_eq!(list["os_list"][0]["extract_size"], len);
}

#[test]
fn describe_wants_the_image_unpacked() {
    let output = pikiosk(&["image", "describe", "card.img.xz"]);
    assert_eq!(output.status.code(), Some(2), "{}", golden::said(&output));
}

#[test]
fn build_outside_of_the_project_says_where_the_recipe_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_pikiosk"))
        .args(["image", "build"])
        .current_dir(folder.path())
        .output()
        .expect("pikiosk starts");
    assert_eq!(output.status.code(), Some(2), "{}", golden::said(&output));
    assert!(golden::said(&output).contains("--recipe"), "{}", golden::said(&output));
}

#[test]
fn customize_leaves_the_image_as_it_is_and_keeps_what_is_there() {
    let golden = golden::image(Format::Ours);
    let before = fs::read(&golden.path).expect("the image is read");
    let there = golden.folder.path().join("there.img");
    fs::write(&there, "precious").expect("a file");
    let config = golden.folder.path().join("kiosk.toml");
    fs::write(&config, "[display]\nid = \"lobby\"\n").expect("a file");
    let run = |to: &Path| {
        let (to, config) = (to.to_str().expect("UTF-8"), config.to_str().expect("UTF-8"));
        pikiosk(&["image", "customize", path(&golden), "--config", config, "-o", to])
    };
    assert_eq!(run(&there).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&there).expect("it is there"), "precious");
    let made = golden.folder.path().join("lobby.img");
    // Whether it succeeds depends on a build for the Pi being there; that the original is untouched must not.
    let output = run(&made);
    assert_eq!(made.exists(), output.status.success(), "{}", golden::said(&output));
    assert!(!golden.folder.path().join("lobby.img.part").exists());
    assert!(before == fs::read(&golden.path).expect("the image is read"), "the original was changed");
}
