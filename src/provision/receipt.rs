//! What was done to a system and what was there before: what undoing and drift go by.
//!
//! ```text
//!   /var/lib/pikiosk/provision/        0700 root
//!     receipt.json                     per path: before the first run | as we left it | what a run is about to do
//!     blobs/SHA256                     contents that were there before, 0600
//!     first-boot.json                  what could not be done here, as a plan
//! ```
//!
//! Written *before* anything is changed: a run that is cut at any point leaves a system that can be told path by path
//! from its receipt (every path is as before, as left, or as intended), so another run ends in the same tree and an undo
//! still finds all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{plan::Command, state::State};
use crate::io::system::{Kind, Observe};

/// Where a system keeps what provisioning knows about it.
pub const HOME: &str = "/var/lib/pikiosk/provision";
pub const RECEIPT: &str = "/var/lib/pikiosk/provision/receipt.json";
pub const BLOBS: &str = "/var/lib/pikiosk/provision/blobs";
pub const FIRST_BOOT: &str = "/var/lib/pikiosk/provision/first-boot.json";

/// The form of the receipt that this program writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// All that was done to one system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Receipt {
    pub version: u32,
    pub entries: BTreeMap<PathBuf, Entry>,
    /// Directories above [`HOME`], and itself, that were not there before.
    pub made: BTreeSet<PathBuf>,
    pub packages: Packages,
    /// Commands of a run that was cut before it came to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Command>,
}

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was there before the first run.
    pub before: State,
    /// As the last complete run left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<State>,
    /// What a run that has not ended is about to make of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<State>,
    /// A file of others that was changed by them between two runs: `before` is no longer all that would be lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Its content is not for everybody's eyes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    pub why: String,
}

impl Entry {
    /// True if what is at the path now is of our making, or what was there before.
    pub fn knows(&self, now: &State) -> bool {
        let known = [Some(&self.before), self.left.as_ref(), self.intent.as_ref()];
        known.into_iter().flatten().any(|state| state.same(now)) || self.is_halfway(now)
    }

    /// Two steps of ours are not one for the disk: a directory is made and then owned, a file is removed to make room
    /// for a directory.
    fn is_halfway(&self, now: &State) -> bool {
        let Some(intent) = &self.intent else { return false };
        match now {
            State::Absent => true,
            State::Directory { .. } => intent.is_directory() || self.before.is_directory(),
            _ => false,
        }
    }
}

/// Debian packages that came with our runs, dependencies included.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packages {
    pub installed: BTreeSet<String>,
    /// While apt works: what was installed before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BTreeSet<String>>,
}

/// Why a receipt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error("read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read {}", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("read {RECEIPT}: it is of version {0}, and this pikiosk knows {VERSION} at most")]
    Newer(u32),
    /// Whoever can write there could have anything done as root.
    #[error("trust {}: it belongs to user {owner}, not to root, or others may write in it", path.display())]
    NotOurs { path: PathBuf, owner: u32 },
}

impl Receipt {
    pub fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// The receipt of this system; `None` if it was never provisioned.
    pub fn load(system: &dyn Observe) -> Result<Option<Self>, ReceiptError> {
        check_home(system)?;
        let Some(bytes) = read(system, Path::new(RECEIPT))? else { return Ok(None) };
        let damaged = |source| ReceiptError::Damaged { path: RECEIPT.into(), source };
        let receipt: Self = serde_json::from_slice(&bytes).map_err(damaged)?;
        if receipt.version > VERSION { Err(ReceiptError::Newer(receipt.version)) } else { Ok(Some(receipt)) }
    }

    /// True if a run was cut before it ended.
    pub fn is_unfinished(&self) -> bool {
        !self.owed.is_empty()
            || self.packages.before.is_some()
            || self.entries.values().any(|entry| entry.intent.is_some())
    }

    /// The contents that an undo would need.
    pub fn blobs(&self) -> BTreeSet<&str> {
        self.entries.values().filter_map(|entry| entry.before.content()).collect()
    }
}

/// The bytes of one of our own files; `None` if there is none.
pub(super) fn read(system: &dyn Observe, path: &Path) -> Result<Option<Vec<u8>>, ReceiptError> {
    match system.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReceiptError::Unreadable { path: path.into(), source }),
    }
}

/// Refuses a directory that another user could have put there: its parent belongs to the supervisor, which talks to the
/// network.
fn check_home(system: &dyn Observe) -> Result<(), ReceiptError> {
    let unreadable = |path: &str, source| ReceiptError::Unreadable { path: path.into(), source };
    // Whoever owns / is root here: a root below a directory may be anybody's.
    let root = system.stat(Path::new("/")).map_err(|source| unreadable("/", source))?;
    let home = system.stat(Path::new(HOME)).map_err(|source| unreadable(HOME, source))?;
    match (root, home) {
        (Some(root), Some(home)) if home.kind != Kind::Directory || home.mode & 0o022 != 0 || home.uid != root.uid => {
            Err(ReceiptError::NotOurs { path: HOME.into(), owner: home.uid })
        }
        _ => Ok(()),
    }
}
