//! The contract suite: what the facade promises, asked of every engine.
//!
//! ```text
//!  contract! { file: case, case; ... }      one line for each promise
//!        |                                   a case is `async fn case(bed: Bed)`, and knows no engine
//!        +--> memory::case     Bed::memory()
//!        +--> embedded::case   Bed::embedded()
//!        +--> redis::case      Bed::redis(): a real one, of this test process, and a prefix of the case's own
//! ```
//!
//! An engine joins with a variant of [`Bed`] and a module in the macro. What only one engine has (a file, a lock, a
//! script) is tested beside it.
//!
//! Rejected: a trait of engines with a generic suite. The facade is an enum, so a case takes the very value that the
//! server holds, and a test's name tells which engine broke.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::*;
use crate::{
    auth::ticket::Grant,
    config::RedisAddress,
    event::{Address, DisplayId, Event, Receipt, Status, command, command::Kind},
    io::random,
};

mod backlog;
mod clock;
mod fleet;
mod ledger;
mod publishing;
#[path = "../../../../tests/support/redis.rs"]
pub(super) mod redis_server;

/// Makes a test of every case for every engine.
macro_rules! contract {
    ($($file:ident: $($case:ident),+;)+) => {
        mod memory {
            $($(#[tokio::test]
            async fn $case() {
                super::$file::$case(super::Bed::memory()).await;
            })+)+
        }
        mod embedded {
            $($(#[tokio::test]
            async fn $case() {
                super::$file::$case(super::Bed::embedded()).await;
            })+)+
        }
        mod redis {
            $($(#[tokio::test]
            async fn $case() {
                super::$file::$case(super::Bed::redis()).await;
            })+)+
        }
    };
}

contract! {
    publishing:
        a_publish_gets_the_next_position_of_its_address_and_reaches_the_feed,
        a_repeat_of_source_and_id_gets_the_first_position_whatever_it_carries,
        a_token_that_came_with_an_event_is_not_kept_and_no_address_is_no_audience,
        a_batch_with_a_display_that_is_not_enrolled_stores_nothing,
        a_command_waits_for_each_display_that_its_address_reaches,
        a_full_queue_refuses_its_display_and_does_not_silence_the_others,
        a_burst_of_state_for_a_display_that_is_away_keeps_a_bounded_number_pending,
        history_is_replayed_in_pieces_and_tells_what_is_lost;
    ledger:
        the_first_final_receipt_stays_and_only_the_frame_is_filled_in,
        a_receipt_without_source_finds_the_event_that_is_still_owed,
        what_is_overdue_expires_at_once_or_after_a_grace_for_who_is_connected,
        results_belong_to_an_event_of_the_display_and_are_bounded;
    backlog:
        a_display_that_connects_gets_the_newest_state_of_each_slot_and_its_actions,
        a_display_that_joins_a_group_gets_its_state_and_may_answer_for_it,
        an_action_that_is_never_answered_ends_as_failed_and_kills_no_display_for_ever,
        an_answer_or_a_new_action_begins_to_count_afresh,
        a_display_that_joins_a_group_in_flight_gets_its_state_and_none_of_its_earlier_actions,
        a_display_that_leaves_a_group_still_owes_what_was_published_before_and_loses_its_state;
    fleet:
        enrollment_gives_a_display_its_key_once,
        a_display_that_is_removed_leaves_nothing_behind,
        tickets_and_nonces_work_once,
        a_clock_that_is_set_back_leaves_room_for_tickets_and_nonces,
        records_are_kept_in_the_order_of_their_keys_and_replaced,
        a_display_is_taken_in_under_another_id_with_its_key_and_groups,
        what_a_node_announces_comes_in_the_feed_after_what_was_committed_before,
        a_full_collection_refuses_new_records_and_still_replaces_old_ones,
        when_a_display_was_heard_of_and_how_it_is_are_told_with_it;
}

/// Where the stores of one case lie.
enum Bed {
    Memory,
    Embedded(tempfile::TempDir),
    Redis(RedisAddress, String),
}

impl Bed {
    fn memory() -> Bed {
        Bed::Memory
    }

    fn embedded() -> Bed {
        Bed::Embedded(tempfile::tempdir().unwrap())
    }

    fn redis() -> Bed {
        let RedisSetup { address, prefix, .. } = in_redis(Limits::default());
        Bed::Redis(address, prefix)
    }

    async fn open(&self) -> (Store, Feed) {
        self.with_limits(Limits::default()).await
    }

    async fn with_limits(&self, limits: Limits) -> (Store, Feed) {
        let data = match self {
            Bed::Memory => None,
            Bed::Embedded(dir) => Some(dir.path().join("data")),
            Bed::Redis(address, prefix) => {
                let (address, prefix) = (address.clone(), prefix.clone());
                let setup = RedisSetup { address, tls: Tls::default(), prefix, limits };
                return Store::open_redis(setup, random::fill).await.unwrap();
            }
        };
        Store::open(Options { data, limits }, random::fill).unwrap()
    }
}

/// A store of its own in the Redis of this test process.
pub(super) fn in_redis(limits: Limits) -> RedisSetup {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let prefix = format!("case-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let address: RedisAddress = redis_server::shared().url_of_a_server_user().parse().unwrap();
    RedisSetup { address, tls: Tls::default(), prefix, limits }
}

pub(super) const T0: u64 = 1_777_896_000_000;
pub(super) const DAY: u64 = 24 * 3_600_000;

pub(super) fn id(text: &str) -> DisplayId {
    text.parse().unwrap()
}

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// An event as the publisher's side of the server would hand it over.
pub(super) fn item(id: &str, to: &str, kind: &str) -> Publish {
    let command = kind.strip_prefix("kiosk.").and_then(command::spec).map(|spec| spec.kind);
    let event = Event::new(id, "test", kind).to(address(to)).with_data(&serde_json::json!({"n": id}));
    Publish { event, command, expires_ms: (command == Some(Kind::Action)).then_some(T0 + 60_000) }
}

pub(super) async fn publish(store: &Store, id: &str, to: &str, kind: &str) -> Published {
    store.publish(vec![item(id, to, kind)], T0).await.unwrap().remove(0)
}

pub(super) async fn enroll(store: &Store, display: &str, groups: &[&str]) {
    let (code, _) = store.create_enrollment(Some(id(display)), 1000, T0).await.unwrap();
    let redeem = Redeem { code, public_key: [7; 32], display: None };
    assert_eq!(store.redeem(redeem, T0).await.unwrap().display, id(display));
    let groups: BTreeSet<_> = groups.iter().map(|name| name.parse().unwrap()).collect();
    store.patch_display(&id(display), DisplayPatch { label: None, groups: Some(groups) }).await.unwrap();
}

pub(super) async fn settle(store: &Store, display: &str, event: &str, status: Status) -> ReceiptOutcome {
    store.receipt(&id(display), Receipt::new(event, "test", status, 5), T0).await.unwrap()
}

pub(super) fn ids(events: &[Arc<Committed>]) -> Vec<&str> {
    events.iter().map(|event| event.event.id.as_str()).collect()
}

pub(super) async fn receipts(store: &Store, event: &str) -> Vec<(String, Status)> {
    let record = store.event(event, Some("test")).await.unwrap().unwrap();
    record.receipts.iter().map(|(display, receipt)| (display.to_string(), receipt.status)).collect()
}

/// The next `count` things of the feed, however they were batched.
pub(super) async fn fed(feed: &mut Feed, count: usize) -> Vec<Fed> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(feed.recv().await.expect("the feed goes on"));
    }
    found
}
