//! What an image's file systems do not use is left out when it is written to a card, and nothing else is.
#![cfg(feature = "tools")]

#[path = "support/golden.rs"]
mod golden;

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use golden::{Format, Golden, Layout, said, tool};
use pikiosk::{
    flash::{
        stream::Used,
        usage::{State, Usage},
    },
    io::{
        block::FileDevice,
        system::{Observe, Owner, System, image::ImageSystem},
    },
};
use proptest::prelude::*;

const CHUNK: usize = 4 << 20;

/// Feeds an image to a map, and answers it with all that it said to write.
fn written(image: &Path, chunk: usize, bmap: Option<Vec<Range<u64>>>) -> (Usage, Vec<Range<u64>>) {
    let file = File::open(image).expect("the image opens");
    let len = file.metadata().expect("a length").len();
    let mut usage = Usage::new(Some(len));
    if let Some(mapped) = bmap {
        usage = usage.with_bmap(mapped);
    }
    let mut all = Vec::new();
    let mut bytes = vec![0; chunk];
    let mut offset = 0;
    while offset < len {
        let take = usize::try_from((len - offset).min(chunk as u64)).expect("a chunk");
        file.read_exact_at(&mut bytes[..take], offset).expect("the image is read");
        let used = usage.used(offset, &bytes[..take]);
        for range in &used {
            assert!(offset <= range.start && range.start < range.end && range.end <= offset + take as u64);
        }
        assert!(used.windows(2).all(|pair| pair[0].end <= pair[1].start), "sorted and disjoint");
        all.extend(used);
        offset += take as u64;
    }
    (usage, all)
}

/// An image with some life behind it: files that came and went, on both partitions.
fn lived_in(layout: Layout, seed: u64) -> Golden {
    let golden = golden::image_with(Format::Bookworm, layout);
    let file = File::options().read(true).write(true).open(&golden.path).expect("the image opens");
    let len = file.metadata().expect("a length").len();
    let mut image = ImageSystem::open_at(Arc::new(FileDevice::new(file, len)), 1_764_806_400).expect("it opens");
    let mut rng = fastrand::Rng::with_seed(seed);
    image.make_dir(Path::new("/srv"), 0o755, Owner::ROOT).expect("a directory");
    let mut names: Vec<PathBuf> = Vec::new();
    for index in 0..80 {
        if index % 3 == 2 {
            let name = names.swap_remove(rng.usize(..names.len()));
            image.remove(&name).expect("a file goes");
            continue;
        }
        let folder = if rng.u8(..4) == 0 { "/boot/firmware" } else { "/srv" };
        let name = Path::new(folder).join(format!("file {index}"));
        let mut bytes = vec![0; rng.usize(..700_000)];
        rng.fill(&mut bytes);
        image.write(&name, &bytes, 0o644, Owner::ROOT).expect("a file comes");
        names.push(name);
    }
    image.sync().expect("all is written");
    drop(image);
    golden::assert_ext4_clean(&golden.path, golden.layout.root_start());
    golden
}

/// Blocks that dumpe2fs calls free, in bytes of the image.
fn free_by_dumpe2fs(image: &Path, start: u64) -> Vec<Range<u64>> {
    let at = format!("{}?offset={start}", image.display());
    let output = tool("dumpe2fs").arg(&at).output().expect("dumpe2fs runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let block: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("Block size:"))
        .and_then(|size| size.trim().parse().ok())
        .expect("dumpe2fs tells the block size");
    let mut free = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for run in line.split(", ").filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u64, u64) = (first.parse().expect("a number"), last.parse().expect("a number"));
            free.push(start + first * block..start + (last + 1) * block);
        }
    }
    free
}

/// What of `these` is in none of `others`; both sorted and disjoint.
fn without(these: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    for this in these {
        let mut at = this.start;
        let first = others.partition_point(|other| other.end <= this.start);
        for other in others[first..].iter().take_while(|other| other.start < this.end) {
            if other.start > at {
                rest.push(at..other.start);
            }
            at = at.max(other.end);
        }
        if at < this.end {
            rest.push(at..this.end);
        }
    }
    rest
}

fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[test]
fn nothing_is_called_free_that_dumpe2fs_calls_used_and_little_else_is_kept() {
    let with = |ext4: &[&'static str], root_mib| Layout { ext4: ext4.to_vec(), root_mib, ..Layout::pi_gen() };
    let layouts = [
        Layout::bookworm(),
        Layout::pi_gen(),
        Layout::trixie(),
        // The last -b wins: groups of 8192 blocks, which begin at block 1.
        with(&["-b", "1024"], 96),
        with(&["-b", "1024", "-O", "^flex_bg,^64bit,^metadata_csum,uninit_bg"], 96),
        with(&["-O", "^sparse_super,^resize_inode"], 300),
        with(&["-O", "^metadata_csum,^uninit_bg"], 300),
        with(&["-O", "^extent,^64bit,^flex_bg,^huge_file,^metadata_csum,^dir_nlink,^extra_isize"], 96),
        // Many groups: two rounds of flex_bg, and most groups without a bitmap.
        with(&[], 2_200),
        with(&["-G", "2", "-b", "2048"], 600),
    ];
    for layout in layouts {
        let golden = golden::image_with(Format::Bookworm, layout);
        let (start, len) = (golden.layout.root_start(), golden.layout.root_len());
        let truth = free_by_dumpe2fs(&golden.path, start);
        let (usage, used) = written(&golden.path, CHUNK, None);
        let root = start..start + len;
        let left_out = without(std::slice::from_ref(&root), &used);
        let wrong = without(&left_out, &truth);
        assert_eq!(wrong, [], "left out, but in use, with {:?}", golden.layout);
        // One piece may pass before its bitmap does.
        let kept = total(&without(&truth, &left_out));
        assert!(kept <= CHUNK as u64, "{kept} bytes are free and written, with {:?}", golden.layout);
        assert_eq!(usage.state(&root), State::InUse);
    }
}

#[test]
fn a_card_full_of_old_data_gets_whole_file_systems_although_free_space_is_left_out() {
    let layouts = [
        Layout::bookworm(),
        Layout::pi_gen(),
        Layout::trixie(),
        Layout { cluster: 2, boot_mib: 80, ..Layout::pi_gen() },
    ];
    for (seed, layout) in (1..).zip(layouts) {
        let golden = lived_in(layout, seed);
        let card = golden.folder.path().join("card");
        garbage(&card, fs::metadata(&golden.path).expect("a length").len(), seed);
        let (_, used) = written(&golden.path, CHUNK, None);
        let (from, to) =
            (File::open(&golden.path).expect("it opens"), File::options().write(true).open(&card).expect("it opens"));
        let mut sum = 0;
        for range in used {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("a chunk at most")];
            from.read_exact_at(&mut bytes, range.start).expect("the image is read");
            to.write_all_at(&bytes, range.start).expect("the card is written");
            sum += bytes.len() as u64;
        }
        let all = fs::metadata(&golden.path).expect("a length").len();
        assert!(sum < all * 7 / 10, "{sum} of {all} bytes were written");
        golden::assert_ext4_clean(&card, golden.layout.root_start());
        golden::assert_fat_clean(&card, Layout::BOOT_START, golden.layout.boot_len());
        assert_same_files(&golden.path, &card);
    }
}

fn garbage(card: &Path, len: u64, seed: u64) {
    let file = File::create(card).expect("the card is made");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut piece = vec![0; 1 << 20];
    for offset in (0..len).step_by(piece.len()) {
        rng.fill(&mut piece);
        let take = usize::try_from((len - offset).min(piece.len() as u64)).expect("a piece");
        file.write_all_at(&piece[..take], offset).expect("the card is filled");
    }
}

fn assert_same_files(one: &Path, other: &Path) {
    let open = |path: &Path| {
        let file = File::open(path).expect("it opens");
        let len = file.metadata().expect("a length").len();
        ImageSystem::open_at(Arc::new(FileDevice::new(file, len)), 0).expect("it opens")
    };
    let (one, other) = (open(one), open(other));
    let mut ahead = vec![PathBuf::from("/"), PathBuf::from("/boot/firmware")];
    let mut files = 0;
    while let Some(path) = ahead.pop() {
        let stat = one.stat(&path).expect("it is read");
        assert_eq!(stat, other.stat(&path).expect("it is read"), "{}", path.display());
        match stat.expect("it is there").kind {
            pikiosk::io::system::Kind::Directory => {
                let names = one.list(&path).expect("it is listed");
                assert_eq!(names, other.list(&path).expect("it is listed"));
                ahead.extend(names.into_iter().map(|name| path.join(name)));
            }
            pikiosk::io::system::Kind::File { .. } => {
                files += 1;
                assert!(
                    one.read(&path).expect("read") == other.read(&path).expect("read"),
                    "{} differs",
                    path.display()
                );
            }
            _ => {}
        }
    }
    assert!(files > 40, "only {files} files were compared");
}

#[test]
fn a_file_system_that_was_not_unmounted_is_in_use_as_a_whole() {
    let golden = golden::image(Format::Bookworm);
    let root = golden.layout.root_start();
    let poke = |at: u64, bytes: &[u8]| {
        let file = File::options().write(true).open(&golden.path).expect("it opens");
        file.write_all_at(bytes, at).expect("it is written");
    };
    let left_out = || written(&golden.path, CHUNK, None).0.free();
    let both = left_out();
    // The clean bit of the first FAT: bit 27 of its second entry.
    poke(Layout::BOOT_START + 32 * 512 + 4, &[0xff, 0xff, 0xff, 0xf7]);
    let ext4 = left_out();
    assert!(ext4 > 0 && ext4 < both, "{ext4} of {both}");
    // s_state: not clean. The checksum is wrong then too, as after any damage.
    poke(root + 1024 + 0x3a, &[0, 0]);
    assert_eq!(left_out(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the image is cut, and however it is damaged, nothing is called free that was not.
    #[test]
    fn cuts_and_damage_never_make_anything_free(seed: u64, chunk in 512_usize..(8 << 20), flips in 0_usize..6) {
        let golden = &*PRISTINE;
        let bytes = &golden.1;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut damaged = bytes.clone();
        // Where the structures are: the heads of both partitions.
        for _ in 0..flips {
            let at = [Layout::BOOT_START, golden.0.root_start()][rng.usize(..2)] + rng.u64(..(1 << 20));
            damaged[usize::try_from(at).expect("a small image")] ^= 1 << rng.u32(..8);
        }
        let mut usage = Usage::new(None);
        let mut offset = 0;
        for piece in damaged.chunks(chunk) {
            usage.feed(offset, piece);
            offset += piece.len() as u64;
        }
        // What the undamaged image calls free, and no more: damage to a bitmap is seen by its checksum or its count.
        let root = golden.0.root_start()..offset;
        for block in (root.start..root.end).step_by(4096) {
            let range = block..block + 4096;
            if usage.state(&range) == State::Free {
                prop_assert_eq!(golden.2.state(&range), State::Free, "block at {}", block);
            }
        }
    }
}

/// An image's layout, its bytes, and what it says undamaged.
static PRISTINE: std::sync::LazyLock<(Layout, Vec<u8>, Usage)> = std::sync::LazyLock::new(|| {
    let golden = lived_in(Layout::bookworm(), 3);
    let bytes = fs::read(&golden.path).expect("the image is read");
    let (usage, _) = written(&golden.path, CHUNK, None);
    (golden.layout.clone(), bytes, usage)
});
