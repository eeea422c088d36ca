//! What lies beside an image: its checksum, its block map.

use std::path::Path;

use url::Url;

use super::{
    Lookup, Patience, Sha256, Source, SourceError, Told,
    ask::{SHORT, small},
};
use crate::flash::bmap::{self, Bmap};

/// A list of checksums is refused if it is longer.
const LONGEST: usize = 4 << 20;

const PACKED: [&str; 6] = [".xz", ".gz", ".zst", ".zstd", ".zip", ".bz2"];

/// Where a small file beside the image comes from: `None` if there is none.
type Read<'a> = &'a dyn Fn(&str, usize) -> Result<Option<Vec<u8>>, SourceError>;

pub(super) fn of_file(path: &Path, source: &mut Source) -> Result<(), SourceError> {
    let name = source.name.clone();
    look(&name, source, &|beside, longest| {
        let path = path.with_file_name(beside);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= longest as u64 => {
                std::fs::read(&path).map(Some).map_err(|source| SourceError::Unreadable { path, source })
            }
            _ => Ok(None),
        }
    })
}

pub(super) fn of_url(url: &Url, lookup: &Lookup, source: &mut Source) -> Result<(), SourceError> {
    let patience = Patience { idle: lookup.patience.idle.min(SHORT), ..lookup.patience };
    let name = source.name.clone();
    // Once nobody answers, nobody is asked again; the image itself may be in the cache.
    let silent = std::cell::Cell::new(false);
    look(&name, source, &|beside, longest| {
        let mut address = url.clone();
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop().push(beside);
        }
        if silent.get() {
            return Ok(None);
        }
        match small(&address, longest, patience, &lookup.cancel) {
            Ok(found) => Ok(found),
            Err(SourceError::Cancelled) => Err(SourceError::Cancelled),
            Err(SourceError::Unreachable { .. }) => {
                silent.set(true);
                Ok(None)
            }
            // Something else than what was asked for is not there either.
            Err(_) => Ok(None),
        }
    })
}

fn look(name: &str, source: &mut Source, read: Read<'_>) -> Result<(), SourceError> {
    let plain = unpacked_name(name);
    let mut sums = vec![format!("{name}.sha256"), "SHA256SUMS".to_owned()];
    if plain != name {
        sums.insert(1, format!("{plain}.sha256"));
    }
    for file in sums {
        if source.packed_sha256.is_some() || source.unpacked_sha256.is_some() {
            break;
        }
        let Some(bytes) = read(&file, LONGEST)? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let alone = file.strip_suffix(".sha256");
        let told = |value| Told { value, teller: file.clone() };
        source.packed_sha256 = sum_of(&text, name, alone).map(told);
        if plain != name {
            source.unpacked_sha256 = sum_of(&text, plain, alone).map(told);
        }
    }
    let stem = plain.strip_suffix(".img").unwrap_or(plain);
    let mut maps = vec![format!("{name}.bmap"), format!("{plain}.bmap"), format!("{stem}.bmap")];
    maps.dedup();
    for file in maps {
        if source.bmap.is_none()
            && let Some(bytes) = read(&file, bmap::LONGEST)?
        {
            source.bmap = Some(Bmap::parse(&file, &bytes)?);
        }
    }
    Ok(())
}

/// The name without the ending of its packing.
fn unpacked_name(name: &str) -> &str {
    PACKED.iter().find_map(|ending| name.strip_suffix(ending)).filter(|plain| !plain.is_empty()).unwrap_or(name)
}

/// The hash of `name` in a list as sha256sum writes it (either style), or a hash alone in a file that is named after it.
fn sum_of(text: &str, name: &str, alone: Option<&str>) -> Option<Sha256> {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((file, sum)) = line.strip_prefix("SHA256 (").and_then(|rest| rest.split_once(") = ")) {
            if last(file) == name {
                return sum.trim().parse().ok();
            }
            continue;
        }
        match line.split_once(char::is_whitespace) {
            Some((sum, file)) => {
                let file = file.trim_start();
                if last(file.strip_prefix('*').unwrap_or(file)) == name {
                    return sum.parse().ok();
                }
            }
            None if alone == Some(name) => return line.parse().ok(),
            None => {}
        }
    }
    None
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_found_in_every_usual_way_of_writing_it() {
        let sum = Sha256::of(b"x");
        let found = |text: &str, alone| sum_of(text, "os.img.xz", alone);
        assert_eq!(found(&format!("{sum}  os.img.xz\n"), None), Some(sum));
        assert_eq!(found(&format!("aa  other\n{sum} *./out/os.img.xz\n"), None), Some(sum));
        assert_eq!(found(&format!("SHA256 (os.img.xz) = {sum}\n"), None), Some(sum));
        assert_eq!(found(&format!("\n{sum}\n"), Some("os.img.xz")), Some(sum));
        assert_eq!(found(&format!("{sum}\n"), Some("os.img")), None, "the hash of another file");
        assert_eq!(found(&format!("{sum}  os.img\n"), None), None);
        assert_eq!(found("<!DOCTYPE html><p>Not found</p>", Some("os.img.xz")), None);
        assert_eq!(unpacked_name("os.img.xz"), "os.img");
        assert_eq!(unpacked_name(".xz"), ".xz");
    }
}
