//! One decode for many cards: a bounded window of pieces that every card passes at its own pace.
//!
//! ```text
//!   push -> [ 7 | 6 | 5 | 4 ] -> card 0 is at 7, card 1 at 4: piece 4 goes when card 1 has taken it
//! ```
//!
//! A slow card paces the others once it is a window behind; one that leaves (failed, removed, hung) holds up nobody.
//! Rejected: one queue per card. The memory would be the product of both bounds, and who limits would not be seen.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A window over a sequence of items.
#[derive(Debug)]
pub struct Ring<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<Arc<T>>,
    /// The number of the first item in `items`.
    begins: u64,
    /// The number of the next item of each reader; `None` once it has left.
    readers: Vec<Option<u64>>,
    end: Option<End>,
    /// The writer waits for room.
    full: bool,
}

/// How a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Complete,
    /// What came is not all, or is not what it should be.
    Broken,
}

/// What a reader gets.
#[derive(Debug)]
pub enum Next<T> {
    Item(Arc<T>),
    End(End),
    /// Nothing yet: look whether to go on, and ask again.
    Wait,
}

/// What a reader waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// For whoever pushes.
    pub for_source: Duration,
    /// For a reader that is behind, and which.
    pub for_reader: Option<(usize, Duration)>,
}

/// How long a wait lasts before the waiting side may look at other things, such as Ctrl-C.
const LOOK: Duration = Duration::from_millis(100);

impl<T> Ring<T> {
    /// A window of `capacity` items for this many readers.
    pub fn new(capacity: usize, readers: usize) -> Self {
        let state = State {
            items: VecDeque::with_capacity(capacity),
            begins: 0,
            readers: vec![Some(0); readers],
            end: None,
            full: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Adds an item, waiting for room. `false`: nobody reads any more, or `stop` said so.
    pub fn push(&self, item: T, stop: impl Fn() -> bool) -> bool {
        let item = Arc::new(item);
        let mut state = self.state();
        loop {
            if stop() || state.readers.iter().all(Option::is_none) {
                state.full = false;
                return false;
            }
            state.forget_taken();
            if state.items.len() < self.capacity {
                state.full = false;
                state.items.push_back(item);
                self.changed.notify_all();
                return true;
            }
            state.full = true;
            state = self.wait(state);
        }
    }

    /// No more items come.
    pub fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// The next item of a reader. Waits for it a little, and says for whom.
    pub fn next(&self, reader: usize) -> (Next<T>, Waited) {
        let begun = Instant::now();
        let mut state = self.state();
        let mut waited = Waited::default();
        if let Some(next) = state.take(reader) {
            self.changed.notify_all();
            return (next, waited);
        }
        let slowest = state.full.then(|| state.slowest()).flatten();
        state = self.wait(state);
        match slowest {
            Some(slowest) => waited.for_reader = Some((slowest, begun.elapsed())),
            None => waited.for_source = begun.elapsed(),
        }
        match state.take(reader) {
            Some(next) => {
                self.changed.notify_all();
                (next, waited)
            }
            None => (Next::Wait, waited),
        }
    }

    /// This reader takes no more; it holds up nobody from now on.
    pub fn leave(&self, reader: usize) {
        self.state().readers[reader] = None;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No call panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait_timeout(state, LOOK).map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
    }
}

impl<T> State<T> {
    /// `None`: there is nothing for this reader yet.
    fn take(&mut self, reader: usize) -> Option<Next<T>> {
        // One that was made to leave while it was away reads as if the rest were missing.
        let Some(next) = self.readers[reader] else { return Some(Next::End(End::Broken)) };
        let at = (next - self.begins) as usize;
        if let Some(item) = self.items.get(at) {
            let item = Arc::clone(item);
            self.readers[reader] = Some(next + 1);
            return Some(Next::Item(item));
        }
        self.end.map(Next::End)
    }

    fn forget_taken(&mut self) {
        let Some(behind) = self.readers.iter().flatten().min() else { return };
        while self.begins < *behind && self.items.pop_front().is_some() {
            self.begins += 1;
        }
    }

    fn slowest(&self) -> Option<usize> {
        let with_number = self.readers.iter().enumerate().filter_map(|(reader, next)| Some((reader, (*next)?)));
        with_number.min_by_key(|(_, next)| *next).map(|(reader, _)| reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring<u32>, reader: usize) -> (Vec<u32>, End) {
        let mut got = Vec::new();
        loop {
            match ring.next(reader).0 {
                Next::Item(item) => got.push(*item),
                Next::End(end) => return (got, end),
                Next::Wait => {}
            }
        }
    }

    #[test]
    fn every_card_gets_every_piece_in_order_at_its_own_pace() {
        let ring = Ring::new(3, 3);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|reader| {
                    scope.spawn({
                        let ring = &ring;
                        move || all(ring, reader)
                    })
                })
                .collect();
            assert!((0..1000).all(|n| ring.push(n, || false)));
            ring.end(End::Complete);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), ((0..1000).collect(), End::Complete));
            }
        });
    }

    #[test]
    fn a_card_that_left_holds_up_nobody_and_the_last_one_ends_it() {
        let ring = Ring::new(2, 2);
        assert!(ring.push(1, || false) && ring.push(2, || false));
        assert!(matches!(ring.next(1).0, Next::Item(item) if *item == 1));
        assert!(matches!(ring.next(1).0, Next::Item(item) if *item == 2));
        ring.leave(0);
        assert!(ring.push(3, || false), "card 0 had taken nothing");
        ring.leave(1);
        assert!(!ring.push(4, || false));
    }

    #[test]
    fn a_full_window_stops_for_ctrl_c_and_says_who_is_behind() {
        let ring = Ring::new(1, 2);
        assert!(ring.push(1, || false));
        assert!(matches!(ring.next(1).0, Next::Item(_)));
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (ring, stop) = (&ring, &stop);
            let pushing = scope.spawn(move || ring.push(2, || stop.load(std::sync::atomic::Ordering::Relaxed)));
            while !ring.state().full {
                std::thread::yield_now();
            }
            let (next, waited) = ring.next(1);
            assert!(matches!(next, Next::Wait));
            assert!(matches!(waited.for_reader, Some((0, _))), "{waited:?}");
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(!pushing.join().unwrap());
        });
    }
}
