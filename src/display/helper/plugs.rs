//! The plugs of the screens, as the kernel has them (`/sys/class/drm/card0-HDMI-A-1`): taken away for a drill, and given
//! back.
//!
//! What is taken away is written down first, in /run: whoever comes after a kill gives back exactly that, and a restart of
//! the machine forgets the one with the other.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::io::store::write_atomically;

/// Where the kernel has them.
pub const DRM: &str = "/sys/class/drm";
/// Where what was taken away is written down.
pub const LIST: &str = "/run/pikiosk-unplug/taken";
/// For so long: X hears of it within a second, and tells the supervisor.
pub const AWAY: Duration = Duration::from_secs(5);

const COMMAND_LINE: &str = "/proc/cmdline";

/// Something could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used", path.display())]
pub struct PlugsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The plugs that have a screen, such as `card0-HDMI-A-1`, in the order of their names.
pub fn connected(drm: &Path) -> Result<Vec<String>, PlugsError> {
    let failed = |source| PlugsError { path: drm.to_owned(), source };
    let entries = fs::read_dir(drm).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    // A card itself has no status, and one that goes meanwhile has none any more.
    let is_connected =
        |name: &String| fs::read_to_string(status(drm, name)).is_ok_and(|status| status.trim() == "connected");
    let mut connected: Vec<String> = names.filter(is_connected).collect();
    connected.sort();
    Ok(connected)
}

/// Tells everybody that nothing is plugged in, whatever is.
pub fn take_away(drm: &Path, list: &Path) -> Result<(), PlugsError> {
    let path = Path::new(COMMAND_LINE);
    let line = fs::read_to_string(path).map_err(|source| PlugsError { path: path.to_owned(), source })?;
    let plugs = connected(drm)?;
    let taken: String = plugs.iter().map(|plug| format!("{plug} {}\n", word_back(plug, &line))).collect();
    write_atomically(list, taken.as_bytes(), 0o600).map_err(|source| PlugsError { path: list.to_owned(), source })?;
    plugs.iter().try_for_each(|plug| tell(drm, plug, "off"))
}

/// Makes it again as the list says it was. One that fails keeps no other from it.
pub fn give_back(drm: &Path, list: &Path) -> Result<(), PlugsError> {
    let taken = match fs::read_to_string(list) {
        Ok(taken) => taken,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PlugsError { path: list.to_owned(), source }),
    };
    let given = taken.lines().filter_map(|line| line.split_once(' ')).map(|(plug, word)| tell(drm, plug, word));
    given.fold(Ok(()), Result::and)
}

/// What makes a plug again what the kernel's command line made it: `video=HDMI-A-1:1920x1080@60D` has it on, with a screen
/// or without; else the kernel looks for itself.
fn word_back(plug: &str, command_line: &str) -> &'static str {
    let connector = plug.split_once('-').map_or(plug, |(_, connector)| connector);
    let videos = command_line.split_whitespace().filter_map(|word| word.strip_prefix("video="));
    let own = videos.filter_map(|video| video.strip_prefix(connector)?.strip_prefix(':')).next_back();
    // Letters behind the numbers: M and R are of the picture, i and m too; options stand behind a comma.
    let options = own.unwrap_or_default().split(',').next().unwrap_or_default();
    let letters = options.trim_start_matches(|c: char| c.is_ascii_digit() || "x@MRim-".contains(c));
    match letters.chars().last() {
        Some('D') => "on-digital",
        Some('e') => "on",
        _ => "detect",
    }
}

fn tell(drm: &Path, plug: &str, word: &str) -> Result<(), PlugsError> {
    write(status(drm, plug), word)?;
    // Not every driver says by itself what became of its plugs: X looks at them when the card has changed.
    let card = plug.split_once('-').map_or(plug, |(card, _)| card);
    write(drm.join(card).join("uevent"), "change")
}

fn status(drm: &Path, plug: &str) -> PathBuf {
    drm.join(plug).join("status")
}

fn write(path: PathBuf, word: &str) -> Result<(), PlugsError> {
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(word.as_bytes()));
    written.map_err(|source| PlugsError { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel has them; what is written to them stays, and nobody acts on it.
    fn drm(plugs: &[(&str, &str)]) -> tempfile::TempDir {
        let drm = tempfile::tempdir().unwrap();
        for (plug, status) in plugs {
            fs::create_dir(drm.path().join(plug)).unwrap();
            fs::write(drm.path().join(plug).join("status"), status).unwrap();
        }
        fs::create_dir(drm.path().join("card0")).unwrap();
        fs::write(drm.path().join("card0/uevent"), "").unwrap();
        fs::write(drm.path().join("version"), "drm 1.1.0 20060810").unwrap();
        drm
    }

    #[test]
    fn what_has_a_screen_is_taken_away_and_given_back_and_nothing_else_is_touched() {
        let drm = drm(&[
            ("card0-HDMI-A-2", "connected\n"),
            ("card0-HDMI-A-1", "connected\n"),
            ("card0-DP-1", "disconnected\n"),
            ("card0-Writeback-1", "unknown\n"),
        ]);
        let (list, status) = (drm.path().join("taken"), |plug| fs::read_to_string(status(drm.path(), plug)).unwrap());
        assert_eq!(connected(drm.path()).unwrap(), ["card0-HDMI-A-1", "card0-HDMI-A-2"]);
        give_back(drm.path(), &list).unwrap();
        assert!(status("card0-HDMI-A-1").starts_with("connected"), "nothing was taken");

        take_away(drm.path(), &list).unwrap();
        let all = || ["card0-HDMI-A-1", "card0-HDMI-A-2", "card0-DP-1", "card0-Writeback-1"].map(status);
        // A file keeps what was behind the word.
        assert!(all()[..2].iter().all(|status| status.starts_with("off")), "{:?}", all());
        assert_eq!(all()[2..], ["disconnected\n", "unknown\n"]);
        assert_eq!(fs::read_to_string(drm.path().join("card0/uevent")).unwrap(), "change", "X is told");

        // One of them is gone for good: the other is given back all the same, and it is said.
        fs::remove_dir_all(drm.path().join("card0-HDMI-A-1")).unwrap();
        let error = give_back(drm.path(), &list).unwrap_err();
        assert!(error.to_string().contains("card0-HDMI-A-1"), "{error}");
        assert!(status("card0-HDMI-A-2").starts_with("detect"));
    }

    #[test]
    fn a_plug_that_the_command_line_has_on_is_on_again_and_the_kernel_looks_at_any_other() {
        let word = |video: &str| word_back("card1-HDMI-A-1", &format!("quiet {video} root=LABEL=rootfs\n"));
        assert_eq!(word(""), "detect");
        assert_eq!(word("video=HDMI-A-1:1920x1080@60D"), "on-digital", "as provision writes it");
        assert_eq!(word("video=HDMI-A-1:1920x1080M@60D,rotate=90"), "on-digital");
        assert_eq!(word("video=HDMI-A-1:D"), "on-digital");
        assert_eq!(word("video=HDMI-A-1:1920x1080@60e"), "on");
        assert_eq!(word("video=HDMI-A-1:1920x1080MR@60"), "detect", "a picture, and not that it is on");
        assert_eq!(word("video=HDMI-A-1:1024x768-24@60im"), "detect");
        assert_eq!(word("video=HDMI-A-11:1920x1080@60D video=HDMI-A-2:D"), "detect", "another's");
        assert_eq!(word("video=HDMI-A-1:D video=HDMI-A-1:1280x720@60"), "detect", "the last one counts");
    }
}
