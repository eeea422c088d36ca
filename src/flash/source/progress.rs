//! How far an image has come, and what it waits for. Counted by the threads that do it, read by whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counters of one image on its way. All only grow.
#[derive(Debug, Default)]
pub struct Progress {
    fetched: AtomicU64,
    taken: AtomicU64,
    decoded: AtomicU64,
    waited_for_input: AtomicU64,
    decoding: AtomicU64,
    waited_for_room: AtomicU64,
    fetches_again: AtomicU64,
    total_in: AtomicU64,
    total_out: AtomicU64,
}

/// What holds everything else up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Slowest {
    /// The network, or the disk that the image is read from.
    Input,
    /// Unpacking.
    Decoding,
    /// Whoever takes the decoded bytes: the cards.
    Cards,
}

impl Progress {
    /// Bytes that came over the network.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Relaxed)
    }

    /// Bytes of the image as it is packed that have been unpacked.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Bytes of the image itself so far.
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Relaxed)
    }

    /// How often a broken download was taken up again.
    pub fn fetches_again(&self) -> u64 {
        self.fetches_again.load(Relaxed)
    }

    /// Bytes of the packed image, if known. (0 bytes is an image that was refused long before.)
    pub fn total_in(&self) -> Option<u64> {
        Some(self.total_in.load(Relaxed)).filter(|total| *total > 0)
    }

    /// Bytes of the image itself, if known.
    pub fn total_out(&self) -> Option<u64> {
        Some(self.total_out.load(Relaxed)).filter(|total| *total > 0)
    }

    /// Time that unpacking waited for the network or the disk.
    pub fn waited_for_input(&self) -> Duration {
        Duration::from_nanos(self.waited_for_input.load(Relaxed))
    }

    /// Time spent on unpacking.
    pub fn decoding(&self) -> Duration {
        Duration::from_nanos(self.decoding.load(Relaxed))
    }

    /// Time that unpacking waited until somebody took what it had.
    pub fn waited_for_room(&self) -> Duration {
        Duration::from_nanos(self.waited_for_room.load(Relaxed))
    }

    /// What took most of the time so far.
    pub fn slowest(&self) -> Slowest {
        let (input, decoding, room) = (self.waited_for_input(), self.decoding(), self.waited_for_room());
        if room >= input && room >= decoding {
            Slowest::Cards
        } else if input >= decoding {
            Slowest::Input
        } else {
            Slowest::Decoding
        }
    }

    pub(in crate::flash) fn add_fetched(&self, bytes: usize) {
        self.fetched.fetch_add(bytes as u64, Relaxed);
    }

    pub(in crate::flash) fn add_fetch_again(&self) {
        self.fetches_again.fetch_add(1, Relaxed);
    }

    pub(in crate::flash) fn add_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
    }

    pub(in crate::flash) fn add_decoded(&self, bytes: usize) {
        self.decoded.fetch_add(bytes as u64, Relaxed);
    }

    pub(in crate::flash) fn set_total_in(&self, input: u64) {
        self.total_in.store(input, Relaxed);
    }

    pub(in crate::flash) fn set_total_out(&self, output: u64) {
        self.total_out.store(output, Relaxed);
    }

    pub(in crate::flash) fn add_wait_for_input(&self, since: Instant) {
        add_time(&self.waited_for_input, since);
    }

    pub(in crate::flash) fn add_wait_for_room(&self, since: Instant) {
        add_time(&self.waited_for_room, since);
    }

    /// Time since `since`, less what of it was spent on waiting for input.
    pub(in crate::flash) fn add_decoding(&self, since: Instant, waited_before: Duration) {
        let waited = self.waited_for_input().saturating_sub(waited_before);
        let spent = since.elapsed().saturating_sub(waited);
        self.decoding.fetch_add(spent.as_nanos() as u64, Relaxed);
    }
}

fn add_time(to: &AtomicU64, since: Instant) {
    to.fetch_add(since.elapsed().as_nanos() as u64, Relaxed);
}

/// Tells threads to end soon. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
}

impl Cancel {
    pub fn cancel(&self) {
        self.flag.store(true, Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Relaxed) || self.parent.as_ref().is_some_and(|parent| parent.is_cancelled())
    }

    /// One that is cancelled with this one, and can be cancelled alone.
    pub fn child(&self) -> Self {
        Self { flag: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }
}

impl From<Arc<AtomicBool>> for Cancel {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self { flag, parent: None }
    }
}
