//! What a packed file on disk tells about itself before anything is unpacked: its length, and whether it is whole.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::format::{Format, Kind, MAGIC};
use super::xz_index::{self, ListError};
use super::zstd::{FRAME_HEADER, Frame};
use crate::flash::source::SourceError;

/// Bytes unpacked, if the file tells without being unpacked. Refuses what is surely cut off or damaged.
///
/// gzip tells nothing that can be relied on: its last four bytes are a length modulo 4 GiB of the last member.
pub fn unpacked_length(file: &File, path: &Path) -> Result<Option<u64>, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    let len = file.metadata().map_err(unreadable)?.len();
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref().take(MAGIC as u64).read_to_end(&mut head).map_err(unreadable)?;
    match Kind::of(&head) {
        Kind::Image(Format::Raw) => Ok(Some(len)),
        Kind::Image(Format::Xz) => match xz_index::list(&mut file, len) {
            Ok(listed) => Ok(Some(listed.unpacked)),
            Err(ListError::Refused(error)) => Err(error),
            Err(ListError::Io(source)) => Err(unreadable(source)),
        },
        Kind::Image(Format::Zstd) => zstd_frames(&mut file, len).map_err(|error| match error {
            ListError::Refused(error) => error,
            ListError::Io(source) => unreadable(source),
        }),
        Kind::Image(Format::Zip) => zip_image(file),
        // The unpacker says what is wrong with the others.
        _ => Ok(None),
    }
}

/// Goes from block to block of every frame. The sum of their lengths, if each tells its own.
fn zstd_frames(file: &mut (impl Read + Seek), len: u64) -> Result<Option<u64>, ListError> {
    let short =
        |at: u64| ListError::Refused(SourceError::Truncated { says: format!("the zstd file is cut off at byte {at}") });
    let mut at = 0;
    let mut sum = Some(0u64);
    while at < len {
        file.seek(SeekFrom::Start(at))?;
        let mut head = Vec::new();
        file.take(FRAME_HEADER as u64).read_to_end(&mut head)?;
        match Frame::of(&head) {
            Frame::Skippable { bytes } => at += 8 + bytes,
            Frame::Data { header, content, checksum, .. } => {
                sum = sum.zip(content).and_then(|(sum, content)| sum.checked_add(content));
                at = zstd_blocks(file, at + header as u64, len)?.ok_or_else(|| short(len))?;
                at += if checksum { 4 } else { 0 };
            }
            Frame::Short => return Err(short(len)),
            Frame::Garbage => {
                return Err(ListError::Refused(SourceError::Garbage { kind: Format::Zstd.name(), at }));
            }
        }
        if at > len {
            return Err(short(len));
        }
    }
    Ok(sum)
}

/// Where the blocks that begin at `at` end; `None` beyond the end of the file.
fn zstd_blocks(file: &mut (impl Read + Seek), mut at: u64, len: u64) -> Result<Option<u64>, ListError> {
    loop {
        if at + 3 > len {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(at))?;
        let mut field = [0; 4];
        file.read_exact(&mut field[..3])?;
        let field = u32::from_le_bytes(field);
        // A run of one byte is stored as one.
        let stored = if field >> 1 & 3 == 1 { 1 } else { u64::from(field >> 3) };
        at += 3 + stored;
        if field & 1 == 1 {
            return Ok(Some(at));
        }
    }
}

/// Finds the one image by the directory at the end.
fn zip_image(file: impl Read + Seek) -> Result<Option<u64>, SourceError> {
    let bad = |says: String| SourceError::BadZip { says };
    let mut archive = ::zip::ZipArchive::new(file).map_err(|_| SourceError::Truncated {
        says: "the directory at the end of the zip file is missing or damaged".to_owned(),
    })?;
    let mut image: Option<(String, u64)> = None;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(|error| bad(error.to_string().to_lowercase()))?;
        let (name, size) = (String::from_utf8_lossy(entry.name_raw()).into_owned(), entry.size());
        let mut head = Vec::new();
        entry
            .by_ref()
            .take(MAGIC as u64)
            .read_to_end(&mut head)
            .map_err(|_| SourceError::Damaged { says: format!("{name} in the zip file cannot be unpacked") })?;
        match Kind::of(&head) {
            Kind::Image(Format::Raw) => {
                if let Some((first, _)) = image.replace((name.clone(), size)) {
                    return Err(bad(format!("it holds two images, {first} and {name}")));
                }
            }
            Kind::Image(inner) => {
                return Err(SourceError::Nested { outer: Format::Zip.name(), inner: inner.article_name() });
            }
            _ => {}
        }
    }
    match image {
        Some((_, size)) => Ok(Some(size)),
        None => Err(bad(format!("none of its {} files is an image of a card", archive.len()))),
    }
}
