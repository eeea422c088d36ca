//! What a publish promises: positions, repeats, all or nothing, who owes a receipt, bounds.

use super::*;

pub async fn a_publish_gets_the_next_position_of_its_address_and_reaches_the_feed(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    let first = publish(&store, "a", "display/lobby", "kiosk.navigate").await;
    let second = publish(&store, "b", "display/lobby", "org.example").await;
    let other = publish(&store, "c", "all", "kiosk.reload").await;
    assert_eq!((first.position.offset, second.position.offset, other.position.offset), (1, 2, 1));
    assert_eq!(first.position.epoch, second.position.epoch);
    assert_ne!(first.position.epoch, other.position.epoch, "an epoch belongs to one address");
    assert!(first.commit < second.commit && second.commit < other.commit);

    let Fed::Event(fed) = fed(&mut feed, 1).await.remove(0) else { panic!() };
    assert_eq!((fed.commit, fed.targets.as_slice()), (first.commit, &[id("lobby")][..]));
    let sent = Event::from_json(fed.text.as_bytes()).unwrap();
    assert_eq!(sent.position, Some(first.position.clone()), "the text carries offset and epoch");
    assert_eq!(sent, fed.event);
}

pub async fn a_repeat_of_source_and_id_gets_the_first_position_whatever_it_carries(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    enroll(&store, "lobby", &[]).await;
    let first = publish(&store, "a", "all", "kiosk.reload").await;
    let again = store.publish(vec![item("a", "display/lobby", "org.other")], T0 + DAY - 1).await.unwrap().remove(0);
    assert_eq!(again, Published { fresh: false, ..first.clone() });

    let mut elsewhere = item("a", "all", "kiosk.reload");
    elsewhere.event.source = "other".into();
    let batch = vec![elsewhere.clone(), item("b", "all", "x"), elsewhere, item("b", "display/lobby", "y")];
    let published = store.publish(batch, T0).await.unwrap();
    assert_eq!(published.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(published[1].position, published[3].position, "a repeat inside one batch");
    let after = publish(&store, "after", "all", "x").await;
    let Fed::Event(fourth) = fed(&mut feed, 4).await.remove(3) else { panic!() };
    assert_eq!(fourth.commit, after.commit, "repeats do not reach the feed");
}

pub async fn a_token_that_came_with_an_event_is_not_kept_and_no_address_is_no_audience(bed: Bed) {
    let (store, mut feed) = bed.open().await;
    let mut secret = item("a", "all", "x");
    secret.event.token = Some(crate::event::envelope::Token("hush".into()));
    store.publish(vec![secret], T0).await.unwrap();
    let Fed::Event(fed) = fed(&mut feed, 1).await.remove(0) else { panic!() };
    assert!(fed.event.token.is_none() && !fed.text.contains("hush"));
    let mut nowhere = item("b", "all", "x");
    nowhere.event.subject = None;
    assert!(store.publish(vec![nowhere], T0).await.is_err());
}

pub async fn a_batch_with_a_display_that_is_not_enrolled_stores_nothing(bed: Bed) {
    let (store, _feed) = bed.open().await;
    let batch = vec![item("a", "all", "x"), item("b", "display/nobody", "kiosk.reload")];
    assert_eq!(store.publish(batch, T0).await.unwrap_err(), StoreError::NotEnrolled(id("nobody")));
    assert!(store.event("a", None).await.unwrap().is_none());
    assert!(publish(&store, "a", "all", "x").await.fresh);
    let refused = store.publish(vec![item("c", "display/nobody", "org.example")], T0).await;
    assert!(refused.is_err(), "own types too");
}

pub async fn a_command_waits_for_each_display_that_its_address_reaches(bed: Bed) {
    let (store, _feed) = bed.open().await;
    enroll(&store, "one", &["shops"]).await;
    enroll(&store, "two", &["shops", "north"]).await;
    enroll(&store, "three", &[]).await;
    for (event, to, displays) in [
        ("e1", "display/one", &["one"][..]),
        ("e2", "group/shops", &["one", "two"]),
        ("e3", "group/north", &["two"]),
        ("e4", "group/nobody", &[]),
        ("e5", "all", &["one", "three", "two"]),
        ("e6", "user/anna", &[]),
    ] {
        publish(&store, event, to, "kiosk.reload").await;
        let record = store.event(event, None).await.unwrap().unwrap();
        assert_eq!(record.pending.iter().map(|id| id.as_str()).collect::<Vec<_>>(), displays, "{to}");
    }
    publish(&store, "own", "all", "org.example").await;
    assert!(store.event("own", None).await.unwrap().unwrap().pending.is_empty(), "nobody owes a receipt for it");
}

pub async fn a_full_queue_refuses_its_display_and_does_not_silence_the_others(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { pending_actions: 2, ..Limits::default() }).await;
    enroll(&store, "gone", &[]).await;
    publish(&store, "a", "display/gone", "kiosk.message").await;
    let batch = vec![item("b", "display/gone", "kiosk.message"), item("c", "display/gone", "kiosk.message")];
    let full = StoreError::QueueFull { display: id("gone"), limit: 2 };
    assert_eq!(store.publish(batch, T0).await.unwrap_err(), full, "a batch counts itself");
    publish(&store, "b", "display/gone", "kiosk.message").await;
    assert_eq!(store.publish(vec![item("c", "display/gone", "kiosk.message")], T0).await.unwrap_err(), full);
    publish(&store, "n", "display/gone", "kiosk.navigate").await;

    enroll(&store, "here", &[]).await;
    publish(&store, "c", "all", "kiosk.message").await;
    assert_eq!(receipts(&store, "c").await, [("gone".into(), Status::Failed)]);
    assert_eq!(store.event("c", None).await.unwrap().unwrap().pending, [id("here")]);
    settle(&store, "gone", "a", Status::Done).await;
    publish(&store, "d", "display/gone", "kiosk.message").await;
}

pub async fn a_burst_of_state_for_a_display_that_is_away_keeps_a_bounded_number_pending(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { pending_states: 3, ..Limits::default() }).await;
    enroll(&store, "away", &[]).await;
    for n in 0..10 {
        publish(&store, &format!("n{n}"), "display/away", "kiosk.navigate").await;
    }
    assert_eq!(receipts(&store, "n6").await, [("away".into(), Status::Superseded)]);
    assert!(receipts(&store, "n7").await.is_empty());
    assert_eq!(ids(&store.backlog(&id("away"), T0).await.unwrap().state), ["n9"]);
    assert_eq!(receipts(&store, "n8").await, [("away".into(), Status::Superseded)]);
}

pub async fn history_is_replayed_in_pieces_and_tells_what_is_lost(bed: Bed) {
    let (store, _feed) = bed.with_limits(Limits { history_events: 5, ..Limits::default() }).await;
    let all = address("all");
    let before = store.heads(std::slice::from_ref(&all)).await.unwrap().remove(0).1;
    assert_eq!((before.last, before.first), (0, 1));
    for n in 1..=8 {
        publish(&store, &format!("e{n}"), "all", "x").await;
    }
    let head = store.heads(std::slice::from_ref(&all)).await.unwrap().remove(0).1;
    assert_eq!((head.last, head.first), (8, 4));
    assert_eq!(head.epoch, before.epoch, "known before the first event");
    let page = store.history(&all, 4, 3).await.unwrap();
    assert_eq!((ids(&page.events), page.more), (vec!["e5", "e6", "e7"], true));
    let rest = store.history(&all, 7, 3).await.unwrap();
    assert_eq!((ids(&rest.events), rest.more, rest.as_of), (vec!["e8"], false, 8));
    let at = |offset| crate::event::Position { epoch: head.epoch.clone(), offset };
    for (position, recovered) in [(at(3), true), (at(2), false), (at(8), true), (at(9), false), (at(0), false)] {
        assert_eq!(head.recovers(&position), recovered, "{position}");
    }
    assert!(!head.recovers(&crate::event::Position { epoch: "other".into(), offset: 8 }));
}
