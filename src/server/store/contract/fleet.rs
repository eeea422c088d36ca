//! Displays, the codes that enroll them, and the small things kept beside them.

use super::*;

pub async fn enrollment_gives_a_display_its_key_once(bed: Bed) {
    let (store, _feed) = bed.open().await;
    let redeem = |code: &str, key: u8, display: Option<&str>| Redeem {
        code: code.to_lowercase(),
        public_key: [key; 32],
        display: display.map(id),
    };
    let (code, expires) = store.create_enrollment(None, 5000, T0).await.unwrap();
    assert_eq!(expires, T0 + 5000);
    let enrolled = store.redeem(redeem(&code, 1, Some("lobby")), T0).await.unwrap();
    assert_eq!(enrolled, Enrolled { display: id("lobby"), replaced: false });
    assert_eq!(store.redeem(redeem(&code, 1, Some("lobby")), T0).await.unwrap().display, id("lobby"), "the same again");
    assert!(matches!(store.redeem(redeem(&code, 2, Some("lobby")), T0).await, Err(EnrollError::Code(_))));
    assert_eq!(store.display(&id("lobby")).await.unwrap().unwrap().public_key, [1; 32]);

    let (code, _) = store.create_enrollment(None, 5000, T0).await.unwrap();
    for _ in 0..5 {
        let taken = store.redeem(redeem(&code, 2, Some("lobby")), T0).await.unwrap_err();
        assert_eq!(taken, EnrollError::Taken(id("lobby")));
    }
    let tried = store.redeem(redeem(&code, 2, Some("foyer")), T0).await.unwrap_err();
    assert!(tried.to_string().contains("too often"), "{tried}");

    let (code, _) = store.create_enrollment(Some(id("lobby")), 5000, T0).await.unwrap();
    let other = store.redeem(redeem(&code, 2, Some("foyer")), T0).await.unwrap_err();
    assert_eq!(other, EnrollError::ForAnother(id("lobby")));
    let replaced = store.redeem(redeem(&code, 2, None), T0).await.unwrap();
    assert_eq!(replaced, Enrolled { display: id("lobby"), replaced: true });

    let (code, _) = store.create_enrollment(None, 5000, T0).await.unwrap();
    assert!(matches!(store.redeem(redeem(&code, 3, None), T0 + 5000).await, Err(EnrollError::Code("it has expired"))));
    let made_up = store.redeem(redeem(&code, 3, None), T0).await.unwrap().display;
    assert!(made_up.as_str().starts_with("display-"), "{made_up}");
    assert!(matches!(store.redeem(redeem("0000-0000-0000-0", 3, None), T0).await, Err(EnrollError::Code(_))));
    assert!(matches!(store.redeem(redeem("hello", 3, None), T0).await, Err(EnrollError::Code(_))));
}

pub async fn a_display_that_is_removed_leaves_nothing_behind(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &["shops"]).await;
    publish(&store, "n", "display/lobby", "kiosk.navigate").await;
    publish(&store, "m", "all", "kiosk.message").await;
    let before = store.heads(&[address("display/lobby")]).await.unwrap().remove(0).1;
    store.put_result(&id("lobby"), "m", "image/png", "png".into(), T0).await.unwrap();
    store.remove_display(&id("lobby"), T0).await.unwrap();
    assert_eq!(receipts(&store, "m").await, [("lobby".into(), Status::Failed)]);
    assert!(store.displays().await.unwrap().is_empty());
    assert!(store.result(&id("lobby"), "m").await.unwrap().is_none());
    assert!(store.publish(vec![item("x", "display/lobby", "x")], T0).await.is_err());
    assert!(store.remove_display(&id("lobby"), T0).await.is_err());

    enroll(&store, "lobby", &[]).await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert!(backlog.state.is_empty() && backlog.pending_actions.is_empty(), "the next card begins afresh");
    let after = store.heads(&[address("display/lobby")]).await.unwrap().remove(0).1;
    assert_ne!(before.epoch, after.epoch, "its history is lost, and the epoch says so");
    publish(&store, "g", "group/shops", "kiosk.message").await;
    assert!(store.event("g", None).await.unwrap().unwrap().pending.is_empty(), "it left its group");
}

pub async fn tickets_and_nonces_work_once(bed: Bed) {
    let (store, _feed) = bed.open().await;
    let grant = Grant { user: "anna".parse().unwrap(), display: None };
    let minted = store.mint_ticket(&grant, T0).await.unwrap();
    let value = store.take_ticket(&minted.key, T0 + 20_000).await.unwrap().unwrap();
    assert_eq!(crate::auth::ticket::judge(value.as_bytes(), T0 + 20_000).unwrap().grant, grant);
    assert_eq!(store.take_ticket(&minted.key, T0).await.unwrap(), None);
    assert!(store.use_once("a nonce", T0 + 60_000, T0).await.unwrap());
    assert!(!store.use_once("a nonce", T0 + 60_000, T0 + 59_999).await.unwrap());
    assert!(store.use_once("a nonce", T0 + 120_000, T0 + 60_000).await.unwrap(), "it is over");
}

pub async fn a_clock_that_is_set_back_leaves_room_for_tickets_and_nonces(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { one_time: 2, ..Limits::default() }).await;
    let grant = Grant { user: "anna".parse().unwrap(), display: None };
    for (round, now_ms) in [T0 + DAY, T0, T0 + 30_000].into_iter().enumerate() {
        for n in 0..2 {
            store.mint_ticket(&grant, now_ms).await.unwrap();
            assert!(store.use_once(&format!("nonce {round} {n}"), now_ms + 20_000, now_ms).await.unwrap());
        }
    }
}

pub async fn records_are_kept_in_the_order_of_their_keys_and_replaced(bed: Bed) {
    let (store, _feed) = bed.open().await;
    let record = |key: &str, value: &str| Record { key: key.into(), value: value.into() };
    for (key, value) in [("b", "2"), ("a", "1"), ("c", "3"), ("b", "two")] {
        store.put_record("things", record(key, value)).await.unwrap();
    }
    store.put_record("others", record("z", "26")).await.unwrap();
    let all = store.records("things", "", 10).await.unwrap();
    assert_eq!(all, [record("a", "1"), record("b", "two"), record("c", "3")]);
    assert_eq!(store.records("things", "a", 1).await.unwrap(), [record("b", "two")]);
    assert!(store.remove_record("things", "a").await.unwrap());
    assert!(!store.remove_record("things", "a").await.unwrap());
    assert_eq!(store.records("things", "", 10).await.unwrap().len(), 2);
}

pub async fn a_display_is_taken_in_under_another_id_with_its_key_and_groups(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "old", &["shops"]).await;
    let row = store.display(&id("old")).await.unwrap().unwrap();
    let kept = KeptDisplay {
        label: row.label.clone(),
        groups: row.groups.clone(),
        public_key: row.public_key,
        enrolled_ms: row.enrolled_ms,
        last_seen_ms: Some(T0),
    };
    assert!(!store.adopt_display(&id("old"), kept.clone()).await.unwrap(), "that id is taken");
    assert!(store.adopt_display(&id("new"), kept.clone()).await.unwrap());
    let new = store.display(&id("new")).await.unwrap().unwrap();
    assert_eq!((new.public_key, new.groups, new.last_seen_ms), (row.public_key, row.groups, Some(T0)));
    publish(&store, "m", "group/shops", "kiosk.message").await;
    assert_eq!(store.event("m", None).await.unwrap().unwrap().pending, [id("new"), id("old")]);
}

pub async fn what_a_node_announces_comes_in_the_feed_after_what_was_committed_before(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    publish(&store, "a", "all", "x").await;
    let cut = Control::cut_display(&id("lobby"), crate::event::frame::CloseCode::GoingAway, "removed");
    store.announce(cut.clone()).await.unwrap();
    publish(&store, "b", "all", "x").await;
    let fed = fed(&mut feed, 3).await;
    assert!(matches!(&fed[1], Fed::Control(told) if **told == cut), "{fed:?}");
}

pub async fn a_full_collection_refuses_new_records_and_still_replaces_old_ones(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { records: 2, ..Limits::default() }).await;
    let put = |collection: &'static str, key: &'static str| {
        let store = store.clone();
        async move { store.put_record(collection, Record { key: key.into(), value: b"1".to_vec() }).await }
    };
    put("things", "a").await.unwrap();
    put("things", "b").await.unwrap();
    assert!(matches!(put("things", "c").await, Err(StoreError::Full { limit: 2, .. })));
    put("things", "b").await.unwrap();
    put("others", "c").await.unwrap();
}

pub async fn when_a_display_was_heard_of_and_how_it_is_are_told_with_it(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    assert_eq!(store.display(&id("lobby")).await.unwrap().unwrap().last_seen_ms, None);
    store.seen(&id("lobby"), Some(Default::default()), T0 + 5);
    store.seen(&id("lobby"), None, T0 + 6);
    let row = store.display(&id("lobby")).await.unwrap().unwrap();
    assert_eq!((row.last_seen_ms, row.health.is_some()), (Some(T0 + 6), true), "a sign of life keeps the health");
    assert!(store.display(&id("nobody")).await.unwrap().is_none());
}
