//! How long a card has been silent. A read or write of a disk cannot be ended from outside: what can be done is to see
//! it, say it, go on with the other cards, and let nothing more through once it comes back.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::io::block::BlockDevice;

/// A device that knows since when it is being waited for.
pub(super) struct Watched {
    device: Arc<dyn BlockDevice>,
    base: Instant,
    /// Milliseconds from `base` to the begin of what is under way, plus 1; 0: nothing is.
    since: AtomicU64,
    offset: AtomicU64,
    closed: AtomicBool,
}

impl Watched {
    pub(super) fn new(device: Arc<dyn BlockDevice>) -> Self {
        Self {
            device,
            base: Instant::now(),
            since: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// For how long, and at which byte, the device has not answered; with a number that is another for each request.
    pub(super) fn silent(&self) -> Option<(Duration, u64, u64)> {
        let since = self.since.load(Ordering::Acquire);
        let begun = since.checked_sub(1)?;
        let silent = self.base.elapsed().saturating_sub(Duration::from_millis(begun));
        Some((silent, self.offset.load(Ordering::Relaxed), since))
    }

    /// From now on nothing is read or written.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn during<T>(&self, offset: u64, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let shut = || self.closed.load(Ordering::Acquire).then(|| io::Error::from(io::ErrorKind::TimedOut));
        if let Some(error) = shut() {
            return Err(error);
        }
        self.offset.store(offset, Ordering::Relaxed);
        let since = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        self.since.store(since, Ordering::Release);
        let done = act();
        self.since.store(0, Ordering::Release);
        shut().map_or(done, Err)
    }
}

impl BlockDevice for Watched {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.during(offset, || self.device.read_at(offset, into))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.during(offset, || self.device.write_at(offset, bytes))
    }

    fn flush(&self) -> io::Result<()> {
        self.during(0, || self.device.flush())
    }
}
