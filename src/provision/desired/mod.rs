//! What shall be so on a kiosk: pure, from the settings and from what the system is. The engine carries it out.
//!
//! ```text
//!   KioskSettings + Facts
//!        |
//!        +-- software   packages, the program, kiosk.toml
//!        +-- accounts   kiosk (X, Firefox), pikiosk (the supervisor): edited into passwd, group, shadow, gshadow
//!        +-- session    tty1 logs kiosk in -> .bash_profile -> startx -> .xsessionrc -> matchbox, `pikiosk browser`
//!        +-- units      the supervisor; what must not run; watchdog, journal, keys that end a session
//!        +-- boot       command line and config.txt, in the files that this system's firmware package reads
//!        +-- network    NetworkManager, ifupdown or networkd + wpa_supplicant
//!        +-- region     host name, time zone, locale, keyboard
//!        +-- access     ssh with keys only
//!        +-- memory     zram, what the session may have of it, and a root that is never written
//! ```
//!
//! Every item says in plain words what it is for. What others write too is edited (`edit`) and not replaced.
//!
//! Rejected: a list of steps ("add a user", "enable a unit"). Steps cannot be compared with what is there, so nobody
//! could say beforehand what would change.

mod access;
mod accounts;
mod boot;
mod edit;
mod memory;
mod network;
mod region;
mod session;
mod software;
mod units;

use std::path::{Path, PathBuf};

use super::{
    facts::Facts,
    item::{After, Desired, Item},
};
use crate::{config::KioskSettings, io::system::Owner};

pub use software::program;

/// Where the program is on a Pi.
pub const PROGRAM: &str = "/usr/bin/pikiosk";
/// Where the display's own settings are.
pub const SETTINGS: &str = "/etc/pikiosk/kiosk.toml";

/// Why these settings cannot be laid down on this system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    /// An account of this name is somebody else's.
    #[error("the account {name} of this system cannot be the kiosk's: {why}")]
    Account { name: &'static str, why: String },
    /// A line of a file of accounts is not in its form.
    #[error("{path}, line {line}, is not in the form of the file")]
    Malformed { path: &'static str, line: usize },
    #[error("this system knows no time zone {zone:?}{}", near.as_ref().map(|near| format!(", but {near}")).unwrap_or_default())]
    NoSuchZone { zone: String, near: Option<String> },
    /// A root that forgets would take the display's key and its journal along.
    #[error(
        "with system.read_only_root the display would forget its key at each start: /var/lib/pikiosk has no partition of its own in /etc/fstab"
    )]
    NothingToKeepStateOn,
    /// What is written now would be gone at the next start.
    #[error("the root of this system is in memory only (overlayroot): nothing that is changed now would stay")]
    OverlayInUse,
}

/// What shall be so on this system with these settings.
pub fn desired(settings: &KioskSettings, facts: &Facts) -> Result<Desired, DesiredError> {
    if facts.overlay {
        return Err(DesiredError::OverlayInUse);
    }
    let mut lay = Lay { desired: Desired::default() };
    software::lay(&mut lay, settings, facts);
    let kiosk = accounts::lay(&mut lay, facts)?;
    software::lay_settings(&mut lay, settings, facts, kiosk);
    session::lay(&mut lay, settings, facts, kiosk);
    units::lay(&mut lay, settings, facts);
    boot::lay(&mut lay, settings, facts);
    network::lay(&mut lay, settings, facts);
    region::lay(&mut lay, settings, facts)?;
    access::lay(&mut lay, settings, facts);
    memory::lay(&mut lay, settings, facts, kiosk)?;
    // Once systemd has read what changed.
    session::restart(&mut lay);
    software::restart(&mut lay);
    Ok(lay.desired)
}

/// Collects items; a directory stands once, before what is in it.
struct Lay {
    desired: Desired,
}

impl Lay {
    fn dir(&mut self, path: &str, mode: u32, owner: Owner, why: &'static str) {
        self.desired.items.push(Item::Directory { path: path.into(), mode, owner, why });
    }

    /// A directory of root's that everybody may read, with those above it that no Debian is without.
    fn plain_dir(&mut self, path: &str) {
        let mut missing: Vec<&Path> = Path::new(path)
            .ancestors()
            .take_while(|path| !ALWAYS_THERE.contains(&path.to_str().unwrap_or("/")))
            .collect();
        missing.reverse();
        for path in missing {
            let known = |item: &Item| matches!(item, Item::Directory { path: known, .. } if known == path);
            if !self.desired.items.iter().any(known) {
                let (path, why) = (path.to_owned(), "holds what follows");
                self.desired.items.push(Item::Directory { path, mode: 0o755, owner: Owner::ROOT, why });
            }
        }
    }

    /// A file of root's that everybody may read.
    fn file(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>, why: &'static str) {
        self.owned(path, content, 0o644, Owner::ROOT, why);
    }

    fn owned(
        &mut self,
        path: impl Into<PathBuf>,
        content: impl Into<Vec<u8>>,
        mode: u32,
        owner: Owner,
        why: &'static str,
    ) {
        let (path, content) = (path.into(), content.into());
        self.above(&path);
        self.desired.items.push(Item::File { path, content, mode, owner, why, secret: false });
    }

    /// A file that only root may read, and that no report shows.
    fn secret(&mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32, owner: Owner, why: &'static str) {
        self.above(Path::new(path));
        let (path, content) = (path.into(), content.into());
        self.desired.items.push(Item::File { path, content, mode, owner, why, secret: true });
    }

    fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<String>, why: &'static str) {
        let path = path.into();
        self.above(&path);
        self.desired.items.push(Item::Link { path, target: target.into(), why });
    }

    fn absent(&mut self, path: impl Into<PathBuf>, why: &'static str) {
        self.desired.items.push(Item::Absent { path: path.into(), why });
    }

    fn after(&mut self, watches: &[&str], program: &'static str, arguments: &[&str], why: &'static str, offline: bool) {
        let watches = watches.iter().map(PathBuf::from).collect();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.desired.after.push(After { watches, program, arguments, why, offline });
    }

    fn above(&mut self, path: &Path) {
        if let Some(parent) = path.parent().and_then(Path::to_str) {
            self.plain_dir(parent);
        }
    }
}

/// Directories of the packages that no Debian is without, and those of the boot partition: theirs to own.
const ALWAYS_THERE: &[&str] = &[
    "/",
    "/boot",
    "/boot/firmware",
    "/etc",
    "/etc/default",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/sysctl.d",
    "/etc/ssh",
    "/home",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd",
    "/usr/lib/systemd/system",
    "/usr/lib/sysusers.d",
    "/usr/lib/tmpfiles.d",
    "/var",
    "/var/lib",
];

#[cfg(test)]
mod tests;
