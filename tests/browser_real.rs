//! The browser loop with a real Firefox: it attaches, comes back, lets go, and leaves nothing behind.

#![cfg(feature = "display")]
#![expect(clippy::print_stdout, reason = "what was measured is for whoever runs this with --nocapture")]

mod support;

use std::{
    fs,
    os::unix::net::UnixListener,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    browser::{Browser, Supervisor},
    kiosk::COLD,
    process::{self, Process, below, send},
    screen::Colour,
    server::pikiosk,
    wait::{seconds, until},
};

const GREEN: Colour = [0x22, 0x8b, 0x22];
const BLUE: Colour = [0x1e, 0x3a, 0x8a];

fn on_the_glass(browser: &Browser, colour: Colour, within: Duration) -> Duration {
    browser.screen.until(&format!("#{colour:02x?} on the glass"), within, |frame| frame.share(colour) > 0.8)
}

fn attach(browser: &Browser) -> Supervisor {
    let mut supervisor = browser.supervise(&browser.site.colour(GREEN, "first"));
    supervisor.attached();
    on_the_glass(browser, GREEN, seconds(20));
    supervisor
}

/// Attached, with a page that this session loaded itself: only of such a page Firefox tells that it crashed.
fn attach_and_load(browser: &Browser) -> Supervisor {
    let mut supervisor = attach(browser);
    supervisor.navigate(&browser.site.colour(GREEN, "again"), seconds(20)).expect("it loads");
    on_the_glass(browser, GREEN, seconds(10));
    supervisor
}

fn content(browser: &Browser) -> Vec<i32> {
    let all = below(browser.process.pid()).into_iter();
    all.filter(|it| it.state != 'Z' && (it.name.starts_with("Web Content") || it.name.starts_with("Isolated Web")))
        .map(|it| it.pid)
        .collect()
}

fn firefox(browser: &Browser) -> i32 {
    let own = browser.process.pid();
    let is_it = |seen: &process::Seen| seen.parent == own && seen.name.starts_with("firefox") && seen.state != 'Z';
    until("Firefox runs", COLD, || below(own).into_iter().find(is_it)).pid
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_browser_opens_the_page_answers_and_is_photographed() {
    let browser = Browser::start();
    let began = Instant::now();
    let mut supervisor = browser.supervise(&browser.site.colour(GREEN, "first"));
    assert_eq!(supervisor.attached(), 1);
    println!("start -> attached: {:?}", began.elapsed());
    on_the_glass(&browser, GREEN, seconds(20));
    assert_eq!(supervisor.evaluate("6 * 7", seconds(10)), Ok(json!(42)));
    let picture = supervisor.screenshot();
    assert!(picture.starts_with("iVBORw0KGgo"), "a PNG");
    assert_eq!(picture, supervisor.screenshot(), "the same glass, the same bytes");
    // What has no answer is an error with words, and the next command is answered.
    assert!(matches!(supervisor.ask("no.such", json!({}), seconds(10)), Err(Some(_))));
    let times = |mut what: Box<dyn FnMut() + '_>| {
        let took = (0..30).map(|_| {
            let began = Instant::now();
            what();
            began.elapsed()
        });
        median(took.collect())
    };
    let evaluate = times(Box::new(|| drop(supervisor.evaluate("1", seconds(10)))));
    let picture = times(Box::new(|| drop(supervisor.screenshot())));
    let page = browser.site.colour(BLUE, "next");
    let frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";
    let two_frames = times(Box::new(|| drop(supervisor.evaluate(frames, seconds(10)))));
    let navigate = times(Box::new(|| drop(supervisor.navigate(&page, seconds(10)))));
    println!(
        "p50: evaluate {evaluate:?}, two frames {two_frames:?}, picture {picture:?}, navigate to load {navigate:?}"
    );
}

#[test]
fn the_page_stays_while_one_supervisor_goes_and_the_next_one_comes() {
    let browser = Browser::start();
    let mut first = attach(&browser);
    first.evaluate("globalThis.kept = 7", seconds(10)).expect("the page is awake");
    let before = firefox(&browser);
    for round in 0..5 {
        drop(first);
        let began = Instant::now();
        first = browser.supervise("http://127.0.0.1/not-opened-again");
        first.attached();
        println!("round {round}: gone -> attached again: {:?}", began.elapsed());
        assert_eq!(first.evaluate("globalThis.kept", seconds(10)), Ok(json!(7)), "it is the same document");
        assert!(browser.screen.frame().share(GREEN) > 0.8);
    }
    assert_eq!(firefox(&browser), before, "Firefox was not started again");
}

#[test]
fn a_killed_firefox_is_back_with_a_new_session() {
    let browser = Browser::start();
    let mut supervisor = attach(&browser);
    for generation in 2..4 {
        let began = Instant::now();
        send(firefox(&browser), Signal::SIGKILL);
        let exited = supervisor.heard("exited", seconds(10));
        assert_eq!(exited["generation"], generation - 1, "{exited}");
        assert!(exited["next_start_ms"].as_u64().is_some_and(|pause| pause <= 1000), "{exited}");
        assert_eq!(supervisor.attached(), generation);
        println!("killed -> attached again: {:?}", began.elapsed());
        on_the_glass(&browser, GREEN, seconds(20));
    }
}

/// It may be that somebody has installed it meanwhile, or corrected its name in kiosk.toml.
#[test]
fn a_firefox_that_is_not_there_is_told_in_words_and_started_once_it_is() {
    let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("browser.sock")).unwrap();
    let program = folder.path().join("firefox");
    let mut command = pikiosk(&["browser", "--config", "/dev/null", "--runtime"]);
    command.arg(folder.path()).arg("--firefox").arg(&program).env("HOME", folder.path());
    let _browser = Process::start("browser", folder.path(), &mut command);
    let mut supervisor = Supervisor::meets(&listener);
    supervisor.order(&json!({ "open": { "url": "about:blank" } }));
    let told = supervisor.heard("exited", seconds(10))["status"].to_string();
    assert!(told.contains("there is no program") && told.contains("set [browser] command in kiosk.toml"), "{told}");
    // As much of one as the loop waits for.
    let words = "#!/bin/sh\necho 'WebDriver BiDi listening on ws://127.0.0.1:1' >&2\nexec sleep 60\n";
    pikiosk::io::store::write_atomically(&program, words.as_bytes(), 0o755).unwrap();
    supervisor.heard("started", COLD);
}

#[test]
fn a_killed_content_process_is_told_and_the_next_page_shows() {
    let browser = Browser::start();
    let mut supervisor = attach_and_load(&browser);
    let began = Instant::now();
    content(&browser).into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    supervisor.committed("about:tabcrashed", seconds(10));
    println!("killed -> told: {:?}", began.elapsed());
    supervisor.navigate(&browser.site.colour(BLUE, "after"), seconds(20)).expect("it loads");
    on_the_glass(&browser, BLUE, seconds(10));
}

#[test]
fn a_stopped_content_process_answers_nothing_until_it_is_killed_and_no_late_answer_harms() {
    let browser = Browser::start();
    let mut supervisor = attach_and_load(&browser);
    let stopped = content(&browser);
    stopped.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
    assert_eq!(supervisor.evaluate("1", seconds(1)), Err(None), "it is asleep");
    supervisor.ask("session.status", json!({}), seconds(10)).expect("Firefox itself is awake");
    let began = Instant::now();
    supervisor.order(&json!({ "kill_content": { "reason": "it answers nothing" } }));
    supervisor.committed("about:tabcrashed", seconds(10));
    supervisor.navigate(&browser.site.colour(BLUE, "after"), seconds(20)).expect("it loads");
    println!("kill_content -> loaded: {:?}", began.elapsed());
    on_the_glass(&browser, BLUE, seconds(10));
    assert_eq!(supervisor.evaluate("1", seconds(10)), Ok(json!(1)));
    assert!(stopped.iter().all(|pid| process::seen(*pid).is_none_or(|seen| seen.state == 'Z')));
}

#[test]
fn every_start_is_a_fresh_profile_so_a_restart_clears_all_that_pages_stored() {
    let browser = Browser::start();
    let mut supervisor = attach(&browser);
    let store =
        "localStorage.kept = 'x'; document.cookie = 'kept=x; max-age=9999'; localStorage.kept + document.cookie";
    assert_eq!(supervisor.evaluate(store, seconds(10)), Ok(json!("xkept=x")));
    fs::write(browser.profile().join("left-behind"), "").expect("the profile is there");
    supervisor.order(&json!({ "restart": { "reason": "a test" } }));
    assert_eq!(supervisor.heard("exited", seconds(20))["next_start_ms"], 0);
    assert_eq!(supervisor.attached(), 2);
    on_the_glass(&browser, GREEN, seconds(20));
    let look = "String(localStorage.kept) + '|' + document.cookie";
    assert_eq!(supervisor.evaluate(look, seconds(10)), Ok(json!("undefined|")));
    assert!(!browser.profile().join("left-behind").exists());
}

#[test]
fn a_loop_that_is_told_to_end_leaves_no_process_behind() {
    let mut browser = Browser::start();
    let _supervisor = attach(&browser);
    let all = below(browser.process.pid());
    assert!(all.len() >= 4, "Firefox, its crash helper, its fork server, a page: {all:?}");
    let began = Instant::now();
    let status = browser.process.stop(seconds(10));
    println!("SIGTERM -> ended: {:?}, {status}", began.elapsed());
    let left: Vec<_> = all.iter().filter_map(|it| process::seen(it.pid)).filter(|it| it.state != 'Z').collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_killed_loop_takes_firefox_with_it_and_the_next_one_starts_clean() {
    let mut browser = Browser::start();
    let supervisor = attach(&browser);
    let first = firefox(&browser);
    browser.process.kill();
    drop(supervisor);
    until("Firefox is gone with its loop", seconds(10), || {
        process::seen(first).is_none_or(|seen| seen.state == 'Z').then_some(())
    });
    browser.start_again();
    assert_eq!(browser.supervise(&browser.site.colour(BLUE, "second")).attached(), 1);
    on_the_glass(&browser, BLUE, seconds(20));
}

#[test]
fn a_session_that_somebody_else_holds_is_taken_back_by_a_new_firefox() {
    let browser = Browser::start();
    drop(attach(&browser));
    let port = fs::read(browser.profile().join("WebDriverBiDiServer.json")).expect("Firefox wrote its port");
    let port: Value = serde_json::from_slice(&port).expect("JSON");
    let url = format!("ws://127.0.0.1:{}/session", port["ws_port"]);
    // The loop has given its session back once a stranger can have one.
    let _stranger = until("a stranger's session", seconds(10), || {
        use tokio_tungstenite::tungstenite::{Message, connect};
        let (mut socket, _) = connect(url.as_str()).expect("BiDi listens");
        let new = json!({ "id": 1, "method": "session.new", "params": { "capabilities": {} } });
        socket.send(Message::text(new.to_string())).expect("it takes a command");
        let reply = socket.read().expect("it answers").into_text().expect("text");
        reply.contains("\"success\"").then_some(socket)
    });
    let mut supervisor = browser.supervise(&browser.site.colour(GREEN, "first"));
    let exited = supervisor.heard("exited", COLD);
    assert!(exited["status"].as_str().is_some_and(|why| why.contains("refused a session")), "{exited}");
    assert_eq!(supervisor.attached(), 2);
}

/// `timeout`, `sudo` and the like have our own command line on theirs.
#[test]
fn a_loop_never_takes_what_started_it_for_a_leftover_firefox() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("browser.sock")).expect("it binds");
    let own = pikiosk(&["browser", "--config", "/dev/null", "--runtime"]);
    let mut command = Command::new("timeout");
    command.arg("60").arg(own.get_program()).args(own.get_args()).arg(folder.path());
    command.arg("--profile").arg(folder.path().join("profile"));
    let mut wrapped = Process::start("browser", folder.path(), &mut command);
    listener.set_nonblocking(true).expect("a socket can be asked");
    until("the loop looks for its supervisor", seconds(20), || listener.accept().ok());
    assert!(wrapped.ended().is_none(), "{}", wrapped.log());
}
