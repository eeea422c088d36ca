//! `kiosk.call` with real Celery workers, over both brokers and both back ends.
//!
//! One RabbitMQ and one Redis serve all scenarios of a test; each has a server and workers of its own.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "which scenario runs is for whoever runs this with --nocapture")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use pikiosk::event::Event;
use redis::Redis;
use serde_json::{Value, json};
use support::{
    celery::Worker,
    rabbit::Rabbit,
    server::Server,
    socket::{End, FakeDisplay, Socket, ticket},
    wait::until,
};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

const TASKS: &str =
    r#"["shop.add", "shop.who", "shop.fail", "shop.large", "shop.slow", "shop.wait", "shop.note", "shop.secret"]"#;
/// How long a program may take for what takes it a second, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// What all scenarios share.
struct World {
    rabbit: Rabbit,
    redis: Option<Redis>,
    runtime: Runtime,
}

impl World {
    fn start(folder: &Path) -> World {
        let rabbit = Rabbit::start(folder);
        World { rabbit, redis: Some(Redis::start()), runtime: Runtime::new().unwrap() }
    }

    /// RabbitMQ with results in its queues, with results in Redis, and Redis for both.
    fn pairs(&self) -> [Pair; 3] {
        let (amqp, redis) = (self.rabbit.url(), self.redis_url(1));
        let pair = |broker: &str, backend: &str| Pair { broker: broker.to_owned(), backend: backend.to_owned() };
        [pair(&amqp, "rpc://"), pair(&amqp, &redis), pair(&redis, &redis)]
    }

    fn run(&mut self, name: &str, pair: &Pair, scenario: Scenario) {
        println!("--- {name} ({} {})", pair.broker, pair.backend);
        scenario(self, pair, tempfile::tempdir().unwrap().path());
    }

    fn redis_url(&self, database: u32) -> String {
        format!("{}{database}", self.redis.as_ref().unwrap().url())
    }
}

/// A broker and a back end.
#[derive(Debug, Clone)]
struct Pair {
    broker: String,
    backend: String,
}

impl Pair {
    fn server(&self, folder: &Path, more: &str) -> Server {
        let Pair { broker, backend } = self;
        let celery = format!("[celery]\nbroker = \"{broker}\"\nbackend = \"{backend}\"\ntasks = {TASKS}\n");
        // What a call has come to is in the log.
        Server::start_with(folder, &format!("{celery}{more}"), &[("PIKIOSK_LOG", "info,pikiosk::server::tasks=debug")])
    }

    fn worker(&self, folder: &Path, at_a_time: u32) -> Worker {
        Worker::start(folder, &self.broker, &self.backend, "threads", at_a_time)
    }
}

/// A page of a user. It is read all the time: the server lets go of one that is silent while the test waits for others.
struct Page {
    calls: UnboundedSender<Value>,
    events: UnboundedReceiver<Result<Event, End>>,
}

impl Page {
    async fn open(server: &Server, user: &str) -> Page {
        Page::with(server, &ticket(server, user)).await
    }

    async fn with(server: &Server, ticket: &str) -> Page {
        let mut socket = Socket::open(server.address, ticket).await.unwrap();
        socket.hello().await.unwrap();
        let ((calls, mut to_make), (heard, events)) = (unbounded_channel(), unbounded_channel());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    call = to_make.recv() => {
                        let Some(call) = call else { return };
                        socket.say("kiosk.call", &call).await.unwrap();
                    }
                    event = socket.take() => {
                        let ended = event.is_err();
                        if heard.send(event).is_err() || ended {
                            return;
                        }
                    }
                }
            }
        });
        Page { calls, events }
    }

    /// Sends a call; the answer comes when it comes.
    fn start(&mut self, task: &str, args: Value, kwargs: Value) {
        self.calls.send(json!({"task": task, "args": args, "kwargs": kwargs})).unwrap();
    }

    /// The next result: the call it answers, its state, and what it says.
    async fn result(&mut self) -> (String, String, Value) {
        let heard = timeout(PATIENCE, self.events.recv()).await.expect("the server says something");
        let event = heard.unwrap().unwrap();
        assert_eq!(event.kind, "kiosk.result", "{event:?}");
        let data: Value = serde_json::from_str(event.json_data().get()).unwrap();
        (text(&data["call"]), text(&data["state"]), data["result"].clone())
    }

    async fn call(&mut self, task: &str, args: Value, kwargs: Value) -> (String, Value) {
        self.start(task, args, kwargs);
        let (_, state, result) = self.result().await;
        (state, result)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn success(result: impl Into<Value>) -> (String, Value) {
    ("SUCCESS".to_owned(), result.into())
}

#[test]
fn a_page_calls_a_task_and_is_told_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path());
    let pairs = world.pairs();
    for pair in &pairs {
        world.run("every end of a task is told", pair, ends);
        world.run("a caller is told that it took too long, and the task is not begun later", pair, timeouts);
        world.run("a task that is revoked is told", pair, revoked);
    }
    world.run("a call may only take its room", &pairs[2], room);
}

#[test]
fn a_call_outlives_a_broker_and_a_back_end_that_are_killed_and_is_told_where_they_lost_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path());
    let [rpc, redis, _] = world.pairs();
    world.run("the back end is killed while calls are open", &redis, backend_killed);
    world.run("the broker is killed while calls are open", &rpc, broker_killed);
    world.run("the broker comes back with an empty disk", &rpc, broker_replaced);
}

type Scenario = fn(&mut World, &Pair, &Path);

fn ends(world: &mut World, pair: &Pair, folder: &Path) {
    let narrowed = "[celery.principals]\n\"user/bob\" = [\"shop.add\"]\n\"display/lobby\" = [\"shop.who\"]\n";
    let server = pair.server(folder, narrowed);
    let _worker = pair.worker(folder, 4);
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    world.runtime.block_on(async {
        let mut anna = Page::open(&server, "anna").await;
        assert_eq!(anna.call("shop.add", json!([2, 3]), json!({"times": 10})).await, success(50));
        assert_eq!(anna.call("shop.add", json!(["é", "\u{1F680}"]), json!({})).await, success("é\u{1F680}"));
        assert_eq!(anna.call("shop.who", json!([]), json!({})).await, success("user/anna"));
        let (state, failure) = anna.call("shop.fail", json!([]), json!({})).await;
        assert_eq!((state.as_str(), &failure["exc_type"]), ("FAILURE", &json!("ValueError")));
        assert_eq!(failure["exc_message"], json!(["no such order"]));
        assert!(!failure.to_string().contains("workers.py"), "the traceback stays at home: {failure}");
        let (state, wrong) = anna.call("shop.add", json!([1]), json!({})).await;
        assert_eq!((state.as_str(), &wrong["exc_type"]), ("FAILURE", &json!("TypeError")));
        for length in [100_000, 1_000_000] {
            let (state, says) = anna.call("shop.large", json!([length]), json!({})).await;
            assert_eq!(state, "too_large");
            assert!(says["bytes"].as_u64() > says["limit"].as_u64(), "{says}");
        }
        assert_eq!(anna.call("shop.unheard_of", json!([]), json!({})).await, ("refused".to_owned(), Value::Null));
        let mut bob = Page::open(&server, "bob").await;
        assert_eq!(bob.call("shop.secret", json!([]), json!({})).await, ("refused".to_owned(), Value::Null));
        assert_eq!(bob.call("shop.add", json!([1, 1]), json!({})).await, success(2));
        let mut display = Page::with(&server, &lobby.ticket().unwrap()).await;
        assert_eq!(display.call("shop.who", json!([]), json!({})).await, success("display/lobby"));
        assert_eq!(display.call("shop.add", json!([1, 1]), json!({})).await.0, "refused");

        // Many at once, of two sockets of one user: each result answers its call, on the socket that called.
        let mut other = Page::open(&server, "anna").await;
        let mut expected = BTreeMap::new();
        for n in 0..30 {
            other.start("shop.add", json!([n, 100]), json!({}));
            expected.insert((n + 1).to_string(), ("SUCCESS".to_owned(), json!(n + 100)));
        }
        assert_eq!(anna.call("shop.add", json!([0, 0]), json!({})).await, success(0));
        let mut results = BTreeMap::new();
        for _ in 0..30 {
            let (call, state, result) = other.result().await;
            results.insert(call, (state, result));
        }
        assert_eq!(results, expected);
        // Who goes away is not waited for, and nobody else gets what was his.
        other.start("shop.slow", json!([0.3]), json!({}));
        drop(other);
        assert_eq!(anna.call("shop.slow", json!([0.6]), json!({})).await, success("slept"));
    });
    let metrics = until("no call is open", PATIENCE, || {
        let metrics = server.get("/metrics").text();
        metrics.contains("pikiosk_calls_open 0\n").then_some(metrics)
    });
    assert!(metrics.contains("pikiosk_calls_total{state=\"refused\"} 3\n"), "{metrics}");
}

fn timeouts(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "timeout_seconds = 4\n");
    world.runtime.block_on(async {
        let mut anna = Page::open(&server, "anna").await;
        let late = anna.call("shop.note", json!(["too late"]), json!({})).await;
        assert_eq!(late, ("timeout".to_owned(), Value::Null));
        let worker = pair.worker(folder, 1);
        assert_eq!(anna.call("shop.note", json!(["in time"]), json!({})).await, success("in time"));
        assert_eq!(worker.notes(), "in time\n", "{}", worker.log());
        // One that has begun goes on, and is not waited for.
        assert_eq!(anna.call("shop.wait", json!([]), json!({})).await.0, "timeout");
    });
}

fn revoked(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "");
    let worker = Worker::start(folder, &pair.broker, &pair.backend, "prefork", 1);
    world.runtime.block_on(async {
        let mut anna = Page::open(&server, "anna").await;
        anna.start("shop.wait", json!([]), json!({}));
        // Only then: two calls of one socket may reach the broker in either order, and a note would not wait for itself.
        has(&worker, "Task shop.wait");
        anna.start("shop.note", json!(["never"]), json!({}));
        until("the worker tells of the task that waits", PATIENCE, || {
            (worker.revoke_waiting("shop.note") == 1).then_some(())
        });
        worker.go();
        let mut ended = BTreeMap::new();
        for _ in 0..2 {
            let (call, state, result) = anna.result().await;
            ended.insert(call, (state, result["exc_type"].clone()));
        }
        assert_eq!(ended["1"], ("SUCCESS".to_owned(), Value::Null));
        assert_eq!(ended["2"], ("REVOKED".to_owned(), json!("TaskRevokedError")));
        assert_eq!(worker.notes(), "");
    });
}

fn room(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "timeout_seconds = 6\n");
    world.runtime.block_on(async {
        let mut anna = Page::open(&server, "anna").await;
        for _ in 0..40 {
            anna.start("shop.add", json!([1, 1]), json!({}));
        }
        for _ in 0..8 {
            let (_, state, why) = anna.result().await;
            assert_eq!((state.as_str(), &why), ("refused", &json!("32 calls are open already")));
        }
        for _ in 0..32 {
            assert_eq!(anna.result().await.1, "timeout");
        }
        anna.start("shop.unheard_of", json!([]), json!({}));
        assert_eq!(anna.result().await.2, Value::Null, "there is room again");
    });
}

/// Waits until the worker has said so.
fn has(worker: &Worker, line: &str) {
    until(line, PATIENCE, || worker.log().contains(line).then_some(()));
}

/// Waits until the broker has told the server that it keeps the task of the first call.
fn is_with_the_broker(server: &Server) {
    until("the broker has it", PATIENCE, || server.log().contains("a call is with the broker").then_some(()));
}

fn broker_killed(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "");
    // With threads, which share a connection, Celery 5.7 hung after the broker came back in 2 of 16 runs.
    let worker = Worker::start(folder, &pair.broker, &pair.backend, "prefork", 2);
    let runtime = &world.runtime;
    let (mut anna, mut bob) =
        runtime.block_on(async { (Page::open(&server, "anna").await, Page::open(&server, "bob").await) });
    anna.start("shop.wait", json!([]), json!({}));
    has(&worker, "Task shop.wait");
    is_with_the_broker(&server);
    world.rabbit.kill();
    world.rabbit.start_again();
    // Only now: with `rpc://` a worker gives its result up when the broker is away for 20 s.
    worker.go();
    assert_eq!(runtime.block_on(anna.result()), ("1".to_owned(), "SUCCESS".to_owned(), json!("went")));
    world.rabbit.kill();
    let (state, _) = runtime.block_on(bob.call("shop.add", json!([1, 1]), json!({})));
    assert_eq!(state, "unavailable", "the broker is away for longer than a call waits for it");
    world.rabbit.start_again();
    // The longer the broker was away, the later the workers look for it again: up to 30 s.
    until("the worker is back", PATIENCE, || world.rabbit.client().is_consumed("celery").then_some(()));
    let begun = Instant::now();
    loop {
        match runtime.block_on(bob.call("shop.add", json!([1, 1]), json!({}))) {
            (state, _) if state == "unavailable" && begun.elapsed() < PATIENCE => {}
            ended => break assert_eq!(ended, success(2)),
        }
    }
}

fn broker_replaced(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "");
    let runtime = &world.runtime;
    let mut anna = runtime.block_on(Page::open(&server, "anna"));
    anna.start("shop.add", json!([1, 1]), json!({}));
    is_with_the_broker(&server);
    world.rabbit.kill();
    world.rabbit.forget();
    world.rabbit.start_again();
    let (call, state, why) = runtime.block_on(anna.result());
    assert_eq!((call.as_str(), state.as_str()), ("1", "unavailable"));
    assert_eq!(why, json!("the broker lost what it had: whether the task ran is not known"));
    let _worker = pair.worker(folder, 1);
    assert_eq!(runtime.block_on(anna.call("shop.add", json!([1, 1]), json!({}))), success(2));
}

fn backend_killed(world: &mut World, pair: &Pair, folder: &Path) {
    let server = pair.server(folder, "");
    let worker = pair.worker(folder, 2);
    let World { redis, runtime, .. } = world;
    runtime.block_on(async {
        let mut anna = Page::open(&server, "anna").await;
        assert_eq!(anna.call("shop.add", json!([1, 1]), json!({})).await, success(2));
        anna.start("shop.wait", json!([]), json!({}));
        has(&worker, "Task shop.wait");
        let port = redis.take().unwrap().stop();
        *redis = Redis::start_on(port);
        assert!(redis.is_some(), "the port is still free");
        // Only now: what Celery makes of a result that it cannot put there is its own affair.
        worker.go();
        assert_eq!(anna.result().await, ("2".to_owned(), "SUCCESS".to_owned(), json!("went")));
        assert_eq!(anna.call("shop.add", json!([1, 2]), json!({})).await, success(3));
    });
}
