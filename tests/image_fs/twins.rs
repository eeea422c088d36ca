//! The same random changes to an image and to a map of names: whoever reads the image must find what the map says.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use pikiosk::io::{
    block::{BlockDevice, FileDevice, overlay::Overlay},
    system::{Kind, Observe, Owner, System, image::ImageSystem},
};

use super::{
    Memory, NOW,
    golden::{self, Format, Golden, Layout},
    view,
};

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
