//! Block maps: which bytes of an image matter. The format of bmaptool, versions 1.2 to 2.0.
//!
//! A block map that lies beside an image is not signed by anybody: what it skips is a wish, and whoever follows it looks
//! at the bytes it skips. That it is whole is checked here, by the checksum it holds of itself.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

use super::source::{Sha256, SourceError};

/// A block map is refused if it is longer: 64 MiB would be half a million ranges, and no card is in so many pieces.
pub const LONGEST: usize = 64 << 20;

/// Which bytes of an image matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmap {
    /// The file it is from.
    pub name: String,
    /// Bytes of the image it belongs to.
    pub image_size: u64,
    /// Bytes of a block; every range starts at a multiple.
    pub block_size: u64,
    /// Sorted, disjoint, none empty, all within `image_size`.
    pub ranges: Vec<Mapped>,
}

/// A range of bytes of the image that matters: from `start` up to, not including, `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    pub start: u64,
    pub end: u64,
    /// Of these bytes, if the map tells.
    pub sha256: Option<Sha256>,
}

impl Bmap {
    /// Bytes that matter.
    pub fn mapped(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Reads a map. `name` is for messages.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        parse(name, bytes).map_err(|says| SourceError::BadBmap { name: name.to_owned(), says })
    }
}

/// The elements of a map as they are written.
#[derive(Debug, Default)]
struct Written {
    version: Option<String>,
    size: Option<u64>,
    block: Option<u64>,
    blocks: Option<u64>,
    mapped: Option<u64>,
    kind: Option<String>,
    checksum: Option<String>,
    ranges: Vec<(u64, u64, Option<String>)>,
}

fn parse(name: &str, bytes: &[u8]) -> Result<Bmap, String> {
    if bytes.len() > LONGEST {
        return Err(format!("it is over {LONGEST} bytes long"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not a text".to_owned())?;
    let written = read(text)?;
    let version = written.version.as_deref().ok_or("it is no block map")?;
    if !matches!(version, "1.2" | "1.3" | "1.4" | "2.0") {
        return Err(format!("its format is version {version}, and only 1.2 to 2.0 is known"));
    }
    let kind = match (&written.kind, &written.checksum) {
        (Some(kind), _) => Some(kind.as_str()),
        // Before 1.4 there was SHA-1 only, and at first nothing.
        (None, Some(_)) => Some("sha1"),
        (None, None) => None,
    };
    match (kind, &written.checksum) {
        (Some(kind), Some(checksum)) => check_itself(text, kind, checksum)?,
        (_, None) if version == "1.2" => {}
        _ => return Err("it has no checksum of itself".to_owned()),
    }
    let size = written.size.filter(|size| *size > 0).ok_or("it does not tell the size of its image")?;
    let block = written.block.filter(|block| *block > 0).ok_or("it does not tell the size of a block")?;
    let blocks = size.div_ceil(block);
    if written.blocks.is_some_and(|told| told != blocks) {
        return Err(format!("{size} bytes are {blocks} blocks, and it says otherwise"));
    }
    let ranges = ranges(written.ranges, size, block, blocks, kind == Some("sha256"))?;
    let mapped: u64 = ranges.iter().map(|range| (range.end - range.start).div_ceil(block)).sum();
    if written.mapped.is_some_and(|told| told != mapped) {
        return Err(format!("its ranges are {mapped} blocks, and it says otherwise"));
    }
    Ok(Bmap { name: name.to_owned(), image_size: size, block_size: block, ranges })
}

fn ranges(
    written: Vec<(u64, u64, Option<String>)>,
    size: u64,
    block: u64,
    blocks: u64,
    is_sha256: bool,
) -> Result<Vec<Mapped>, String> {
    let mut next = 0;
    let mut ranges = Vec::with_capacity(written.len());
    for (first, last, sum) in written {
        if last < first {
            return Err(format!("the range {first}-{last} ends before it begins"));
        }
        if first < next {
            return Err(format!("the range {first}-{last} is not after the one before it"));
        }
        if last >= blocks {
            return Err(format!("the range {first}-{last} is beyond the image, which has {blocks} blocks"));
        }
        next = last + 1;
        let sha256 = match sum.filter(|_| is_sha256) {
            Some(sum) => Some(sum.parse().map_err(|error| format!("the range {first}-{last}: {error}"))?),
            None => None,
        };
        // No overflow: last < blocks, and blocks * block < size + block. The last block may be cut off by the image's end.
        let end = match next == blocks {
            true => size,
            false => next * block,
        };
        ranges.push(Mapped { start: first * block, end, sha256 });
    }
    Ok(ranges)
}

fn read(text: &str) -> Result<Written, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("it is no XML that can be read ({error})");
    let mut reader = Reader::from_str(text);
    let mut written = Written::default();
    let mut within: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut sum = None;
    loop {
        match reader.read_event().map_err(|error| damaged(&error))? {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                match (within.len(), name.as_str()) {
                    (0, "bmap") if written.version.is_none() => written.version = attribute(&start, &["version"])?,
                    (0, _) => return Err("it is no block map".to_owned()),
                    (2, "Range") => sum = attribute(&start, &["chksum", "sha1"])?,
                    _ => {}
                }
                content.clear();
                within.push(name);
            }
            Event::Text(text) => content.push_str(&text.into_inner()),
            Event::End(_) => {
                let Some(name) = within.pop() else { break };
                written.take(&name, within.len(), content.trim(), sum.take())?;
                content.clear();
            }
            Event::DocType(_) | Event::GeneralRef(_) => return Err("it holds what no block map holds".to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    match within.is_empty() {
        true => Ok(written),
        false => Err("it is cut off".to_owned()),
    }
}

impl Written {
    fn take(&mut self, name: &str, depth: usize, content: &str, sum: Option<String>) -> Result<(), String> {
        let number = || content.parse::<u64>().map_err(|_| format!("{content:?} in {name} is no number"));
        match (depth, name) {
            (1, "ImageSize") => self.size = Some(number()?),
            (1, "BlockSize") => self.block = Some(number()?),
            (1, "BlocksCount") => self.blocks = Some(number()?),
            (1, "MappedBlocksCount") => self.mapped = Some(number()?),
            (1, "ChecksumType") => self.kind = Some(content.to_owned()),
            (1, "BmapFileChecksum" | "BmapFileSHA1") => self.checksum = Some(content.to_owned()),
            (2, "Range") => {
                let (first, last) = content.split_once('-').unwrap_or((content, content));
                let block = |text: &str| text.trim().parse::<u64>();
                let (Ok(first), Ok(last)) = (block(first), block(last)) else {
                    return Err(format!("{content:?} is no range of blocks"));
                };
                self.ranges.push((first, last, sum));
            }
            _ => {}
        }
        Ok(())
    }
}

fn attribute(start: &BytesStart<'_>, names: &[&str]) -> Result<Option<String>, String> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("it is no XML that can be read ({error})"))?;
        if names.contains(&attribute.key.as_ref()) {
            return Ok(Some(attribute.value.trim().to_owned()));
        }
    }
    Ok(None)
}

/// The checksum is of the file with zeros in its place.
fn check_itself(text: &str, kind: &str, checksum: &str) -> Result<(), String> {
    let algorithm: &Algorithm = match kind {
        "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &SHA256,
        "sha384" => &SHA384,
        "sha512" => &SHA512,
        other => return Err(format!("its checksums are {other}, which is not known")),
    };
    let digits = checksum.len();
    if digits != algorithm.output_len() * 2 || !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{checksum:?} is not a {kind}"));
    }
    let zeroed = text.replacen(checksum, &"0".repeat(digits), 1);
    let found: String =
        digest(algorithm, zeroed.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    match found.eq_ignore_ascii_case(checksum) {
        true => Ok(()),
        false => Err("its checksum of itself is wrong: it is damaged, or was changed by hand".to_owned()),
    }
}

#[cfg(test)]
#[path = "bmap_tests.rs"]
mod tests;
