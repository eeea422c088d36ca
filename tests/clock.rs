//! Clocks that are wrong or jump: by an hour, by ten years, or in 1970 at boot. The display's and the server's.
//!
//! libfaketime gives one process another wall clock, and reads anew what it shows each time; the monotonic clock stays as
//! it is, as after `date -s`.
#![cfg(all(feature = "display", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::print_stdout, reason = "what was measured, and what was skipped, are these tests' report")]

mod support;

#[path = "support/redis.rs"]
mod redis;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use redis::Redis;
use serde_json::{Value, json};
use support::{
    faketime::library,
    process::Process,
    server::{Server, event, free_port, pikiosk, receipt_of},
    wait::{Patience, seconds, timed, until},
};

const DISPLAY: &str = "wall";
const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
/// How long a command of these tests lives, in seconds.
const LIFE: u64 = 4;
/// How much earlier or later it may expire.
const OFF: Duration = Duration::from_secs(1);

/// How often a display may come in ten seconds, even if its failures began with them. Each wait is random between nothing
/// and twice as much as the one before could be, from 0.5 s to 60 s: that 13 of them end within ten seconds has a chance of
/// at most 10^13 / 13! / (0.5 * 1 * 2 * ... * 32 * 60^6), one in 10^11. Waits that do not grow make 40 tries.
const TRIES_MAX: usize = 12;

/// A wall clock that one process sees.
struct Clock(PathBuf);

impl Clock {
    /// As seconds ahead of the right one.
    fn new(folder: &Path, name: &str, ahead: i64) -> Self {
        let clock = Clock(folder.join(format!("clock-of-{name}")));
        clock.set(ahead);
        clock
    }

    fn set(&self, ahead: i64) {
        // In one step: who reads it half written would live in another year.
        pikiosk::io::store::write_atomically(&self.0, format!("{ahead:+}").as_bytes(), 0o644).unwrap();
    }

    fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", library().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

/// `support/clock.c`; None where there is no C compiler.
fn built_shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
    let shim = folder.join("clock.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).status();
    built.is_ok_and(|status| status.success()).then_some(shim)
}

/// Half a minute after the machine was born, as a Pi without a battery has it.
fn in_1970() -> i64 {
    30 - now_s()
}

fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn wrong_clocks() -> [(&'static str, i64); 5] {
    [
        ("an hour behind", -HOUR),
        ("an hour ahead", HOUR),
        ("ten years behind", -TEN_YEARS),
        ("ten years ahead", TEN_YEARS),
        ("in 1970", in_1970()),
    ]
}

/// They mostly wait: one after the other they would wait five times as long.
fn all_at_once(clocks: &[(&'static str, i64)], with: impl Fn(&str, i64) + Sync) {
    std::thread::scope(|scope| {
        let all: Vec<_> = clocks
            .iter()
            .map(|&(words, ahead)| {
                scope.spawn({
                    let with = &with;
                    move || with(words, ahead)
                })
            })
            .collect();
        for one in all {
            one.join().unwrap_or_else(|broke| std::panic::resume_unwind(broke));
        }
    });
}

/// A supervisor that nobody has given a browser: what needs the glass waits.
struct Display {
    run: Process,
    folder: PathBuf,
    /// Whoever looks at it has the same clock.
    environment: Vec<(String, String)>,
}

impl Display {
    /// `server` is a section of kiosk.toml.
    fn start(folder: &Path, server: &str, environment: &[(&str, &str)]) -> Self {
        let config = folder.join("kiosk.toml");
        let page = free_port();
        fs::write(&config, format!("[display]\nid = \"{DISPLAY}\"\n{server}[page]\nlisten = \"127.0.0.1:{page}\"\n"))
            .unwrap();
        let mut command = pikiosk(&["run", "--config"]);
        command.arg(config).arg("--runtime").arg(folder.join("run")).arg("--state").arg(folder.join("state"));
        command.envs(environment.iter().copied());
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Display { run: Process::start("run", folder, &mut command), folder: folder.to_owned(), environment }
    }

    /// What `pikiosk status` prints.
    fn status(&self) -> String {
        let mut command = pikiosk(&["status", "--runtime"]);
        command.arg(self.folder.join("run")).envs(self.environment.iter().map(|(name, value)| (name, value)));
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }
}

fn section(server: &Server) -> String {
    format!("[server]\nurl = \"{}\"\nenrollment = \"{}\"\n", server.url(), server.enrollment(DISPLAY))
}

#[track_caller]
fn answers(server: &Server) -> Duration {
    let began = Instant::now();
    until("the display is enrolled", seconds(30), || {
        (server.get(&format!("/v1/displays/{DISPLAY}")).status == 200).then_some(())
    });
    let (_, reply) = server.publish(&format!("display/{DISPLAY}"), "health", &json!({}), Some("30s"));
    let receipt = receipt_of(&reply.json(), DISPLAY).unwrap_or_else(|| panic!("no receipt: {}", reply.text()));
    assert_eq!(receipt["status"], "done", "{receipt}");
    began.elapsed()
}

/// Publishes a command that needs the glass, which is not there; `server_ahead` is how far the server's clock is ahead of
/// ours. Does `meanwhile`, and returns after how long it had expired.
#[track_caller]
fn expires(server: &Server, server_ahead: i64, meanwhile: impl FnOnce()) -> Expired {
    let mut command = event(&format!("display/{DISPLAY}"), "kiosk.message", &json!({"text": "too late", "seconds": 5}));
    let at = now_s() + server_ahead + i64::try_from(LIFE).unwrap();
    // Whole seconds: it may live up to one longer than is left of this one.
    command["expirytime"] = json!(jiff::Timestamp::from_second(at).unwrap().to_string());
    let (began, patience) = (Instant::now() - fraction_of_this_second(), Patience::begin());
    let reply = server.post("/v1/events", &command);
    assert_eq!(reply.status, 202, "{}", reply.text());
    meanwhile();
    let (receipt, _) = server.receipt_within(command["id"].as_str().unwrap(), DISPLAY, seconds(60));
    assert_eq!(receipt["status"], "expired", "{receipt}");
    Expired { after: began.elapsed(), late: patience.limit(OFF) }
}

fn fraction_of_this_second() -> Duration {
    Duration::from_nanos(u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()))
}

struct Expired {
    after: Duration,
    /// How late it may be: later where the machine has no time for anybody.
    late: Duration,
}

#[track_caller]
fn is_in_time(expired: Expired, what: &str) {
    let Expired { after, late } = expired;
    println!("    {what}: expired after {:.2} s of {LIFE}", after.as_secs_f64());
    let right = seconds(LIFE) - OFF..=seconds(LIFE) + late;
    assert!(right.contains(&after), "{what}: expired after {after:?} and not {LIFE} s");
}

/// The sum of a counter over its labels.
fn counter(server: &Server, name: &str) -> f64 {
    let metrics = server.get("/metrics").text();
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_display_that_boots_with_a_wrong_clock_connects_at_once_and_lets_commands_expire_in_time() {
    if library().is_none() {
        return;
    }
    all_at_once(&wrong_clocks(), |words, ahead| {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), "");
        let clock = Clock::new(folder.path(), "display", ahead);
        let display = Display::start(folder.path(), &section(&server), &clock.environment());
        let took = answers(&server);
        println!("the display's clock is {words}: it answers after {:.2} s", took.as_secs_f64());
        is_in_time(expires(&server, 0, || {}), words);
        assert_eq!(counter(&server, "pikiosk_sockets_opened_total"), 1.0, "{}", display.run.log());
    });
}

#[test]
fn a_display_whose_clock_jumps_stays_connected_and_lets_commands_expire_in_time() {
    if library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let clock = Clock::new(folder.path(), "display", 0);
    let display = Display::start(folder.path(), &section(&server), &clock.environment());
    answers(&server);
    for (words, ahead) in wrong_clocks() {
        is_in_time(expires(&server, 0, || clock.set(ahead)), &format!("the display's clock jumps: {words}"));
        answers(&server);
    }
    clock.set(0);
    answers(&server);
    assert_eq!(counter(&server, "pikiosk_sockets_opened_total"), 1.0, "{}", display.run.log());
}

#[test]
fn a_server_whose_clock_jumps_keeps_its_displays_and_after_a_new_hello_commands_expire_in_time() {
    if library().is_none() {
        return;
    }
    all_at_once(&wrong_clocks(), |words, ahead| {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(folder.path(), "server", 0);
        let server = Server::start_with(folder.path(), "", &clock.environment());
        let mut display = Display::start(folder.path(), &section(&server), &[]);
        answers(&server);
        clock.set(ahead);
        until("it goes on", seconds(30), || (server.get("/readyz").status == 200).then_some(()));
        let opened = counter(&server, "pikiosk_sockets_opened_total");
        // One more, to hear the time again, is no storm.
        assert!(opened <= 2.0, "{words}: {opened} sockets\n{}", display.run.log());
        // A display that starts anew gets its ticket, and the new time.
        display.run.kill();
        let _display = Display::start(folder.path(), &section_again(&server), &[]);
        answers(&server);
        is_in_time(expires(&server, ahead, || {}), &format!("the server's clock jumped: {words}, before the hello"));
    });
}

/// Servers with this store, whose clocks jump while a command waits.
fn lets_commands_expire_in_time_though_its_clock_jumps(store: &str, jumps: &[(&'static str, i64)]) {
    if library().is_none() {
        return;
    }
    all_at_once(jumps, |words, ahead| {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(folder.path(), "server", 0);
        let server = Server::start_with(folder.path(), store, &clock.environment());
        let _display = Display::start(folder.path(), &section(&server), &[]);
        answers(&server);
        is_in_time(expires(&server, 0, || clock.set(ahead)), &format!("the server's clock jumps: {words}, meanwhile"));
        is_in_time(expires(&server, ahead, || {}), &format!("the server's clock jumped: {words}"));
        is_in_time(expires(&server, ahead, || clock.set(0)), &format!("it jumps back: {words}, meanwhile"));
        is_in_time(expires(&server, 0, || {}), &format!("it jumped back: {words}"));
        assert_eq!(counter(&server, "pikiosk_sockets_opened_total"), 3.0, "one more for each jump\n{}", server.log());
    });
}

#[test]
fn a_server_whose_clock_jumps_lets_commands_expire_in_time() {
    lets_commands_expire_in_time_though_its_clock_jumps("", &wrong_clocks());
}

#[test]
fn a_server_in_memory_whose_clock_jumps_lets_commands_expire_in_time() {
    let store = "[store]\nkind = \"memory\"\n";
    lets_commands_expire_in_time_though_its_clock_jumps(store, &[("an hour behind", -HOUR), ("in 1970", in_1970())]);
}

#[test]
fn a_server_whose_clock_is_set_back_by_an_hour_refuses_nobody_for_it() {
    if library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path(), "server", HOUR);
    let server = Server::start_with(folder.path(), "[limits]\nkey_publishes_per_second = 5\n", &clock.environment());
    let publish = || server.post("/v1/events", &event("user/anna", "greeting", &json!({})));
    assert_eq!(publish().status, 202);
    clock.set(0);
    until("the server goes by its new clock", seconds(30), || server.log().contains("the clock was set").then_some(()));
    let reply = publish();
    assert_eq!(reply.status, 202, "{}", reply.text());
}

#[test]
fn servers_of_one_redis_go_by_its_clock_whatever_their_own_show() {
    if library().is_none() {
        return;
    }
    let redis = Redis::start();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::new(one.path(), "server", HOUR);
    let wrong = Server::start_with(one.path(), &store, &clock.environment());
    let right = wrong.another(other.path(), &store);
    let _display = Display::start(one.path(), &section(&wrong), &[]);
    answers(&wrong);
    is_in_time(expires(&wrong, 0, || {}), "published by the server whose clock is an hour ahead");
    is_in_time(expires(&right, 0, || {}), "published by the other, which has not the display");
    is_in_time(expires(&right, 0, || clock.set(-HOUR)), "the clock of the one with the display jumps meanwhile");
    is_in_time(expires(&wrong, 0, || clock.set(in_1970())), "and again, to 1970");
    assert_eq!(counter(&wrong, "pikiosk_sockets_opened_total"), 1.0, "nobody had to come back\n{}", wrong.log());
}

#[test]
fn a_server_whose_clock_is_ahead_of_its_redis_locks_a_display_out_at_once() {
    if library().is_none() {
        return;
    }
    let redis = Redis::start();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path(), "server", HOUR);
    let server = Server::start_with(folder.path(), &store, &clock.environment());
    let _display = Display::start(folder.path(), &section(&server), &[]);
    answers(&server);
    let reply = server.post("/v1/revocations", &json!({"display": DISPLAY, "seconds": 600}));
    assert_eq!(reply.status, 201, "{}", reply.text());
    let sockets = || server.get("/v1/presence").json()["sockets"].as_array().map(Vec::len);
    until("its socket ends", seconds(10), || (sockets() == Some(0)).then_some(()));
}

#[test]
fn commands_of_two_servers_expire_in_time_though_the_clock_of_their_redis_jumps() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::new(one.path(), "redis", 0);
    let Some(shim) = built_shim(one.path()) else {
        println!("SKIPPED: there is no C compiler (apt install gcc)");
        return;
    };
    let environment = [("LD_PRELOAD", shim.to_str().unwrap()), ("CLOCK_FILE", clock.0.to_str().unwrap())];
    let redis = Redis::start_in(&environment, &["--save", "", "--appendonly", "no"]);
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let one = Server::start(one.path(), &store);
    let other = one.another(other.path(), &store);
    let folder = tempfile::tempdir().unwrap();
    let _display = Display::start(folder.path(), &section(&one), &[]);
    answers(&one);
    for (words, ahead) in [("an hour behind", -HOUR), ("an hour ahead", HOUR)] {
        is_in_time(expires(&other, 0, || clock.set(ahead)), &format!("Redis' clock jumps: {words}, meanwhile"));
        is_in_time(expires(&one, ahead, || {}), &format!("Redis' clock jumped: {words}"));
        is_in_time(expires(&other, ahead, || clock.set(0)), &format!("it jumps back: {words}, meanwhile"));
        is_in_time(expires(&one, 0, || {}), &format!("it jumped back: {words}"));
    }
    assert_eq!(counter(&one, "pikiosk_sockets_opened_total"), 5.0, "one more for each jump\n{}", one.log());
}

/// Enrolled already.
fn section_again(server: &Server) -> String {
    format!("[server]\nurl = \"{}\"\n", server.url())
}

#[test]
fn a_clock_in_1970_that_no_certificate_is_valid_for_is_told_in_words_and_asked_about_calmly() {
    if library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Tls::start(folder.path()) else {
        println!("SKIPPED: openssl is not installed (apt install openssl)");
        return;
    };
    let clock = Clock::new(folder.path(), "display", in_1970());
    let roots = folder.path().join("ca.pem");
    let mut environment = clock.environment().to_vec();
    environment.push(("SSL_CERT_FILE", roots.to_str().unwrap()));
    let server = format!("[server]\nurl = \"https://localhost:{}\"\nenrollment = \"aaaa-bbbb-cccc\"\n", site.port);
    let display = Display::start(folder.path(), &server, &environment);
    let (words, took) = timed("the status tells of the clock", seconds(30), || {
        let words = display.status();
        words.contains("1970").then_some(words)
    });
    println!("after {:.2} s:\n{words}", took.as_secs_f64());
    assert!(words.contains("clock"), "{words}");
    let before = site.accepted();
    let began = Instant::now();
    until("ten seconds pass", seconds(20), || (began.elapsed() >= seconds(10)).then_some(()));
    let tries = site.accepted() - before;
    println!("    {tries} tries in the ten seconds after");
    assert!(tries <= TRIES_MAX, "{tries} tries in ten seconds are a storm");
    // The clock is put right: so is everything.
    clock.set(0);
    until("the certificate is good", seconds(90), || (!display.status().contains("1970")).then_some(()));
}

/// A web site with a certificate that is valid today. It answers nothing of use.
struct Tls {
    server: Process,
    port: u16,
}

impl Tls {
    fn start(folder: &Path) -> Option<Self> {
        let openssl = |words: &str| {
            let output = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().ok()?;
            assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
            Some(())
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=ca"))?;
        openssl(&format!("req {key} -keyout site.key -out site.csr -subj /CN=localhost"))?;
        fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(
            "x509 -req -in site.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 10 -extfile names -out site.pem",
        )?;
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &port.to_string(), "-cert", "site.pem", "-key", "site.key", "-www"]);
        let server = Process::start("site", folder, command.current_dir(folder));
        until("the site listens", seconds(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Tls { server, port })
    }

    /// How many came: it tells of each handshake that the display broke off.
    fn accepted(&self) -> usize {
        self.server.log().matches("SSL alert number").count()
    }
}

/// Where nothing else is looked at: what this file expects of libfaketime.
#[test]
fn the_clock_of_these_tests_is_what_they_say() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path(), "date", in_1970());
    let year = || -> Value {
        let output = Command::new("date").arg("+%Y").envs(clock.environment()).output().unwrap();
        json!(String::from_utf8_lossy(&output.stdout).trim())
    };
    assert_eq!(year(), "1970", "{library}");
    clock.set(TEN_YEARS);
    assert!(year().as_str().unwrap() > "2035", "{}", year());
}
