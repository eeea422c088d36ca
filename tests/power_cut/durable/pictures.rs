//! `STATE/pictures/`: the last good picture of a page. A page's own: each takes the place of the one before.

use std::{io::Cursor, path::Path};

use pikiosk::{display::offline::Pictures, event::time::UtcMillis};

use super::{Durable, Found};

const PAGE: &str = "https://menu.example.org/";

pub struct LastGood;

fn pictures(folder: &Path) -> Pictures {
    Pictures::at(folder.join("pictures"), true)
}

fn colour(n: u64) -> u8 {
    u8::try_from(n % 16 * 16).unwrap()
}

impl Durable for LastGood {
    fn name(&self) -> &'static str {
        "last-pictures"
    }

    fn write(&mut self, folder: &Path, n: u64) {
        let mut png = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(320, 180, image::Rgb([colour(n), 0, 0]));
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        pictures(folder).keep(PAGE, png.get_ref(), Some(UtcMillis(n)), &[]).unwrap();
    }

    fn read(&self, folder: &Path) -> Found {
        let pictures = pictures(folder);
        let Some(kept) = pictures.find(PAGE) else { return Found::default() };
        let newest = kept.taken.map(|at| at.0);
        let red = pictures
            .read(&kept.name)
            .map(|jpeg| image::load_from_memory(&jpeg).unwrap().to_rgb8().get_pixel(9, 9).0[0]);
        let whole = newest.zip(red).is_some_and(|(n, red)| red.abs_diff(colour(n)) < 6);
        Found { newest, torn: (!whole).then(|| format!("{newest:?} has the colour {red:?}")).into_iter().collect() }
    }
}
