//! Changes to a device that stay in memory until they are wanted on it.
//!
//! ```text
//!   file systems --write--> changed 4 KiB blocks (BTreeMap, bounded)
//!                --read---> changed | kept | the device below, whole aligned blocks only
//!   extents()    sorted and joined: what a writer puts on the card, and reads back
//!   commit()     the same, onto the device below
//! ```
//!
//! File systems write the same few blocks again and again and in no order: a card takes that badly (hundreds of
//! thousands of small writes for a 20 MiB file on FAT). What reaches the card is each changed block once, in order.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::BlockDevice;

/// Bytes in a block of an overlay. Extents begin at a multiple of it.
pub const BLOCK: usize = 4096;

/// What [`Overlay::new`] allows to be changed: 256 MiB, which a machine that flashes cards has to spare.
pub const LIMIT: u64 = 256 << 20;

/// Unchanged blocks that are kept: FAT tables and directories are read a block at a time, thousands of times.
const KEPT: usize = 16 << 20;

/// Reads from here on are not kept: they are file contents, read once.
const LONG: usize = 1 << 20;

/// Bytes of one write of [`Overlay::commit`].
const PIECE: u64 = 4 << 20;

type Block = Box<[u8; BLOCK]>;

/// A device whose changes are in memory. Nobody else may write to what is below.
pub struct Overlay<D> {
    below: D,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    changed: BTreeMap<u64, Block>,
    kept: HashMap<u64, Block>,
}

/// A run of bytes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Bytes from the start of the device.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl Extent {
    /// The first byte after it.
    pub fn end(self) -> u64 {
        self.offset + self.len
    }
}

/// More would have to be kept in memory than is allowed. Inside an [`io::Error`] of kind `StorageFull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {} MiB would change, which is more than is kept in memory", limit >> 20)]
pub struct OverlayFull {
    /// Bytes.
    pub limit: u64,
}

impl<D: BlockDevice> Overlay<D> {
    /// Nothing is changed yet; at most [`LIMIT`] bytes can be.
    pub fn new(below: D) -> Self {
        Self::with_limit(below, LIMIT)
    }

    /// At most `limit` bytes can be changed.
    pub fn with_limit(below: D, limit: u64) -> Self {
        Self { below, limit, state: Mutex::default() }
    }

    /// What is below, unchanged.
    pub fn below(&self) -> &D {
        &self.below
    }

    /// What was changed: sorted, touching ones joined, each at a multiple of [`BLOCK`]. All are whole blocks, but for the
    /// last of a device that does not end at one. Their bytes are read with [`BlockDevice::read_at`].
    pub fn extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        for &block in self.state().changed.keys() {
            let offset = block * BLOCK as u64;
            let len = (self.below.len() - offset).min(BLOCK as u64);
            match extents.last_mut() {
                Some(last) if last.end() == offset => last.len += len,
                _ => extents.push(Extent { offset, len }),
            }
        }
        extents
    }

    /// Bytes that were changed.
    pub fn changed(&self) -> u64 {
        self.extents().iter().map(|extent| extent.len).sum()
    }

    /// Writes what was changed onto the device below, in order, and flushes it: after that nothing is changed. After an
    /// error all is still changed here, and the device holds a part of it.
    pub fn commit(&self) -> io::Result<Vec<Extent>> {
        let extents = self.extents();
        let mut piece = Vec::new();
        for extent in &extents {
            let mut offset = extent.offset;
            while offset < extent.end() {
                let len = PIECE.min(extent.end() - offset);
                piece.resize(usize::try_from(len).expect("a piece is a few MiB"), 0);
                self.read_at(offset, &mut piece)?;
                self.below.write_at(offset, &piece)?;
                offset += len;
            }
        }
        self.below.flush()?;
        self.discard();
        Ok(extents)
    }

    /// Forgets what was changed.
    pub fn discard(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the maps is one insertion of a whole block: a panic elsewhere leaves them usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `count` whole blocks from below, the last one as far as the device goes.
    fn read_below(&self, first: u64, count: usize) -> io::Result<Vec<u8>> {
        let offset = first * BLOCK as u64;
        let mut bytes = vec![0; count * BLOCK];
        let len =
            usize::try_from((self.below.len() - offset).min(bytes.len() as u64)).expect("no more than the buffer");
        self.below.read_at(offset, &mut bytes[..len])?;
        Ok(bytes)
    }

    fn check(&self, offset: u64, len: usize, short: io::ErrorKind) -> io::Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.below.len() => Ok(()),
            _ => Err(io::Error::new(short, format!("{len} bytes at {offset} are past the end of the device"))),
        }
    }
}

impl State {
    fn get(&self, block: u64) -> Option<&Block> {
        self.changed.get(&block).or_else(|| self.kept.get(&block))
    }

    fn keep(&mut self, first: u64, bytes: &[u8]) {
        if (self.kept.len() + bytes.len() / BLOCK) * BLOCK > KEPT {
            self.kept.clear();
        }
        for (block, bytes) in (first..).zip(bytes.as_chunks::<BLOCK>().0) {
            self.kept.insert(block, Box::new(*bytes));
        }
    }
}

impl<D: BlockDevice> BlockDevice for Overlay<D> {
    fn len(&self) -> u64 {
        self.below.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.check(offset, into.len(), io::ErrorKind::UnexpectedEof)?;
        if into.is_empty() {
            return Ok(());
        }
        let (first, end) = span(offset, into.len());
        let keep = into.len() < LONG;
        let mut state = self.state();
        let mut block = first;
        while block < end {
            if let Some(bytes) = state.get(block) {
                copy_out(&bytes[..], block, offset, into);
                block += 1;
                continue;
            }
            let missing = (block..end).take_while(|&at| state.get(at).is_none()).count();
            let bytes = self.read_below(block, missing)?;
            copy_out(&bytes, block, offset, into);
            if keep {
                state.keep(block, &bytes);
            }
            block += missing as u64;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len(), io::ErrorKind::WriteZero)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let (first, end) = span(offset, bytes.len());
        let mut state = self.state();
        let new = (first..end).filter(|block| !state.changed.contains_key(block)).count();
        if ((state.changed.len() + new) * BLOCK) as u64 > self.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, OverlayFull { limit: self.limit }));
        }
        for block in first..end {
            let start = block * BLOCK as u64;
            // Of this block, and of `bytes`.
            let from = usize::try_from(offset.saturating_sub(start)).expect("inside a block");
            let skip = usize::try_from(start.saturating_sub(offset)).expect("inside the bytes");
            let take = (BLOCK - from).min(bytes.len() - skip);
            if !state.changed.contains_key(&block) {
                let fresh = if take == BLOCK {
                    Box::new([0; BLOCK])
                } else if let Some(kept) = state.kept.get(&block) {
                    kept.clone()
                } else {
                    let below = self.read_below(block, 1)?;
                    Box::new(*below.first_chunk::<BLOCK>().expect("one block was read"))
                };
                state.kept.remove(&block);
                state.changed.insert(block, fresh);
            }
            let block = state.changed.get_mut(&block).expect("it is there, or was just inserted");
            block[from..from + take].copy_from_slice(&bytes[skip..skip + take]);
        }
        Ok(())
    }

    /// Nothing: the medium of an overlay is memory. [`Overlay::commit`] writes.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<D> std::fmt::Debug for Overlay<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The blocks that `len` bytes at `offset` touch: the first, and the first after.
fn span(offset: u64, len: usize) -> (u64, u64) {
    (offset / BLOCK as u64, (offset + len as u64).div_ceil(BLOCK as u64))
}

/// Copies what `into`, which begins at `offset`, wants of `bytes`, which begin at `block`.
fn copy_out(bytes: &[u8], block: u64, offset: u64, into: &mut [u8]) {
    let start = block * BLOCK as u64;
    let from = usize::try_from(offset.saturating_sub(start)).expect("inside the bytes");
    let at = usize::try_from(start.saturating_sub(offset)).expect("inside the buffer");
    let len = (bytes.len() - from).min(into.len() - at);
    into[at..at + len].copy_from_slice(&bytes[from..from + len]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// What is below, which takes whole blocks only, as a card opened with O_DIRECT.
    struct Card(Mutex<Vec<u8>>);

    impl Card {
        fn new(len: usize) -> Arc<Self> {
            Arc::new(Self(Mutex::new((0..len).map(|at| (at / 7) as u8).collect())))
        }

        fn place(&self, offset: u64, len: usize) -> std::ops::Range<usize> {
            let all = self.0.lock().unwrap().len();
            let from = usize::try_from(offset).unwrap();
            assert!(
                from.is_multiple_of(BLOCK) && (len.is_multiple_of(BLOCK) || from + len == all),
                "{len} at {offset}"
            );
            from..from + len
        }
    }

    impl BlockDevice for Card {
        fn len(&self) -> u64 {
            self.0.lock().unwrap().len() as u64
        }

        fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
            let place = self.place(offset, into.len());
            into.copy_from_slice(&self.0.lock().unwrap()[place]);
            Ok(())
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let place = self.place(offset, bytes.len());
            self.0.lock().unwrap()[place].copy_from_slice(bytes);
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_changed_is_told_in_order_and_joined() {
        let overlay = Overlay::new(Card::new(10 * BLOCK + 100));
        for offset in [10 * BLOCK + 99, 3 * BLOCK, 4 * BLOCK - 1, BLOCK - 1, 9 * BLOCK + 5] {
            overlay.write_at(offset as u64, &[1]).unwrap();
        }
        overlay.write_at(2 * BLOCK as u64 - 1, &[1, 1]).unwrap();
        let block = BLOCK as u64;
        let extents = [Extent { offset: 0, len: 4 * block }, Extent { offset: 9 * block, len: block + 100 }];
        assert_eq!(overlay.extents(), extents);
        assert_eq!(overlay.changed(), 5 * block + 100);
        assert_eq!(overlay.below().0.lock().unwrap()[BLOCK - 1], ((BLOCK - 1) / 7) as u8, "nothing was written below");
        assert_eq!(overlay.commit().unwrap(), extents);
        assert_eq!(overlay.below().0.lock().unwrap()[BLOCK - 1], 1);
        assert!(overlay.extents().is_empty());
    }

    #[test]
    fn more_than_is_allowed_is_refused_and_changes_nothing() {
        let overlay = Overlay::with_limit(Card::new(10 * BLOCK), 2 * BLOCK as u64);
        overlay.write_at(0, &[1; 10]).unwrap();
        let error = overlay.write_at(5, &[2; 2 * BLOCK]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.get_ref().is_some_and(|inner| inner.is::<OverlayFull>()), "{error}");
        let mut bytes = [0; 10];
        overlay.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [1; 10]);
        overlay.write_at(20, &[3; BLOCK]).expect("a block that is changed already costs nothing");
    }

    #[test]
    fn nothing_past_the_end_is_read_or_written() {
        let overlay = Overlay::new(Card::new(BLOCK + 10));
        assert!(overlay.write_at(BLOCK as u64 + 5, &[0; 6]).is_err());
        assert!(overlay.read_at(u64::MAX, &mut [0; 2]).is_err());
        assert!(overlay.extents().is_empty());
    }

    proptest! {
        #[test]
        fn it_reads_as_if_all_had_been_written_and_commits_just_that(
            len in 1_usize..60_000,
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20_000, any::<u8>(), any::<bool>()), 0..20),
        ) {
            let card = Card::new(len);
            let mut plain = card.0.lock().unwrap().clone();
            let overlay = Overlay::new(Arc::clone(&card));
            for (at, size, byte, write) in changes {
                let from = at.index(len);
                let to = (from + size).min(len);
                if write {
                    overlay.write_at(from as u64, &vec![byte; to - from]).unwrap();
                    plain[from..to].fill(byte);
                } else {
                    let mut bytes = vec![0; to - from];
                    overlay.read_at(from as u64, &mut bytes).unwrap();
                    prop_assert_eq!(&bytes[..], &plain[from..to]);
                }
            }
            let mut all = vec![0; len];
            overlay.read_at(0, &mut all).unwrap();
            prop_assert!(all == plain);
            let extents = overlay.extents();
            prop_assert!(extents.windows(2).all(|pair| pair[0].end() < pair[1].offset));
            overlay.commit().unwrap();
            prop_assert!(*card.0.lock().unwrap() == plain);
        }
    }
}
