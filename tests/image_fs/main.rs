//! Images are changed without a mount, and what other programs then find in them is right: here, file by file; at random,
//! against a map of what shall be (`twins`, `boot`); and at the ends of what fits (`limits`).
#![cfg(feature = "tools")]

mod boot;
#[path = "../support/golden.rs"]
mod golden;
mod limits;
mod twins;

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, RwLock},
};

use golden::{Format, Golden, Layout};
use pikiosk::io::{
    block::{BlockDevice, FileDevice, Window, overlay::Overlay},
    system::{Kind, Observe, Owner, System, image::ImageSystem},
};

const NOW: u64 = 1_764_806_400;
const KIOSK: Owner = Owner { uid: 70_001, gid: 70_002 };

fn device(golden: &Golden) -> Arc<dyn BlockDevice> {
    let file = File::options().read(true).write(true).open(&golden.path).expect("the image opens");
    let len = file.metadata().expect("a length").len();
    Arc::new(FileDevice::new(file, len))
}

#[track_caller]
fn assert_clean(golden: &Golden) {
    golden::assert_ext4_clean(&golden.path, golden.layout.root_start());
    golden::assert_fat_clean(&golden.path, Layout::BOOT_START, golden.layout.boot_len());
}

#[test]
fn files_of_every_kind_are_laid_down_in_every_format_and_other_programs_find_them() {
    for format in Format::ALL {
        let golden = golden::image(format);
        let mut image = ImageSystem::open_at(device(&golden), NOW).expect("the image opens");
        assert_eq!(image.abilities().fat, Some("/boot/firmware"), "{format:?}");
        let binary: Vec<u8> = (0..8 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        image.write(Path::new("/usr/bin/pikiosk"), &binary, 0o755, Owner::ROOT).expect("8 MB are written");
        image.make_dir(Path::new("/etc/pikiosk"), 0o750, KIOSK).expect("a directory");
        image.write(Path::new("/etc/pikiosk/kiosk.toml"), b"[display]\n", 0o640, KIOSK).expect("a file");
        image.write(Path::new("/etc/hostname"), b"lobby\n", 0o644, Owner::ROOT).expect("a replaced file");
        image.link(Path::new("/etc/localtime"), "/usr/share/zoneinfo/Europe/Berlin", Owner::ROOT).expect("a link");
        image.write(Path::new("/lib/through-a-link"), b"x", 0o4755, Owner::ROOT).expect("a link is followed inside");
        image.remove(Path::new("/etc/hosts")).expect("a file goes");
        image.write(Path::new("/boot/firmware/cmdline.txt"), b"quiet\n", 0o644, Owner::ROOT).expect("a FAT file");
        image
            .write(Path::new("/boot/firmware/a long name on FAT.txt"), &binary[..100_000], 0o644, KIOSK)
            .expect("long");
        image.write(Path::new("/boot/firmware/overlays/kiosk.dtbo"), b"dtb", 0o644, KIOSK).expect("in a directory");
        image.remove(Path::new("/boot/firmware/config.txt")).expect("a FAT file goes");
        image.sync().expect("all is written");
        drop(image);
        assert_clean(&golden);

        let image = ImageSystem::open_at(device(&golden), NOW).expect("it opens again");
        assert_eq!(image.read(Path::new("/usr/lib/through-a-link")).expect("it is there"), b"x");
        assert_eq!(image.read(Path::new("/bin/pikiosk")).expect("through a link"), binary);
        let stat = image.stat(Path::new("/etc/pikiosk/kiosk.toml")).expect("it is read").expect("it is there");
        assert_eq!((stat.kind, stat.mode, stat.uid, stat.gid), (Kind::File { len: 10 }, 0o640, 70_001, 70_002));
        assert_eq!(image.stat(Path::new("/etc/hosts")).expect("it is read"), None);
        let boot = image.list(Path::new("/boot/firmware")).expect("it is listed");
        assert!(boot.contains(&"a long name on FAT.txt".to_owned()), "{boot:?}");
        assert!(!boot.iter().any(|name| name == "config.txt" || name == "pikiosk.new"), "{boot:?}");
        assert_eq!(image.read(Path::new("/boot/firmware/CMDLINE.TXT")).expect("case does not count"), b"quiet\n");

        let view = view(device(&golden), &golden.layout);
        assert_eq!(view.read("/usr/bin/pikiosk").expect("another program reads it"), binary);
        assert_eq!(view.read_to_string("/etc/hostname").expect("another program reads it"), "lobby\n");
    }
}

/// The root as an independent program sees it.
fn view(device: Arc<dyn BlockDevice>, layout: &Layout) -> ext4_view::Ext4 {
    struct Reader(Window<Arc<dyn BlockDevice>>);
    impl ext4_view::Ext4Read for Reader {
        fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Ok(self.0.read_at(start, into)?)
        }
    }
    let window = Window::new(device, layout.root_start(), layout.root_len()).expect("the root is inside");
    ext4_view::Ext4::load(Box::new(Reader(window))).expect("another program opens it")
}

/// A device in memory, to change the same image many times.
struct Memory(RwLock<Vec<u8>>);

impl Memory {
    fn of(path: &Path) -> Self {
        Self(RwLock::new(std::fs::read(path).expect("the image is read")))
    }
}

impl BlockDevice for Memory {
    fn len(&self) -> u64 {
        self.0.read().expect("no panic while it was held").len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.read().expect("no panic while it was held");
        let from = usize::try_from(offset).expect("a small image");
        let slice = bytes.get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(slice);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.0.write().expect("no panic while it was held");
        let from = usize::try_from(offset).expect("a small image");
        all.get_mut(from..from + bytes.len()).ok_or(io::ErrorKind::WriteZero)?.copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_image_that_cannot_be_changed_safely_is_refused_in_words_and_left_alone() {
    use pikiosk::io::{partitions::PartitionsError, system::image::ImageError};
    let golden = golden::image(Format::Bookworm);
    let pristine = std::fs::read(&golden.path).expect("it is read");
    let root = usize::try_from(golden.layout.root_start()).expect("a small image");
    let open = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = pristine.clone();
        change(&mut bytes);
        let memory = Arc::new(Memory(RwLock::new(bytes)));
        let before = memory.0.read().expect("no panic").clone();
        let refused =
            ImageSystem::open_at(Arc::clone(&memory) as Arc<dyn BlockDevice>, NOW).expect_err("it is refused");
        assert!(*memory.0.read().expect("no panic") == before, "nothing was written");
        assert!(!refused.hint().is_empty());
        refused
    };
    let at = |offset: usize| root + 1024 + offset;
    let cases: [(&str, Box<dyn Fn(&mut Vec<u8>)>, fn(&ImageError) -> bool); 9] = [
        ("no table", Box::new(|bytes| bytes[..512].fill(0)), |error| {
            matches!(error, ImageError::Partitions(PartitionsError::None))
        }),
        ("cut short", Box::new(|bytes| bytes.truncate(100 << 20)), |error| {
            matches!(error, ImageError::Partitions(PartitionsError::Truncated { number: 2, .. }))
        }),
        ("no root", Box::new(move |bytes| bytes[at(0x38)] = 0), |error| matches!(error, ImageError::NoRoot)),
        ("journal", Box::new(move |bytes| bytes[at(0x60)] |= 0x4), |error| {
            matches!(error, ImageError::Unclean { number: 2 })
        }),
        ("mounted", Box::new(move |bytes| bytes[at(0x3a)] = 0), |error| {
            matches!(error, ImageError::Unclean { number: 2 })
        }),
        ("errors", Box::new(move |bytes| bytes[at(0x3a)] = 3), |error| matches!(error, ImageError::Errors { .. })),
        (
            "encrypt",
            Box::new(move |bytes| bytes[at(0x62)] |= 1),
            |error| matches!(error, ImageError::Features { features } if features == "encrypt"),
        ),
        (
            "quota and one of tomorrow",
            Box::new(move |bytes| (bytes[at(0x65)], bytes[at(0x67)]) = (1, 0x40)),
            |error| matches!(error, ImageError::Features { features } if features.starts_with("quota, read-only feature 0x")),
        ),
        ("ext3", Box::new(move |bytes| bytes[at(0x60)] &= !0x40), |error| {
            matches!(error, ImageError::NotExt4 { found: "ext3" })
        }),
    ];
    for (what, change, is_right) in cases {
        let refused = open(&change);
        assert!(is_right(&refused), "{what}: {refused:?}");
    }
    // Damage that only a checksum shows.
    let refused = open(&|bytes| bytes[at(0x100)] ^= 1);
    assert!(matches!(refused, ImageError::Root { .. }), "{refused:?}");
}

#[test]
fn the_kernel_finds_what_was_written() {
    let golden = golden::image_with(Format::Ours, Layout::trixie());
    let mut image = ImageSystem::open_at(device(&golden), NOW).expect("it opens");
    let bytes: Vec<u8> = (0..3_000_000).map(|index: u32| (index / 3) as u8).collect();
    image.write(Path::new("/usr/bin/kiosk"), &bytes, 0o4755, KIOSK).expect("a file");
    let long = "./".repeat(100) + "usr";
    image.link(Path::new("/long"), &long, KIOSK).expect("a link");
    image.sync().expect("all is written");
    drop(image);
    let at = golden.folder.path().join("mount");
    std::fs::create_dir(&at).expect("a folder");
    let options = format!("loop,ro,offset={},sizelimit={}", golden.layout.root_start(), golden.layout.root_len());
    let mounted = golden::tool("mount").args(["-t", "ext4", "-o", &options]).arg(&golden.path).arg(&at).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        // Only root may, and not in every container: the other tests read with two other programs.
        return;
    }
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::read(at.join("usr/bin/kiosk"));
    let metadata = std::fs::metadata(at.join("usr/bin/kiosk"));
    let link = std::fs::read_link(at.join("long"));
    let unmounted = golden::tool("umount").arg(&at).output().expect("umount runs");
    assert!(unmounted.status.success(), "{}", golden::said(&unmounted));
    assert!(found.expect("the kernel reads it") == bytes);
    let metadata = metadata.expect("the kernel reads it");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o4755, KIOSK.uid, KIOSK.gid));
    assert_eq!(link.expect("the kernel reads it").to_str(), Some(long.as_str()));
}

#[test]
fn the_same_changes_give_the_same_bytes() {
    let golden = golden::image(Format::Ours);
    let base = Arc::new(Memory::of(&golden.path));
    let changed = || {
        let overlay = Arc::new(Overlay::new(Arc::clone(&base)));
        let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
        image.write(Path::new("/etc/hostname"), b"lobby\n", 0o644, KIOSK).expect("a file");
        image.make_dir(Path::new("/etc/kiosk.d"), 0o755, KIOSK).expect("a directory");
        image.link(Path::new("/etc/localtime"), "/usr/share/zoneinfo/UTC", Owner::ROOT).expect("a link");
        image.write(Path::new("/boot/firmware/ssh"), b"", 0o644, KIOSK).expect("a file");
        image.sync().expect("all is written");
        drop(image);
        let read = |extent: pikiosk::io::block::overlay::Extent| {
            let mut bytes = vec![0; usize::try_from(extent.len).expect("a small image")];
            overlay.read_at(extent.offset, &mut bytes).expect("it is in memory");
            (extent, bytes)
        };
        overlay.extents().into_iter().map(read).collect::<Vec<_>>()
    };
    assert!(changed() == changed(), "the same extents, with the same bytes");
}
