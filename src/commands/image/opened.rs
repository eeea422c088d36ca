//! An image as bytes at offsets, however it is packed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::super::output;
use super::ImageFault;
use crate::flash::decode::{Format, Kind, MAGIC};
use crate::flash::source::{Options, Source, Wanted};
use crate::io::block::{BlockDevice, FileDevice};

/// No card is larger: what claims to be is a bomb.
const LARGEST: u64 = 256 << 30;

/// Opens an image; one that is packed is unpacked into a file that has no name and vanishes with the device.
pub fn open(path: &Path) -> Result<Arc<FileDevice>, ImageFault> {
    let device = raw(path)?;
    let mut head = [0; MAGIC];
    let length = device.len().min(MAGIC as u64) as usize;
    device.read_at(0, &mut head[..length]).map_err(|source| ImageFault::Read { path: path.to_owned(), source })?;
    if Kind::of(&head[..length]) == Kind::Image(Format::Raw) {
        return Ok(device);
    }
    let source = Source::file(path)?;
    let options = Options { wanted: Wanted::Anything, ..Options::up_to(LARGEST) };
    let mut decoded = source.open(&options)?.image;
    output::remark("unpacking it to look inside …");
    let unpack = |source| ImageFault::Unpack { path: std::env::temp_dir(), source };
    let file = unnamed().map_err(unpack)?;
    let mut len = 0;
    while let Some(piece) = decoded.next_piece()? {
        len = piece.offset + piece.bytes.len() as u64;
        // Zeros stay a hole: most of an image is.
        if piece.bytes.iter().any(|byte| *byte != 0) {
            file.write_all_at(&piece.bytes, piece.offset).map_err(unpack)?;
        }
    }
    file.set_len(len).map_err(unpack)?;
    Ok(Arc::new(FileDevice::new(file, len)))
}

/// Opens an image that is not packed; for reading only.
pub fn raw(path: &Path) -> Result<Arc<FileDevice>, ImageFault> {
    let read = |source| ImageFault::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let len = file.metadata().map_err(read)?.len();
    Ok(Arc::new(FileDevice::new(file, len)))
}

/// Linux makes a file without a name in a folder; it is gone when it is closed, however this process ends.
fn unnamed() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).write(true).custom_flags(nix::libc::O_TMPFILE).mode(0o600).open(std::env::temp_dir())
}
