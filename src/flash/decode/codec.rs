//! One way to unpack, and what it may use.

use super::{format::Format, gzip::Gzip, input::Input, raw::Raw, xz::Xz, zip::Zip, zstd::Zstd};
use crate::flash::source::SourceError;

/// Unpacks one format.
pub trait Codec: Send {
    /// Puts the next bytes into `into` (never empty) and returns how many. 0 means the end: all that the format can
    /// tell about itself was checked, and nothing follows it.
    fn decode(&mut self, input: &mut Input, into: &mut [u8]) -> Result<usize, SourceError>;
}

/// What unpacking may use of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Threads that unpack at the same time, where the format allows.
    pub threads: u32,
    /// Bytes that one thread may need (the dictionary or window that the file asks for). More is refused: a file of
    /// 100 bytes can ask for 4 GiB. `xz -9` and `zstd -19` need 64 MiB and 8 MiB; `zstd --long=27` needs 128 MiB.
    pub memory: u64,
    /// Bytes that all xz threads may need together. Where a file needs more for each, fewer threads run, down to one.
    pub memory_of_all: u64,
}

impl Means {
    /// All processors, and a quarter of this machine's memory.
    pub fn of_this_machine() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let sysconf = |what| nix::unistd::sysconf(what).ok().flatten().and_then(|value| u64::try_from(value).ok());
        let pages = sysconf(nix::unistd::SysconfVar::_PHYS_PAGES).unwrap_or(0);
        let page = sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap_or(4096);
        let memory_of_all = (pages * page / 4).clamp(256 << 20, 2 << 30);
        Self { threads, memory: 192 << 20, memory_of_all }
    }
}

/// What unpacks `format`.
pub fn codec(format: Format, means: Means) -> Box<dyn Codec> {
    match format {
        Format::Raw => Box::new(Raw),
        Format::Xz => Box::new(Xz::new(means)),
        Format::Gzip => Box::new(Gzip::new()),
        Format::Zstd => Box::new(Zstd::new(means)),
        Format::Zip => Box::new(Zip::new()),
    }
}
