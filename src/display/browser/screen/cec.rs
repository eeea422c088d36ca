//! What is said to the screen over HDMI-CEC. The messages are pure; `io/cec.rs` sends them.
//!
//! A television ignores DPMS, or shows "no signal" on it; a plain monitor ignores CEC. So both are said, each time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{display::screen::Panel, io::cec::Cec};

const TELEVISION: u8 = 0;
const EVERYBODY: u8 = 15;

const IMAGE_VIEW_ON: u8 = 0x04;
const STANDBY: u8 = 0x36;
const ACTIVE_SOURCE: u8 = 0x82;
const GIVE_POWER_STATUS: u8 = 0x8f;
const REPORT_POWER_STATUS: u8 = 0x90;

/// CEC gives a device one second to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// More plugs than any Pi has.
const PLUGS_MAX: usize = 4;

/// What is sent to switch the screen on or off, from this logical and physical address.
pub fn switch(from: u8, place: Option<u16>, on: bool) -> Vec<Vec<u8>> {
    let to = |whom: u8| from << 4 | whom;
    if !on {
        return vec![vec![to(TELEVISION), STANDBY]];
    }
    let mut messages = vec![vec![to(TELEVISION), IMAGE_VIEW_ON]];
    // "Show what comes from here" needs to say where that is.
    messages.extend(place.map(|place| {
        let [high, low] = place.to_be_bytes();
        vec![to(EVERYBODY), ACTIVE_SOURCE, high, low]
    }));
    messages
}

/// What the screen's answer means: about to be on is on.
pub fn panel(answer: &[u8]) -> Panel {
    match answer {
        [_, REPORT_POWER_STATUS, 0 | 2, ..] => Panel::On,
        [_, REPORT_POWER_STATUS, 1 | 3, ..] => Panel::Off,
        _ => Panel::Unknown,
    }
}

/// The plugs of this machine that have CEC.
#[derive(Debug)]
pub struct Plugs {
    open: Vec<(PathBuf, Cec)>,
}

impl Plugs {
    /// Those in `/dev` that this user may use.
    pub fn open(dev: &Path) -> Self {
        let names = fs::read_dir(dev).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_plug = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("cec")).is_some_and(
                |number| !number.is_empty() && number.len() < 3 && number.bytes().all(|byte| byte.is_ascii_digit()),
            )
        };
        let mut paths: Vec<PathBuf> = names.filter(is_plug).take(PLUGS_MAX).collect();
        paths.sort();
        let open = paths.into_iter().filter_map(|path| match Cec::open(&path) {
            Ok(cec) => Some((path, cec)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this CEC plug is not used");
                None
            }
        });
        Plugs { open: open.collect() }
    }

    /// Says it to every screen. True if one took it; none where there is no CEC here.
    pub fn switch(&self, on: bool) -> Option<Result<(), io::Error>> {
        let each = self.open.iter().map(|(path, cec)| {
            let result = say(cec, on);
            if let Err(error) = &result {
                tracing::info!(path = %path.display(), %error, on, "the screen was not switched by CEC");
            }
            result
        });
        // One that took it is enough: at the other plugs there may be no screen.
        each.reduce(|one, other| one.or(other))
    }

    /// What the screens themselves say; on if one is.
    pub fn panel(&self) -> Panel {
        let all: Vec<Panel> = self.open.iter().map(|(_, cec)| ask(cec)).collect();
        let first = [Panel::On, Panel::Off].into_iter().find(|panel| all.contains(panel));
        first.unwrap_or(Panel::Unknown)
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn say(cec: &Cec, on: bool) -> io::Result<()> {
    for message in switch(cec.logical_address()?, cec.physical_address()?, on) {
        cec.transmit(&message, None)?;
    }
    Ok(())
}

fn ask(cec: &Cec) -> Panel {
    let ask = || {
        let question = [cec.logical_address()? << 4 | TELEVISION, GIVE_POWER_STATUS];
        cec.transmit(&question, Some((REPORT_POWER_STATUS, ANSWER_WITHIN)))
    };
    ask().map_or(Panel::Unknown, |answer| panel(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_woken_and_shown_this_picture_or_sent_to_sleep() {
        let on = switch(4, Some(0x2100), true);
        assert_eq!(on, [vec![0x40, 0x04], vec![0x4f, 0x82, 0x21, 0x00]]);
        assert_eq!(switch(4, Some(0x2100), false), [vec![0x40, 0x36]]);
        // One that sleeps may tell no place; it is woken all the same.
        assert_eq!(switch(15, None, true), [vec![0xf0, 0x04]]);
    }

    #[test]
    fn what_a_screen_says_of_itself_is_understood() {
        let said = |status| panel(&[0x04, 0x90, status]);
        assert_eq!((said(0), said(2)), (Panel::On, Panel::On));
        assert_eq!((said(1), said(3)), (Panel::Off, Panel::Off));
        assert_eq!((said(9), panel(&[0x04, 0x00, 0x8f]), panel(&[])), (Panel::Unknown, Panel::Unknown, Panel::Unknown));
    }

    #[test]
    fn a_machine_without_cec_has_no_plugs_and_what_only_looks_like_one_is_left_alone() {
        let dev = tempfile::tempdir().unwrap();
        for name in ["cec0", "cecilia", "cec", "cec123", "tty0"] {
            std::fs::write(dev.path().join(name), "").unwrap();
        }
        let plugs = Plugs::open(dev.path());
        assert!(plugs.is_empty(), "a file is no plug");
        assert!(plugs.switch(true).is_none());
        assert_eq!(plugs.panel(), Panel::Unknown);
        assert!(Plugs::open(Path::new("/nowhere")).is_empty());
    }
}
