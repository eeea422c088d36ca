//! What a round of the feed brought, as few pieces as the order allows. Pure.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::frame;
use crate::{
    event::{Address, DisplayId},
    server::store::Committed,
};

/// A chunk takes no more events from here on, in bytes: a socket that only wants its end, and a slow one that has only
/// sent its beginning, hold all of it.
const CHUNK_FULL: usize = 64 * 1024;

/// Events of one address, without a hole, for the same sockets: their frames, encoded once for all of them.
#[derive(Debug)]
pub struct Chunk {
    pub address: Address,
    pub epoch: String,
    /// The offset of the first event.
    pub first: u64,
    /// Commands go to displays by the ledger's rows, which are `targets`.
    pub is_command: bool,
    pub targets: Vec<DisplayId>,
    marks: Vec<Mark>,
    bytes: Bytes,
}

/// One event in a chunk.
#[derive(Debug, Clone, Copy)]
struct Mark {
    commit: u64,
    /// Where its frame ends.
    end: u32,
}

impl Chunk {
    /// How many events it has; at least one.
    pub fn events(&self) -> usize {
        self.marks.len()
    }

    /// The offset of the last event.
    pub fn last(&self) -> u64 {
        self.first + (self.marks.len() as u64).saturating_sub(1)
    }

    /// Commit numbers, growing.
    pub fn commits(&self) -> impl ExactSizeIterator<Item = u64> {
        self.marks.iter().map(|mark| mark.commit)
    }

    /// The frames from the event of this place on.
    pub fn bytes_from(&self, place: usize) -> Bytes {
        match place.checked_sub(1) {
            None => self.bytes.clone(),
            Some(before) => self.bytes.slice(self.marks[before].end as usize..),
        }
    }
}

#[derive(Debug)]
struct Open<'a> {
    of: &'a Committed,
    marks: Vec<Mark>,
    bytes: Vec<u8>,
}

impl<'a> Open<'a> {
    fn new(event: &'a Committed) -> Self {
        let mut open =
            Open { of: event, marks: Vec::new(), bytes: Vec::with_capacity(frame::text_len(event.text.len())) };
        open.push(event);
        open
    }

    fn takes(&self, event: &Committed) -> bool {
        self.bytes.len() + event.text.len() < CHUNK_FULL
            && event.address == self.of.address
            && event.position.offset == self.of.position.offset + self.marks.len() as u64
            && event.kind.is_some() == self.of.kind.is_some()
            && event.position.epoch == self.of.position.epoch
            && event.targets == self.of.targets
    }

    fn push(&mut self, event: &Committed) {
        frame::text(&mut self.bytes, &event.text);
        self.marks.push(Mark { commit: event.commit, end: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX) });
    }

    fn close(self) -> Arc<Chunk> {
        Arc::new(Chunk {
            address: self.of.address.clone(),
            epoch: self.of.position.epoch.clone(),
            first: self.of.position.offset,
            is_command: self.of.kind.is_some(),
            targets: self.of.targets.clone(),
            marks: self.marks,
            bytes: self.bytes.into(),
        })
    }
}

/// Gathers events in commit order into chunks.
///
/// Every socket gets each address in order, and a display gets all of its events in commit order: its `display/<id>`
/// is gathered past events of other displays and users, and never past one of `all` or a group.
#[derive(Debug, Default)]
pub struct Round<'a> {
    chunks: Vec<Open<'a>>,
    /// The open chunk of each display and user.
    narrow: HashMap<&'a Address, usize>,
    /// The last chunk is one of `all` or a group, and open.
    is_broad: bool,
}

impl<'a> Round<'a> {
    pub fn push(&mut self, event: &'a Committed) {
        let broad = matches!(event.address, Address::All | Address::Group(_));
        let place = if broad {
            self.narrow.clear();
            if self.is_broad { self.chunks.len().checked_sub(1) } else { None }
        } else {
            self.narrow.get(&event.address).copied()
        };
        self.is_broad = broad;
        if let Some(open) = place.and_then(|place| self.chunks.get_mut(place))
            && open.takes(event)
        {
            return open.push(event);
        }
        if !broad {
            self.narrow.insert(&event.address, self.chunks.len());
        }
        self.chunks.push(Open::new(event));
    }

    /// The chunks so far, in the order in which they are to be given; the round begins anew.
    pub fn take(&mut self) -> impl Iterator<Item = Arc<Chunk>> + use<'a> {
        self.narrow.clear();
        self.is_broad = false;
        std::mem::take(&mut self.chunks).into_iter().map(Open::close)
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
pub(super) mod tests;
