//! What is asked of the writers, and what they answer.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

/// Ctrl-C: the same one stops the source.
pub use super::source::Cancel;
use super::{
    card::Card,
    fault::{CardFault, Holds},
    receipt::{Named, Receipt},
    stream::{ImageStream, StreamError, Used},
};
use crate::io::block::{BlockDevice, overlay::Overlay};

/// One card to write.
pub struct CardJob {
    pub card: Card,
    /// What is known of the medium, for the receipt.
    pub medium: Medium,
    /// Whose card it becomes, for receipt and label.
    pub identity: Option<Named>,
    /// SHA-256 of the settings that are put on it.
    pub config_sha256: Option<String>,
    /// Puts its own settings on it, once the image is on it and was read back.
    pub customise: Option<Customise>,
}

/// Changes the file systems of one card. What it writes stays in memory until it returns; then it is written and read
/// back like the image.
pub type Customise = Box<dyn FnOnce(Customising) -> Result<(), StreamError> + Send>;

/// What [`Customise`] works on.
#[derive(Debug)]
pub struct Customising {
    pub device: Arc<Overlay<Arc<dyn BlockDevice>>>,
    /// The receipt so far, for `pikiosk-manifest.json` on the card.
    pub manifest: Vec<u8>,
}

/// What sysfs tells of a medium.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Medium {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The card's own identification, which a reader in a USB port hides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
}

/// The image that all cards get.
pub struct Image {
    /// Its file name.
    pub name: String,
    /// Where it came from: a path or a URL.
    pub source: String,
    pub stream: Box<dyn ImageStream>,
    pub used: Box<dyn Used>,
}

/// How it is done.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: Mode,
    /// Whether disks are asked first if they keep what is written and have the room they say (seconds).
    pub probe: bool,
    /// How often a write or read that failed is tried again.
    pub retries: u32,
    /// A card that does not answer for this long is told of.
    pub slow_after: Duration,
    /// A card that does not answer for this long is given up.
    pub give_up_after: Duration,
    /// What is allowed to differ in [`Mode::VerifyOnly`]: what a card's receipt says was customised, as ranges with the
    /// SHA-256 that they shall have.
    pub customised: Vec<super::receipt::Customised>,
    /// Who flashes: `anna@desk`.
    pub by: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Write,
            probe: true,
            retries: 3,
            slow_after: Duration::from_secs(30),
            give_up_after: Duration::from_secs(180),
            customised: Vec::new(),
            by: String::new(),
        }
    }
}

/// What is done with the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All that is used is written and read back.
    Write,
    /// All that is used is read, and what differs is written and read back.
    Again,
    /// All that is used is read; nothing is written.
    VerifyOnly,
}

/// What became of one card.
#[derive(Debug)]
pub struct CardOutcome {
    pub name: String,
    /// What it holds now, whatever the result.
    pub holds: Holds,
    pub result: Result<Box<Receipt>, CardFault>,
    /// What [`Mode::VerifyOnly`] found to differ, in bytes from the start of the card: joined, allowed ones apart.
    pub differs: Differences,
}

/// Where a card is not the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Differences {
    /// As customised when it was flashed.
    pub allowed: Vec<Range<u64>>,
    pub unexpected: Vec<Range<u64>>,
}

impl Differences {
    /// Bytes that should be other than they are.
    pub fn unexpected_bytes(&self) -> u64 {
        self.unexpected.iter().map(|range| range.end - range.start).sum()
    }
}

/// How often each extent was tried again, by its offset: only those that were.
pub type Retries = BTreeMap<u64, u32>;

impl std::fmt::Debug for CardJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardJob").field("card", &self.card).field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("name", &self.name).finish_non_exhaustive()
    }
}
