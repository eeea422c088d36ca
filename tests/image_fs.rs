//! Images are changed without a mount, and what other programs then find in them is right.
#![cfg(feature = "tools")]

#[path = "support/golden.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
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

/// What a tree of files shall be: the simplest thing that can be right.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory { mode: u32, owner: Owner },
    File { bytes: Vec<u8>, mode: u32, owner: Owner },
    Link { target: String },
}

/// Does the same random changes to an image and to a map of names, and checks that they say the same, to the last error.
struct Twins {
    image: ImageSystem,
    model: BTreeMap<PathBuf, Node>,
    rng: fastrand::Rng,
    /// How often each change really happened.
    done: BTreeMap<&'static str, usize>,
}

impl Twins {
    const TOP: &str = "/srv";

    fn new(device: Arc<dyn BlockDevice>, seed: u64) -> Self {
        let mut image = ImageSystem::open_at(device, NOW).expect("the image opens");
        image.make_dir(Path::new(Self::TOP), 0o755, Owner::ROOT).expect("a directory");
        let top = Node::Directory { mode: 0o755, owner: Owner::ROOT };
        Self {
            image,
            model: BTreeMap::from([(PathBuf::from(Self::TOP), top)]),
            rng: fastrand::Rng::with_seed(seed),
            done: BTreeMap::new(),
        }
    }

    fn directory(&mut self) -> PathBuf {
        let all: Vec<_> = self
            .model
            .iter()
            .filter(|(_, node)| matches!(node, Node::Directory { .. }))
            .map(|(path, _)| path)
            .collect();
        all[self.rng.usize(..all.len())].clone()
    }

    /// One that is there, half of the time, or else a new name.
    fn path(&mut self) -> PathBuf {
        if self.rng.bool() && self.model.len() > 1 {
            let index = self.rng.usize(1..self.model.len());
            return self.model.keys().nth(index).expect("in range").clone();
        }
        let len = if self.rng.u8(..8) == 0 { self.rng.usize(100..=255) } else { self.rng.usize(1..24) };
        let name: String = std::iter::repeat_with(|| self.rng.alphanumeric()).take(len).collect();
        self.directory().join(name)
    }

    fn step(&mut self, largest: usize) {
        let path = self.path();
        let is_directory = matches!(self.model.get(&path), Some(Node::Directory { .. }));
        let mode = [0o644, 0o600, 0o755, 0o4755, 0o2770][self.rng.usize(..5)];
        let owner = if self.rng.bool() {
            Owner::ROOT
        } else {
            Owner { uid: self.rng.u32(..200_000), gid: self.rng.u32(..200_000) }
        };
        let what = match self.rng.u8(..10) {
            0..=4 => {
                // Small ones mostly, as a system has.
                let limit = [100, 5_000, 70_000, largest][self.rng.usize(..4)];
                let len = self.rng.usize(..=limit);
                let mut bytes = vec![0; len];
                self.rng.fill(&mut bytes);
                let done = self.image.write(&path, &bytes, mode, owner);
                assert_eq!(done.is_ok(), !is_directory, "write {}: {done:?}", path.display());
                if !is_directory {
                    self.model.insert(path, Node::File { bytes, mode, owner });
                }
                "write"
            }
            5 => {
                let there = self.model.get(&path).is_some_and(|node| !matches!(node, Node::Directory { .. }));
                let done = self.image.make_dir(&path, mode, owner);
                assert_eq!(done.is_ok(), !there, "make_dir {}: {done:?}", path.display());
                if !there {
                    self.model.insert(path, Node::Directory { mode, owner });
                }
                "make_dir"
            }
            6 => {
                let len = self.rng.usize(1..200);
                let target: String = std::iter::repeat_with(|| self.rng.alphanumeric()).take(len).collect();
                let done = self.image.link(&path, &target, owner);
                assert_eq!(done.is_ok(), !is_directory, "link {}: {done:?}", path.display());
                if !is_directory {
                    self.model.insert(path, Node::Link { target });
                }
                "link"
            }
            7 | 8 => {
                let full = self.model.keys().any(|other| other != &path && other.starts_with(&path));
                if path == Path::new(Self::TOP) {
                    return;
                }
                let done = self.image.remove(&path);
                assert_eq!(done.is_ok(), !full, "remove {}: {done:?}", path.display());
                if !full {
                    self.model.remove(&path);
                }
                "remove"
            }
            _ => {
                let done = self.image.own(&path, mode, owner);
                match self.model.get_mut(&path) {
                    None => assert!(done.is_err(), "own {} which is not there", path.display()),
                    Some(Node::Link { .. }) => {}
                    Some(Node::Directory { mode: m, owner: o } | Node::File { mode: m, owner: o, .. }) => {
                        done.expect("it is there");
                        (*m, *o) = (mode, owner);
                    }
                }
                "own"
            }
        };
        *self.done.entry(what).or_default() += 1;
    }

    /// What the image says, through our own eyes.
    fn check(&self) {
        for (path, node) in &self.model {
            let stat =
                self.image.stat(path).expect("it is read").unwrap_or_else(|| panic!("{} is gone", path.display()));
            match node {
                Node::Directory { mode, owner } => {
                    assert_eq!(
                        (stat.kind, stat.mode, stat.uid, stat.gid),
                        (Kind::Directory, *mode, owner.uid, owner.gid)
                    );
                    let names: Vec<String> = self.children(path).collect();
                    assert_eq!(self.image.list(path).expect("it is listed"), names, "{}", path.display());
                }
                Node::File { bytes, mode, owner } => {
                    assert_eq!((stat.mode, stat.uid, stat.gid), (*mode, owner.uid, owner.gid), "{}", path.display());
                    assert!(&self.image.read(path).expect("it is read") == bytes, "{} differs", path.display());
                }
                Node::Link { target } => assert_eq!(stat.kind, Kind::Link { target: target.clone() }),
            }
        }
    }

    fn children(&self, of: &Path) -> impl Iterator<Item = String> {
        self.model
            .keys()
            .filter(move |path| path.parent() == Some(of))
            .map(|path| path.file_name().expect("it has a name").to_str().expect("UTF-8").to_owned())
    }

    /// The same through the eyes of a program that shares no code with what wrote it.
    fn check_with(&self, view: &ext4_view::Ext4) {
        for (path, node) in &self.model {
            let name = path.to_str().expect("UTF-8");
            let metadata = view.symlink_metadata(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            match node {
                Node::Directory { mode, owner } => {
                    assert!(metadata.is_dir());
                    assert_eq!(
                        (u32::from(metadata.mode() & 0o7777), metadata.uid(), metadata.gid()),
                        (*mode, owner.uid, owner.gid)
                    );
                    let mut names: Vec<String> = view
                        .read_dir(name)
                        .expect("it is listed")
                        .map(|entry| entry.expect("an entry").file_name().as_str().expect("UTF-8").to_owned())
                        .filter(|name| name != "." && name != "..")
                        .collect();
                    names.sort();
                    assert_eq!(names, self.children(path).collect::<Vec<_>>(), "{name}");
                }
                Node::File { bytes, mode, owner } => {
                    assert_eq!(
                        (u32::from(metadata.mode() & 0o7777), metadata.uid(), metadata.gid()),
                        (*mode, owner.uid, owner.gid)
                    );
                    assert!(&view.read(name).expect("it is read") == bytes, "{name} differs");
                }
                Node::Link { target } => {
                    assert_eq!(view.read_link(name).expect("a link").to_str().expect("UTF-8"), target);
                }
            }
        }
    }
}

/// Random changes to a copy of an image, all checked at the end; answers the changes that happened.
fn random_changes(
    golden: &Golden,
    base: &Arc<Memory>,
    seed: u64,
    steps: usize,
    largest: usize,
) -> BTreeMap<&'static str, usize> {
    let overlay = Arc::new(Overlay::new(Arc::clone(base)));
    let mut twins = Twins::new(Arc::clone(&overlay) as Arc<dyn BlockDevice>, seed);
    for step in 0..steps {
        twins.step(largest);
        if step % 100 == 99 {
            twins.image.sync().expect("it goes on after a sync");
        }
    }
    twins.check();
    twins.image.sync().expect("all is written");
    twins.check_with(&view(Arc::clone(&overlay) as Arc<dyn BlockDevice>, &golden.layout));

    // Only what was changed is written onto the image, and that is enough.
    let changed = golden.folder.path().join(format!("changed-{seed}.img"));
    std::fs::copy(&golden.path, &changed).expect("a copy");
    let file = File::options().read(true).write(true).open(&changed).expect("the copy opens");
    let len = file.metadata().expect("a length").len();
    let card = FileDevice::new(file, len);
    for extent in overlay.extents() {
        let mut bytes = vec![0; usize::try_from(extent.len).expect("a small image")];
        overlay.read_at(extent.offset, &mut bytes).expect("it is in memory");
        card.write_at(extent.offset, &bytes).expect("the copy is written");
    }
    golden::assert_ext4_clean(&changed, golden.layout.root_start());
    golden::assert_fat_clean(&changed, Layout::BOOT_START, golden.layout.boot_len());
    std::fs::remove_file(&changed).expect("the copy is gone");
    twins.done
}

#[test]
fn any_changes_leave_a_clean_file_system_that_holds_what_was_asked_for() {
    for (layout, seeds) in [(Layout::bookworm(), 0..12), (Layout::pi_gen(), 100..112), (Layout::trixie(), 200..212)] {
        let golden = golden::image_with(Format::Debian, layout);
        let base = Arc::new(Memory::of(&golden.path));
        for seed in seeds {
            random_changes(&golden, &base, seed, 120, 1 << 20);
        }
    }
}

#[test]
fn hundreds_of_files_and_thirty_mebibytes_leave_a_clean_file_system() {
    for layout in [Layout::bookworm(), Layout::pi_gen(), Layout::trixie()] {
        let golden = golden::image_with(Format::Debian, layout);
        let base = Arc::new(Memory::of(&golden.path));
        let done = random_changes(&golden, &base, 7, 1_200, 300_000);
        assert!(done["write"] > 400 && done["remove"] > 100, "{done:?}");
        let overlay = Arc::new(Overlay::new(base));
        let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
        let mut bytes = vec![0; 30 << 20];
        fastrand::Rng::with_seed(1).fill(&mut bytes);
        image.write(Path::new("/opt/large"), &bytes, 0o644, Owner::ROOT).expect("30 MiB are written");
        image.write(Path::new("/opt/large"), &bytes, 0o644, Owner::ROOT).expect("and replaced");
        image.sync().expect("all is written");
        let view = view(Arc::clone(&overlay) as Arc<dyn BlockDevice>, &golden.layout);
        assert!(view.read("/opt/large").expect("another program reads it") == bytes);
        drop(image);
        let card = golden.folder.path().join("large.img");
        std::fs::copy(&golden.path, &card).expect("a copy");
        let file = File::options().write(true).open(&card).expect("the copy opens");
        for extent in overlay.extents() {
            let mut piece = vec![0; usize::try_from(extent.len).expect("a small image")];
            overlay.read_at(extent.offset, &mut piece).expect("it is in memory");
            file.write_all_at(&piece, extent.offset).expect("the copy is written");
        }
        golden::assert_ext4_clean(&card, golden.layout.root_start());
    }
}

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

#[test]
fn a_full_file_system_refuses_and_keeps_what_it_holds() {
    let layout = Layout { root_mib: 40, boot_mib: 40, ..Layout::pi_gen() };
    let golden = golden::image_with(Format::Bookworm, layout);
    let overlay = Arc::new(Overlay::new(device(&golden)));
    let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
    for (folder, keep) in [("/opt", "/etc/hostname"), ("/boot/firmware", "/boot/firmware/config.txt")] {
        let before = image.read(Path::new(keep)).expect("it is read");
        let mut index = 0;
        let error = loop {
            let name = PathBuf::from(format!("{folder}/fill {index}"));
            match image.write(&name, &vec![7; 3_000_000], 0o644, Owner::ROOT) {
                Ok(()) => index += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert!(index > 3, "{index} files fitted");
        let error = image.write(Path::new(keep), &vec![8; 3_000_000], 0o644, Owner::ROOT).expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(image.read(Path::new(keep)).expect("it is read"), before, "what was there is there");
        let names = image.list(Path::new(folder)).expect("it is listed");
        assert!(!names.iter().any(|name| name.contains("pikiosk")), "nothing half is left: {names:?}");
        // Smaller ones until none fits.
        for small in 0.. {
            let name = PathBuf::from(format!("{folder}/small {small}"));
            if image.write(&name, &[7; 100_000], 0o644, Owner::ROOT).is_err() {
                break;
            }
        }
        image.remove(Path::new(&format!("{folder}/fill 0"))).expect("room can be made");
        image.write(Path::new(keep), b"again", 0o644, Owner::ROOT).expect("and used");
    }
    image.sync().expect("all is written");
    drop(image);
    overlay.commit().expect("the image is written");
    assert_clean(&golden);
}

#[test]
fn thousands_of_files_and_a_file_in_a_thousand_pieces_stay_right() {
    let golden = golden::image_with(Format::Debian, Layout { root_mib: 60, ..Layout::bookworm() });
    let overlay = Arc::new(Overlay::new(device(&golden)));
    let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
    let folder = |index: usize| PathBuf::from(format!("/srv/{}", index / 100));
    let name = |index: usize| folder(index).join(format!("{index} with a name of some length, as they are"));
    image.make_dir(Path::new("/srv"), 0o755, Owner::ROOT).expect("a directory");
    for index in 0..3_000 {
        if index % 100 == 0 {
            image.make_dir(&folder(index), 0o755, Owner::ROOT).expect("a directory");
        }
        image.write(&name(index), &[index as u8; 5_000], 0o644, Owner::ROOT).expect("a file comes");
    }
    // Every other one goes: what is free is in pieces of two blocks.
    for index in (0..3_000).step_by(2) {
        image.remove(&name(index)).expect("a file goes");
    }
    let mut bytes = vec![0; 10 << 20];
    fastrand::Rng::with_seed(5).fill(&mut bytes);
    let free = image.free().expect("it is known");
    let filler = vec![1; usize::try_from(free).expect("a small image") - (11 << 20)];
    image.write(Path::new("/opt/filler"), &filler, 0o644, Owner::ROOT).expect("a file comes");
    image.write(Path::new("/opt/pieces"), &bytes, 0o755, Owner::ROOT).expect("a file in pieces");
    image.sync().expect("all is written");
    let view = view(Arc::clone(&overlay) as Arc<dyn BlockDevice>, &golden.layout);
    assert!(view.read("/opt/pieces").expect("another program reads it") == bytes);
    for index in (1..3_000).step_by(2) {
        let name = name(index);
        assert_eq!(view.read(name.to_str().expect("UTF-8")).expect("it is found"), [index as u8; 5_000]);
    }
    drop(image);
    overlay.commit().expect("the image is written");
    assert_clean(&golden);
}

/// The crate underneath gives a directory four extents and no more. What matters is that it says so and harms nothing.
#[test]
fn a_directory_that_cannot_grow_any_more_is_told_and_stays_right() {
    let golden = golden::image_with(Format::Debian, Layout { root_mib: 60, ..Layout::bookworm() });
    let overlay = Arc::new(Overlay::new(device(&golden)));
    let mut image = ImageSystem::open_at(Arc::clone(&overlay) as Arc<dyn BlockDevice>, NOW).expect("it opens");
    image.make_dir(Path::new("/srv"), 0o755, Owner::ROOT).expect("a directory");
    let name = |index: usize| PathBuf::from(format!("/srv/{index} with a name of some length, as they are"));
    let (made, error) = (0..2_000)
        .find_map(|index| Some((index, image.write(&name(index), &[1; 5_000], 0o644, Owner::ROOT).err()?)))
        .expect("pieces of a directory run out");
    assert!(made > 250, "{made} files were made");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    assert_eq!(image.list(Path::new("/srv")).expect("it is listed").len(), made);
    image.write(Path::new("/etc/hostname"), b"lobby", 0o644, Owner::ROOT).expect("all else goes on");
    image.sync().expect("all is written");
    drop(image);
    overlay.commit().expect("the image is written");
    assert_clean(&golden);
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
