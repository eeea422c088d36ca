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
    assert_eq!(crate::auth::ticket::judge(value.as_bytes(), T0 + 20_000).unwrap(), grant);
    assert_eq!(store.take_ticket(&minted.key, T0).await.unwrap(), None);
    assert!(store.use_once("a nonce", T0 + 60_000, T0).await.unwrap());
    assert!(!store.use_once("a nonce", T0 + 60_000, T0 + 59_999).await.unwrap());
    assert!(store.use_once("a nonce", T0 + 120_000, T0 + 60_000).await.unwrap(), "it is over");
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
