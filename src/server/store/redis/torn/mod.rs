//! A power cut in the middle of a call: half of its commands are in Redis' file, behind a MULTI without EXEC. Redis reads
//! over it at its next start, and carries it out at the one after.
//!
//! ```text
//!  template: enrolled, published --| one call, cut at each place of its commands
//!    life 1: Redis reads over it   -> others publish, are accepted          = what must be there
//!    life 2: Redis carries it out  -> the store is mended by who attaches   = what is there
//! ```
//!
//! `publish` cuts a publish, with and without the file written anew; `calls` every other call; `mender` what takes the mender
//! several steps, and what it cannot mend.
//!
//! Rejected: files made by hand. Only Redis knows what Redis writes, and each version writes otherwise.

mod calls;
mod mender;
mod publish;

use std::{fs, path::PathBuf};

use ::redis::Value;

use super::{
    super::{
        contract::{
            T0, enroll, id, item, publish,
            redis_server::{self, Redis as Server},
        },
        *,
    },
    reply,
};
use crate::{event::Address, io::random};

/// What contradicts itself in a store, a line each; and everything that is in it, but for what the lives of Redis, the feed
/// and the nodes themselves leave there.
const LOOK: &str = include_str!("look.lua");

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
