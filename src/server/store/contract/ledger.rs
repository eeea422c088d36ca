//! Exactly one final receipt for each command and display; and what may hang on it.

use super::*;

pub async fn the_first_final_receipt_stays_and_only_the_frame_is_filled_in(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "a", "display/lobby", "kiosk.navigate").await;
    assert_eq!(settle(&store, "lobby", "a", Status::Shown).await, ReceiptOutcome::First);
    assert_eq!(settle(&store, "lobby", "a", Status::Shown).await, ReceiptOutcome::AlreadyFinal);
    assert_eq!(settle(&store, "lobby", "a", Status::Failed).await, ReceiptOutcome::AlreadyFinal);
    let mut frame = Receipt::new("a", "test", Status::Shown, 5);
    frame.frame_sha256 = Some("ff".into());
    assert_eq!(store.receipt(&id("lobby"), frame.clone(), T0).await.unwrap(), ReceiptOutcome::Updated);
    frame.frame_sha256 = Some("00".into());
    assert_eq!(store.receipt(&id("lobby"), frame, T0).await.unwrap(), ReceiptOutcome::AlreadyFinal);
    let record = store.event("a", None).await.unwrap().unwrap();
    assert_eq!(record.receipts[0].1.frame_sha256.as_deref(), Some("ff"));
    assert!(record.pending.is_empty());
    assert_eq!(settle(&store, "lobby", "zzz", Status::Done).await, ReceiptOutcome::UnknownEvent);
    assert_eq!(settle(&store, "nobody", "a", Status::Done).await, ReceiptOutcome::UnknownEvent);

    let fed = fed(&mut feed, 3).await;
    assert!(matches!(&fed[1], Fed::Receipt(settled) if settled.receipt.frame_sha256.is_none()));
    assert!(matches!(&fed[2], Fed::Receipt(settled) if settled.receipt.frame_sha256.is_some()));
}

pub async fn a_receipt_without_source_finds_the_event_that_is_still_owed(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "a", "all", "kiosk.reload").await;
    settle(&store, "lobby", "a", Status::Done).await;
    let mut other = item("a", "all", "kiosk.reload");
    other.event.source = "other".into();
    store.publish(vec![other], T0).await.unwrap();
    let receipt = Receipt { source: None, ..Receipt::new("a", "", Status::Failed, 1) };
    assert_eq!(store.receipt(&id("lobby"), receipt, T0).await.unwrap(), ReceiptOutcome::First);
    assert_eq!(receipts(&store, "a").await, [("lobby".into(), Status::Done)]);
    let other = store.event("a", Some("other")).await.unwrap().unwrap();
    assert_eq!(other.receipts[0].1.status, Status::Failed);
}

pub async fn what_is_overdue_expires_at_once_or_after_a_grace_for_who_is_connected(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "on", &[]).await;
    enroll(&store, "off", &[]).await;
    publish(&store, "m", "all", "kiosk.message").await;
    let connected: HashSet<_> = [id("on")].into();
    let due = T0 + 60_000;
    let expired = |settled: Vec<Settled>| settled.iter().map(|one| one.display.to_string()).collect::<Vec<_>>();
    assert!(store.expire(due - 1, connected.clone()).await.unwrap().is_empty());
    assert_eq!(expired(store.expire(due, connected.clone()).await.unwrap()), ["off"]);
    assert_eq!(store.backlog(&id("on"), due).await.unwrap().pending_actions.len(), 0, "it is not sent any more");
    assert!(store.expire(due + 29_999, connected.clone()).await.unwrap().is_empty(), "it may be acting");
    assert_eq!(expired(store.expire(due + 30_000, connected).await.unwrap()), ["on"]);
    assert_eq!(receipts(&store, "m").await, [("off".into(), Status::Expired), ("on".into(), Status::Expired)]);
    assert_eq!(settle(&store, "on", "m", Status::Shown).await, ReceiptOutcome::AlreadyFinal);
}

pub async fn results_belong_to_an_event_of_the_display_and_are_bounded(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "s", "all", "kiosk.screenshot").await;
    let put = |event: &'static str, size: usize| {
        let body = vec![0; size].into();
        let store = store.clone();
        async move { store.put_result(&id("lobby"), event, "image/png", body, T0).await }
    };
    assert_eq!(put("s", 8 * 1024 * 1024).await, Ok(()));
    assert!(matches!(put("s", 8 * 1024 * 1024 + 1).await, Err(StoreError::TooLarge { .. })));
    assert!(matches!(put("other", 1).await, Err(StoreError::UnknownEvent(_))));
    let found = store.latest_result(&id("lobby"), "image/").await.unwrap().unwrap();
    assert_eq!((found.event.as_str(), found.body.len()), ("s", 8 * 1024 * 1024));
    assert!(store.latest_result(&id("lobby"), "text/").await.unwrap().is_none());
}
