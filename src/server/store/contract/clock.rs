//! A clock that is set.

use super::*;
use crate::event::time::UtcMillis;

const MINUTE: u64 = 60_000;
const HOUR: i64 = 3_600_000;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;

/// A state command that is over a minute after `T0`.
fn for_a_minute(id: &str, to: &str) -> Publish {
    Publish { expires_ms: Some(T0 + MINUTE), ..item(id, to, "kiosk.zoom") }
}

async fn what_waits_keeps_its_time(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "n", "display/lobby", "kiosk.navigate").await;
    store.publish(vec![for_a_minute("z", "all")], T0).await.unwrap();
    publish(&store, "m", "all", "kiosk.message").await;
    let mut now = T0;
    for by_ms in [HOUR, -2 * HOUR, TEN_YEARS, -TEN_YEARS - HOUR] {
        store.clock_was_set(by_ms).await.unwrap();
        now = moved(now, by_ms);
        let nearly = now + MINUTE - 1;
        assert!(
            store.expire(nearly, HashSet::new()).await.unwrap().is_empty(),
            "{by_ms}: nothing expires before its time"
        );
        let backlog = store.backlog(&id("lobby"), nearly).await.unwrap();
        assert_eq!((ids(&backlog.state), ids(&backlog.pending_actions)), (vec!["n", "z"], vec!["m"]), "{by_ms}");
        let history = store.history(&address("all"), 0, 10).await.unwrap().events;
        for event in backlog.pending_actions.iter().chain(&backlog.state[1..]).chain(&history) {
            let said = Event::from_json(event.text.as_bytes()).unwrap();
            assert_eq!(said.expirytime, Some(UtcMillis(now + MINUTE)), "{by_ms}: a display is told the new moment");
            assert_eq!((said.data, event.expires_ms), (event.event.data.clone(), Some(now + MINUTE)));
        }
    }
    assert_eq!(store.expire(now + MINUTE, HashSet::new()).await.unwrap().len(), 2);
    assert_eq!(ids(&store.backlog(&id("lobby"), now + MINUTE).await.unwrap().state), ["n"]);
    // What comes after it is what it says.
    publish(&store, "later", "all", "kiosk.message").await;
    assert!(store.event("later", None).await.unwrap().unwrap().event.expires_ms == Some(T0 + MINUTE));
}

async fn a_wrong_clock_costs_no_history(bed: Bed) {
    let (store, _feed) = bed.open().await;
    publish(&store, "x", "user/anna", "org.example").await;
    let kept = async || store.history(&address("user/anna"), 0, 10).await.unwrap().events.len();
    store.clock_was_set(TEN_YEARS).await.unwrap();
    for minute in 0..5 {
        store.expire(moved(T0, TEN_YEARS) + minute * 2 * MINUTE, HashSet::new()).await.unwrap();
    }
    assert_eq!(kept().await, 1);
    store.clock_was_set(-TEN_YEARS).await.unwrap();
    assert!(!publish(&store, "x", "user/anna", "org.example").await.fresh, "a repeat is known");
    for minute in 0..5 {
        store.expire(T0 + 30 * DAY + minute * 2 * MINUTE, HashSet::new()).await.unwrap();
    }
    assert_eq!(kept().await, 0, "what is old is forgotten as ever");
}

mod redis {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_moved_along_with_a_clock_that_is_set() {
        what_waits_keeps_its_time(Bed::redis()).await;
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_for_a_while_makes_nothing_old() {
        a_wrong_clock_costs_no_history(Bed::redis()).await;
    }

    #[tokio::test]
    async fn of_two_nodes_one_moves_what_waits_and_the_other_knows() {
        let bed = Bed::redis();
        let ((one, _of_one), (other, _of_other)) = (bed.open().await, bed.open().await);
        enroll(&one, "lobby", &[]).await;
        publish(&one, "m", "all", "kiosk.message").await;
        for late in [false, true] {
            for node in [&one, &other] {
                node.time().await.unwrap();
            }
            one.clock_was_set(HOUR).await.unwrap();
            if late {
                other.time().await.unwrap();
            }
            other.clock_was_set(HOUR).await.unwrap();
        }
        let event = other.event("m", None).await.unwrap().unwrap().event;
        assert_eq!(event.expires_ms, Some(T0 + MINUTE + 2 * HOUR as u64), "once for each time");
    }
}

mod memory {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_moved_along_with_a_clock_that_is_set() {
        what_waits_keeps_its_time(Bed::memory()).await;
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_for_a_while_makes_nothing_old() {
        a_wrong_clock_costs_no_history(Bed::memory()).await;
    }
}

mod embedded {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_moved_along_with_a_clock_that_is_set() {
        what_waits_keeps_its_time(Bed::embedded()).await;
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_for_a_while_makes_nothing_old() {
        a_wrong_clock_costs_no_history(Bed::embedded()).await;
    }

    #[tokio::test]
    async fn what_an_earlier_process_stored_keeps_the_moment_that_it_was_stored_with() {
        let bed = Bed::embedded();
        let (store, feed) = bed.open().await;
        enroll(&store, "lobby", &[]).await;
        publish(&store, "before", "all", "kiosk.message").await;
        drop(feed);
        store.close().await;
        let (store, _feed) = bed.open().await;
        publish(&store, "after", "all", "kiosk.message").await;
        // The machine booted an hour behind; now its clock is right.
        store.clock_was_set(HOUR).await.unwrap();
        let waits = store.backlog(&id("lobby"), moved(T0, HOUR)).await.unwrap().pending_actions;
        assert_eq!(ids(&waits), ["after"]);
    }
}
