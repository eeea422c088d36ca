//! The ways to a Redis: TLS with a certificate of one's own, Sentinels that elect another master, a Cluster that does.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/redis.rs"]
mod redis;

use std::{path::Path, process::Command, time::Duration};

use pikiosk::{
    event::Event,
    io::random,
    server::store::{Fed, Feed, Limits, Publish, Published, RedisSetup, Store, StoreError, Tls},
};
use redis::{ACL, Redis, free_port};
use tokio::time::timeout;

const T0: u64 = 1_777_896_000_000;
/// An election takes some seconds where two cores are shared by many.
const LIMIT: Duration = Duration::from_secs(60);

fn setup(address: &str, tls: Tls) -> RedisSetup {
    RedisSetup { address: address.parse().unwrap(), tls, prefix: "pikiosk".into(), limits: Limits::default() }
}

async fn surely(store: &Store, id: &str) -> Published {
    let until = async {
        loop {
            let event = Event::new(id, "test", "org.example").to("all".parse().unwrap());
            match store.publish(vec![Publish { event, command: None, expires_ms: None }], T0).await {
                Ok(mut published) => return published.remove(0),
                Err(StoreError::Unreachable(_) | StoreError::Timeout) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(LIMIT, until).await.expect("a publish is taken")
}

/// Reads on until this is fed; whether entries were lost on the way.
async fn up_to(feed: &mut Feed, id: &str) -> bool {
    let mut lost = false;
    let read = async {
        loop {
            for fed in feed.recv().await.expect("the feed goes on") {
                match fed {
                    Fed::Event(event) if event.event.id == id => return,
                    Fed::Lost => lost = true,
                    _ => {}
                }
            }
        }
    };
    timeout(LIMIT, read).await.unwrap_or_else(|_| panic!("{id} is not fed"));
    lost
}

fn openssl(dir: &Path, words: &str) {
    let done = Command::new("openssl").args(words.split_whitespace()).current_dir(dir).output();
    let done = done.expect("openssl is installed (apt install openssl)");
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn a_redis_with_tls_a_certificate_of_ones_own_and_the_user_of_the_manual_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    openssl(dir.path(), "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    std::fs::write(dir.path().join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    for name in ["redis", "client"] {
        openssl(
            dir.path(),
            &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            dir.path(),
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile san"
            ),
        );
    }
    let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(dir.path().join("users.acl"), format!("user default on nopass ~* +ping\n{}", line_of_the_manual()))
        .unwrap();
    let port = free_port();
    let (tls_port, users) = (port.to_string(), file("users.acl"));
    let (cert, key, ca) = (file("redis.pem"), file("redis.key"), file("ca.pem"));
    let _redis = Redis::start_with(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--aclfile",
        &users,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]);
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let tls = Tls { authority: Some(read("ca.pem")), own: Some((read("client.pem"), read("client.key"))) };
    let url = format!("rediss://pikiosk:CHANGE-ME@127.0.0.1:{port}/");
    let (store, mut feed) = Store::open_redis(setup(&url, tls.clone()), random::fill).await.unwrap();
    surely(&store, "a").await;
    assert!(!up_to(&mut feed, "a").await);
    store.close().await;

    let without = Store::open_redis(setup(&url, Tls { own: None, ..tls.clone() }), random::fill).await;
    assert!(without.is_err(), "this Redis asks for a certificate");
    let stranger = Store::open_redis(setup(&url, Tls { authority: None, ..tls }), random::fill).await;
    assert!(stranger.is_err(), "no public authority signed it");
}

/// As a person puts it into users.acl.
fn line_of_the_manual() -> String {
    ACL.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test]
async fn sentinels_lead_to_the_master_and_after_it_died_to_the_next_with_new_epochs() {
    let durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut master = Redis::start_with(&durable);
    let of = master.port().to_string();
    let replicaof = format!("127.0.0.1 {of}");
    let replica =
        Redis::start_with(&[&durable[..], &["--replicaof", &replicaof, "--repl-diskless-sync-delay", "0"]].concat());
    redis::until("the replica has the master's data", || {
        replica
            .command(&["INFO", "replication"])
            .is_ok_and(|_| replica.text(&["INFO", "replication"]).contains("master_link_status:up"))
    });
    let sentinels: Vec<Redis> = (0..3).map(|_| Redis::sentinel("main", master.port())).collect();
    redis::until("the Sentinels know one another and the replica", || {
        sentinels.iter().all(|one| {
            let known = one.text(&["SENTINEL", "MASTER", "main"]);
            known.contains("num-other-sentinels\r\n$1\r\n2") && known.contains("num-slaves\r\n$1\r\n1")
        })
    });
    let url = format!(
        "redis+sentinel://127.0.0.1:{}/0?master=main&addr=127.0.0.1:{}&addr=127.0.0.1:{}",
        sentinels[0].port(),
        sentinels[1].port(),
        sentinels[2].port()
    );
    let (store, mut feed) = Store::open_redis(setup(&url, Tls::default()), random::fill).await.unwrap();
    let before = surely(&store, "a").await;
    up_to(&mut feed, "a").await;
    master.kill();
    let after = surely(&store, "b").await;
    assert_ne!(before.position.epoch, after.position.epoch, "a replica may lack what its master had accepted");
    assert!(up_to(&mut feed, "b").await, "every socket is to come back");
    surely(&store, "c").await;
    assert!(!up_to(&mut feed, "c").await);
}

#[tokio::test]
async fn a_cluster_keeps_a_store_on_one_of_its_masters_and_goes_on_with_its_replica() {
    let mut nodes: Vec<Redis> = (0..6)
        .map(|_| {
            Redis::start_with(&[
                "--save",
                "",
                "--appendonly",
                "yes",
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "1500",
            ])
        })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(&addresses).args(["--cluster-replicas", "1", "--cluster-yes"]);
    let made = create.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    redis::until("every node knows the whole Cluster", || {
        nodes.iter().all(|node| node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
            && nodes.iter().filter(|node| node.text(&["INFO", "replication"]).contains("master_link_status:up")).count()
                == 3
    });
    let url = format!("redis+cluster://{}?addr={}&addr={}", addresses[0], addresses[1], addresses[2]);
    let (store, mut feed) = Store::open_redis(setup(&url, Tls::default()), random::fill).await.unwrap();
    let before = surely(&store, "a").await;
    assert!(!up_to(&mut feed, "a").await);
    let keeper = nodes
        .iter()
        .position(|node| {
            node.text(&["INFO", "replication"]).contains("role:master")
                && node.command(&["HGET", "{pikiosk}:meta", "schema"]).unwrap().starts_with("$1")
        })
        .expect("one of them holds the store");
    nodes[keeper].kill();
    let after = surely(&store, "b").await;
    assert_ne!(before.position.epoch, after.position.epoch);
    assert!(up_to(&mut feed, "b").await, "every socket is to come back");
}
