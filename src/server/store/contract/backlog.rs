//! What a display is given when it connects, and when its groups change.

use super::*;

pub async fn a_display_that_connects_gets_the_newest_state_of_each_slot_and_its_actions(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &["shops"]).await;
    publish(&store, "n1", "display/lobby", "kiosk.navigate").await;
    publish(&store, "z1", "all", "kiosk.zoom").await;
    publish(&store, "m1", "display/lobby", "kiosk.message").await;
    publish(&store, "p1", "group/shops", "kiosk.playlist").await;
    publish(&store, "m2", "all", "kiosk.message").await;
    publish(&store, "x1", "group/other", "kiosk.navigate").await;

    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["z1", "p1"], "navigate and playlist share a slot; in commit order");
    assert_eq!(ids(&backlog.pending_actions), ["m1", "m2"]);
    assert_eq!(receipts(&store, "n1").await, [("lobby".into(), Status::Superseded)]);
    assert_eq!(backlog.settled.len(), 1);

    settle(&store, "lobby", "p1", Status::Shown).await;
    settle(&store, "lobby", "m1", Status::Shown).await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["z1", "p1"], "state is always given, done or not");
    assert_eq!(ids(&backlog.pending_actions), ["m2"]);
    assert!(backlog.settled.is_empty());
    assert_eq!(store.backlog(&id("nobody"), T0).await.unwrap_err(), StoreError::NotEnrolled(id("nobody")));
}

pub async fn a_display_that_joins_a_group_gets_its_state_and_may_answer_for_it(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "n1", "group/shops", "kiosk.navigate").await;
    assert!(store.backlog(&id("lobby"), T0).await.unwrap().state.is_empty());
    assert_eq!(settle(&store, "lobby", "n1", Status::Shown).await, ReceiptOutcome::UnknownEvent);
    let groups = Some(["shops".parse().unwrap()].into());
    store.patch_display(&id("lobby"), DisplayPatch { groups, label: Some("Lobby".into()) }).await.unwrap();
    assert_eq!(ids(&store.backlog(&id("lobby"), T0).await.unwrap().state), ["n1"]);
    assert_eq!(settle(&store, "lobby", "n1", Status::Shown).await, ReceiptOutcome::First);
    assert_eq!(store.display(&id("lobby")).await.unwrap().unwrap().label, "Lobby");
}

pub async fn an_action_that_is_never_answered_ends_as_failed_and_kills_no_display_for_ever(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "m", "display/lobby", "kiosk.message").await;
    publish(&store, "n", "display/lobby", "kiosk.navigate").await;
    for attempt in 1..=5 {
        let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
        assert_eq!(ids(&backlog.pending_actions), ["m"], "attempt {attempt}");
        assert!(backlog.settled.is_empty());
    }
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert!(backlog.pending_actions.is_empty(), "given 5 times is enough");
    assert_eq!(ids(&backlog.state), ["n"], "state is always given");
    assert_eq!(backlog.settled.len(), 1);
    let record = store.event("m", None).await.unwrap().unwrap();
    let (_, receipt) = &record.receipts[0];
    assert_eq!((receipt.status, receipt.error.as_deref()), (Status::Failed, Some("given 5 times without an answer")));
    let Fed::Receipt(told) = fed(&mut feed, 3).await.remove(2) else { panic!() };
    assert_eq!(told.receipt.status, Status::Failed, "the publisher who waits is told");
    assert_eq!(settle(&store, "lobby", "m", Status::Shown).await, ReceiptOutcome::AlreadyFinal);
    assert!(store.backlog(&id("lobby"), T0).await.unwrap().settled.is_empty(), "once");
}

pub async fn an_answer_or_a_new_action_begins_to_count_afresh(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { attempts: 2, ..Limits::default() }).await;
    enroll(&store, "lobby", &[]).await;
    enroll(&store, "other", &[]).await;
    publish(&store, "a", "all", "kiosk.message").await;
    store.backlog(&id("lobby"), T0).await.unwrap();
    publish(&store, "b", "all", "kiosk.message").await;
    assert_eq!(ids(&store.backlog(&id("lobby"), T0).await.unwrap().pending_actions), ["a", "b"]);
    settle(&store, "lobby", "a", Status::Shown).await;
    assert_eq!(ids(&store.backlog(&id("lobby"), T0).await.unwrap().pending_actions), ["b"], "its second time");
    assert_eq!(
        ids(&store.backlog(&id("other"), T0).await.unwrap().pending_actions),
        ["a", "b"],
        "displays count apart"
    );
    assert_eq!(store.backlog(&id("lobby"), T0).await.unwrap().settled.len(), 1);
    let end = T0 + 60_000;
    store.backlog(&id("other"), T0).await.unwrap();
    assert!(store.backlog(&id("other"), end).await.unwrap().settled.is_empty(), "what is overdue is `expire`'s to end");
}

pub async fn a_display_that_joins_a_group_in_flight_gets_its_state_and_none_of_its_earlier_actions(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    enroll(&store, "late", &[]).await;
    enroll(&store, "early", &["shops"]).await;
    publish(&store, "m1", "group/shops", "kiosk.message").await;
    publish(&store, "n1", "group/shops", "kiosk.navigate").await;
    enroll(&store, "late", &["shops"]).await;
    publish(&store, "m2", "group/shops", "kiosk.message").await;
    let backlog = store.backlog(&id("late"), T0).await.unwrap();
    assert_eq!((ids(&backlog.state), ids(&backlog.pending_actions)), (vec!["n1"], vec!["m2"]));
    let Fed::Event(last) = fed(&mut feed, 3).await.remove(2) else { panic!() };
    assert_eq!(last.targets, [id("early"), id("late")], "an action reaches who is a member when it is published");
}

pub async fn a_display_that_leaves_a_group_still_owes_what_was_published_before_and_loses_its_state(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "lobby", &["shops"]).await;
    publish(&store, "n0", "all", "kiosk.navigate").await;
    publish(&store, "n1", "group/shops", "kiosk.navigate").await;
    publish(&store, "z1", "all", "kiosk.zoom").await;
    publish(&store, "m1", "group/shops", "kiosk.message").await;
    enroll(&store, "lobby", &[]).await;
    publish(&store, "m2", "group/shops", "kiosk.message").await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.pending_actions), ["m1"], "an accepted action is owed, and done");
    assert_eq!(ids(&backlog.state), ["n0", "z1"], "the group's state is not its state any more");
    assert_eq!(
        receipts(&store, "n1").await,
        [("lobby".into(), Status::Superseded)],
        "and nobody waits for it for ever"
    );
    assert_eq!(settle(&store, "lobby", "m1", Status::Shown).await, ReceiptOutcome::First);
    assert_eq!(settle(&store, "lobby", "m2", Status::Shown).await, ReceiptOutcome::UnknownEvent);
}
