//! Opens a source: from here on bytes come.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::{Cancel, Place, Progress, Source, SourceError, file};
use crate::flash::decode::{Decoded, Expected, Job, Limit, Means, start};
use crate::flash::stream::SlowPart;

/// How to open a source.
#[derive(Debug, Clone)]
pub struct Options {
    pub limit: Limit,
    pub means: Means,
    pub progress: Arc<Progress>,
    pub cancel: Cancel,
}

impl Options {
    /// For an image of at most so many bytes.
    pub fn up_to(bytes: u64) -> Self {
        Self {
            limit: Limit { bytes },
            means: Means::of_this_machine(),
            progress: Arc::default(),
            cancel: Cancel::default(),
        }
    }
}

impl Source {
    /// Starts to read and unpack.
    pub fn open(&self, options: &Options) -> Result<Decoded, SourceError> {
        let cancel = options.cancel.child();
        let (blocks, from) = match &self.place {
            Place::File(path) => (file::blocks(open_file(path)?, path, cancel.clone())?, SlowPart::Disk),
            Place::Url(url) => {
                return Err(SourceError::Unreachable { place: url.to_string(), says: "not yet".to_owned() });
            }
        };
        start(Job {
            name: self.name.clone(),
            blocks,
            expected: Expected { length: self.unpacked.clone(), sha256: self.unpacked_sha256.clone() },
            limit: options.limit,
            means: options.means,
            progress: options.progress.clone(),
            cancel,
            from,
        })
    }
}

pub(super) fn open_file(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::Missing { path: path.to_owned() },
        _ => SourceError::Unreadable { path: path.to_owned(), source },
    })
}
