//! Random changes of the FAT partition that a Pi boots from, and what lies in its free room.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use pikiosk::io::{
    block::{BlockDevice, overlay::Overlay},
    system::{Observe, Owner, System, image::ImageSystem},
};

use super::{
    KIOSK, NOW, assert_clean, device,
    golden::{self, Format, Golden, Layout},
};

#[test]
fn any_changes_of_the_boot_partition_leave_it_clean() {
    for (layout, seeds) in
        [(Layout::pi_gen(), 0..6), (Layout { cluster: 4, boot_mib: 160, ..Layout::pi_gen() }, 10..13)]
    {
        let golden = golden::image_with(Format::Trixie, layout);
        for seed in seeds {
            boot_changes(&golden, seed);
        }
    }
}

/// A card that was not new: what is free on it is anything but zero.
#[test]
fn old_contents_of_a_card_never_become_names_on_its_boot_partition() {
    let golden = golden::image(Format::Bookworm);
    let overlay = Arc::new(Overlay::new(device(&golden)));
    let mut usage = pikiosk::flash::usage::Usage::new(None);
    usage.feed(0, &std::fs::read(&golden.path).expect("it is read"));
    for offset in (Layout::BOOT_START..golden.layout.root_start()).step_by(512) {
        if usage.state(&(offset..offset + 512)) == pikiosk::flash::usage::State::Free {
            overlay.write_at(offset, &[0x41; 512]).expect("old contents");
        }
    }
    let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
    let boot = |index: usize| PathBuf::from(format!("/boot/firmware/a name that needs many entries {index}"));
    for index in 1..100 {
        image.write(&boot(index), b"x", 0o644, Owner::ROOT).expect("a file comes");
    }
    assert_eq!(image.list(Path::new("/boot/firmware")).expect("it is listed").len(), 99 + 5);
    image.sync().expect("all is written");
    drop(image);
    overlay.commit().expect("the image is written");
    assert_clean(&golden);
}

/// Random changes below /boot/firmware, in a copy, against a map of names.
fn boot_changes(golden: &Golden, seed: u64) {
    let top = Path::new("/boot/firmware");
    let copy = Golden {
        path: golden.folder.path().join("boot-changes.img"),
        layout: golden.layout.clone(),
        folder: tempfile::tempdir().expect("a folder"),
    };
    std::fs::copy(&golden.path, &copy.path).expect("a copy");
    let overlay = Arc::new(Overlay::new(device(&copy)));
    let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut folders = vec![top.to_owned(), top.join("overlays")];
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut count = 0;
    for index in 0..250 {
        let folder = folders[rng.usize(..folders.len())].clone();
        let known: Vec<PathBuf> = files.keys().cloned().collect();
        match rng.u8(..10) {
            0 if folders.len() < 20 => {
                let name = folder.join(format!("a directory with a long name {index}"));
                image.make_dir(&name, 0o755, Owner::ROOT).expect("a directory");
                image.make_dir(&name, 0o755, Owner::ROOT).expect("it is there already");
                folders.push(name);
            }
            1..=2 if !known.is_empty() => {
                let name = &known[rng.usize(..known.len())];
                image.remove(name).expect("a file goes");
                files.remove(name);
            }
            3 if !known.is_empty() => {
                let name = known[rng.usize(..known.len())].clone();
                let bytes = vec![index as u8; rng.usize(..100_000)];
                image.write(&name, &bytes, 0o644, KIOSK).expect("a file is replaced");
                files.insert(name, bytes);
            }
            _ => {
                let len = rng.usize(..60);
                let long: String = std::iter::repeat_with(|| rng.lowercase()).take(len).collect();
                let name = folder.join(format!("{index}{long}.Txt"));
                let bytes = vec![index as u8; rng.usize(..20_000)];
                image.write(&name, &bytes, 0o644, KIOSK).expect("a file comes");
                files.insert(name, bytes);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count} files came");
    for folder in &folders {
        let mut names: Vec<_> = files.keys().chain(&folders).filter(|path| path.parent() == Some(folder)).collect();
        names.sort();
        let names: Vec<_> =
            names.iter().map(|path| path.file_name().expect("a name").to_str().expect("UTF-8")).collect();
        let mut listed = image.list(folder).expect("it is listed");
        listed.retain(|name| names.contains(&name.as_str()));
        assert_eq!(listed, names, "{}", folder.display());
        assert!(image.remove(folder).is_err() || names.is_empty(), "a directory that is not empty stays");
    }
    for (path, bytes) in &files {
        assert!(&image.read(path).expect("it is read") == bytes, "{}", path.display());
    }
    image.sync().expect("all is written");
    drop(image);
    overlay.commit().expect("the image is written");
    assert_clean(&copy);
    // mtools share no code with what wrote it.
    for (path, bytes) in files.iter().step_by(7) {
        let name = format!("::/{}", path.strip_prefix(top).expect("below").display());
        let fat = format!("{}@@{}", copy.path.display(), Layout::BOOT_START);
        let output = golden::tool("mtype").args(["-i", &fat, &name]).output().expect("mtype runs");
        assert!(&output.stdout == bytes, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
