//! What a disk may hold when the power goes.
//!
//! What was written before the last flush is there. Of what came after it any part may be: in whatever order, down to
//! single sectors of one write. After each write and each promise the power goes: once with all that was written, and some
//! more times with parts of it that chance picks.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    disk::SECTOR,
    log::{Entry, Recording, Write},
};

const BLOCK: usize = 4096;

/// A disk, as its blocks that are not zero.
#[derive(Debug, Clone, Default)]
pub struct Image(BTreeMap<u64, Arc<[u8; BLOCK]>>);

impl Image {
    fn of(bytes: &[u8]) -> Self {
        let blocks = bytes.chunks_exact(BLOCK).enumerate();
        let blocks = blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0));
        Image(blocks.map(|(number, block)| (number as u64, Arc::new(block.try_into().unwrap()))).collect())
    }

    pub fn blocks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.0.iter().map(|(number, block)| (number * BLOCK as u64, block.as_slice()))
    }

    fn put(&mut self, at: u64, sector: &[u8]) {
        let block = self.0.entry(at / BLOCK as u64).or_insert_with(|| Arc::new([0; BLOCK]));
        let from = usize::try_from(at % BLOCK as u64).unwrap();
        Arc::make_mut(block)[from..from + sector.len()].copy_from_slice(sector);
    }
}

/// One disk after a power cut.
#[derive(Debug)]
pub struct State {
    pub image: Image,
    /// What each subject had promised by then.
    pub promised: Vec<Option<u64>>,
    /// Where in the recording it was, for people.
    pub told: String,
}

/// What became of the writes that were not flushed: their numbers, and the sectors of each that are there.
type Arrived = Vec<(usize, Vec<bool>)>;

/// Gives the states to `visit` until it has enough of them or there are no more; none twice.
pub fn each(
    recording: &Recording,
    subjects: usize,
    wanted: u64,
    mut rng: fastrand::Rng,
    mut visit: impl FnMut(State) -> bool,
) {
    let moments = recording.entries.iter().filter(|entry| !matches!(entry, Entry::Flush)).count() as u64;
    // Some draws are repeats: where one write is under way there is not much to draw.
    let draws = 2 * wanted.saturating_sub(moments).div_ceil(moments.max(1)) + 1;
    let mut flushed = Image::of(&recording.base);
    let mut pending: Vec<&Write> = Vec::new();
    let mut promised = vec![None; subjects];
    let mut seen: HashSet<(Arrived, Vec<Option<u64>>)> = HashSet::new();
    for (moment, entry) in recording.entries.iter().enumerate() {
        match entry {
            Entry::Flush => {
                for write in pending.drain(..) {
                    apply(&mut flushed, write, &vec![true; write.bytes.len() / SECTOR]);
                }
                seen.clear();
                continue;
            }
            Entry::Write(write) => pending.push(write),
            Entry::Promise { subject, n } => promised[*subject] = Some(*n),
        }
        for draw in 0..=draws {
            let arrived = if draw == 0 { all(&pending) } else { some(&pending, &mut rng) };
            if !seen.insert((arrived.clone(), promised.clone())) {
                continue;
            }
            let mut image = flushed.clone();
            for (number, sectors) in &arrived {
                apply(&mut image, pending[*number], sectors);
            }
            let told =
                format!("after entry {moment}, {} of {} writes that were not flushed", arrived.len(), pending.len());
            if !visit(State { image, promised: promised.clone(), told }) {
                return;
            }
        }
    }
}

fn all(pending: &[&Write]) -> Arrived {
    pending.iter().enumerate().map(|(number, write)| (number, vec![true; write.bytes.len() / SECTOR])).collect()
}

fn some(pending: &[&Write], rng: &mut fastrand::Rng) -> Arrived {
    // Few are lost, or half of them, or nearly all.
    let share = [0.15, 0.5, 0.85][rng.usize(..3)];
    let mut arrived: Arrived = all(pending).into_iter().filter(|_| rng.f64() < share).collect();
    if rng.bool() && !arrived.is_empty() {
        let torn = rng.usize(..arrived.len());
        let sectors = &mut arrived[torn].1;
        if rng.bool() {
            let length = rng.usize(..=sectors.len());
            sectors[length..].fill(false);
        } else {
            sectors.fill_with(|| rng.bool());
        }
    }
    arrived
}

fn apply(image: &mut Image, write: &Write, sectors: &[bool]) {
    for (number, sector) in write.bytes.chunks_exact(SECTOR).enumerate().filter(|(number, _)| sectors[*number]) {
        image.put(write.at + (number * SECTOR) as u64, sector);
    }
}
