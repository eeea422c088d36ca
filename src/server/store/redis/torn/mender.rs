//! What the mender needs several steps for, and what it cannot mend.

use super::{
    super::super::{
        Limits, RedisSetup, Store,
        contract::{T0, address, enroll, in_redis, publish, redis_server::Redis as Server},
    },
    Rewrites, Torn, all_of, batch, difference, ids_of_feed, whole,
};
use crate::io::random;

/// More displays than one call of the mender sees to.
#[tokio::test]
async fn half_a_call_about_many_displays_is_mended_piece_by_piece() {
    let publishing = async |store: &Store| {
        store.publish(batch(), T0).await.unwrap();
    };
    let expiring = async |store: &Store| {
        store.expire(T0 + 120_000, std::collections::HashSet::new()).await.unwrap();
    };
    for is_publish in [true, false] {
        let many = async |store: &Store| {
            for number in 0..150 {
                enroll(store, &format!("d{number}"), &["hall"]).await;
            }
            publish(store, "many", "all", "kiosk.message").await;
        };
        let mut torn = match is_publish {
            true => Torn::after(many, Rewrites::Forbidden, publishing).await,
            false => Torn::after(many, Rewrites::Forbidden, expiring).await,
        };
        // A publish lacks the EXEC alone; of an expiry the last of the many has its receipt and waits still.
        let text = &torn.files.last().unwrap().1;
        let takes_off = |(from, to): &(usize, usize)| {
            text[*from..*to].windows(10).any(|word| word == b":pending:d")
                && text[*from..*to].windows(4).any(|word| word == b"ZREM")
        };
        let last = torn.commands.iter().rev().find(|command| is_publish || takes_off(command)).unwrap();
        let end = (last.0 + last.1) / 2;
        let (store, _feed) = torn.cut(end).await;
        publish(&store, "later", "all", "org.example").await;
        let before = whole(&store, "first life").await;
        torn.server.kill();
        torn.server.start_again();
        let (two, _feed) = Store::open_redis(torn.setup.clone(), random::fill).await.unwrap();
        let after = whole(&two, "second life").await;
        if is_publish {
            assert_eq!(difference(&before, &after), Vec::<&String>::new());
        } else {
            let rest = two.expire(T0 + 120_000, std::collections::HashSet::new()).await.unwrap();
            let rest: Vec<&str> = rest.iter().map(|one| one.display.as_str()).collect();
            assert_eq!(rest, ["one", "three"], "those that it had not come to wait still");
            assert_eq!(two.event("many", Some("test")).await.unwrap().unwrap().receipts.len(), 153);
        }
        torn.server.kill();
        store.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_mended_makes_every_epoch_new_and_publishes_go_on() {
    let mut redis = Server::durable();
    let setup = RedisSetup { address: redis.url().parse().unwrap(), ..in_redis(Limits::default()) };
    let (store, mut feed) = Store::open_redis(setup.clone(), random::fill).await.unwrap();
    publish(&store, "a", "all", "org.example").await;
    let before = store.heads(&[address("all")]).await.unwrap().remove(0).1.position();
    let Store::Redis(engine) = &store else { panic!() };
    for (life, note) in [("1", "no JSON"), ("2", r#"["tag","publish",7]"#), ("3", r#"["tag","of the future"]"#)] {
        assert!(redis.command(&["HSET", &engine.engine.key("calls"), life, note]).unwrap().starts_with(':'));
    }
    redis.kill_and_restart(|_| {});
    let (two, _feed) = Store::open_redis(setup, random::fill).await.unwrap();
    assert_eq!(publish(&two, "b", "all", "org.example").await.position.offset, 2);
    let after = store.heads(&[address("all")]).await.unwrap().remove(0).1;
    assert!(!after.recovers(&before), "clients are told");
    // And their sockets come back. Who was there all the time reads on from where it was told so.
    ids_of_feed(&mut feed, "LOST").await;
    publish(&two, "end", "all", "org.example").await;
    ids_of_feed(&mut feed, "end").await;
    assert_eq!(all_of(&two, &address("all")).await.len(), 3, "what was accepted is kept all the same");
}
