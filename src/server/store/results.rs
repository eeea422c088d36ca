//! Screenshots and logs: files beside the database, the last few of each display.
//!
//! Not in the database: eight megabytes in a transaction would make every publisher of that batch wait for them. One file
//! holds a line of JSON and the body; a file that was cut (power, full disk) is shorter than its line says and counts as
//! absent, so no rename is needed.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{StoreError, StoredResult};
use crate::event::DisplayId;

/// What results of an in-memory store may take in all, in bytes.
const MEMORY_BYTES: usize = 128 * 1024 * 1024;
/// The longest first line of a file, in bytes: an id and a media type, escaped.
const LINE_MAX: usize = 8 * 1024;

/// Where results are kept.
#[derive(Debug)]
pub enum Results {
    Files(PathBuf),
    Memory(Mutex<HashMap<DisplayId, VecDeque<StoredResult>>>),
}

#[derive(Serialize, Deserialize)]
struct Line {
    event: String,
    content_type: String,
    taken_ms: u64,
    bytes: usize,
}

impl Results {
    pub fn put(&self, display: &DisplayId, result: StoredResult, keep: usize) -> Result<(), StoreError> {
        match self {
            Results::Files(root) => put_file(&root.join(display.as_str()), result, keep),
            Results::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let mine = kept.entry(display.clone()).or_default();
                mine.retain(|old| old.event != result.event);
                mine.push_back(result);
                if mine.len() > keep {
                    mine.pop_front();
                }
                while kept.values().flatten().map(|result| result.body.len()).sum::<usize>() > MEMORY_BYTES {
                    let oldest = kept.values_mut().filter(|mine| !mine.is_empty());
                    let Some(mine) = oldest.min_by_key(|mine| mine.front().map(|result| result.taken_ms)) else {
                        break;
                    };
                    mine.pop_front();
                }
                Ok(())
            }
        }
    }

    /// The newest that fits.
    pub fn find(
        &self,
        display: &DisplayId,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<StoredResult>, StoreError> {
        match self {
            Results::Files(root) => {
                for name in names(&root.join(display.as_str()))?.into_iter().rev() {
                    if let Some(result) = read(&root.join(display.as_str()).join(name), &wanted)? {
                        return Ok(Some(result));
                    }
                }
                Ok(None)
            }
            Results::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let mine = kept.get(display).into_iter().flatten();
                Ok(mine.rev().find(|result| wanted(&result.event, &result.content_type)).cloned())
            }
        }
    }

    pub fn remove_all(&self, display: &DisplayId) -> Result<(), StoreError> {
        match self {
            Results::Files(root) => match fs::remove_dir_all(root.join(display.as_str())) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => Ok(other?),
            },
            Results::Memory(kept) => {
                kept.lock().unwrap_or_else(PoisonError::into_inner).remove(display);
                Ok(())
            }
        }
    }
}

/// Names sort by time: 20 digits of milliseconds, then the event's hash.
fn name_of(result: &StoredResult) -> String {
    format!("{:020}-{}", result.taken_ms, hash_of(&result.event))
}

fn hash_of(event: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, event.as_bytes());
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn put_file(dir: &Path, result: StoredResult, keep: usize) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let older = names(dir)?;
    let path = dir.join(name_of(&result));
    let StoredResult { event, content_type, taken_ms, body } = result;
    let hash = hash_of(&event);
    let line = Line { event, content_type, taken_ms, bytes: body.len() };
    let mut line = serde_json::to_vec(&line).expect("strings and numbers always serialise");
    line.push(b'\n');
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(&line)?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::File::open(dir)?.sync_all()?;
    let is_new = |name: &&String| !path.ends_with(name.as_str());
    let (same, others): (Vec<_>, Vec<_>) = older.iter().filter(is_new).partition(|name| name.ends_with(&hash));
    let surplus = (others.len() + 1).saturating_sub(keep);
    for name in same.into_iter().chain(others.into_iter().take(surplus)) {
        fs::remove_file(dir.join(name))?;
    }
    Ok(())
}

fn read(path: &Path, wanted: impl Fn(&str, &str) -> bool) -> Result<Option<StoredResult>, StoreError> {
    let mut file = match fs::File::open(path) {
        // Another writer may have replaced it meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(LINE_MAX as u64).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return Ok(None) };
    let Ok(Line { event, content_type, taken_ms, bytes: length }) = serde_json::from_slice::<Line>(&bytes[..end])
    else {
        return Ok(None);
    };
    if !wanted(&event, &content_type) {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    let body = Bytes::from(bytes).slice(end + 1..);
    Ok((body.len() == length).then_some(StoredResult { event, content_type, taken_ms, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(event: &str, taken_ms: u64, content_type: &str) -> StoredResult {
        let body = Bytes::from(format!("body of {event}\n at {taken_ms}"));
        StoredResult { event: event.into(), content_type: content_type.into(), taken_ms, body }
    }

    fn both(test: impl Fn(Results)) {
        test(Results::Memory(Mutex::default()));
        let dir = tempfile::tempdir().unwrap();
        test(Results::Files(dir.path().join("results")));
    }

    #[test]
    fn a_result_is_read_back_and_only_the_last_few_are_kept() {
        both(|results| {
            let lobby: DisplayId = "lobby".parse().unwrap();
            assert_eq!(results.find(&lobby, |_, _| true).unwrap(), None);
            for n in 0..20 {
                results.put(&lobby, result(&format!("e/{n}\n"), n, "image/png"), 16).unwrap();
            }
            results.put(&lobby, result("log", 30, "text/plain"), 16).unwrap();
            let find = |id: &str| results.find(&lobby, |event, _| event == id).unwrap();
            assert_eq!(find("e/4\n"), None, "the oldest are gone");
            assert_eq!(find("e/5\n"), Some(result("e/5\n", 5, "image/png")));
            let newest = results.find(&lobby, |_, media| media.starts_with("image/")).unwrap();
            assert_eq!(newest, Some(result("e/19\n", 19, "image/png")));

            results.put(&lobby, result("e/19\n", 40, "image/png"), 16).unwrap();
            assert_eq!(find("e/19\n").unwrap().taken_ms, 40, "put again, it is replaced");
            assert!(find("e/5\n").is_some(), "and takes no other's place");
            results.remove_all(&lobby).unwrap();
            results.remove_all(&lobby).unwrap();
            assert_eq!(find("log"), None);
        });
    }

    #[test]
    fn a_file_that_was_cut_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::Files(dir.path().into());
        let lobby: DisplayId = "lobby".parse().unwrap();
        results.put(&lobby, result("a", 1, "image/png"), 16).unwrap();
        let path = dir.path().join("lobby").join(name_of(&result("a", 1, "")));
        let length = fs::metadata(&path).unwrap().len();
        for cut in [length - 1, 20, 0] {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
            assert_eq!(results.find(&lobby, |_, _| true).unwrap(), None, "cut at {cut}");
        }
    }
}
