//! The last good picture of a page, one file each: a line with its time and its digest, and the JPEG.

use std::{
    fs,
    io::{self, Cursor},
    path::{Path, PathBuf},
    time::SystemTime,
};

use image::{codecs::jpeg::JpegEncoder, imageops::FilterType};

use super::name_of;
use crate::{
    event::time::UtcMillis,
    io::{digest::sha256, picture::read, store},
};

/// Pages of which a picture is kept beside those that are wanted; the one whose picture is the oldest goes.
const OTHERS: usize = 4;
/// As wide as the screens of nearly all displays.
const WIDTH_MAX: u32 = 1920;
const QUALITY: u8 = 80;
/// A photograph that fills such a screen has half of it.
const BYTES_MAX: usize = 2 << 20;
const MARK: &str = "pikiosk-picture-1";

/// Where they are; nowhere, if none may be kept.
#[derive(Debug, Clone)]
pub struct Pictures {
    folder: Option<PathBuf>,
}

/// One that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPicture {
    pub name: String,
    /// None where nobody knew what time it was.
    pub taken: Option<UtcMillis>,
}

impl Pictures {
    /// `keep`: as configured. What may not be kept is taken away.
    pub fn at(folder: PathBuf, keep: bool) -> Self {
        if keep {
            return Pictures { folder: Some(folder) };
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, path = %folder.display(), "pictures of pages cannot be taken away");
            }
            _ => {}
        }
        Pictures { folder: None }
    }

    /// On disk when it returns. `picture` is a PNG. Those of the `wanted` pages never go for it. Takes the processor's time: not for the loop.
    pub fn keep(&self, url: &str, picture: &[u8], taken: Option<UtcMillis>, wanted: &[String]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let jpeg = to_jpeg(picture).map_err(io::Error::other)?;
        if jpeg.len() > BYTES_MAX {
            return Err(io::Error::other(format!("a picture of {} bytes is too large to keep", jpeg.len())));
        }
        let path = folder.join(name_of(url));
        // A page that looks as it did is not written to the card every ten minutes.
        let before = fs::read(&path).unwrap_or_default();
        if whole(&before).is_some_and(|(at, had)| had == jpeg && (at.is_some() || taken.is_none())) {
            return Ok(());
        }
        let taken = taken.map_or_else(|| "-".to_owned(), |at| at.0.to_string());
        let mut file = format!("{MARK} {taken} {}\n", sha256(&jpeg)).into_bytes();
        file.extend(jpeg);
        store::make_dir(folder)?;
        store::write_durably(&path, &file, 0o600)?;
        let wanted: Vec<PathBuf> = wanted.iter().map(|url| folder.join(name_of(url))).collect();
        let mut others = oldest_first(folder)?;
        others.retain(|path| !wanted.contains(path));
        others.iter().rev().skip(OTHERS).try_for_each(fs::remove_file)
    }

    /// Of this page. One that is not whole is none.
    pub fn find(&self, url: &str) -> Option<LastPicture> {
        let name = name_of(url);
        let (taken, _) = whole(&fs::read(self.folder.as_ref()?.join(&name)).ok()?)?;
        Some(LastPicture { name, taken })
    }

    /// The JPEG.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = fs::read(self.folder.as_ref()?.join(name)).ok()?;
        whole(&file).map(|(_, jpeg)| jpeg.to_vec())
    }

    /// What pages left on this display is cleared.
    pub fn forget(&self) -> io::Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|folder| folder.exists()) else { return Ok(()) };
        oldest_first(folder)?.iter().try_for_each(fs::remove_file)?;
        store::sync_dir(folder)
    }
}

fn oldest_first(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?, entry.path()));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn whole(file: &[u8]) -> Option<(Option<UtcMillis>, &[u8])> {
    let end = file.iter().take(200).position(|byte| *byte == b'\n')?;
    let (head, jpeg) = (std::str::from_utf8(&file[..end]).ok()?, &file[end + 1..]);
    let [MARK, taken, digest] = head.split(' ').collect::<Vec<_>>()[..] else { return None };
    (digest == sha256(jpeg)).then(|| (taken.parse().ok().map(UtcMillis), jpeg))
}

fn to_jpeg(picture: &[u8]) -> Result<Vec<u8>, image::ImageError> {
    let mut picture = read(picture)?;
    if picture.width() > WIDTH_MAX {
        picture = picture.resize(WIDTH_MAX, u32::MAX, FilterType::Triangle);
    }
    let mut jpeg = Cursor::new(Vec::new());
    picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))?;
    Ok(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(colour: u8) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(2560, 1440, image::Rgb([colour, 0, 0]));
        picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    fn pictures() -> (tempfile::TempDir, Pictures) {
        let state = tempfile::tempdir().unwrap();
        let pictures = Pictures::at(state.path().join("pictures"), true);
        (state, pictures)
    }

    #[test]
    fn the_last_picture_of_a_page_is_found_again_with_its_time() {
        let (state, pictures) = pictures();
        assert_eq!(pictures.find("http://a/"), None);
        pictures.keep("http://a/", &png(10), Some(UtcMillis(5)), &[]).unwrap();
        pictures.keep("http://a/", &png(200), Some(UtcMillis(7)), &[]).unwrap();
        let again = Pictures::at(state.path().join("pictures"), true);
        let found = again.find("http://a/").unwrap();
        assert_eq!(found.taken, Some(UtcMillis(7)));
        let picture = image::load_from_memory(&again.read(&found.name).unwrap()).unwrap().to_rgb8();
        assert_eq!((picture.width(), picture.height()), (1920, 1080));
        assert!(picture.get_pixel(9, 9).0[0].abs_diff(200) < 4);
        assert_eq!(again.find("http://a/menu"), None, "another page");
        again.keep("http://b/", &png(1), None, &[]).unwrap();
        assert_eq!(again.find("http://b/").unwrap().taken, None, "nobody knew the time");
    }

    #[test]
    fn a_page_that_looks_as_it_did_is_not_written_to_the_card_again() {
        use std::os::unix::fs::MetadataExt;
        let (state, pictures) = pictures();
        let keep = |colour, taken: Option<u64>| {
            pictures.keep("http://a/", &png(colour), taken.map(UtcMillis), &[]).unwrap();
            fs::metadata(state.path().join("pictures").join(name_of("http://a/"))).unwrap().ino()
        };
        let first = keep(10, None);
        let dated = keep(10, Some(5));
        assert_ne!(dated, first, "now it is known when that was");
        assert_eq!(keep(10, Some(7)), dated, "the same picture");
        assert_ne!(keep(200, Some(9)), dated, "another one");
    }

    #[test]
    fn pictures_of_four_pages_are_kept_and_the_oldest_goes() {
        let (state, pictures) = pictures();
        for n in 0..7u64 {
            let url = format!("http://a/{n}");
            pictures.keep(&url, &png(1), None, &[]).unwrap();
            let file = fs::File::options().write(true).open(state.path().join("pictures").join(name_of(&url)));
            // The disk's clock is coarse, and the order is by it.
            file.unwrap().set_modified(SystemTime::now() - std::time::Duration::from_secs(100 - n)).unwrap();
        }
        let kept: Vec<u64> = (0..7).filter(|n| pictures.find(&format!("http://a/{n}")).is_some()).collect();
        assert_eq!(kept, [3, 4, 5, 6]);
        pictures.forget().unwrap();
        assert_eq!(pictures.find("http://a/6"), None);
    }

    #[test]
    fn the_pictures_of_a_playlist_that_is_wanted_never_go_for_those_of_others() {
        let (state, pictures) = pictures();
        let wanted: Vec<String> = (0..6).map(|n| format!("http://wanted/{n}")).collect();
        let age = |url: &str, seconds: u64| {
            let file = fs::File::options().write(true).open(state.path().join("pictures").join(name_of(url)));
            file.unwrap().set_modified(SystemTime::now() - std::time::Duration::from_secs(seconds)).unwrap();
        };
        for (n, url) in wanted.iter().enumerate() {
            pictures.keep(url, &png(1), None, &wanted).unwrap();
            age(url, 1000 - n as u64);
        }
        for n in 0..6u64 {
            let url = format!("http://other/{n}");
            pictures.keep(&url, &png(1), None, &wanted).unwrap();
            age(&url, 100 - n);
        }
        assert!(wanted.iter().all(|url| pictures.find(url).is_some()));
        let others: Vec<u64> = (0..6).filter(|n| pictures.find(&format!("http://other/{n}")).is_some()).collect();
        assert_eq!(others, [2, 3, 4, 5]);
        pictures.keep("http://new/", &png(1), None, &[]).unwrap();
        assert_eq!(
            wanted.iter().filter(|url| pictures.find(url).is_some()).count(),
            0,
            "they are as old as any others"
        );
    }

    #[test]
    fn a_picture_that_is_torn_or_was_changed_is_never_shown() {
        let (state, pictures) = pictures();
        pictures.keep("http://a/", &png(1), Some(UtcMillis(5)), &[]).unwrap();
        let path = state.path().join("pictures").join(name_of("http://a/"));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for harmed in [&whole[..whole.len() - 1], &flipped, &whole[..20], b"", b"\n"] {
            fs::write(&path, harmed).unwrap();
            assert_eq!(pictures.find("http://a/"), None);
            assert_eq!(pictures.read(&name_of("http://a/")), None);
        }
    }

    #[test]
    fn where_pictures_may_not_be_kept_none_is_and_what_was_is_taken_away() {
        let (state, pictures) = pictures();
        pictures.keep("http://a/", &png(1), None, &[]).unwrap();
        let none = Pictures::at(state.path().join("pictures"), false);
        assert!(!state.path().join("pictures").exists());
        none.keep("http://a/", &png(1), None, &[]).unwrap();
        none.forget().unwrap();
        assert_eq!((none.find("http://a/"), state.path().join("pictures").exists()), (None, false));
    }
}
