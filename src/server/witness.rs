//! What happens in this node, told once to those who want to know: the metrics, and the webhooks.
//!
//! ```text
//!  hub's round --fed--> Witness --> metrics: receipts, delays
//!                          '------> webhooks: receipt
//! ```

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    metrics::Metrics,
    store::{Fed, Settled},
};

/// Receipts that are remembered, so that the frame's hash that follows one does not count as another.
const RECENT: usize = 8192;

/// See the module.
#[derive(Debug, Default)]
pub struct Witness {
    pub metrics: Metrics,
    recent: Mutex<Recent>,
}

/// The receipts of late, by event and display.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<(u64, crate::event::DisplayId)>,
    order: VecDeque<(u64, crate::event::DisplayId)>,
}

impl Recent {
    fn is_new(&mut self, settled: &Settled) -> bool {
        let key = (settled.event, settled.display.clone());
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Witness {
    /// Before a round of the hub. Returns when the publishes began that are followed: for [`Witness::flushed`].
    pub fn fed(&self, round: &[Vec<Fed>], now: Instant) -> Vec<Instant> {
        let began = self.metrics.delays.fed(round.iter().flatten());
        for item in round.iter().flatten() {
            if let Fed::Receipt(settled) = item {
                self.receipt(settled, now);
            }
        }
        began
    }

    /// After it: everything that the kernel takes is with it.
    pub fn flushed(&self, began: &[Instant], now: Instant) {
        self.metrics.delivered(began, now);
    }

    fn receipt(&self, settled: &Arc<Settled>, now: Instant) {
        if self.recent.lock().unwrap_or_else(PoisonError::into_inner).is_new(settled) {
            self.metrics.receipt(settled.receipt.status, self.metrics.delays.command(settled.event), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Receipt, Status};

    #[test]
    fn the_hash_that_follows_a_receipt_does_not_count_as_another_receipt() {
        let witness = Witness::default();
        let settled = |event, display: &str| {
            let receipt = Receipt::new("x", "s", Status::Shown, 1);
            Fed::Receipt(Arc::new(Settled { event, display: display.parse().unwrap(), receipt }))
        };
        let now = Instant::now();
        witness.fed(&[vec![settled(1, "a"), settled(1, "a")], vec![settled(1, "b"), settled(2, "a")]], now);
        witness.fed(&[vec![settled(1, "a")]], now);
        let text = witness.metrics.text(&super::super::hub::Counts::default(), &Default::default(), "");
        assert!(text.contains("pikiosk_receipts_total{status=\"shown\"} 3\n"), "{text}");
        for n in 0..3 * RECENT as u64 {
            witness.fed(&[vec![settled(n, "a")]], now);
        }
        let recent = witness.recent.lock().unwrap();
        assert_eq!((recent.known.len(), recent.order.len()), (RECENT, RECENT));
    }
}
