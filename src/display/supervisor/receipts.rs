//! How a command's end becomes a receipt: kept, sent where there is a link, and completed by its frame's hash.

use tokio::time::Instant;

use super::{Ask, Effect, HASH_WITHIN, Out, Outcome, Supervisor};
use crate::{
    display::journal::{EventKey, Record, Verdict},
    event::{Receipt, Status},
};

impl Supervisor {
    /// The endings of this step become receipts, and paints are hashed.
    pub(super) fn finish(&mut self, mut out: Out) -> Vec<Effect> {
        let mut shown = Vec::new();
        for (key, outcome) in std::mem::take(&mut out.ended) {
            if self.journal.judge(&key) != Verdict::InHand && !self.arrived.contains_key(&key) {
                continue;
            }
            let outcome = self.as_seen(outcome, out.now);
            if outcome.status == Status::Shown {
                shown.push(key.clone());
            }
            let ending = self.ending(&key, outcome, out.now);
            let Record::Ended { receipt, .. } = &ending else { continue };
            let receipt = receipt.clone();
            // A restart follows at once: it must not find an action that was cut. And of what was to take the machine down,
            // a power cut would say that it did.
            if out.restart.is_some() || self.journal.is_leaving(&key) {
                self.keep(vec![ending], &mut out)
            } else {
                self.note(vec![ending], &mut out)
            }
            self.send(receipt, &mut out);
        }
        if !shown.is_empty() {
            let ask = out.ask(Ask::FrameHash { of: None }, HASH_WITHIN);
            self.hashing.push((ask, shown));
        }
        if let Some(by) = out.restart {
            out.push(Effect::Restart { by });
        }
        self.next_ask = out.next_ask();
        out.effects
    }

    /// What was painted and nobody can see was not shown.
    fn as_seen(&self, outcome: Outcome, now: Instant) -> Outcome {
        match self.truth(now).unseen() {
            Some(why) if outcome.status == Status::Shown => Outcome { error: Some(why), ..Outcome::of(Status::Failed) },
            _ => outcome,
        }
    }

    pub(super) fn ending(&mut self, key: &EventKey, outcome: Outcome, now: Instant) -> Record {
        let since = self.arrived.remove(key).unwrap_or(self.started);
        let took_ms = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        let mut receipt = Receipt::new(&key.id, &key.source, outcome.status, took_ms);
        (receipt.error, receipt.result) = (outcome.error, outcome.result);
        Record::Ended { receipt, at_ms: self.server_ms(now) }
    }

    pub(super) fn hashed(&mut self, key: &EventKey, hash: &str, out: &mut Out) {
        let Some(mut receipt) = self.journal.receipt(key).cloned() else { return };
        receipt.frame_sha256 = Some(hash.to_owned());
        self.frame_sha256 = Some(hash.to_owned());
        self.note(vec![Record::Ended { receipt: receipt.clone(), at_ms: None }], out);
        self.send(receipt, out);
    }

    pub(super) fn send(&mut self, receipt: Receipt, out: &mut Out) {
        if self.linked {
            let told = Record::Told(EventKey::of_receipt(&receipt));
            out.push(Effect::Send(receipt));
            self.note(vec![told], out);
        }
    }

    pub(super) fn keep(&mut self, records: Vec<Record>, out: &mut Out) {
        if !records.is_empty() {
            records.iter().for_each(|record| self.journal.apply(record));
            out.push(Effect::Keep(records));
        }
    }

    pub(super) fn note(&mut self, records: Vec<Record>, out: &mut Out) {
        if !records.is_empty() {
            records.iter().for_each(|record| self.journal.apply(record));
            out.push(Effect::Note(records));
        }
    }
}
