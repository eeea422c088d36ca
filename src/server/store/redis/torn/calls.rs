//! Half of any other call: whoever comes again finds it done once, or does it.

use super::{
    super::super::{
        DisplayPatch, Limits, Store,
        contract::{T0, id, item, publish, settle},
    },
    Rewrites, Torn, difference, ids_of_feed, whole,
};
use crate::{
    event::{Receipt, Status},
    io::random,
};

/// Any other call is cut; `again` is how its caller comes back in the last life, if at all.
async fn a_cut_call(name: &str, call: impl AsyncFn(&Store), again: impl AsyncFn(&Store, &str)) {
    let mut torn = Torn::by(Rewrites::Forbidden, async |store| call(store).await).await;
    for (number, place) in torn.places(50).into_iter().enumerate() {
        // As above.
        let repeated = number % 2 == 1;
        let when = format!("{name}, place {number} ({place}), repeated in the first life: {repeated}");
        let (store, mut feed) = torn.cut(place).await;
        whole(&store, &format!("{when}, first life")).await;
        if repeated {
            call(&store).await;
        }
        store.publish(vec![item("later", "all", "kiosk.zoom")], T0 + 1_000).await.unwrap();
        let before = whole(&store, &when).await;
        torn.server.kill();
        torn.server.start_again();
        let (two, _feed) = Store::open_redis(torn.setup.clone(), random::fill).await.unwrap();
        let after = whole(&two, &format!("{when}, second life")).await;
        if repeated {
            assert_eq!(difference(&before, &after), Vec::<&String>::new(), "{when}");
        }
        again(&two, &when).await;
        whole(&two, &format!("{when}, after it came again")).await;
        publish(&two, "end", "all", "kiosk.zoom").await;
        let fed = ids_of_feed(&mut feed, "end").await;
        assert_eq!(fed, ["later", "end"], "{when}");
        torn.server.kill();
        store.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn half_a_receipt_is_a_receipt() {
    let call = async |store: &Store| {
        settle(store, "one", "a0", Status::Done).await;
    };
    let again = async |store: &Store, when: &str| {
        settle(store, "one", "a0", Status::Done).await;
        let record = store.event("a0", Some("test")).await.unwrap().unwrap();
        let of_one: Vec<_> = record.receipts.iter().filter(|(display, _)| *display == id("one")).collect();
        assert_eq!(of_one.len(), 1, "{when}");
        assert_eq!(of_one[0].1.status, Status::Done, "{when}");
    };
    a_cut_call("receipt", call, again).await;
}

#[tokio::test]
async fn half_an_expiry_leaves_nothing_waiting() {
    let due = T0 + 120_000;
    let call = async |store: &Store| {
        store.expire(due, std::collections::HashSet::new()).await.unwrap();
    };
    let again = async |store: &Store, when: &str| {
        call(store).await;
        for event in ["a0", "a1", "two-is-full"] {
            let record = store.event(event, Some("test")).await.unwrap().unwrap();
            assert!(record.pending.is_empty(), "{when}: {event}");
            assert!(record.receipts.iter().all(|(_, receipt)| receipt.status == Status::Expired), "{when}: {event}");
        }
    };
    a_cut_call("expire", call, again).await;
}

#[tokio::test]
async fn half_a_removal_of_a_display_is_a_removal_or_none() {
    let call = async |store: &Store| {
        let _ = store.remove_display(&id("two"), T0).await;
    };
    let again = async |store: &Store, when: &str| {
        if let Some(row) = store.display(&id("two")).await.unwrap() {
            assert_eq!(row.groups.len(), 1, "{when}");
            store.remove_display(&id("two"), T0).await.unwrap();
        }
        assert!(store.display(&id("two")).await.unwrap().is_none(), "{when}");
        assert!(store.event("two-is-full", Some("test")).await.unwrap().unwrap().pending.is_empty(), "{when}");
    };
    a_cut_call("remove", call, again).await;
}

#[tokio::test]
async fn half_a_change_of_groups_leaves_the_display_in_one_of_them() {
    let call = async |store: &Store| {
        let groups = ["lift".parse().unwrap(), "yard".parse().unwrap()].into();
        store.patch_display(&id("two"), DisplayPatch { label: None, groups: Some(groups) }).await.unwrap();
    };
    a_cut_call("patch", call, async |store, when| {
        call(store).await;
        assert_eq!(store.display(&id("two")).await.unwrap().unwrap().groups.len(), 2, "{when}");
    })
    .await;
}

#[tokio::test]
async fn half_a_result_is_a_result_or_none() {
    let call = async |store: &Store| {
        store.put_result(&id("one"), "a1", "image/png", vec![2; 500].into(), T0 + 9).await.unwrap();
    };
    a_cut_call("result", call, async |store, when| {
        call(store).await;
        let result = store.result(&id("one"), "a1").await.unwrap().unwrap();
        assert_eq!(result.body.len(), 500, "{when}");
    })
    .await;
}

#[tokio::test]
async fn what_is_cut_when_a_display_connects_ends_once() {
    // Given so often that the next time is one too many.
    let call = async |store: &Store| {
        let limit = Limits::default().attempts;
        for _ in 0..=limit {
            store.backlog(&id("one"), T0).await.unwrap();
        }
    };
    a_cut_call("backlog", call, async |store, when| {
        call(store).await;
        let record = store.event("a0", Some("test")).await.unwrap().unwrap();
        let of_one: Vec<_> = record.receipts.iter().filter(|(display, _)| *display == id("one")).collect();
        assert_eq!(of_one.len(), 1, "{when}");
        let receipt: &Receipt = &of_one[0].1;
        assert_eq!(receipt.status, Status::Failed, "{when}");
    })
    .await;
}
