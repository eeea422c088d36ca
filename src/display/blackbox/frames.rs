//! Small pictures of the glass: the last three that differ, for whoever asks what was on it before a restart.

use std::{
    fs,
    io::{self, Cursor},
    path::{Path, PathBuf},
    time::SystemTime,
};

use image::{codecs::jpeg::JpegEncoder, imageops::FilterType};

use super::Ring;
use crate::io::{picture, store};

/// Three pictures, some ten minutes apart: how it was, and how it became.
const FRAMES: usize = 3;
/// Wide enough to tell one page from another; some 15 kB.
const WIDTH: u32 = 480;
const QUALITY: u8 = 70;

/// Keeps this picture (a PNG) if it differs from the one before. Takes the processor's time: not for the loop.
pub fn keep_frame(state: &Path, png: &[u8]) -> io::Result<()> {
    let folder = Ring::of(state).folder().to_owned();
    let jpeg = small(png).map_err(io::Error::other)?;
    let kept = frames(&folder);
    if kept.last().is_some_and(|last| fs::read(last).is_ok_and(|had| had == jpeg)) {
        return Ok(());
    }
    let names = (0..FRAMES).map(|index| folder.join(format!("frame-{index}.jpg")));
    // One that is free, else the oldest.
    let place = names.into_iter().find(|name| !kept.contains(name)).or_else(|| kept.first().cloned());
    place.map_or(Ok(()), |place| store::write_durably(&place, &jpeg, 0o600))
}

/// What was kept, oldest first.
pub(super) fn frames(folder: &Path) -> Vec<PathBuf> {
    let names = (0..FRAMES).map(|index| folder.join(format!("frame-{index}.jpg")));
    let mut found: Vec<(SystemTime, PathBuf)> =
        names.filter_map(|name| Some((fs::metadata(&name).ok()?.modified().ok()?, name))).collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

fn small(png: &[u8]) -> Result<Vec<u8>, image::ImageError> {
    let picture = picture::read(png)?;
    let height = (picture.height() * WIDTH.min(picture.width()) / picture.width().max(1)).max(1);
    let small = picture.resize_exact(WIDTH.min(picture.width()), height, FilterType::Triangle).to_rgb8();
    let mut jpeg = Cursor::new(Vec::new());
    small.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))?;
    Ok(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(colour: u8) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(960, 540, image::Rgb([colour, 0, 0]));
        picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn the_last_three_pictures_that_differ_are_kept_small_oldest_first() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("blackbox");
        fs::create_dir(&folder).unwrap();
        for (n, colour) in [0, 50, 50, 100, 100, 150, 200].into_iter().enumerate() {
            keep_frame(state.path(), &png(colour)).unwrap();
            // The disk's clock is coarse, and the order is by it.
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n as u64);
            for frame in frames(&folder) {
                let file = fs::File::options().write(true).open(&frame).unwrap();
                if file.metadata().unwrap().modified().unwrap()
                    > SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9000)
                {
                    file.set_modified(at).unwrap();
                }
            }
        }
        let reds: Vec<u8> = frames(&folder)
            .iter()
            .map(|frame| {
                let picture = image::open(frame).unwrap().to_rgb8();
                assert_eq!((picture.width(), picture.height()), (480, 270));
                picture.get_pixel(9, 9).0[0]
            })
            .collect();
        let near = |have: &[u8]| have.iter().zip([100u8, 150, 200]).all(|(have, want)| have.abs_diff(want) < 4);
        assert!(reds.len() == 3 && near(&reds), "{reds:?}");
        assert!(keep_frame(state.path(), b"no picture").is_err());
    }
}
