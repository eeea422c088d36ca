//! A whole display: how long from a push to the paint, how fast it recovers, what its supervisor costs.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    display_binary,
    rest::{self, Idler},
    rounds,
    support::{
        http,
        kiosk::Kiosk,
        process::send,
        wait::{seconds, until},
    },
    table::{Table, Times, ms},
};

pub fn measure(table: &mut Table, wanted: &dyn Fn(&str) -> bool) {
    let began = Instant::now();
    let mut kiosk = Kiosk::start();
    table.row("from nothing to a pushed page on the glass", ms(began.elapsed()), "", "server, display, cold Firefox");
    pushes(table, &kiosk);
    supervisor(table, &mut kiosk);
    if wanted("recovery") || wanted("display") {
        recoveries(table, &mut kiosk);
    }
}

fn pushes(table: &mut Table, kiosk: &Kiosk) {
    let count = rounds(100);
    let fetch = (0..count).map(|n| {
        let path = format!("/colour/336699/fetched-{n}");
        let began = Instant::now();
        http::request(kiosk.site.address, "GET", &path, &[], b"", seconds(5)).expect("the site answers");
        began.elapsed()
    });
    let mut fetched = Times::default();
    fetched.extend(fetch);
    let mut push = |name: &str, command: &str, promise: &str, note: &str, data: &dyn Fn(usize) -> Value| {
        let mut whole = Times::default();
        let mut display = Times::default();
        for n in 0..count {
            let began = Instant::now();
            let receipt = kiosk.push_is(command, &data(n), "shown");
            whole.add(began.elapsed());
            display.add(Duration::from_millis(receipt["took_ms"].as_u64().unwrap_or(0)));
        }
        let value = format!("p50 {}, p95 {}", ms(whole.p(50)), ms(whole.p(95)));
        let note = format!("{count} times; on the display p50 {}; {note}", ms(display.p(50)));
        table.row(name, value, promise, note);
    };
    let other = |n: usize| [[40, 90, 160], [160, 90, 40]][n % 2];
    let note = format!("a plain fetch of the page p50 {}", ms(fetched.p(50)));
    push(
        "push navigate -> receipt shown",
        "navigate",
        "p50 150, p95 400 ms",
        &note,
        &|n| json!({"url": kiosk.site.colour(other(n), &format!("pushed-{n}"))}),
    );
    push(
        "push message -> receipt shown",
        "message",
        "p50 50 ms",
        "over a plain page, 1280x720",
        &|n| json!({"text": format!("message number {n}"), "seconds": 60}),
    );
    kiosk.push_is("clear_message", &json!({}), "shown");
}

fn supervisor(table: &mut Table, kiosk: &mut Kiosk) {
    // As on a Pi, where there is such a build.
    let build = match display_binary() {
        Some(binary) => {
            kiosk.run_binary = binary;
            "the display build"
        }
        None => "this build, all features",
    };
    kiosk.kill_run();
    kiosk.start_run();
    kiosk.home();
    kiosk.push_is("message", &json!({"text": "so that it has done something", "seconds": 1}), "shown");
    let (run, browser) = (kiosk.run().pid(), kiosk.browser().pid());
    let supervisor = Idler { name: "supervisor", build, pid: run, memory: "15 MB", processor: "1 %" };
    let looped =
        Idler { name: "browser loop", build: "this build, all features", pid: browser, memory: "", processor: "1 %" };
    rest::measure(table, &[supervisor, looped]);
    let mut served = Times::default();
    for _ in 0..rounds(10) {
        kiosk.kill_run();
        let began = Instant::now();
        kiosk.start_run();
        let host = kiosk.page.to_string();
        until("the page is served", seconds(10), || {
            http::request(kiosk.page, "GET", "/splash", &[("Host", &host)], b"", seconds(1)).ok()
        });
        served.add(began.elapsed());
    }
    table.row(
        "supervisor: start -> page served",
        format!("p50 {}", ms(served.p(50))),
        "",
        format!("slowest {}", ms(served.max())),
    );
    kiosk.home();
}

fn recoveries(table: &mut Table, kiosk: &mut Kiosk) {
    let count = rounds(10);
    let mut row = |name: &str, promise: u64, count: usize, rest: Duration, harm: &dyn Fn(&mut Kiosk)| {
        let mut times = Times::default();
        for round in 0..count {
            let began = Instant::now();
            until("the last blow is forgotten", rest * 2 + seconds(1), || (began.elapsed() >= rest).then_some(()));
            // Far beyond the promise: the bench tells how long it took, whatever that is.
            let tag = format!("{name}-{round}").replace([' ', '(', ')', ';'], "-");
            times.add(kiosk.recovers(&tag, seconds(promise * 3 + 10), harm));
        }
        let value = format!("p50 {}, slowest {}", ms(times.p(50)), ms(times.max()));
        table.row(format!("{name} -> painted again"), value, format!("{promise} s"), format!("{count} times"));
    };
    row("kill -9 of the content process", 2, count, Duration::ZERO, &|kiosk| {
        kiosk.content().into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    });
    row("SIGSTOP of the content process", 15, count, Duration::ZERO, &|kiosk| {
        kiosk.content().into_iter().for_each(|pid| send(pid, Signal::SIGSTOP));
    });
    row("for(;;) in the page", 15, count, Duration::ZERO, &|kiosk| {
        kiosk.push_is("event", &json!({"name": "freeze"}), "done");
    });
    // One that dies again within 20 s is started after a pause that grows: that is another figure.
    row("kill -9 of Firefox", 10, count.div_ceil(2), seconds(21), &|kiosk| send(kiosk.firefox(), Signal::SIGKILL));
    // The page stays on the glass: what counts is when a push is shown again.
    let mut times = Times::default();
    for _ in 0..count {
        let began = Instant::now();
        kiosk.kill_run();
        kiosk.start_run();
        kiosk.push_is("reload", &json!({}), "shown");
        times.add(began.elapsed());
    }
    let value = format!("p50 {}, slowest {}", ms(times.p(50)), ms(times.max()));
    table.row("kill -9 of the supervisor -> a push is shown", value, "", format!("{count} times"));
}
