//! Looks at the glass: some rows of what the X server holds, never the whole picture where that can be helped.
//!
//! The rows are copied into a pixmap of the server's own first: where the graphics card holds the picture, fetching it
//! makes the card stop once for all rows and not once for each. Shared memory (MIT-SHM) is not used: 16 rows of a large
//! screen are 120 kB a second, which cost nothing that could be measured.

use std::time::Duration;

use tokio::time::Instant;
use x11rb::{
    connection::Connection as _,
    protocol::xproto::{self, ConnectionExt as _, ImageFormat},
};

use super::{
    watch::{BEAT, Colour, Look},
    x11::{X11, XError},
};

/// Rows of the sample. Where all of them have one colour, the whole picture is looked at.
const ROWS: u16 = 16;
/// A picture that stays of one colour is looked at whole this often: something small may stand between the rows.
const WHOLE_EVERY: Duration = Duration::from_secs(5);
/// The whole picture comes in bands of so many rows: half a megabyte at once of a large screen.
const BAND: u16 = 64;
/// Blue, green, red, and a byte that means nothing.
const PIXEL: usize = 4;

/// What is kept from look to look.
#[derive(Debug)]
pub struct Sampler {
    size: (u16, u16),
    rows: xproto::Pixmap,
    copier: xproto::Gcontext,
    /// The colour that the whole picture had, and when that was looked at.
    whole: Option<(Colour, Instant, bool)>,
}

impl Sampler {
    /// None where the pixels of this screen are not of 32 bits.
    pub fn new(x11: &X11, of: Option<(u16, u16)>) -> Result<Option<Self>, XError> {
        let setup = x11.connection.setup();
        let deep = setup.pixmap_formats.iter().any(|it| it.depth == x11.depth && it.bits_per_pixel == 32);
        if !deep || !matches!(x11.depth, 24 | 32) || setup.image_byte_order != xproto::ImageOrder::LSB_FIRST {
            return Ok(None);
        }
        let size = size(x11, of)?;
        let (rows, copier) = prepare(x11, size)?;
        Ok(Some(Sampler { size, rows, copier, whole: None }))
    }

    /// `of`: only so much of the X screen, from its upper left corner.
    pub fn look(&mut self, x11: &X11, of: Option<(u16, u16)>, now: Instant) -> Result<Look, XError> {
        let x = &x11.connection;
        let size = size(x11, of)?;
        if size != self.size {
            // Made first: if that fails, the old ones are still there.
            let (rows, copier) = prepare(x11, size)?;
            x.free_pixmap(self.rows)?;
            x.free_gc(self.copier)?;
            *self = Sampler { size, rows, copier, whole: None };
        }
        let (width, height) = size;
        let copy = |from: u16, to: u16, width: u16| {
            x.copy_area(x11.root, self.rows, self.copier, 0, place(from), 0, place(to), width, 1)
        };
        for row in 0..ROWS {
            copy(sampled(row, height), row, width)?;
        }
        copy(0, ROWS, width)?;
        let image = x.get_image(ImageFormat::Z_PIXMAP, self.rows, 0, 0, width, ROWS + 1, !0)?.reply()?.data;
        let line = usize::from(width) * PIXEL;
        let (sample, first) = image.split_at_checked(line * usize::from(ROWS)).unwrap_or((&image, &[]));
        let uniform = match one_colour(sample) {
            Some(colour) => self.whole(x11, colour, now)?.then_some(colour),
            None => {
                self.whole = None;
                None
            }
        };
        let mut corner = [[0; 3]; BEAT];
        for (pixel, bytes) in corner.iter_mut().zip(first.chunks_exact(PIXEL)) {
            *pixel = colour(bytes);
        }
        Ok(Look { uniform, hash: hash(sample), corner })
    }

    /// True if the whole picture has this colour, as far as is known from the last few seconds.
    fn whole(&mut self, x11: &X11, of: Colour, now: Instant) -> Result<bool, XError> {
        if let Some((colour, at, is_whole)) = self.whole
            && colour == of
            && now < at + WHOLE_EVERY
        {
            return Ok(is_whole);
        }
        let is_whole = self.is_one_colour(x11, of)?;
        self.whole = Some((of, now, is_whole));
        Ok(is_whole)
    }

    /// The first row is left out: the beat is in it.
    fn is_one_colour(&self, x11: &X11, of: Colour) -> Result<bool, XError> {
        let (width, height) = self.size;
        let mut top = 1;
        while top < height {
            let rows = BAND.min(height - top);
            let z = ImageFormat::Z_PIXMAP;
            let band = x11.connection.get_image(z, x11.root, 0, place(top), width, rows, !0)?.reply()?.data;
            if one_colour(&band) != Some(of) {
                return Ok(false);
            }
            top += rows;
        }
        Ok(true)
    }
}

fn size(x11: &X11, of: Option<(u16, u16)>) -> Result<(u16, u16), XError> {
    let root = x11.connection.get_geometry(x11.root)?.reply()?;
    let (width, height) = of.unwrap_or((root.width, root.height));
    Ok((width.min(root.width), height.min(root.height)))
}

fn prepare(x11: &X11, (width, _): (u16, u16)) -> Result<(xproto::Pixmap, xproto::Gcontext), XError> {
    let x = &x11.connection;
    let (rows, copier) = (x.generate_id()?, x.generate_id()?);
    x.create_pixmap(x11.depth, rows, x11.root, width, ROWS + 1)?.check()?;
    let with_windows =
        xproto::CreateGCAux::new().subwindow_mode(xproto::SubwindowMode::INCLUDE_INFERIORS).graphics_exposures(0);
    x.create_gc(copier, x11.root, &with_windows)?.check()?;
    Ok((rows, copier))
}

/// The middle of each of `ROWS` stripes: never the first row, where the beat is.
fn sampled(row: u16, height: u16) -> u16 {
    let (row, rows, height) = (u32::from(row), u32::from(ROWS), u32::from(height));
    u16::try_from((2 * row + 1) * height / (2 * rows)).unwrap_or(u16::MAX).max(1)
}

/// X's screens end at 32767.
fn place(at: u16) -> i16 {
    i16::try_from(at).unwrap_or(i16::MAX)
}

fn colour(pixel: &[u8]) -> Colour {
    [pixel[2], pixel[1], pixel[0]]
}

fn one_colour(pixels: &[u8]) -> Option<Colour> {
    let mut all = pixels.chunks_exact(PIXEL);
    let first = all.next()?;
    all.all(|pixel| pixel[..3] == first[..3]).then(|| colour(first))
}

/// Only ever compared with another of this process (as FxHash does it).
fn hash(pixels: &[u8]) -> u64 {
    pixels.chunks_exact(PIXEL).fold(0, |hash: u64, pixel| {
        let colour = u64::from(u32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0]));
        (hash.rotate_left(5) ^ colour).wrapping_mul(0x517c_c1b7_2722_0a95)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_spread_over_the_screen_and_never_the_first() {
        assert_eq!((sampled(0, 1080), sampled(15, 1080)), (33, 1046));
        assert!((0..ROWS).all(|row| sampled(row, 8) >= 1), "not even on the smallest");
    }

    #[test]
    fn the_byte_that_means_nothing_changes_nothing() {
        let pixels = [1, 2, 3, 0, 1, 2, 3, 255];
        assert_eq!(one_colour(&pixels), Some([3, 2, 1]));
        assert_eq!(hash(&pixels), hash(&[1, 2, 3, 9, 1, 2, 3, 9]));
        assert_eq!(one_colour(&[1, 2, 3, 0, 1, 2, 4, 0]), None);
        assert_ne!(hash(&[1, 2, 3, 0, 1, 2, 4, 0]), hash(&[1, 2, 4, 0, 1, 2, 3, 0]), "the place counts");
        assert_eq!(one_colour(&[]), None);
    }
}
