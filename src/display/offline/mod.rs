//! What is kept on the card for when the network is away: the last good picture of a page.
//!
//! ```text
//!   the glass, after a minute and every ten --PNG--> pictures --> STATE/pictures/NAME     (write, fsync, rename)
//!                                                        |
//!   the offline page <--GET /kept/picture/NAME?PERMIT----'        nothing is served that is not whole
//! ```
//!
//! A name is the digest of an address, so that a card tells nobody what was on the glass by its files' names alone; the
//! picture itself does, and `[offline] pictures = false` is for those who may not keep one.
//!
//! Rejected: a service worker in the site's place. It is the site's own to have or not, lives in a profile that is new at
//! every start of Firefox, and would show an old page as if it were the new one.

mod pictures;

use std::path::Path;

pub use pictures::{LastPicture, Pictures};

use crate::{config::OfflineSettings, io::digest::sha256};

/// All that is kept.
#[derive(Debug, Clone)]
pub struct Offline {
    pub pictures: Pictures,
}

impl Offline {
    /// What is in `state`, as far as it may be kept.
    pub fn open(state: &Path, setting: OfflineSettings) -> Self {
        Offline { pictures: Pictures::at(state.join("pictures"), setting.pictures) }
    }
}

/// The name of what is kept of this address: 32 hex digits.
fn name_of(url: &str) -> String {
    let mut name = sha256(url.as_bytes());
    name.truncate(32);
    name
}
