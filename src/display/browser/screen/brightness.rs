//! How bright the picture is: by the panel's own light where it has one that may be set (screens on the ribbon cable),
//! else by the table of colours that the graphics card lays over the picture (RandR gamma). The second only makes the
//! picture darker, not the light behind it; the answer says which it was.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use x11rb::protocol::randr::{self, ConnectionExt as _};

use super::{
    outputs::Outputs,
    x11::{X11, XError},
};

/// Where the kernel lists the lights of panels.
pub const BACKLIGHTS: &str = "/sys/class/backlight";
/// More than any driver has: what a server says of its size is not believed beyond.
const TABLE_MAX: u16 = 4096;

/// The light of one panel.
#[derive(Debug)]
pub struct Backlight {
    folder: PathBuf,
    max: u32,
}

impl Backlight {
    /// The first that there is.
    pub fn find(folder: &Path) -> Option<Self> {
        let mut all: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        all.sort();
        all.into_iter().find_map(|folder| {
            let max = number(&folder.join("max_brightness")).ok().filter(|max| *max > 0)?;
            Some(Backlight { folder, max })
        })
    }

    /// Sets it; returns the percent that was read back.
    pub fn set(&self, percent: u32) -> io::Result<u32> {
        let path = self.folder.join("brightness");
        fs::write(&path, level(percent, self.max).to_string())?;
        Ok(percent_of(number(&path)?, self.max))
    }

    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn number(path: &Path) -> io::Result<u32> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no number"))
}

/// Rounded; a panel that is to give some light gives some.
fn level(percent: u32, max: u32) -> u32 {
    let level = (u64::from(percent.min(100)) * u64::from(max) + 50) / 100;
    u32::try_from(level).unwrap_or(max).max(u32::from(percent > 0))
}

fn percent_of(level: u32, max: u32) -> u32 {
    u32::try_from((u64::from(level) * 100 + u64::from(max) / 2) / u64::from(max.max(1))).unwrap_or(100)
}

/// The table of so many colours that shows this much of each.
pub fn table(percent: u32, size: u16) -> Vec<u16> {
    let last = u64::from(size.max(2) - 1);
    let entry = |at: u16| u64::from(at) * u64::from(u16::MAX) * u64::from(percent.min(100)) / (last * 100);
    (0..size).map(|at| u16::try_from(entry(at)).unwrap_or(u16::MAX)).collect()
}

/// Lays the table over every picture. False where no output has one.
pub fn dim(x11: &X11, percent: u32) -> Result<bool, XError> {
    let x = &x11.connection;
    let mut done = false;
    if !x11.has_randr {
        return Ok(false);
    }
    for lit in Outputs::read(x11)?.all.iter().filter_map(|it| it.lit) {
        let size = match x.randr_get_crtc_gamma_size(lit.crtc)?.reply().map_err(XError::from) {
            Ok(reply) => reply.size.min(TABLE_MAX),
            Err(error) if error.is_gone() => return Err(error),
            Err(_) => 0,
        };
        // Of no use, and more than none: Xephyr says 0, and refuses to be asked in other versions.
        if size < 2 {
            continue;
        }
        let table = table(percent, size);
        randr::set_crtc_gamma(x, lit.crtc, &table, &table, &table)?.check()?;
        done |= x.randr_get_crtc_gamma(lit.crtc)?.reply()?.red == table;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_that_has_a_light_of_its_own_is_set_and_read_back() {
        let class = tempfile::tempdir().unwrap();
        let panel = class.path().join("10-0045");
        fs::create_dir(&panel).unwrap();
        fs::write(panel.join("max_brightness"), "31\n").unwrap();
        fs::write(panel.join("brightness"), "31\n").unwrap();
        let light = Backlight::find(class.path()).unwrap();
        assert_eq!(light.name(), "10-0045");
        assert_eq!(light.set(50).unwrap(), 52, "what the panel's steps make of it");
        assert_eq!(fs::read_to_string(panel.join("brightness")).unwrap(), "16");
        assert_eq!(light.set(1).unwrap(), 3, "one percent is not dark");
        assert_eq!(light.set(0).unwrap(), 0);
        assert!(Backlight::find(Path::new("/nowhere")).is_none());
    }

    #[test]
    fn a_table_goes_from_black_to_as_much_as_is_wanted() {
        assert_eq!(table(100, 3), [0, 32767, 65535]);
        assert_eq!(table(50, 3), [0, 16383, 32767]);
        assert_eq!(table(0, 3), [0, 0, 0]);
        assert_eq!(table(100, 0), [0; 0]);
        assert_eq!(table(900, 2), [0, 65535], "never more than there is");
    }
}
