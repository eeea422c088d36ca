//! The end of a round: every line that has something new is flushed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::Line;

/// Lines that one worker flushes before others get their turn: at 10 us a write, a tenth of a millisecond. What is
/// published meanwhile goes out together with the next round; with six times as many a turn came so seldom that a flood of
/// one publisher cost a third more.
const SLICE: usize = 8;

#[derive(Debug)]
struct Sweep {
    lines: Vec<Arc<Line>>,
    next: AtomicUsize,
    flushed: AtomicUsize,
    done: Notify,
}

impl Sweep {
    /// Flushes slices until none is left.
    async fn work(&self) {
        loop {
            let from = self.next.fetch_add(SLICE, Ordering::Relaxed);
            let Some(rest) = self.lines.get(from..) else { return };
            let slice = &rest[..rest.len().min(SLICE)];
            if slice.is_empty() {
                return;
            }
            for line in slice {
                line.flush();
            }
            if self.flushed.fetch_add(slice.len(), Ordering::AcqRel) + slice.len() == self.lines.len() {
                self.done.notify_one();
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Flushes every line, with the help of the runtime's other workers where there are many; ends when all are flushed, so
/// that no round overtakes another.
pub async fn flush_all(lines: Vec<Arc<Line>>, workers: usize) {
    if lines.len() <= SLICE || workers < 2 {
        for slice in lines.chunks(SLICE) {
            for line in slice {
                line.flush();
            }
            if slice.len() == SLICE {
                tokio::task::yield_now().await;
            }
        }
        return;
    }
    let sweep = Sweep { lines, next: AtomicUsize::new(0), flushed: AtomicUsize::new(0), done: Notify::new() };
    let sweep = Arc::new(sweep);
    for _ in 1..workers {
        let sweep = sweep.clone();
        tokio::spawn(async move { sweep.work().await });
    }
    sweep.work().await;
    sweep.done.notified().await;
}
