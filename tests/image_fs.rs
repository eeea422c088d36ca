//! Images are changed without a mount, and what other programs then find in them is right.

#[path = "support/golden.rs"]
mod golden;

use std::{
    fs::File,
    path::Path,
    sync::Arc,
};

use golden::{Format, Golden, Layout};
use pikiosk::io::{
    block::{BlockDevice, FileDevice, Window},
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
        image.link(Path::new("/etc/localtime"), "/usr/share/zoneinfo/Europe/Berlin").expect("a link");
        image.write(Path::new("/lib/through-a-link"), b"x", 0o4755, Owner::ROOT).expect("a link is followed inside");
        image.remove(Path::new("/etc/hosts")).expect("a file goes");
        image.write(Path::new("/boot/firmware/cmdline.txt"), b"quiet\n", 0o644, Owner::ROOT).expect("a FAT file");
        image.write(Path::new("/boot/firmware/a long name on FAT.txt"), &binary[..100_000], 0o644, KIOSK).expect("long");
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
