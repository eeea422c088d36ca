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
    assert_eq!(backlog.superseded.len(), 1);

    settle(&store, "lobby", "p1", Status::Shown).await;
    settle(&store, "lobby", "m1", Status::Shown).await;
    let backlog = store.backlog(&id("lobby"), T0).await.unwrap();
    assert_eq!(ids(&backlog.state), ["z1", "p1"], "state is always given, done or not");
    assert_eq!(ids(&backlog.pending_actions), ["m2"]);
    assert!(backlog.superseded.is_empty());
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
