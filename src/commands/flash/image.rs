//! The image: found, and looked at as far as it can be before a card is touched.

use super::Args;
use crate::commands::{failure::Failure, output};
use crate::flash::bmap::Bmap;
use crate::flash::job;
use crate::flash::source::{Cache, Cached, Cancel, Lookup, Opened, Options, Sha256, Source, Wanted};
use crate::flash::usage::Usage;

/// An image that may be written.
#[derive(Debug)]
pub struct Found {
    source: Source,
    opened: Opened,
}

/// Finds the image and looks at its beginning. `room`: bytes of the smallest card. `arm64`: whether its system must be
/// able to run pikiosk.
pub fn found(args: &Args, room: u64, arm64: bool, cancel: &Cancel) -> Result<Found, Failure> {
    let text = args.image.as_deref().unwrap_or_default();
    let refused = |source| Failure::Source { source };
    let sha256 = args.sha256.as_deref().map(str::parse::<Sha256>).transpose();
    let sha256 = sha256.map_err(|error| refused(error.into()))?;
    let cache = if args.no_cache { None } else { Cache::of_this_user() };
    let usual = Lookup::default();
    let lookup = Lookup {
        os_list: args.os_list.clone().unwrap_or_else(|| usual.os_list.clone()),
        sha256,
        bmap: args.bmap.clone(),
        cache: cache.clone(),
        cancel: cancel.clone(),
        ..usual
    };
    if !args.json.json {
        output::remark(&format!("Looking at {text} …"));
    }
    let source = Source::find(text, &lookup).map_err(refused)?;
    let wanted = if arm64 { Wanted::Pi3Arm64 } else { Wanted::Pi3 };
    let options = Options { wanted, cache, cancel: cancel.clone(), ..Options::up_to(room) };
    let opened = source.open(&options).map_err(refused)?;
    if opened.cached == Cached::Offline && !args.json.json {
        output::remark("The network does not answer: the copy that was fetched before is used.");
    }
    Ok(Found { source, opened })
}

impl Found {
    /// Bytes that a card must have, as far as known.
    pub fn needed(&self) -> u64 {
        self.opened.length.unwrap_or(self.opened.boot.partitions_end)
    }

    /// For the writers.
    pub fn into_image(self, args: &Args) -> job::Image {
        let usage = Usage::new(self.opened.length);
        let usage = match &self.source.bmap {
            Some(bmap) => usage.with_bmap(mapped(bmap)),
            None => usage,
        };
        job::Image {
            name: self.source.name,
            source: args.image.clone().unwrap_or_default(),
            stream: Box::new(self.opened.image),
            used: Box::new(usage),
        }
    }
}

fn mapped(bmap: &Bmap) -> Vec<std::ops::Range<u64>> {
    bmap.ranges.iter().map(|range| range.start..range.end).collect()
}
