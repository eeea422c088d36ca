//! What is kept on the card for when the network is away: the last good picture of a page, and the pictures and films of
//! the playlist.
//!
//! ```text
//!   the glass, once a page has filled itself --PNG--> pictures --> STATE/pictures/NAME     (write, fsync, rename)
//!                                                        |
//!   the offline page <--GET /kept/picture/NAME?PERMIT----'        nothing is served that is not whole
//!
//!   the playlist --> keeper: whose turn (rounds) --> fetch (HTTP, ETag) --> shelf --> STATE/media/NAME-DIGEST, NAME.json
//!                                                                             |
//!   the player <--GET /kept?src=URL (secret), then /kept/media/FILE?PERMIT----'
//! ```
//!
//! A name is the digest of an address, so that a card tells nobody what was on the glass by its files' names alone; the
//! picture itself does, and `[offline] pictures = false` is for those who may not keep one.
//!
//! A file of the playlist is read through once after each start before it is served, and fetched again where it is not what
//! its label says. What the site has is asked for every few minutes (an hour at most): a copy is never older than that
//! while the network is there.
//!
//! Rejected: Firefox's own cache. It wears the card with every page, decides by itself what goes, and its profile is new at
//! every start. Rejected: a service worker in the site's place. It is the site's own to have or not, lives in a profile that is new at
//! every start of Firefox, and would show an old page as if it were the new one.

mod fetch;
mod keeper;
mod pictures;
mod rounds;
mod shelf;

use std::{path::Path, sync::Arc};

pub use keeper::{Wants, keep};
pub use pictures::{LastPicture, Pictures};
pub use shelf::{Full, Label, Shelf};

use crate::{config::OfflineSettings, io::digest::sha256};

/// All that is kept.
#[derive(Debug, Clone)]
pub struct Offline {
    pub pictures: Pictures,
    pub media: Arc<Shelf>,
}

impl Offline {
    /// What is in `state`, as far as it may be kept.
    pub fn open(state: &Path, setting: OfflineSettings) -> Self {
        Offline {
            pictures: Pictures::at(state.join("pictures"), setting.pictures),
            media: Arc::new(Shelf::open(state.join("media"), setting.cache)),
        }
    }
}

/// The name of what is kept of this address: 32 hex digits.
fn name_of(url: &str) -> String {
    let mut name = sha256(url.as_bytes());
    name.truncate(32);
    name
}
