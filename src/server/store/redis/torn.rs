//! A power cut in the middle of a call: half of its commands are in Redis' file, behind a MULTI without EXEC. Redis reads
//! over it at its next start, and carries it out at the one after.
//!
//! ```text
//!  template: enrolled, published --| one call, cut at each place of its commands
//!    life 1: Redis reads over it   -> others publish, are accepted          = what must be there
//!    life 2: Redis carries it out  -> the store is mended by who attaches   = what is there
//! ```

use std::{fs, path::PathBuf};

use ::redis::Value;

use super::{
    super::{
        contract::{
            T0, address, enroll, id, in_redis, item, publish,
            redis_server::{self, Redis as Server},
            settle,
        },
        *,
    },
    reply,
};
use crate::{
    event::{Address, Receipt, Status},
    io::random,
};

/// What contradicts itself in a store, a line each; and everything that is in it, but for what the lives of Redis, the feed
/// and the nodes themselves leave there.
const LOOK: &str = include_str!("torn.lua");

/// What Redis may do besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rewrites {
    /// Its user may not have the file written anew.
    Forbidden,
    /// It is written anew before the second power cut.
    Done,
    /// The second power cut comes in the midst of that.
    UnderWay,
}

impl Rewrites {
    fn arguments(self) -> Vec<&'static str> {
        let mut words = vec!["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
        words.extend(["--aof-load-truncated", "yes", "--auto-aof-rewrite-percentage", "0"]);
        match self {
            Rewrites::Forbidden => {
                words.extend(["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-bgrewriteaof"]);
            }
            Rewrites::Done => {}
            // So long for each key, in microseconds.
            Rewrites::UnderWay => words.extend(["--rdb-key-save-delay", "300000"]),
        }
        words
    }
}

/// A Redis whose file ends with one call.
struct Torn {
    server: Server,
    setup: RedisSetup,
    /// Its files as that call left them.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Where the call's commands begin and end in the last of them.
    commands: Vec<(usize, usize)>,
}

impl Torn {
    async fn by(rewrites: Rewrites, call: impl AsyncFnOnce(&Store)) -> Torn {
        Torn::after(async |_: &Store| {}, rewrites, call).await
    }

    async fn after(more: impl AsyncFnOnce(&Store), rewrites: Rewrites, call: impl AsyncFnOnce(&Store)) -> Torn {
        let mut server = Server::start_with(&rewrites.arguments());
        let limits = Limits { pending_states: 2, pending_actions: 4, ..Limits::default() };
        let setup =
            RedisSetup { address: server.url().parse().unwrap(), tls: Tls::default(), prefix: "torn".into(), limits };
        let (store, _) = Store::open_redis(setup.clone(), random::fill).await.unwrap();
        for display in ["one", "two", "three"] {
            enroll(&store, display, &["hall"]).await;
        }
        for n in 0..2 {
            publish(&store, &format!("a{n}"), "all", "kiosk.message").await;
            publish(&store, &format!("s{n}"), "group/hall", "kiosk.zoom").await;
        }
        for event in ["two-waits", "two-is-full"] {
            publish(&store, event, "display/two", "kiosk.message").await;
        }
        publish(&store, "s-three", "display/three", "kiosk.navigate").await;
        publish(&store, "plain", "user/anna", "org.example").await;
        store.put_result(&id("one"), "a1", "image/png", vec![1; 100].into(), T0).await.unwrap();
        more(&store).await;
        let newest = |server: &Server| {
            let names = fs::read_dir(server.dir().join("appendonlydir")).unwrap().map(|file| file.unwrap().path());
            names.filter(|name| name.to_string_lossy().ends_with(".incr.aof")).max().unwrap()
        };
        let before = fs::metadata(newest(&server)).unwrap().len() as usize;
        call(&store).await;
        server.kill();
        store.close().await;
        let folder = server.dir().join("appendonlydir");
        let newest = newest(&server);
        let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| *path != newest)
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        let text = fs::read(&newest).unwrap();
        let mut commands = commands(&text, before);
        // What is no transaction is written whole or not at all.
        let is = |(from, to): &(usize, usize), word: &[u8]| text[*from..*to].ends_with(word);
        let begin = commands.iter().position(|command| is(command, b"MULTI\r\n")).expect("a transaction");
        commands.drain(..begin);
        let end = commands.iter().position(|command| is(command, b"EXEC\r\n")).expect("a transaction");
        commands.truncate(end + 1);
        let end = commands[end].1;
        files.push((newest, text[..end].to_vec()));
        Torn { server, setup, files, commands }
    }

    /// Redis starts with so much of its last file.
    async fn cut(&mut self, length: usize) -> (Store, Feed) {
        let folder = self.server.dir().join("appendonlydir");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        for (path, bytes) in &self.files {
            fs::write(path, bytes).unwrap();
        }
        let last = fs::File::options().write(true).open(&self.files.last().unwrap().0).unwrap();
        last.set_len(length as u64).unwrap();
        self.server.start_again();
        Store::open_redis(self.setup.clone(), random::fill).await.unwrap()
    }

    /// In the middle of each command, and between some.
    fn places(&self, between: usize) -> Vec<usize> {
        let middles = self.commands.iter().skip(1).map(|(from, to)| (from + to) / 2);
        middles.chain(self.commands.iter().map(|command| command.1).step_by(between)).collect()
    }

    fn rewrite_is_done(&self) {
        redis_server::until("the file is written anew", || {
            self.server.text(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0")
        });
    }
}

/// The commands in a file of Redis, from here on.
fn commands(text: &[u8], mut at: usize) -> Vec<(usize, usize)> {
    fn number(text: &[u8], at: &mut usize) -> usize {
        let end = *at + text[*at..].iter().position(|byte| *byte == b'\r').unwrap();
        let digits = std::str::from_utf8(&text[*at + 1..end]).unwrap().parse().unwrap();
        *at = end + 2;
        digits
    }
    let mut found = Vec::new();
    while at < text.len() {
        let from = at;
        for _ in 0..number(text, &mut at) {
            at += number(text, &mut at) + 2;
        }
        found.push((from, at));
    }
    found
}

async fn look(store: &Store) -> (Vec<String>, Vec<String>) {
    let Store::Redis(redis) = store else { panic!() };
    let mut cmd = ::redis::cmd("EVAL");
    cmd.arg(LOOK).arg(1).arg(redis.engine.key("meta"));
    let mut answer = reply::list(redis.engine.ask(&cmd).await.unwrap()).unwrap().into_iter();
    let mut texts = || -> Vec<String> {
        let list: Vec<Value> = reply::list(answer.next().unwrap()).unwrap();
        list.into_iter().map(|text| reply::text(text).unwrap()).collect()
    };
    (texts(), texts())
}

async fn whole(store: &Store, when: &str) -> Vec<String> {
    let (wrong, all) = look(store).await;
    assert!(wrong.is_empty(), "{when}: {wrong:#?}\n{all:#?}");
    all
}

/// Every event that one address has, from its first.
async fn all_of(store: &Store, of: &Address) -> Vec<(u64, String)> {
    let history = store.history(of, 0, 1_000).await.unwrap();
    history.events.iter().map(|one| (one.position.offset, one.event.id.clone())).collect()
}

/// Of two lists, what only one of them has.
fn difference<'a>(one: &'a [String], other: &'a [String]) -> Vec<&'a String> {
    one.iter().filter(|row| !other.contains(row)).chain(other.iter().filter(|row| !one.contains(row))).collect()
}

fn batch() -> Vec<Publish> {
    vec![
        item("b-all", "all", "kiosk.message"),
        item("b-zoom", "group/hall", "kiosk.zoom"),
        item("b-zoom-2", "all", "kiosk.zoom"),
        item("b-one", "display/one", "kiosk.navigate"),
        item("b-three", "display/three", "kiosk.navigate"),
        item("b-anna", "user/anna", "org.example"),
        item("b-anna-2", "user/anna", "org.example"),
        item("b-otto", "user/otto", "org.example"),
        item("plain", "user/anna", "org.example"),
    ]
}

async fn ids_of_feed(feed: &mut Feed, last: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        for fed in tokio::time::timeout(std::time::Duration::from_secs(20), feed.recv()).await.unwrap().unwrap() {
            match fed {
                Fed::Event(event) => found.push(event.event.id.clone()),
                Fed::Lost => found.push("LOST".to_owned()),
                Fed::Receipt(_) | Fed::Control(_) => {}
            }
        }
        if found.iter().any(|id| id == last) {
            return found;
        }
    }
}

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

/// Any other call is cut; `again` is how its caller comes back in the last life, if at all.
async fn a_cut_call(name: &str, call: impl AsyncFn(&Store), again: impl AsyncFn(&Store, &str)) {
    let mut torn = Torn::by(Rewrites::Forbidden, async |store| call(store).await).await;
    for (number, place) in torn.places(50).into_iter().enumerate() {
        // As above.
        let repeated = number % 2 == 1;
        let when = format!("{name}, place {number} ({place}), repeated in the first life: {repeated}");
        let (store, mut feed) = torn.cut(place).await;
        whole(&store, &format!("{when}, first life")).await;
        if repeated {
            call(&store).await;
        }
        store.publish(vec![item("later", "all", "kiosk.zoom")], T0 + 1_000).await.unwrap();
        let before = whole(&store, &when).await;
        torn.server.kill();
        torn.server.start_again();
        let (two, _feed) = Store::open_redis(torn.setup.clone(), random::fill).await.unwrap();
        let after = whole(&two, &format!("{when}, second life")).await;
        if repeated {
            assert_eq!(difference(&before, &after), Vec::<&String>::new(), "{when}");
        }
        again(&two, &when).await;
        whole(&two, &format!("{when}, after it came again")).await;
        publish(&two, "end", "all", "kiosk.zoom").await;
        let fed = ids_of_feed(&mut feed, "end").await;
        assert_eq!(fed, ["later", "end"], "{when}");
        torn.server.kill();
        store.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn half_a_receipt_is_a_receipt() {
    let call = async |store: &Store| {
        settle(store, "one", "a0", Status::Done).await;
    };
    let again = async |store: &Store, when: &str| {
        settle(store, "one", "a0", Status::Done).await;
        let record = store.event("a0", Some("test")).await.unwrap().unwrap();
        let of_one: Vec<_> = record.receipts.iter().filter(|(display, _)| *display == id("one")).collect();
        assert_eq!(of_one.len(), 1, "{when}");
        assert_eq!(of_one[0].1.status, Status::Done, "{when}");
    };
    a_cut_call("receipt", call, again).await;
}

#[tokio::test]
async fn half_an_expiry_leaves_nothing_waiting() {
    let due = T0 + 120_000;
    let call = async |store: &Store| {
        store.expire(due, std::collections::HashSet::new()).await.unwrap();
    };
    let again = async |store: &Store, when: &str| {
        call(store).await;
        for event in ["a0", "a1", "two-is-full"] {
            let record = store.event(event, Some("test")).await.unwrap().unwrap();
            assert!(record.pending.is_empty(), "{when}: {event}");
            assert!(record.receipts.iter().all(|(_, receipt)| receipt.status == Status::Expired), "{when}: {event}");
        }
    };
    a_cut_call("expire", call, again).await;
}

#[tokio::test]
async fn half_a_removal_of_a_display_is_a_removal_or_none() {
    let call = async |store: &Store| {
        let _ = store.remove_display(&id("two"), T0).await;
    };
    let again = async |store: &Store, when: &str| {
        if let Some(row) = store.display(&id("two")).await.unwrap() {
            assert_eq!(row.groups.len(), 1, "{when}");
            store.remove_display(&id("two"), T0).await.unwrap();
        }
        assert!(store.display(&id("two")).await.unwrap().is_none(), "{when}");
        assert!(store.event("two-is-full", Some("test")).await.unwrap().unwrap().pending.is_empty(), "{when}");
    };
    a_cut_call("remove", call, again).await;
}

#[tokio::test]
async fn half_a_change_of_groups_leaves_the_display_in_one_of_them() {
    let call = async |store: &Store| {
        let groups = ["lift".parse().unwrap(), "yard".parse().unwrap()].into();
        store.patch_display(&id("two"), DisplayPatch { label: None, groups: Some(groups) }).await.unwrap();
    };
    a_cut_call("patch", call, async |store, when| {
        call(store).await;
        assert_eq!(store.display(&id("two")).await.unwrap().unwrap().groups.len(), 2, "{when}");
    })
    .await;
}

#[tokio::test]
async fn half_a_result_is_a_result_or_none() {
    let call = async |store: &Store| {
        store.put_result(&id("one"), "a1", "image/png", vec![2; 500].into(), T0 + 9).await.unwrap();
    };
    a_cut_call("result", call, async |store, when| {
        call(store).await;
        let result = store.result(&id("one"), "a1").await.unwrap().unwrap();
        assert_eq!(result.body.len(), 500, "{when}");
    })
    .await;
}

#[tokio::test]
async fn what_is_cut_when_a_display_connects_ends_once() {
    // Given so often that the next time is one too many.
    let call = async |store: &Store| {
        let limit = Limits::default().attempts;
        for _ in 0..=limit {
            store.backlog(&id("one"), T0).await.unwrap();
        }
    };
    a_cut_call("backlog", call, async |store, when| {
        call(store).await;
        let record = store.event("a0", Some("test")).await.unwrap().unwrap();
        let of_one: Vec<_> = record.receipts.iter().filter(|(display, _)| *display == id("one")).collect();
        assert_eq!(of_one.len(), 1, "{when}");
        let receipt: &Receipt = &of_one[0].1;
        assert_eq!(receipt.status, Status::Failed, "{when}");
    })
    .await;
}

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
