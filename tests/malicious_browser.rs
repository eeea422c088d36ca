//! A browser that was taken over: a process of the browser's user, and what it can say to the supervisor. It gets nothing
//! that is not the browser's, and whatever it says, the supervisor stays as it is and hears the next true loop.
#![cfg(feature = "display")]
#![expect(clippy::print_stdout, reason = "what an attack cost is this test's report")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use support::{
    http,
    kiosk::COLD,
    process::Process,
    screen::{Colour, Screen},
    server::{free_port, pikiosk},
    site::Site,
    users::Pi,
    wait::{seconds, until},
};

const GREEN: Colour = [0x0a, 0x5c, 0x36];
/// As in systemd/pikiosk.service: above it the kernel ends the supervisor.
const MEMORY_MAX_KB: u64 = 192 * 1024;

/// The most memory it ever had, in kB.
fn most_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Says it, as long as anybody listens.
fn say(socket: &Path, what: impl Iterator<Item = Vec<u8>>) -> UnixStream {
    let mut stream = until("the supervisor lets a loop in", seconds(20), || UnixStream::connect(socket).ok());
    stream.set_write_timeout(Some(seconds(20))).expect("it is a socket");
    for line in what {
        if stream.write_all(&line).is_err() {
            break;
        }
    }
    stream
}

/// A line of this form with so much in the place of `@`.
fn line(form: &str, with: &str) -> Vec<u8> {
    (form.replace('@', with) + "\n").into_bytes()
}

fn repeated(line: Vec<u8>, times: usize) -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_n(line, times)
}

#[test]
fn whatever_a_loop_that_was_taken_over_says_the_supervisor_lives_on_and_hears_the_next_one() {
    let folder = tempfile::Builder::new().prefix("pikiosk-").tempdir().expect("a folder is made");
    let (config, runtime, port) = (folder.path().join("kiosk.toml"), folder.path().join("run"), free_port());
    let text = format!("[display]\nid = \"alone\"\n[page]\nlisten = \"127.0.0.1:{port}\"\n");
    fs::write(&config, text).expect("the config is written");
    let mut command = pikiosk(&["run", "--config"]);
    command.arg(&config).arg("--runtime").arg(&runtime).arg("--state").arg(folder.path().join("state"));
    let mut run = Process::start("run", folder.path(), &mut command);
    let (socket, pid) = (runtime.join("browser.sock"), run.pid());
    let status = || -> Option<Value> { serde_json::from_slice(&fs::read(runtime.join("status.json")).ok()?).ok() };
    // The local page answers at once, whatever is said to the socket meanwhile.
    let answers = |what: &str| {
        let host = format!("127.0.0.1:{port}");
        let address = host.parse().expect("an address");
        let reply = until(what, seconds(10), || {
            http::request(address, "GET", "/splash", &[("Host", &host)], b"", seconds(2)).ok()
        });
        assert_eq!(reply.status, 200);
    };

    let long = "x".repeat(60_000);
    let huge = "[],".repeat(10_000_000);
    let picture = "A".repeat(30_000_000);
    let screens = format!("{{\"name\":\"{}\"}},", "H".repeat(500)).repeat(100);
    let committed =
        r#"{"bidi":{"method":"browsingContext.navigationCommitted","params":{"context":"c","url":"http://@"}}}"#;
    let set_up: Vec<Vec<u8>> = std::iter::once(line(r#"{"attached":{"generation":1}}"#, ""))
        // More than were asked by then: what nobody asked is passed over.
        .chain((1..=200).map(|id| {
            let tree = r#"{"bidi":{"id":@,"type":"success","result":{"contexts":[{"context":"c"}]}}}"#;
            line(tree, &id.to_string())
        }))
        .collect();
    let attacks: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("a line without an end", vec![vec![b'['; 40 << 20]]),
        ("lists of nothing, of 30 MB", {
            let one = r#"{"bidi":{"method":"browsingContext.navigationCommitted","params":[@[]]}}"#;
            set_up.iter().cloned().chain(repeated(line(one, &huge), 3)).collect()
        }),
        ("pictures nobody asked for", {
            let answer = r#"{"bidi":{"id":7,"type":"success","result":{"data":"@"}}}"#;
            repeated(line(answer, &picture), 8).collect()
        }),
        ("nonsense", repeated(b"nonsense\n".to_vec(), 200_000).collect()),
        ("depth", vec![line(r#"{"bidi":@}"#, &"[".repeat(1_000_000))]),
        ("a version of 60,000 letters", { vec![line(r#"{"started":{"pid":1,"generation":1,"firefox":"@"}}"#, &long)] }),
        ("more screens than there are plugs", vec![line(r#"{"sees":{"outputs":[@{}]}}"#, &screens)]),
        ("more than a loop has to say", vec![line(r#"{"sees":{"outputs":[@{}]}}"#, &screens.repeat(50))]),
        ("a browser that ends with 60,000 letters", {
            vec![line(r#"{"exited":{"generation":1,"status":"@","uptime_ms":1,"next_start_ms":1}}"#, &long)]
        }),
        ("documents without end", {
            let one = line(committed, &long);
            set_up.iter().cloned().chain(repeated(one, 2000)).collect()
        }),
        ("windows without end", {
            let opened =
                r#"{"bidi":{"method":"browsingContext.contextCreated","params":{"context":"@","parent":null}}}"#;
            set_up.iter().cloned().chain((0..5000).map(|at| line(opened, &at.to_string()))).collect()
        }),
        ("profiles that cannot be written, again and again", {
            repeated(line(r#"{"no_profile":{"why":"@"}}"#, &long[..9000]), 2000).collect()
        }),
        ("loops that are too large, again and again", {
            let grown = r#"{"overgrown":{"content":true,"killed":false,"megabytes":1,"limit":1}}"#;
            repeated(line(grown, ""), 2000).collect()
        }),
    ];
    answers("the page answers");
    for (what, lines) in attacks {
        drop(say(&socket, lines.into_iter()));
        answers(&format!("the page answers after {what}"));
        println!("    {what}: at most {} MB so far", most_memory(pid) / 1024);
    }
    // Again and again somebody else.
    let strangers: Vec<_> = (0..200).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    answers("the page answers after 200 loops");
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
    assert!(open < 100, "{open} files are open");
    drop(strangers);

    assert!(most_memory(pid) < MEMORY_MAX_KB, "the kernel would have ended it: {} kB", most_memory(pid));
    assert!(run.ended().is_none(), "{}", run.log());
    let log = run.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.len() < 2_000_000, "{} bytes of log", log.len());
    let told = until("the status is told", seconds(20), status);
    let size = told.to_string().len();
    assert!(size < 16_384, "{size} bytes of status: {told}");

    // The true one, after all that.
    let greets = line(r#"{"hello":{"version":"1","pid":1,"display":":0"}}"#, "");
    let heard = until("the next loop is told what to open", seconds(60), || {
        let stream = say(&socket, std::iter::once(greets.clone()));
        stream.set_read_timeout(Some(seconds(5))).ok()?;
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).ok()?;
        first.contains("\"open\"").then_some(first)
    });
    assert!(heard.contains(&format!("http://127.0.0.1:{port}/")), "{heard}");
    assert!(run.stop(seconds(15)).success());
}

/// What Firefox answers to a program of another user, or of any: loopback knows no users.
fn asked_of_firefox(port: u64, method: &str, params: &str) -> String {
    let (mut socket, _) = tokio_tungstenite::tungstenite::connect(format!("ws://127.0.0.1:{port}/session"))
        .expect("Firefox lets anybody of this machine in");
    let command = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
    socket.send(tokio_tungstenite::tungstenite::Message::text(command)).expect("it listens");
    socket.read().expect("it answers").to_string()
}

/// What this machine listens on, as `ss` tells it: address and process.
fn listening() -> Vec<(String, String)> {
    let output = Command::new("ss").args(["-H", "-ltnp"]).output().expect("ss is there (iproute2)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let of = |line: &str| Some((line.split_whitespace().nth(3)?.to_owned(), line.to_owned()));
    text.lines().filter_map(of).collect()
}

#[test]
fn a_process_of_the_browsers_user_comes_at_nothing_and_nothing_listens_but_loopback() {
    let Some(pi) = Pi::set_up() else { return };
    let site = Site::start();
    let port = free_port();
    let url = site.colour(GREEN, "first");
    pi.configure(&format!("[display]\nid = \"two\"\nurl = \"{url}\"\n[page]\nlisten = \"127.0.0.1:{port}\"\n"));
    let x_folder = pi.at("x");
    fs::create_dir(&x_folder).expect("a folder is made");
    let screen = Screen::start(&x_folder);
    let (mut run, browser) = (pi.run(), pi.browser(&screen));
    screen.until("the page is on the glass", COLD * 3, |frame| frame.share(GREEN) > 0.8);
    until("a status is told", seconds(20), || pi.status());

    let (pid, runtime, state) = (run.pid(), pi.at("run/pikiosk"), pi.at("var/lib/pikiosk"));
    let (runtime, state) = (runtime.display(), state.display());
    let python = |text: &str| format!("/usr/bin/python3 -c '{text}'");
    let connect =
        |socket: &str| python(&format!("import socket; socket.socket(socket.AF_UNIX).connect(\"{runtime}/{socket}\")"));
    assert!(pi.kiosk.can(&connect("browser.sock")), "the way that is the browser's own is open");
    for closed in [
        format!("cat {state}/*"),
        format!("ls {state}"),
        format!("cat {runtime}/page.secret"),
        connect("control.sock"),
        format!("mkdir {runtime}/.status.json.new"),
        format!("ln -s /etc/passwd {runtime}/helper.sock"),
        format!("touch {runtime}/filler"),
        format!("rm -f {runtime}/control.sock && test ! -e {runtime}/control.sock"),
        format!("kill -0 {pid}"),
        format!("kill -STOP {pid}"),
        format!("ls /proc/{pid}/fd"),
        format!("cat /proc/{pid}/environ"),
        format!("cat /proc/{pid}/maps"),
        format!("head -c1 /proc/{pid}/mem"),
        format!("ls -l /proc/{pid}/exe"),
        format!("echo 1000 > /proc/{pid}/oom_score_adj"),
        python(&format!("import ctypes,sys; sys.exit(ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) != 0)")),
        format!("renice -n 19 -p {pid}"),
        "ls /run/user/0/ /root".to_owned(),
        "echo 1 > /proc/sys/kernel/sysrq".to_owned(),
        "date --set=@0".to_owned(),
    ] {
        assert!(!pi.kiosk.can(&closed), "the browser's user can: {closed}");
    }

    // Firefox's remote control takes no password. It has one session, and that is the loop's.
    let bidi = until("Firefox tells where it takes orders", seconds(10), || {
        let told = fs::read(pi.at("run/pikiosk/profile/WebDriverBiDiServer.json")).ok()?;
        serde_json::from_slice::<Value>(&told).ok()?["ws_port"].as_u64()
    });
    for (method, params) in [
        ("session.new", r#"{"capabilities":{}}"#),
        ("browsingContext.getTree", "{}"),
        ("session.end", "{}"),
        ("browser.close", "{}"),
    ] {
        let said = asked_of_firefox(bidi, method, params);
        println!("    another user asks Firefox {method}: {}", said.chars().take(120).collect::<String>());
        assert!(said.contains("\"error\""), "{method}: {said}");
    }
    assert!(screen.frame().share(GREEN) > 0.8, "the page is still there");

    let ours: Vec<i32> = support::process::below(browser.pid()).into_iter().map(|it| it.pid).chain([pid]).collect();
    let of_ours = |line: &str| ours.iter().any(|pid| line.contains(&format!("pid={pid},")));
    let all = listening();
    let found: Vec<_> = all.iter().filter(|(_, line)| of_ours(line)).collect();
    assert!(found.len() >= 2, "the page and Firefox's remote control listen: {all:#?}");
    for (address, line) in found {
        assert!(address.starts_with("127.0.0.1:") || address.starts_with("[::1]:"), "{line}");
    }

    // Whoever fills what both write to: the supervisor goes on, and says so.
    drop(browser);
    assert!(run.ended().is_none(), "{}", run.log());
    assert!(run.stop(Duration::from_secs(15)).success());
}
