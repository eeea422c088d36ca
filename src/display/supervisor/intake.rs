//! What an event that arrived becomes: a duplicate's receipt, a refusal, a value to show, an action for now or later.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Ask, Out, Outcome, Supervisor};
use crate::{
    display::journal::{EventKey, Record, Taken, Verdict},
    event::{
        Event, Status,
        command::{self, Command, CommandError, Kind, Meaning, Slot, Spec},
        time::UtcMillis,
    },
};

/// An event for the page has no receipt; a page that does not take it by then never will.
const GIVE_WITHIN: Duration = Duration::from_secs(5);

/// Events that wait for a page to be there; the oldest go first. Each is at most 64 KiB.
const FOR_PAGE_MAX: usize = 32;

impl Supervisor {
    pub(super) fn delivered(&mut self, event: Event, out: &mut Out) {
        let key = EventKey::of(&event);
        let read = self.read(&event);
        let begun_ms = self.begun_ms(&event, out.now);
        let meaning = command::meaning(&event).map(|meaning| match meaning {
            Meaning::Command(spec, command) => Meaning::Command(spec, command.begun_at(begun_ms)),
            Meaning::ForPage => Meaning::ForPage,
        });
        match (meaning, self.journal.judge(&key)) {
            (Ok(Meaning::ForPage), _) => self.for_page(event, read, out),
            (Ok(Meaning::Command(spec, command)), Verdict::Duplicate(receipt)) => {
                self.send(*receipt, out);
                if let Kind::State(slot) = spec.kind {
                    self.take_back(slot, spec, command, key, out);
                }
            }
            (Err(_), Verdict::Duplicate(receipt)) => self.send(*receipt, out),
            (_, Verdict::InHand) => {}
            (Err(error), Verdict::Fresh) => self.refused(key, read, &error, out),
            (Ok(Meaning::Command(spec, command)), Verdict::Fresh) => {
                self.arrived.insert(key.clone(), out.now);
                if let Some(why) = self.forbidden(&command) {
                    self.note(read.into_iter().collect(), out);
                    return out.end(key, Outcome::refused(why));
                }
                let expires_ms = event.expirytime.map(|at| at.0);
                if self.is_expired(expires_ms, out.now) {
                    self.note(read.into_iter().collect(), out);
                    return out.end(key, Outcome::of(Status::Expired));
                }
                let data = command.data();
                let taken = Taken { key, name: spec.name.to_owned(), data, expires_ms, started: true };
                match spec.kind {
                    Kind::State(slot) => self.take_state(slot, spec, command, taken, read, out),
                    Kind::Action => self.take_action(command, taken, read, out),
                }
            }
        }
    }

    /// When its publisher said it was, and no later than now.
    fn begun_ms(&self, event: &Event, now: Instant) -> u64 {
        let said: Option<UtcMillis> = event.time.as_deref().and_then(|time| time.parse().ok());
        let now_ms = self.server_ms(now).unwrap_or_default();
        said.map_or(now_ms, |said| said.0.min(now_ms))
    }

    /// The event's place in its address's history, if it is a new one.
    fn read(&self, event: &Event) -> Option<Record> {
        let (address, position) = event.subject.clone().zip(event.position.clone())?;
        let is_new = !self.journal.has_read(&address, &position);
        is_new.then(|| Record::Read(BTreeMap::from([(address, position)])))
    }

    /// No receipt, so its place in the history is all there is to know it again by.
    fn for_page(&mut self, event: Event, read: Option<Record>, out: &mut Out) {
        if let Some(read) = read {
            self.note(vec![read], out);
            if self.for_page.len() == FOR_PAGE_MAX {
                self.for_page.pop_front();
            }
            self.for_page.push_back(event);
        }
    }

    /// A page that is only loading hears nothing: what is for it waits until it is there.
    pub(super) fn give_to_page(&mut self, out: &mut Out) {
        if self.attached && self.content.is_settled() {
            for event in self.for_page.drain(..) {
                let data = serde_json::from_str(event.json_data().get()).unwrap_or_default();
                out.ask(Ask::PageEvent { name: event.kind, data }, GIVE_WITHIN);
            }
        }
    }

    fn refused(&mut self, key: EventKey, read: Option<Record>, error: &CommandError, out: &mut Out) {
        self.arrived.insert(key.clone(), out.now);
        self.note(read.into_iter().collect(), out);
        out.end(key, Outcome { error: Some(error.to_string()), ..Outcome::of(Status::Refused) });
    }

    fn take_state(
        &mut self,
        slot: Slot,
        spec: &Spec,
        command: Command,
        taken: Taken,
        read: Option<Record>,
        out: &mut Out,
    ) {
        let key = taken.key.clone();
        self.replace(slot, spec, read.into_iter().collect(), Record::Taken(taken), out);
        self.set(command, Some(key), out);
    }

    /// The server gives a value again only where it is the one to show. If another is on the glass, that one is no
    /// longer meant: the display left a group, or the other was withdrawn.
    fn take_back(&mut self, slot: Slot, spec: &Spec, command: Command, key: EventKey, out: &mut Out) {
        if self.journal.state(slot).is_none_or(|shown| shown.key == key) {
            return;
        }
        let taken = Taken { key, name: spec.name.to_owned(), data: command.data(), expires_ms: None, started: true };
        self.replace(slot, spec, Vec::new(), Record::Back(taken), out);
        self.set(command, None, out);
    }

    /// The value that goes ends in the line in which the other comes.
    fn replace(&mut self, slot: Slot, spec: &Spec, mut records: Vec<Record>, by: Record, out: &mut Out) {
        let older = self.journal.state(slot).filter(|older| self.journal.receipt(&older.key).is_none());
        let older = older.map(|older| older.key.clone());
        if let Some(older) = &older {
            self.content.forget_due(older);
            let error = Some(format!("a newer {} came first", spec.name));
            records.push(self.ending(older, Outcome { error, ..Outcome::of(Status::Superseded) }, out.now));
        }
        records.push(by);
        self.keep(records, out);
        if let Some(receipt) = older.and_then(|older| self.journal.receipt(&older).cloned()) {
            self.send(receipt, out);
        }
    }

    fn take_action(&mut self, command: Command, mut taken: Taken, read: Option<Record>, out: &mut Out) {
        if self.journal.is_full() {
            self.note(read.into_iter().collect(), out);
            return out.end(taken.key, Outcome::failed("too many commands wait on this display"));
        }
        let (key, starts) = (taken.key.clone(), self.may_start(&command, None));
        taken.started = starts;
        self.keep(read.into_iter().chain([Record::Taken(taken)]).collect(), out);
        if starts {
            self.act(command, key, out);
        }
    }
}
