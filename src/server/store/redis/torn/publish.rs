//! Half a publish: nobody was answered, so it must be nowhere, and what others published after it must be there.

use super::{
    super::super::{
        ReceiptOutcome, Store,
        contract::{T0, address, item, publish, settle},
    },
    Rewrites, Torn, all_of, batch, difference, ids_of_feed, whole,
};
use crate::{event::Status, io::random};

/// A publish of a batch is cut; what was accepted after it, and before, must be there once and in order.
async fn a_cut_publish(rewrites: Rewrites, between: usize, every: usize) {
    let mut torn = Torn::by(rewrites, async |store| {
        store.publish(batch(), T0).await.unwrap();
    })
    .await;
    for (number, place) in torn.places(between).into_iter().enumerate().step_by(every) {
        // Both at every place take twice the time, and neighbours are much alike.
        let again = (number / every) % 2 == 1;
        let when = format!("{rewrites:?}, place {number} ({place}), published again: {again}");
        let (store, mut feed) = torn.cut(place).await;
        whole(&store, &format!("{when}, first life")).await;
        assert!(store.event("b-all", Some("test")).await.unwrap().is_none(), "{when}: nobody was answered");
        if rewrites == Rewrites::Done {
            torn.rewrite_is_done();
        }
        let mut accepted = Vec::new();
        if again {
            accepted.extend(store.publish(batch(), T0 + 900).await.unwrap());
        }
        let later = ["l-all all kiosk.message", "l-zoom group/hall kiosk.zoom", "l-anna user/anna org.example"];
        for line in later.into_iter().chain(["l-otto user/otto org.example", "l-one display/one kiosk.navigate"]) {
            let [id, to, kind] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            accepted.extend(store.publish(vec![item(id, to, kind)], T0 + 1_000).await.unwrap());
        }
        assert_eq!(settle(&store, "one", "a0", Status::Done).await, ReceiptOutcome::First, "{when}");
        let before = whole(&store, &when).await;
        if rewrites == Rewrites::UnderWay {
            let info = torn.server.text(&["INFO", "persistence"]);
            assert!(info.contains("aof_rewrite_in_progress:1"), "{when}: {info}");
        }

        torn.server.kill();
        torn.server.start_again();
        let (two, _feed) = Store::open_redis(torn.setup.clone(), random::fill).await.unwrap();
        let after = whole(&two, &format!("{when}, second life")).await;
        assert_eq!(difference(&before, &after), Vec::<&String>::new(), "{when}");
        for one in &accepted {
            let kept = two.event(&one.id, Some("test")).await.unwrap().unwrap_or_else(|| panic!("{when}: {}", one.id));
            assert_eq!((&kept.event.address, &kept.event.position), (&one.address, &one.position), "{when}");
            assert!(two.event(&one.id, None).await.unwrap().is_some(), "{when}: {}", one.id);
        }
        assert_eq!(two.event("b-all", Some("test")).await.unwrap().is_some(), again, "{when}");
        let end = publish(&two, "end", "user/anna", "org.example").await;
        let of_anna: Vec<&str> = match again {
            true => vec!["plain", "b-anna", "b-anna-2", "l-anna", "end"],
            false => vec!["plain", "l-anna", "end"],
        };
        let expected: Vec<(u64, String)> = (1..).zip(of_anna.iter().map(|id| (*id).to_owned())).collect();
        assert_eq!(all_of(&two, &address("user/anna")).await, expected, "{when}");
        assert_eq!(end.position.offset, expected.len() as u64, "{when}");
        let mut ids: Vec<&str> = accepted.iter().filter(|one| one.fresh).map(|one| one.id.as_str()).collect();
        ids.push("end");
        assert_eq!(ids_of_feed(&mut feed, "end").await, ids, "{when}: who was there all the time");
        assert!(!two.publish(batch(), T0).await.unwrap()[8].fresh, "{when}: repeats are known");
        torn.server.kill();
        store.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn half_a_publish_is_never_carried_out_though_the_file_may_not_be_written_anew() {
    a_cut_publish(Rewrites::Forbidden, 5, 1).await;
}

#[tokio::test]
async fn half_a_publish_is_gone_where_the_file_was_written_anew() {
    a_cut_publish(Rewrites::Done, 20, 9).await;
}

#[tokio::test]
async fn half_a_publish_does_no_harm_where_the_power_is_cut_while_the_file_is_written_anew() {
    a_cut_publish(Rewrites::UnderWay, 20, 9).await;
}
