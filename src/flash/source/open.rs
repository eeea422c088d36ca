//! Opens a source: refuses what can be refused before a card is touched, then bytes come.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use url::Url;

use super::ask::{Still, still};
use super::cache::{Remembered, hash_of};
use super::fetch::{self, Order, Patience};
use super::{Boot, Cache, Cancel, Head, Place, Progress, Sha256, Source, SourceError, Told, file, judge};
use crate::flash::decode::{Decoded, Expected, Job, Limit, Means, start, unpacked_length};
use crate::flash::stream::{CHUNK, SlowPart};

/// Bytes of the unpacked image that are looked at, at most. The root folder of a boot partition with small clusters lies
/// scattered among its files, which are under 64 MiB up to the kernel.
const WINDOW: usize = 64 << 20;

/// How to open a source.
#[derive(Debug, Clone)]
pub struct Options {
    pub limit: Limit,
    pub wanted: Wanted,
    pub means: Means,
    /// Where fetched files are kept; `None` keeps nothing.
    pub cache: Option<Cache>,
    pub patience: Patience,
    pub progress: Arc<Progress>,
    pub cancel: Cancel,
}

/// What an image is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To look at: any image of a card.
    Anything,
    /// To start a Raspberry Pi 3: what surely does not is refused.
    Pi3,
    /// The same, with a 64-bit system: what pikiosk for the Pi needs.
    Pi3Arm64,
}

impl Options {
    /// For an image of at most so many bytes.
    pub fn up_to(bytes: u64) -> Self {
        Self {
            limit: Limit { bytes },
            wanted: Wanted::Pi3,
            means: Means::of_this_machine(),
            cache: Cache::of_this_user(),
            patience: Patience::default(),
            progress: Arc::default(),
            cancel: Cancel::default(),
        }
    }
}

/// An image whose first bytes were looked at, and found good.
#[derive(Debug)]
pub struct Opened {
    pub image: Decoded,
    pub boot: Boot,
    /// Bytes of the unpacked image, if known.
    pub length: Option<u64>,
    pub cached: Cached,
}

/// Whether the network was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cached {
    /// A file of this machine.
    File,
    /// It is being fetched.
    No,
    /// It was fetched before, and is the same.
    Yes,
    /// It was fetched before; nobody answers who could say whether there is a newer one.
    Offline,
}

impl Source {
    /// Checks what can be checked, and starts to unpack.
    ///
    /// Before this returns, of a file: its own index or directory, its length, its hash if one is known. Of every image:
    /// its format, its partition table, its boot partition. What only its last byte tells comes with the last piece.
    pub fn open(&self, options: &Options) -> Result<Opened, SourceError> {
        let cancel = options.cancel.child();
        let packed = Arc::new(OnceLock::new());
        let mut expected = Expected {
            length: self.unpacked.clone(),
            sha256: self.unpacked_sha256.clone(),
            either: self.either_sha256.clone(),
            packed: packed.clone(),
        };
        let (place, cached) = self.nearest(options);
        let (blocks, from) = match place {
            Nearest::File(path) => {
                let file = open_file(&path)?;
                self.check_file(&file, &path, &mut expected, options)?;
                (file::blocks(open_file(&path)?, &path, cancel.clone())?, SlowPart::Disk)
            }
            Nearest::Url(url) => {
                let keep = options.cache.as_ref().and_then(|cache| match cache.part(&url) {
                    Ok(part) => part,
                    Err(error) => {
                        tracing::warn!(%error, "what is fetched is not kept");
                        None
                    }
                });
                let order = Order {
                    url,
                    length: self.packed.map(|value| Told { value, teller: "its list".to_owned() }),
                    sha256: self.packed_sha256.clone(),
                    keep,
                    patience: options.patience,
                    progress: options.progress.clone(),
                    cancel: cancel.clone(),
                    found: packed,
                };
                (fetch::blocks(order)?, SlowPart::Network)
            }
        };
        let length = expected.length.as_ref().map(|told| told.value);
        let mut image = start(Job {
            name: self.name.clone(),
            blocks,
            expected,
            limit: options.limit,
            means: options.means,
            progress: options.progress.clone(),
            cancel,
            from,
        })?;
        let boot = match (look(&mut image, length), options.wanted) {
            (Ok(Boot { arm64: Some(false), .. }), Wanted::Pi3Arm64) => return Err(SourceError::WrongArchitecture),
            (Ok(boot), _) => boot,
            (Err(SourceError::WrongMachine { .. }), Wanted::Anything) => {
                Boot { firmware: Some(false), ..Boot::default() }
            }
            (Err(error), _) => return Err(error),
        };
        if boot.partitions_end > options.limit.bytes {
            return Err(SourceError::TooLarge {
                size: boot.partitions_end,
                limit: options.limit.bytes,
                at_least: false,
            });
        }
        Ok(Opened { image, boot, length, cached })
    }

    /// A kept file, if it is the right one; otherwise where the source says.
    fn nearest(&self, options: &Options) -> (Nearest, Cached) {
        let url = match &self.place {
            Place::File(path) => return (Nearest::File(path.clone()), Cached::File),
            Place::Url(url) => url,
        };
        let Some(cache) = &options.cache else { return (Nearest::Url(url.clone()), Cached::No) };
        let told = self.packed_sha256.as_ref().or(self.either_sha256.as_ref());
        if let Some(path) = told.and_then(|told| cache.complete(told.value, &options.cancel)) {
            return (Nearest::File(path), Cached::Yes);
        }
        let (sha256, cached) = match cache.remembered(url) {
            // Another hash is wanted than what this address gave: it gives something new by now, one hopes.
            Some(_) if self.packed_sha256.is_some() => (None, Cached::No),
            Some(Remembered { version, sha256: Some(sha256), .. }) => match still(url, &version, options.patience) {
                Still::Same => (Some(sha256), Cached::Yes),
                Still::Unknown => (Some(sha256), Cached::Offline),
                Still::Other => (None, Cached::No),
            },
            _ => (None, Cached::No),
        };
        match sha256.and_then(|sha256: Sha256| cache.complete(sha256, &options.cancel)) {
            Some(path) => (Nearest::File(path), cached),
            None => (Nearest::Url(url.clone()), Cached::No),
        }
    }

    fn check_file(
        &self,
        file: &File,
        path: &Path,
        expected: &mut Expected,
        options: &Options,
    ) -> Result<(), SourceError> {
        let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Ok(());
        }
        let wrong = |told: &Told<u64>, what: &str, found| SourceError::WrongLength {
            what: what.to_owned(),
            expected: told.value,
            found,
            teller: told.teller.clone(),
        };
        if metadata.len() == 0 {
            return Err(SourceError::Empty { name: self.name.clone() });
        }
        if let Some(told) = self.packed.filter(|told| *told != metadata.len()) {
            let told = Told { value: told, teller: "what was known of it".to_owned() };
            return Err(wrong(&told, &path.display().to_string(), metadata.len()));
        }
        options.progress.set_total_in(metadata.len());
        if let Some(found) = unpacked_length(file, path)? {
            match &expected.length {
                Some(told) if told.value != found => return Err(wrong(told, "the unpacked image", found)),
                Some(_) => {}
                None => expected.length = Some(Told { value: found, teller: "the file itself".to_owned() }),
            }
            if found > options.limit.bytes {
                return Err(SourceError::TooLarge { size: found, limit: options.limit.bytes, at_least: false });
            }
        }
        if self.packed_sha256.is_none() && self.either_sha256.is_none() {
            return Ok(());
        }
        let found = match hash_of(file, &options.cancel) {
            Err(_) if options.cancel.is_cancelled() => return Err(SourceError::Cancelled),
            hashed => hashed.map_err(unreadable)?,
        };
        match &self.packed_sha256 {
            Some(told) if told.value != found => Err(SourceError::WrongHash {
                what: "the file",
                expected: told.value,
                found,
                teller: told.teller.clone(),
            }),
            _ => {
                // Set once per opening.
                let _ = expected.packed.set(found);
                Ok(())
            }
        }
    }
}

enum Nearest {
    File(PathBuf),
    Url(Url),
}

/// Looks at the first pieces until they say enough.
fn look(image: &mut Decoded, length: Option<u64>) -> Result<Boot, SourceError> {
    loop {
        let full = image.ahead().len() * CHUNK >= WINDOW;
        let ended = !full && image.look_ahead()?.is_none();
        if let Some(boot) = judge(Head::new(image.ahead()), length, full || ended)? {
            return Ok(boot);
        }
        if full || ended {
            return Ok(Boot::default());
        }
    }
}

pub(super) fn open_file(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::Missing { path: path.to_owned() },
        _ => SourceError::Unreadable { path: path.to_owned(), source },
    })
}
