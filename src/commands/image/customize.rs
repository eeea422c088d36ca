//! `pikiosk image customize`: a copy of an image, with a kiosk.toml laid down in it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::failure::{Exit, Failure};
use super::super::{output, provision};
use super::{CustomizeArgs, ImageFault, opened};
use crate::flash::stream::CHUNK;
use crate::io::block::BlockDevice;
use crate::io::store;

/// What is compared with zero at once, in bytes: a hole of a file is made of its file system's blocks.
const HOLE: usize = 4096;

pub fn run(args: &CustomizeArgs) -> Result<Exit, Failure> {
    let failed = |source: ImageFault| Failure::Image { doing: "customize the image", source };
    let to = args.output.clone().unwrap_or_else(|| beside(&args.image));
    if to.exists() {
        return Err(Failure::FileThere { path: to });
    }
    let device = opened::open(&args.image).map_err(failed)?;
    output::remark(&format!("copying it to {} …", to.display()));
    // It gets its name when it is whole: a name is what people flash.
    let part = PathBuf::from(format!("{}.part", to.display()));
    let made = copy(&*device, &part).map_err(|source| Failure::File { path: part.clone(), source }).and_then(|()| {
        let exit = provision::onto_image(part.clone(), args.config.clone(), args.binary.clone())?;
        let named = File::open(&part).and_then(|file| store::move_durably(&file, &part, &to));
        named.map_err(|source| Failure::File { path: to.clone(), source })?;
        Ok(exit)
    });
    if made.is_err() {
        // It was made here a moment ago, and is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    let exit = made?;
    output::remark(&format!("{} is ready: pikiosk flash {} --to /dev/sdX", to.display(), to.display()));
    Ok(exit)
}

/// `card.img.xz` -> `card-custom.img`.
fn beside(image: &Path) -> PathBuf {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split_once(".img").map_or(&*name, |(stem, _)| stem);
    image.with_file_name(format!("{stem}-custom.img"))
}

/// Copies what is not zero: an image is mostly holes.
fn copy(from: &dyn BlockDevice, to: &Path) -> std::io::Result<()> {
    let file = File::create(to)?;
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < from.len() {
        let length = (from.len() - offset).min(CHUNK as u64) as usize;
        from.read_at(offset, &mut buffer[..length])?;
        for (block, at) in buffer[..length].chunks(HOLE).zip((offset..).step_by(HOLE)) {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, at)?;
            }
        }
        offset += length as u64;
    }
    file.set_len(from.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::io::block::FileDevice;

    #[test]
    fn a_copy_is_the_same_bytes_and_keeps_its_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let file = File::create(&one).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        file.write_all_at(b"last", (9 << 20) - 2).unwrap();
        let len = file.metadata().unwrap().len();
        copy(&FileDevice::new(File::open(&one).unwrap(), len), &two).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert!(fs::metadata(&two).unwrap().blocks() * 512 <= 32 << 10);
    }

    #[test]
    fn the_copys_name_is_that_of_an_unpacked_image() {
        assert_eq!(beside(Path::new("/a/card.img.xz")), Path::new("/a/card-custom.img"));
        assert_eq!(beside(Path::new("card.img")), Path::new("card-custom.img"));
    }
}
