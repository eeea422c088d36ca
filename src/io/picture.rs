//! Pictures of the glass come from the browser, and a browser that was taken over may send what unpacks to gigabytes.

use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageReader, Limits};

/// In pixels, either way: larger than any screen of a Pi (4096x2160), turned or not.
const SIDE_MAX: u32 = 5000;
/// A picture of 4096x2160 with all its colours has 34 MiB; the supervisor may take 192 in all.
const BYTES_MAX: u64 = 40 << 20;

/// Unpacks a picture of usual size.
pub fn read(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(BYTES_MAX);
    reader.limits(limits);
    reader.decode()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn a_picture_of_a_large_screen_is_read_and_one_that_unpacks_to_gigabytes_is_not() {
        assert_eq!(read(&png(3840, 2160)).unwrap().width(), 3840);
        assert!(read(&png(5001, 1)).is_err());
        assert!(read(&png(4900, 4900)).is_err(), "72 MB from some kilobytes");
    }
}
