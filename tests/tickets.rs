//! One ticket, one socket: against the store's own tickets and against a real Redis.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/redis.rs"]
mod redis;
#[path = "support/wait.rs"]
#[allow(dead_code, reason = "these tests wait for nothing")]
mod wait;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pikiosk::{
    auth::ticket::{Grant, TicketError},
    io::random,
    server::{
        store::{Options, Store},
        tickets::{DEADLINE, MintError, RedisTickets, TakeError, TicketStore},
    },
};
use redis::Redis;
use wait::Patience;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn grant(user: &str) -> Grant {
    Grant { user: user.parse().unwrap(), display: None }
}

fn tickets_in(redis: &Redis) -> TicketStore {
    TicketStore::Redis(RedisTickets::new(&redis.url().parse().unwrap(), random::fill).unwrap())
}

/// 8 takers of one ticket, 500 times: how often each ticket was taken.
async fn race(tickets: &TicketStore) {
    for round in 0..500 {
        let minted = tickets.mint(&grant("anna"), now_ms()).await.unwrap();
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (tickets, key, start) = (tickets.clone(), minted.key.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    tickets.take(&key, now_ms()).await
                })
            })
            .collect();
        let mut opened = 0;
        for taker in takers {
            match taker.await.unwrap() {
                Ok(got) => {
                    assert_eq!(got.grant, grant("anna"));
                    opened += 1;
                }
                Err(refused) => assert_eq!(refused, TakeError::Refused(TicketError::Unknown)),
            }
        }
        assert_eq!(opened, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ticket_of_the_store_raced_by_eight_opens_exactly_one() {
    let (store, _feed) = Store::open(Options::default(), random::fill).unwrap();
    race(&TicketStore::Store(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ticket_in_redis_raced_by_eight_opens_exactly_one() {
    let redis = Redis::start();
    race(&tickets_in(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_a_web_application_put_into_redis_works_once() {
    let redis = Redis::start();
    let tickets = tickets_in(&redis);
    let key = format!("wstoken{}", "0123456789abcdef".repeat(2));
    let time = jiff::Timestamp::now().strftime("%d:%m:%Y:%H:%M:%S").to_string();
    let value = format!(r#"{{"user": "J\u00fcrgen", "time": "{time}"}}"#);
    assert!(redis.command(&["SET", &key, &value, "EX", "20"]).unwrap().starts_with("+OK"));
    assert_eq!(tickets.take(&key, now_ms()).await.map(|taken| taken.grant), Ok(grant("Jürgen")));
    assert_eq!(tickets.take(&key, now_ms()).await, Err(TakeError::Refused(TicketError::Unknown)));
    assert!(redis.command(&["EXISTS", &key]).unwrap().starts_with(":0"), "it is gone from Redis");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_minted_into_redis_ends_there_too() {
    let redis = Redis::start();
    let tickets = tickets_in(&redis);
    let minted = tickets.mint(&grant("anna"), now_ms()).await.unwrap();
    let ttl: u64 = redis.command(&["PTTL", &minted.key]).unwrap().trim_start_matches(':').trim().parse().unwrap();
    assert!((15_000..=20_000).contains(&ttl), "{ttl}");
    let late = tickets.take(&minted.key, now_ms() + 21_000).await;
    assert!(matches!(late, Err(TakeError::Refused(TicketError::Old(_)))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ticket_never_reaches_redis() {
    let redis = Redis::start();
    let tickets = tickets_in(&redis);
    redis.command(&["SET", "secret", "value"]).unwrap();
    for text in ["secret", "wstoken*", "", "wstoken0123456789ABCDEF0123456789ABCDEF"] {
        assert_eq!(tickets.take(text, now_ms()).await, Err(TakeError::Refused(TicketError::Form)), "{text}");
    }
    assert!(redis.command(&["GET", "secret"]).unwrap().contains("value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_down_or_silent_every_ticket_is_refused_in_time_and_it_comes_back_by_itself() {
    let redis = Redis::start();
    let tickets = tickets_in(&redis);
    let minted = tickets.mint(&grant("anna"), now_ms()).await.unwrap();
    let port = redis.stop();
    let patience = Patience::begin();
    assert!(matches!(tickets.take(&minted.key, now_ms()).await, Err(TakeError::Down(_))));
    assert!(matches!(tickets.mint(&grant("anna"), now_ms()).await, Err(MintError::Down(_))));
    assert!(patience.lasts(Duration::from_secs(1)), "{patience:?}");

    // Somebody listens there and says nothing.
    let silent = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let patience = Patience::begin();
    assert!(matches!(tickets.take(&minted.key, now_ms()).await, Err(TakeError::Down(_))));
    assert!(patience.lasts(DEADLINE + Duration::from_millis(500)), "{patience:?}");
    drop(silent);

    let _redis = Redis::start_on(port).expect("the port is free again");
    let minted = tickets.mint(&grant("anna"), now_ms()).await.unwrap();
    assert_eq!(tickets.take(&minted.key, now_ms()).await.map(|taken| taken.grant), Ok(grant("anna")));
}
