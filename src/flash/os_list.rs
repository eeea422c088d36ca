//! Lists of images, as Raspberry Pi Imager reads them: the official one, and manifests of others.
//!
//! Schema: <https://github.com/raspberrypi/rpi-imager/tree/main/doc/json-schema>. Fields that are not needed are not
//! read; a hash or a length that is missing or empty is not known. Lists in lists (`subitems_url`) are fetched only
//! while the name has not been found.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::bmap::{self, Bmap};
use super::source::{Lookup, Place, Sha256, Source, SourceError, Told, small};

/// The list that Raspberry Pi publishes for its Imager.
/// Documented at <https://github.com/raspberrypi/rpi-imager#how-to-use-a-custom-repository>.
pub const OFFICIAL: &str = "https://downloads.raspberrypi.com/os_list_imagingutility_v4.json";

/// Bytes of a list at most; the official one has about 0.3 MB.
const LONGEST: usize = 16 << 20;
/// Lists in lists that are fetched at most; the official one names about 20.
const LISTS: usize = 64;
/// Levels of `subitems` within one list.
const DEPTH: usize = 8;

#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    os_list: Vec<Item>,
}

/// An image, or a folder of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Item {
    name: String,
    url: Option<String>,
    extract_size: Option<u64>,
    extract_sha256: Option<String>,
    image_download_size: Option<u64>,
    image_download_sha256: Option<String>,
    devices: Vec<String>,
    init_format: Option<String>,
    bmap_url: Option<String>,
    subitems: Vec<Item>,
    subitems_url: Option<String>,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Home {
    File(PathBuf),
    Url(Url),
}

/// One image of a list, and where that list is.
#[derive(Debug, Clone)]
struct Entry {
    item: Item,
    home: Home,
}

/// Whether this file is a list and no image, by its name.
pub fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rpi-imager-manifest" || end == "json")
}

/// The image called `name`.
pub fn find(name: &str, lookup: &Lookup) -> Result<Source, SourceError> {
    let home = Home::of(&lookup.os_list)?;
    let all = collect(&home, lookup, &|entry| same(&entry.item.name, name))?;
    let entry = choose(name, &all, &lookup.os_list)?;
    entry.source(lookup)
}

/// The only image of a manifest.
pub fn only(path: &Path, lookup: &Lookup) -> Result<Source, SourceError> {
    let all = collect(&Home::File(path.to_owned()), lookup, &|_| false)?;
    match &all[..] {
        [entry] => entry.source(lookup),
        [] => Err(bad(&path.display().to_string(), "it names no image".to_owned())),
        _ => Err(SourceError::ManyNames {
            name: path.display().to_string(),
            names: all.iter().map(|entry| entry.item.name.clone()).collect(),
        }),
    }
}

impl Home {
    fn of(text: &str) -> Result<Self, SourceError> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Url(url)),
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => Ok(Self::File(path)),
                Err(()) => Err(bad(text, "it names no file of this machine".to_owned())),
            },
            Ok(_) if text.contains("://") => Err(bad(text, "it is neither http, https nor a file".to_owned())),
            _ => Ok(Self::File(text.into())),
        }
    }

    /// An address as this list writes it: whole, or relative to the list.
    fn join(&self, text: &str) -> Result<Self, SourceError> {
        if text.contains("://") {
            return Self::of(text);
        }
        match self {
            Self::File(path) => Ok(Self::File(path.with_file_name(text))),
            Self::Url(url) => match url.join(text) {
                Ok(url) => Ok(Self::Url(url)),
                Err(error) => Err(bad(&self.to_string(), format!("{text:?} in it is no address: {error}"))),
            },
        }
    }

    fn read(&self, longest: usize, lookup: &Lookup) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => SourceError::Missing { path: path.clone() },
                _ => SourceError::Unreadable { path: path.clone(), source },
            }),
            Self::Url(url) => small(url, longest, lookup.patience, &lookup.cancel)?
                .ok_or_else(|| SourceError::Answered { place: url.to_string(), status: 404 }),
        }
    }
}

impl std::fmt::Display for Home {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(out),
            Self::Url(url) => url.fmt(out),
        }
    }
}

/// All images of a list and of the lists in it, or those so far once `enough`.
fn collect(home: &Home, lookup: &Lookup, enough: &dyn Fn(&Entry) -> bool) -> Result<Vec<Entry>, SourceError> {
    let mut all = Vec::new();
    let mut homes = VecDeque::from([home.clone()]);
    let mut read = 0;
    while let Some(home) = homes.pop_front() {
        let list = match load(&home, lookup) {
            Ok(list) => list,
            // The list of somebody else that is linked is not what was asked for.
            Err(error) if read > 0 && !matches!(error, SourceError::Cancelled) => {
                tracing::warn!(list = %home, %error, "a list in the list is left out");
                continue;
            }
            Err(error) => return Err(error),
        };
        read += 1;
        flatten(list.os_list, &home, DEPTH, &mut all, &mut homes);
        if all.iter().any(enough) || read >= LISTS {
            break;
        }
    }
    Ok(all)
}

fn load(home: &Home, lookup: &Lookup) -> Result<List, SourceError> {
    let kept = || match (home, &lookup.cache) {
        (Home::Url(url), Some(cache)) => cache.list(url),
        _ => None,
    };
    let (bytes, fresh) = match home.read(LONGEST, lookup) {
        Ok(bytes) => (bytes, true),
        Err(error @ (SourceError::Unreachable { .. } | SourceError::WebPage { .. })) => {
            let bytes = kept().ok_or(error)?;
            tracing::warn!(list = %home, "nobody answers: the list is as it was when it was last fetched");
            (bytes, false)
        }
        Err(error) => return Err(error),
    };
    let list = serde_json::from_slice(&bytes).map_err(|error| bad(&home.to_string(), error.to_string()))?;
    if let (true, Home::Url(url), Some(cache)) = (fresh, home, &lookup.cache)
        && let Err(error) = cache.keep_list(url, &bytes)
    {
        tracing::warn!(%error, "the list is not kept");
    }
    Ok(list)
}

fn flatten(items: Vec<Item>, home: &Home, depth: usize, all: &mut Vec<Entry>, homes: &mut VecDeque<Home>) {
    for mut item in items {
        if let Some(address) = &item.subitems_url
            && let Ok(linked) = home.join(address)
            // A file of this machine is nothing that somebody's server may name.
            && (matches!(linked, Home::Url(_)) || matches!(home, Home::File(_)))
        {
            homes.push_back(linked);
        }
        if depth > 0 {
            flatten(std::mem::take(&mut item.subitems), home, depth - 1, all, homes);
        }
        // Imager's own entries, such as internal://format.
        if item.url.as_ref().is_some_and(|url| !url.starts_with("internal:")) {
            all.push(Entry { item, home: home.clone() });
        }
    }
}

/// The one that a name means: exactly it, or the only one that has all its words.
fn choose<'a>(name: &str, all: &'a [Entry], place: &str) -> Result<&'a Entry, SourceError> {
    let exact: Vec<&Entry> = all.iter().filter(|entry| same(&entry.item.name, name)).collect();
    let found = match exact.is_empty() {
        false => exact,
        true => all.iter().filter(|entry| has_words(&entry.item.name, name)).collect(),
    };
    let fitting: Vec<&Entry> = found.iter().copied().filter(|entry| entry.for_pi_3()).collect();
    match (&fitting[..], &found[..]) {
        ([first, rest @ ..], _) if rest.iter().all(|other| other.item.url == first.item.url) => Ok(first),
        ([_, ..], _) => {
            let named = |entry: &&Entry| {
                let file = entry.item.url.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
                format!("{} ({file})", entry.item.name)
            };
            Err(SourceError::ManyNames { name: name.to_owned(), names: fitting.iter().map(named).collect() })
        }
        ([], [other, ..]) => {
            Err(SourceError::OtherDevice { name: other.item.name.clone(), devices: other.item.devices.clone() })
        }
        ([], []) => {
            Err(SourceError::UnknownName { name: name.to_owned(), place: place.to_owned(), near: near(name, all) })
        }
    }
}

fn same(name: &str, wanted: &str) -> bool {
    name.trim().to_lowercase() == wanted.trim().to_lowercase()
}

fn has_words(name: &str, wanted: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let split = |at: char| !at.is_alphanumeric() && at != '.';
        text.to_lowercase().split(split).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (name, wanted) = (words(name), words(wanted));
    !wanted.is_empty() && wanted.iter().all(|word| name.contains(word))
}

fn near(name: &str, all: &[Entry]) -> Vec<String> {
    let likeness = |other: &str| strsim::jaro_winkler(&other.to_lowercase(), &name.to_lowercase());
    let mut names: Vec<(f64, &str)> = all
        .iter()
        .filter(|entry| entry.for_pi_3())
        .map(|entry| (likeness(&entry.item.name), entry.item.name.as_str()))
        .collect();
    names.sort_by(|one, other| other.0.total_cmp(&one.0));
    names.dedup();
    names.into_iter().take(5).map(|(_, name)| name.to_owned()).collect()
}

impl Entry {
    /// Nothing said about devices is no reason against.
    fn for_pi_3(&self) -> bool {
        self.item.devices.is_empty() || self.item.devices.iter().any(|tag| tag.starts_with("pi3"))
    }

    fn source(&self, lookup: &Lookup) -> Result<Source, SourceError> {
        let teller = || match &self.home {
            Home::Url(url) if url.as_str() == OFFICIAL => "the official list".to_owned(),
            home => home.to_string(),
        };
        let told = |text: &Option<String>| -> Result<Option<Told<Sha256>>, SourceError> {
            let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
            text.map(|text| {
                let value = text.parse().map_err(|error| bad(&teller(), format!("{}: {error}", self.item.name)))?;
                Ok(Told { value, teller: teller() })
            })
            .transpose()
        };
        let address = self.item.url.as_deref().unwrap_or_default();
        let place = match self.linked(address)? {
            Home::File(path) => Place::File(path),
            Home::Url(url) => Place::Url(url),
        };
        let known = |size: Option<u64>| size.filter(|size| *size > 0);
        let mut source = Source::named(self.item.name.clone(), place);
        source.packed = known(self.item.image_download_size);
        source.unpacked = known(self.item.extract_size).map(|value| Told { value, teller: teller() });
        source.packed_sha256 = told(&self.item.image_download_sha256)?;
        source.unpacked_sha256 = told(&self.item.extract_sha256)?;
        source.init_format = self.item.init_format.clone();
        if let (true, Some(address)) = (lookup.beside, &self.item.bmap_url) {
            source.bmap = self.map(address, lookup)?;
        }
        Ok(source)
    }

    /// A block map saves time, and nothing else: without an answer there is none.
    fn map(&self, address: &str, lookup: &Lookup) -> Result<Option<Bmap>, SourceError> {
        match self.linked(address)?.read(bmap::LONGEST, lookup) {
            Ok(bytes) => Bmap::parse(address, &bytes).map(Some),
            Err(SourceError::Cancelled) => Err(SourceError::Cancelled),
            Err(error) => {
                tracing::warn!(%error, "the block map is left out");
                Ok(None)
            }
        }
    }

    fn linked(&self, address: &str) -> Result<Home, SourceError> {
        let linked = self.home.join(address)?;
        match (&self.home, &linked) {
            (Home::Url(_), Home::File(_)) => {
                Err(bad(&self.home.to_string(), format!("{} is to be a file of this machine", self.item.name)))
            }
            _ => Ok(linked),
        }
    }
}

fn bad(place: &str, says: String) -> SourceError {
    SourceError::BadList { place: place.to_owned(), says }
}

#[cfg(test)]
#[path = "os_list_tests.rs"]
mod tests;
