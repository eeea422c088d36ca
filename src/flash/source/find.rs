//! From what the person typed to a source: a file, an address, or a name in the list.

use std::path::{Path, PathBuf};

use url::Url;

use super::{Cancel, Place, Sha256, Source, SourceError, Told};
use crate::flash::bmap::Bmap;
use crate::flash::os_list;
use crate::flash::source::cache::Cache;
use crate::flash::source::{beside, fetch::Patience};

/// What `find` may look at, and what the person told besides.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The list of images: an address or a file ([`os_list::OFFICIAL`]).
    pub os_list: String,
    /// `--sha256`: of the packed file or of the image, whichever it fits.
    pub sha256: Option<Sha256>,
    /// `--bmap`: this block map, and not one that lies beside the image.
    pub bmap: Option<PathBuf>,
    pub cache: Option<Cache>,
    /// Looks for checksums and block maps beside the image.
    pub beside: bool,
    pub patience: Patience,
    pub cancel: Cancel,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            os_list: os_list::OFFICIAL.to_owned(),
            sha256: None,
            bmap: None,
            cache: Cache::of_this_user(),
            beside: true,
            patience: Patience::default(),
            cancel: Cancel::default(),
        }
    }
}

/// What a text can mean, before anything is looked at.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    File(PathBuf),
    Url(Url),
    Name(String),
}

impl Source {
    /// Finds an image: the path of a file, an http(s) address, or a name in the list, with or without `os:` before it.
    ///
    /// Looks beside it for `FILE.sha256`, `SHA256SUMS` and a block map.
    pub fn find(text: &str, lookup: &Lookup) -> Result<Self, SourceError> {
        let mut source = match meaning(text, &|path| path.exists())? {
            Meaning::File(path) if os_list::is_list(&path) => os_list::only(&path, lookup)?,
            Meaning::File(path) => Self::of_file(&path, lookup)?,
            Meaning::Url(url) => Self::of_url(url, lookup)?,
            Meaning::Name(name) => Self::of_name(&name, lookup)?,
        };
        if let Some(value) = lookup.sha256 {
            source.either_sha256 = Some(Told { value, teller: "--sha256".to_owned() });
        }
        if let Some(path) = &lookup.bmap {
            source.bmap = Some(bmap_file(path)?);
        }
        match (&source.bmap, &source.unpacked) {
            (Some(bmap), None) => {
                let teller = format!("the block map {}", bmap.name);
                source.unpacked = Some(Told { value: bmap.image_size, teller });
            }
            (Some(bmap), Some(told)) if told.value != bmap.image_size => {
                return Err(SourceError::BadBmap {
                    name: bmap.name.clone(),
                    says: format!(
                        "it is of an image of {} bytes, and {} says {}",
                        bmap.image_size, told.teller, told.value
                    ),
                });
            }
            _ => {}
        }
        Ok(source)
    }

    /// A file alone, without what lies beside it.
    pub fn file(path: &Path) -> Result<Self, SourceError> {
        let metadata = super::open::open_file(path)?
            .metadata()
            .map_err(|source| SourceError::Unreadable { path: path.to_owned(), source })?;
        if metadata.is_dir() {
            return Err(SourceError::Folder { path: path.to_owned() });
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        let mut source = Self::named(name, Place::File(path.to_owned()));
        source.packed = metadata.is_file().then_some(metadata.len());
        Ok(source)
    }

    fn of_file(path: &Path, lookup: &Lookup) -> Result<Self, SourceError> {
        let mut source = Self::file(path)?;
        if lookup.beside {
            beside::of_file(path, &mut source)?;
        }
        Ok(source)
    }

    fn of_url(url: Url, lookup: &Lookup) -> Result<Self, SourceError> {
        let mut source = Self::named(last_segment(&url), Place::Url(url.clone()));
        if lookup.beside {
            beside::of_url(&url, lookup, &mut source)?;
        }
        Ok(source)
    }

    fn of_name(name: &str, lookup: &Lookup) -> Result<Self, SourceError> {
        os_list::find(name, lookup)
    }

    pub(in crate::flash) fn named(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            packed: None,
            unpacked: None,
            packed_sha256: None,
            unpacked_sha256: None,
            either_sha256: None,
            bmap: None,
            init_format: None,
        }
    }
}

fn meaning(text: &str, exists: &dyn Fn(&Path) -> bool) -> Result<Meaning, SourceError> {
    if text == "-" {
        return Err(SourceError::StandardInput);
    }
    if let Some(name) = text.strip_prefix("os:") {
        return Ok(Meaning::Name(name.trim().to_owned()));
    }
    let path = Path::new(text);
    if exists(path) {
        return Ok(Meaning::File(path.to_owned()));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return address(text, scheme);
    }
    match looks_like_a_file(text) {
        true => Err(SourceError::Missing { path: path.to_owned() }),
        false => Ok(Meaning::Name(text.trim().to_owned())),
    }
}

fn address(text: &str, scheme: &str) -> Result<Meaning, SourceError> {
    let bad = |says: String| SourceError::BadAddress { text: text.to_owned(), says };
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(Meaning::Url(url)),
        "file" => {
            url.to_file_path().map(Meaning::File).map_err(|()| bad("it names no file of this machine".to_owned()))
        }
        _ => Err(bad(format!("images are fetched over http and https, not {scheme}"))),
    }
}

/// A name in a list has words; a file has a folder before it or a dot and letters at its end.
fn looks_like_a_file(text: &str) -> bool {
    text.is_empty()
        || text.contains('/')
        || text.rsplit_once('.').is_some_and(|(_, end)| {
            (2..=20).contains(&end.len())
                && end.starts_with(|first: char| first.is_ascii_alphabetic())
                && !end.contains(' ')
        })
}

pub(in crate::flash) fn last_segment(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    if name.is_empty() { url.to_string() } else { name }
}

fn bmap_file(path: &Path) -> Result<Bmap, SourceError> {
    let text = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::Missing { path: path.to_owned() },
        _ => SourceError::Unreadable { path: path.to_owned(), source },
    })?;
    Bmap::parse(&path.display().to_string(), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_is_a_file_an_address_or_a_name() {
        let there = |path: &Path| path == Path::new("a file") || path == Path::new("os.img");
        let means = |text: &str| meaning(text, &there).map_err(|error| error.to_string());
        let name = |name: &str| Ok(Meaning::Name(name.to_owned()));
        assert_eq!(means("a file"), Ok(Meaning::File("a file".into())));
        assert_eq!(means("os.img"), Ok(Meaning::File("os.img".into())));
        assert_eq!(means("file:///tmp/a%20b"), Ok(Meaning::File("/tmp/a b".into())));
        assert_eq!(means("https://example.org/a.img"), Ok(Meaning::Url("https://example.org/a.img".parse().unwrap())));
        assert_eq!(means("os: Raspberry Pi OS Lite (64-bit)"), name("Raspberry Pi OS Lite (64-bit)"));
        assert_eq!(means("Raspberry Pi OS Lite (64-bit)"), name("Raspberry Pi OS Lite (64-bit)"));
        assert_eq!(means("Debian 12.4"), name("Debian 12.4"));
        for (text, says) in [
            ("-", "standard input"),
            ("gone.img", "no file gone.img"),
            ("gone/raspios", "no file gone/raspios"),
            ("ftp://example.org/a.img", "http and https, not ftp"),
            ("https://", "is not an address"),
            ("", "no file"),
        ] {
            assert!(means(text).unwrap_err().contains(says), "{text}: {:?}", means(text));
        }
    }
}
