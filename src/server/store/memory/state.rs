//! The maps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map},
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::Arc,
};

use super::{
    Committed, Fed, Head, KeptDisplay, Limits,
    log::{Entry, Log},
    moved,
    prune::Pruner,
};
use crate::{
    auth::enrollment::{CodeHash, Offer},
    event::{Address, DisplayId, GroupName, command::Slot, health::Health},
    server::store::epoch,
};

/// What an entry costs beside its text, in bytes; about.
const ENTRY_BYTES: usize = 768;

/// Everything, behind the lock.
pub struct State {
    pub limits: Limits,
    /// Of the epochs: another one in every process, so no position of an older one is believed.
    pub seed: [u8; 32],
    /// The last commit number given out.
    pub commit: u64,
    /// The latest time that a call brought, in ms since 1970.
    pub now_ms: u64,
    /// By how much the clock was set forward.
    forward_ms: u64,
    pub log: Log,
    /// `source` and `id` of every publish that a repeat is known of.
    pub dedupe: HashMap<u128, u64, BuildHasherDefault<AsItIs>>,
    pub fingerprints: Fingerprints,
    pub ids: Ids,
    pub places: Places,
    pub displays: BTreeMap<DisplayId, Display>,
    pub members: HashMap<GroupName, BTreeSet<DisplayId>>,
    /// When what is owed is no longer to be done: time, commit, display.
    pub expiry: BTreeSet<(u64, u64, DisplayId)>,
    pub offers: HashMap<CodeHash, Offer>,
    pub records: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Events that are not forgotten, and what they take in bytes.
    pub events: u64,
    pub event_bytes: usize,
    pub pruner: Pruner,
    /// What goes to the feed when the call is done.
    pub fed: Vec<Fed>,
    /// Fresh events since the store was made.
    pub published: u64,
}

/// An enrolled display, with what it owes.
#[derive(Debug)]
pub struct Display {
    pub kept: KeptDisplay,
    pub health: Option<Arc<Health>>,
    /// Commands without a final receipt, by commit.
    pub pending: BTreeMap<u64, Owed>,
    /// How many of `pending` are actions, and how many wait in each slot.
    pub actions: u64,
    pub states: BTreeMap<Slot, u64>,
}

/// A command that a display owes a receipt for.
#[derive(Debug, Clone, Copy)]
pub struct Owed {
    /// None: an action.
    pub slot: Option<Slot>,
    pub expires_ms: Option<u64>,
    /// How often a backlog gave it.
    pub attempts: u32,
}

impl Display {
    pub fn new(kept: KeptDisplay) -> Self {
        Display { kept, health: None, pending: BTreeMap::new(), actions: 0, states: BTreeMap::new() }
    }

    pub fn owes(&mut self, commit: u64, owed: Owed) {
        self.pending.insert(commit, owed);
        match owed.slot {
            None => self.actions += 1,
            Some(slot) => *self.states.entry(slot).or_default() += 1,
        }
    }

    pub fn owes_no_more(&mut self, commit: u64) -> Option<Owed> {
        let owed = self.pending.remove(&commit)?;
        match owed.slot {
            None => self.actions -= 1,
            Some(slot) => *self.states.entry(slot).or_default() -= 1,
        }
        Some(owed)
    }
}

impl State {
    pub fn new(limits: Limits, seed: [u8; 32]) -> Self {
        State {
            limits,
            seed,
            commit: 0,
            now_ms: 0,
            forward_ms: 0,
            log: Log::default(),
            dedupe: HashMap::default(),
            fingerprints: Fingerprints::default(),
            ids: Ids::default(),
            places: Places::default(),
            displays: BTreeMap::new(),
            members: HashMap::new(),
            expiry: BTreeSet::new(),
            offers: HashMap::new(),
            records: BTreeMap::new(),
            events: 0,
            event_bytes: 0,
            pruner: Pruner::default(),
            fed: Vec::new(),
            published: 0,
        }
    }

    /// The clock was set.
    pub fn was_set(&mut self, by_ms: i64) {
        self.now_ms = moved(self.now_ms, by_ms);
        self.forward_ms = self.forward_ms.saturating_add_signed(by_ms);
        // Until when it was to rest is a moment of the old clock.
        self.pruner = Pruner::default();
    }

    /// How old something is. That the clock was set forward makes nothing older: a wrong clock costs no history.
    pub fn age_ms(&self, stored_ms: u64) -> u64 {
        self.now_ms.saturating_sub(stored_ms).saturating_sub(self.forward_ms)
    }

    /// Takes in an event that is new.
    pub fn keep(&mut self, entry: Entry, commit: u64) {
        if let Some(event) = &entry.event {
            self.events += 1;
            self.event_bytes += bytes_of(event);
            self.ids.insert(self.fingerprints.of_id(&event.event.id), commit);
        }
        self.dedupe.insert(entry.fingerprint, commit);
        self.log.insert(commit, entry);
    }

    /// Forgets an event's text and receipts; repeats of it stay known.
    pub fn forget(&mut self, commit: u64) {
        let Some(entry) = self.log.get_mut(commit) else { return };
        entry.rows = None;
        if let Some(event) = entry.event.take() {
            self.events -= 1;
            self.event_bytes = self.event_bytes.saturating_sub(bytes_of(&event));
            self.ids.remove(self.fingerprints.of_id(&event.event.id), commit);
        }
    }

    /// The commit number of an event; without a source the newest of that id.
    pub fn find(&self, id: &str, source: Option<&str>) -> Option<u64> {
        match source {
            Some(source) => self.dedupe.get(&self.fingerprints.of(source, id)).copied(),
            None => self.of_id(id).next(),
        }
    }

    /// The events of an id, newest first.
    pub fn of_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = u64> + 'a {
        let commits = self.ids.get(self.fingerprints.of_id(id));
        commits.filter(move |commit| self.log.event(*commit).is_some_and(|event| event.event.id == id))
    }

    pub fn head(&self, address: &Address) -> Head {
        match self.places.get(address) {
            Some(place) => place.head(),
            None => Head { epoch: epoch::of(&self.seed, address, 0), last: 0, first: 1 },
        }
    }
}

fn bytes_of(event: &Committed) -> usize {
    // The attributes and the data stand in the text and again in the event.
    2 * event.text.len() + ENTRY_BYTES
}

/// One address that ever had an event.
#[derive(Debug)]
pub struct Place {
    pub address: Address,
    pub generation: u32,
    pub epoch: String,
    pub last: u64,
    /// The last events, in order and without a gap.
    pub history: VecDeque<Arc<Committed>>,
    /// The retained state commands, by commit.
    pub state: BTreeMap<Slot, u64>,
}

impl Place {
    /// The offset of the oldest event that can be replayed.
    pub fn first(&self) -> u64 {
        self.last + 1 - self.history.len() as u64
    }

    pub fn epoch_of(&self, seed: &[u8; 32], generation: u32) -> String {
        if generation == self.generation {
            return self.epoch.clone();
        }
        epoch::of(seed, &self.address, generation.into())
    }

    /// The history is lost: offsets begin anew under another epoch.
    pub fn begin_anew(&mut self, seed: &[u8; 32]) {
        self.generation += 1;
        self.epoch = epoch::of(seed, &self.address, self.generation.into());
        self.last = 0;
        self.history = VecDeque::new();
        self.state.clear();
    }

    pub fn head(&self) -> Head {
        Head { epoch: self.epoch.clone(), last: self.last, first: self.first() }
    }
}

/// The addresses; each has a number that stays.
#[derive(Debug, Default)]
pub struct Places {
    numbers: HashMap<Address, u32>,
    places: Vec<Place>,
}

impl Places {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn number(&self, address: &Address) -> Option<u32> {
        self.numbers.get(address).copied()
    }

    pub fn get(&self, address: &Address) -> Option<&Place> {
        self.number(address).map(|number| self.at(number))
    }

    pub fn get_mut(&mut self, address: &Address) -> Option<&mut Place> {
        self.number(address).map(|number| self.at_mut(number))
    }

    pub fn at(&self, number: u32) -> &Place {
        &self.places[number as usize]
    }

    pub fn at_mut(&mut self, number: u32) -> &mut Place {
        &mut self.places[number as usize]
    }

    /// The commits of the retained state commands.
    pub fn retained(&self) -> impl Iterator<Item = u64> {
        self.places.iter().flat_map(|place| place.state.values().copied())
    }

    /// The number of an address, a new one if it never had an event.
    pub fn number_or_new(&mut self, address: &Address, seed: &[u8; 32]) -> u32 {
        if let Some(number) = self.number(address) {
            return number;
        }
        let number = u32::try_from(self.places.len()).expect("`Limits::addresses` are fewer");
        self.places.push(Place {
            address: address.clone(),
            generation: 0,
            epoch: epoch::of(seed, address, 0),
            last: 0,
            history: VecDeque::new(),
            state: BTreeMap::new(),
        });
        self.numbers.insert(address.clone(), number);
        number
    }
}

/// Names of publishes in 128 bits: two hashes with secret keys of this process, so nobody can make two of them meet.
#[derive(Default)]
pub struct Fingerprints {
    keys: [RandomState; 2],
}

impl Fingerprints {
    pub fn of(&self, source: &str, id: &str) -> u128 {
        let half = |key: &RandomState| u128::from(key.hash_one((source, id)));
        half(&self.keys[0]) << 64 | half(&self.keys[1])
    }

    pub fn of_id(&self, id: &str) -> u64 {
        self.keys[0].hash_one(id)
    }
}

/// A key that is a hash already.
#[derive(Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// Commit numbers by the hash of an event's id, oldest first. Nearly always one.
#[derive(Debug, Default)]
pub struct Ids(HashMap<u64, Commits, BuildHasherDefault<AsItIs>>);

#[derive(Debug)]
#[expect(clippy::box_collection, reason = "nearly all are one number: the rest may be a pointer further away")]
enum Commits {
    One(u64),
    Many(Box<VecDeque<u64>>),
}

impl Ids {
    /// Newest first.
    fn get(&self, hash: u64) -> impl Iterator<Item = u64> + '_ {
        let (one, many) = match self.0.get(&hash) {
            None => (None, None),
            Some(Commits::One(commit)) => (Some(*commit), None),
            Some(Commits::Many(commits)) => (None, Some(commits)),
        };
        one.into_iter().chain(many.into_iter().flat_map(|commits| commits.iter().rev().copied()))
    }

    /// `commit` is newer than all there are.
    fn insert(&mut self, hash: u64, commit: u64) {
        match self.0.entry(hash) {
            hash_map::Entry::Vacant(slot) => {
                slot.insert(Commits::One(commit));
            }
            hash_map::Entry::Occupied(mut slot) => match slot.get_mut() {
                Commits::One(first) => {
                    let both = VecDeque::from([*first, commit]);
                    slot.insert(Commits::Many(Box::new(both)));
                }
                Commits::Many(commits) => commits.push_back(commit),
            },
        }
    }

    fn remove(&mut self, hash: u64, commit: u64) {
        let empty = match self.0.get_mut(&hash) {
            None => false,
            Some(Commits::One(only)) => *only == commit,
            Some(Commits::Many(commits)) => {
                if let Ok(place) = commits.binary_search(&commit) {
                    commits.remove(place);
                }
                commits.is_empty()
            }
        };
        if empty {
            self.0.remove(&hash);
        }
    }
}
