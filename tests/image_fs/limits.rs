//! What does not fit is refused, and harms nothing that does: a full file system, thousands of files, a directory that
//! cannot grow.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pikiosk::io::{
    block::{BlockDevice, overlay::Overlay},
    system::{Observe, Owner, System, image::ImageSystem},
};

use super::{
    NOW, assert_clean, device,
    golden::{self, Format, Layout},
    view,
};

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
