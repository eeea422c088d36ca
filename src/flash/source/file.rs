//! Blocks of a file, read ahead by a thread of its own.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::{Cancel, SourceError};
use crate::flash::decode::Blocks;

/// Bytes of one block: large enough that a spinning disk reads at its full speed.
const BLOCK: usize = 1 << 20;

/// Blocks read ahead. A disk's pause of 100 ms does not stop an unpacker that takes 80 MB/s.
const AHEAD: usize = 8;

/// The blocks of an open file from its beginning.
pub(super) fn blocks(file: File, path: &Path, cancel: Cancel) -> Result<Blocks, SourceError> {
    let (to, blocks) = sync_channel(AHEAD);
    let path = path.to_owned();
    crate::flash::decode::spawn("read", move || read(file, path, &to, &cancel))?;
    Ok(Box::new(blocks.into_iter()))
}

fn read(mut file: File, path: PathBuf, to: &SyncSender<Result<Vec<u8>, SourceError>>, cancel: &Cancel) {
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        let read = match cancel.is_cancelled() {
            true => Err(SourceError::Cancelled),
            false => (&mut file)
                .take(BLOCK as u64)
                .read_to_end(&mut block)
                .map_err(|source| SourceError::Unreadable { path: path.clone(), source }),
        };
        let sent = match read {
            Ok(0) => return,
            Ok(_) => to.send(Ok(block)),
            Err(error) => {
                // It is told, or nobody listens any more.
                let _ = to.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
