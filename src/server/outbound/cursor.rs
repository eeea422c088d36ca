//! Where a live socket stands, and which events of a chunk are due to it. Pure.

use super::Chunk;
use crate::event::Position;

/// What of a chunk is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The events from this place on.
    From(usize),
    Nothing,
    /// The socket is to end, for this reason: it must come back and resume.
    Broken(&'static str),
}

/// Made by the session at the end of its catching up, with what the client has by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// By the place of the address among the socket's addresses.
    has: Box<[Position]>,
    /// Of a display: its commands up to this commit came with its backlog.
    commands_after: Option<u64>,
}

impl Cursor {
    pub fn new(has: impl IntoIterator<Item = Position>, commands_after: Option<u64>) -> Self {
        Cursor { has: has.into_iter().collect(), commands_after }
    }

    /// What of the chunk is due to a socket that has its address as its `slot`th; that counts as sent.
    pub fn take(&mut self, slot: u16, chunk: &Chunk) -> Due {
        if let Some(as_of) = self.commands_after
            && chunk.is_command
        {
            // Its offset says nothing: history was read past it without it.
            return from(chunk.commits().take_while(|commit| *commit <= as_of).count(), chunk);
        }
        let Some(has) = self.has.get_mut(usize::from(slot)) else { return Due::Nothing };
        if has.epoch != chunk.epoch {
            return Due::Broken("the history was lost: come back and resume");
        }
        let next = has.offset.saturating_add(1);
        // To a display only some of an address's commands go, so its offsets have holes.
        if chunk.first > next && self.commands_after.is_none() {
            return Due::Broken("an event was missed: come back and resume");
        }
        has.offset = has.offset.max(chunk.last());
        from(usize::try_from(next.saturating_sub(chunk.first)).unwrap_or(usize::MAX), chunk)
    }
}

fn from(place: usize, chunk: &Chunk) -> Due {
    if place < chunk.events() { Due::From(place) } else { Due::Nothing }
}
