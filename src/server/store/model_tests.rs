//! The store against a model of a few maps: any sequence of publishes, receipts, reconnects and expiries must come out
//! the same.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::{
    event::{DisplayId, Event, Receipt, Status, command::Kind, command::Slot},
    io::random,
};

const T0: u64 = 1_777_896_000_000;
const TTL: u64 = 100;
const ACTIONS_MAX: u64 = 3;
const ATTEMPTS_MAX: u32 = 2;
const DISPLAYS: [&str; 3] = ["a", "b", "c"];
const ADDRESSES: [&str; 6] = ["display/a", "display/b", "display/gone", "group/g", "all", "user/u"];

#[derive(Debug, Clone)]
enum Step {
    Publish { id: u8, address: usize, kind: Option<Kind> },
    Receive { display: usize, id: u8, status: Status, frame: bool },
    Connect { display: usize },
    Expire { connected: Vec<bool> },
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(None),
        Just(Some(Kind::Action)),
        Just(Some(Kind::State(Slot::Content))),
        Just(Some(Kind::State(Slot::Zoom))),
    ];
    let status = prop_oneof![Just(Status::Shown), Just(Status::Failed)];
    prop_oneof![
        4 => (0..40u8, 0..ADDRESSES.len(), kind).prop_map(|(id, address, kind)| Step::Publish { id, address, kind }),
        3 => (0..DISPLAYS.len(), 0..40u8, status, any::<bool>())
            .prop_map(|(display, id, status, frame)| Step::Receive { display, id, status, frame }),
        1 => (0..DISPLAYS.len()).prop_map(|display| Step::Connect { display }),
        1 => prop::collection::vec(any::<bool>(), DISPLAYS.len()).prop_map(|connected| Step::Expire { connected }),
        1 => (0..TTL).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// One event as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    commit: u64,
    offset: u64,
    address: &'static str,
    kind: Option<Kind>,
    expires_ms: Option<u64>,
    /// Display to receipt: status and frame; None while pending.
    rows: BTreeMap<&'static str, Option<(Status, bool)>>,
    /// How often a display was given it on connecting.
    given: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Default)]
struct Model {
    events: BTreeMap<u8, Known>,
    offsets: BTreeMap<&'static str, u64>,
    commits: u64,
}

/// `a` and `b` are in the group `g`; `gone` is not enrolled.
fn reaches(address: &str, display: &str) -> bool {
    match address {
        "all" => true,
        "group/g" => display != "c",
        _ => address == format!("display/{display}"),
    }
}

impl Model {
    fn publish(&mut self, id: u8, address: &'static str, kind: Option<Kind>, now_ms: u64) -> Result<(u64, bool), ()> {
        if let Some(known) = self.events.get(&id) {
            return Ok((known.offset, false));
        }
        if address == "display/gone" {
            return Err(());
        }
        let mut rows = BTreeMap::new();
        for display in DISPLAYS.into_iter().filter(|display| kind.is_some() && reaches(address, display)) {
            let waiting = self.pending(display).filter(|known| known.kind == Some(Kind::Action)).count() as u64;
            let full = kind == Some(Kind::Action) && waiting >= ACTIONS_MAX;
            if full && address.starts_with("display/") {
                return Err(());
            }
            rows.insert(display, full.then_some((Status::Failed, false)));
        }
        self.commits += 1;
        let offset = self.offsets.entry(address).or_default();
        *offset += 1;
        let expires_ms = (kind == Some(Kind::Action)).then_some(now_ms + TTL);
        let known =
            Known { commit: self.commits, offset: *offset, address, kind, expires_ms, rows, given: BTreeMap::new() };
        let offset = known.offset;
        self.events.insert(id, known);
        Ok((offset, true))
    }

    fn pending(&self, display: &'static str) -> impl Iterator<Item = &Known> {
        self.events.values().filter(move |known| known.rows.get(display) == Some(&None))
    }

    fn receive(&mut self, display: &'static str, id: u8, status: Status, frame: bool) -> ReceiptOutcome {
        let Some(known) = self.events.get_mut(&id) else { return ReceiptOutcome::UnknownEvent };
        if known.kind.is_none() || !reaches(known.address, display) {
            return ReceiptOutcome::UnknownEvent;
        }
        match known.rows.entry(display).or_default() {
            row @ None => {
                *row = Some((status, frame));
                ReceiptOutcome::First
            }
            Some((kept, its_frame)) if *kept == status && !*its_frame && frame => {
                *its_frame = true;
                ReceiptOutcome::Updated
            }
            Some(_) => ReceiptOutcome::AlreadyFinal,
        }
    }

    /// State and actions (as commit numbers) that a display gets; what lost becomes superseded, and what was given too often
    /// failed.
    fn connect(&mut self, display: &'static str, now_ms: u64) -> (Vec<u64>, Vec<u64>) {
        let mut winners: BTreeMap<Slot, u64> = BTreeMap::new();
        for known in self.events.values().filter(|known| reaches(known.address, display)) {
            if let Some(Kind::State(slot)) = known.kind {
                let winner = winners.entry(slot).or_default();
                *winner = known.commit.max(*winner);
            }
        }
        let mut actions: Vec<u64> = Vec::new();
        for known in self.events.values_mut() {
            let Some(row @ None) = known.rows.get_mut(display) else { continue };
            if known.kind == Some(Kind::Action) && known.expires_ms.is_some_and(|end| end > now_ms) {
                let given = known.given.entry(display).or_default();
                if *given >= ATTEMPTS_MAX {
                    *row = Some((Status::Failed, false));
                } else {
                    *given += 1;
                    actions.push(known.commit);
                }
            }
        }
        actions.sort_unstable();
        for known in self.events.values_mut() {
            if let (Some(Kind::State(slot)), Some(row @ None)) = (known.kind, known.rows.get_mut(display))
                && winners[&slot] > known.commit
            {
                *row = Some((Status::Superseded, false));
            }
        }
        let mut state: Vec<u64> = winners.into_values().collect();
        state.sort_unstable();
        (state, actions)
    }

    fn expire(&mut self, connected: &HashSet<&'static str>, now_ms: u64) -> usize {
        let mut count = 0;
        for known in self.events.values_mut() {
            let Some(end) = known.expires_ms else { continue };
            for (display, row) in known.rows.iter_mut().filter(|(_, row)| row.is_none()) {
                let grace = if connected.contains(display) { 50 } else { 0 };
                if end + grace <= now_ms {
                    *row = Some((Status::Expired, false));
                    count += 1;
                }
            }
        }
        count
    }
}

fn limits() -> Limits {
    Limits { pending_actions: ACTIONS_MAX, attempts: ATTEMPTS_MAX, expiry_grace_ms: 50, ..Limits::default() }
}

async fn run(store: Store, mut feed: Feed, steps: Vec<Step>) -> Result<(), TestCaseError> {
    for display in DISPLAYS {
        let display: DisplayId = display.parse().unwrap();
        let (code, _) = store.create_enrollment(Some(display.clone()), 9, T0).await.unwrap();
        store.redeem(Redeem { code, public_key: [1; 32], display: None }, T0).await.unwrap();
        let groups = (display.as_str() != "c").then(|| ["g".parse().unwrap()].into());
        store.patch_display(&display, DisplayPatch { label: None, groups }).await.unwrap();
    }
    let (mut model, mut now_ms) = (Model::default(), T0);
    let name = |index: usize| -> DisplayId { DISPLAYS[index].parse().unwrap() };
    for step in steps {
        while feed.try_recv().is_ok() {}
        match step {
            Step::Pass { ms } => now_ms += ms,
            Step::Publish { id, address, kind } => {
                let address = ADDRESSES[address];
                let expires_ms = (kind == Some(Kind::Action)).then_some(now_ms + TTL);
                let event = Event::new(format!("e{id}"), "model", "x").to(address.parse().unwrap());
                let command = kind.filter(|_| !address.starts_with("user/"));
                let item = Publish { event, command, expires_ms: expires_ms.filter(|_| command.is_some()) };
                let got = store.publish(vec![item], now_ms).await.map(|got| (got[0].position.offset, got[0].fresh));
                let expected = model.publish(id, address, command, now_ms);
                prop_assert_eq!(got.map_err(|_| ()), expected);
            }
            Step::Receive { display, id, status, frame } => {
                let mut receipt = Receipt::new(format!("e{id}"), "model", status, 1);
                receipt.frame_sha256 = frame.then(|| "ff".to_owned());
                let got = store.receipt(&name(display), receipt, now_ms).await.unwrap();
                prop_assert_eq!(got, model.receive(DISPLAYS[display], id, status, frame));
            }
            Step::Connect { display } => {
                let backlog = store.backlog(&name(display), now_ms).await.unwrap();
                let commits =
                    |events: &[std::sync::Arc<Committed>]| events.iter().map(|e| e.commit).collect::<Vec<_>>();
                let got = (commits(&backlog.state), commits(&backlog.pending_actions));
                prop_assert_eq!(got, model.connect(DISPLAYS[display], now_ms));
                prop_assert_eq!(backlog.as_of, model.commits);
            }
            Step::Expire { connected } => {
                let names: HashSet<&str> =
                    DISPLAYS.into_iter().zip(connected).filter(|(_, on)| *on).map(|(n, _)| n).collect();
                let ids = names.iter().map(|name| name.parse().unwrap()).collect();
                let got = store.expire(now_ms, ids).await.unwrap().len();
                prop_assert_eq!(got, model.expire(&names, now_ms));
            }
        }
    }
    for (id, known) in &model.events {
        let record = store.event(&format!("e{id}"), Some("model")).await.unwrap().unwrap();
        let mut rows: BTreeMap<&str, Option<(Status, bool)>> = BTreeMap::new();
        for (display, receipt) in &record.receipts {
            rows.insert(display.as_str(), Some((receipt.status, receipt.frame_sha256.is_some())));
        }
        for display in &record.pending {
            rows.insert(display.as_str(), None);
        }
        prop_assert_eq!(&rows, &known.rows, "the ledger of e{}", id);
        prop_assert_eq!(record.event.commit, known.commit);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn in_memory_any_sequence_of_operations_comes_out_as_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let (store, feed) = Store::open(Options { data: None, limits: limits() }, random::fill).unwrap();
        on_a_runtime(run(store, feed, steps))?;
    }

    /// The file's engine, over bytes in memory: a thousand stores would be a hundred thousand fsyncs.
    #[test]
    fn embedded_any_sequence_of_operations_comes_out_as_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let (store, feed) = embedded::Embedded::open_in_memory(limits(), random::fill).unwrap();
        on_a_runtime(run(Store::Embedded(store), feed, steps))?;
    }
}

proptest! {
    // Each step is a round trip, so fewer.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn in_redis_any_sequence_of_operations_comes_out_as_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let setup = super::contract::in_redis(limits());
        on_a_runtime(async {
            let (store, feed) = Store::open_redis(setup, random::fill).await.unwrap();
            run(store, feed, steps).await
        })?;
    }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
