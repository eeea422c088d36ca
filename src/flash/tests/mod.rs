//! Cards of all kinds, written whole.

mod cards;
mod disk;
mod faults;
mod power;

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use super::{
    card::Card,
    events::Event,
    job::{Cancel, CardJob, CardOutcome, Image, Medium, Options},
    stream::{CHUNK, Chunk, ImageStream, SlowPart, StreamError, Used},
};
use crate::io::aligned::AlignedBuffer;

/// An image in memory.
#[derive(Clone)]
pub(super) struct TestImage {
    pub bytes: Arc<Vec<u8>>,
    pub used: Vec<Range<u64>>,
    /// Fails at this byte.
    pub breaks_at: Option<u64>,
    pub rewinds: bool,
}

impl TestImage {
    /// A partition table, and bytes that repeat nowhere; about half of the blocks are used.
    pub fn new(len: usize) -> Self {
        let mut bytes = vec![0; len];
        fastrand::Rng::with_seed(7).fill(&mut bytes);
        bytes[..512].fill(0);
        bytes[446 + 4] = 0x0c;
        bytes[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
        bytes[446 + 12..446 + 16].copy_from_slice(&(len as u32 / 512 - 2048).to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let mib = 1 << 20;
        let used = (0..len as u64 / mib).step_by(2).map(|n| n * mib..(n + 1) * mib).collect();
        Self { bytes: Arc::new(bytes), used, breaks_at: None, rewinds: true }
    }

    pub fn image(&self) -> Image {
        Image {
            name: "test.img".into(),
            source: "/images/test.img".into(),
            stream: Box::new(TestStream { image: self.clone(), at: 0 }),
            used: Box::new(TestUsed(self.used.clone())),
        }
    }

    /// Whether all that is used is there, from the first byte.
    pub fn is_on(&self, card: &[u8]) -> bool {
        card.len() >= self.bytes.len()
            && self.used.iter().all(|range| {
                let range = range.start as usize..range.end as usize;
                card[range.clone()] == self.bytes[range]
            })
    }
}

struct TestStream {
    image: TestImage,
    at: usize,
}

impl ImageStream for TestStream {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, StreamError> {
        let end = (self.at + CHUNK).min(self.image.bytes.len());
        if self.image.breaks_at.is_some_and(|at| at < end as u64) {
            return Err("the file is cut short".into());
        }
        if self.at == end {
            return Ok(None);
        }
        let bytes = Arc::new(AlignedBuffer::copy_of(&self.image.bytes[self.at..end]));
        let offset = std::mem::replace(&mut self.at, end) as u64;
        Ok(Some(Chunk { offset, bytes }))
    }

    fn length(&self) -> Option<u64> {
        Some(self.image.bytes.len() as u64)
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        Some(super::mark::sha256(&self.image.bytes))
    }

    fn rewind(&mut self) -> Result<bool, StreamError> {
        self.at = 0;
        Ok(self.image.rewinds)
    }

    fn slow_part(&self) -> SlowPart {
        SlowPart::Disk
    }
}

struct TestUsed(Vec<Range<u64>>);

impl Used for TestUsed {
    fn used(&mut self, offset: u64, bytes: &[u8]) -> Vec<Range<u64>> {
        let end = offset + bytes.len() as u64;
        let inside = self.0.iter().map(|range| range.start.max(offset)..range.end.min(end));
        inside.filter(|range| range.start < range.end).collect()
    }

    fn total(&self) -> Option<u64> {
        Some(self.0.iter().map(|range| range.end - range.start).sum())
    }
}

/// What was told.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<Event>>);

impl Told {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl super::events::Events for Told {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub(super) fn job(card: Card) -> CardJob {
    CardJob { card, medium: Medium::default(), identity: None, config_sha256: None, customise: None }
}

pub(super) fn flash_all(cards: Vec<Card>, image: &TestImage, options: Options) -> Vec<CardOutcome> {
    let jobs = cards.into_iter().map(job).collect();
    super::flash(jobs, image.image(), options, Arc::new(|_| {}), &Cancel::default())
}
