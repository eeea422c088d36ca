//! Firefox dies, its page dies, its page hangs: the right page is painted again, with no hands.
//!
//! Limits here are those of the promise; `make bench` prints what it really took.

mod support;

use nix::sys::signal::Signal;
use serde_json::json;
use support::{
    disk::Disk,
    kiosk::{COLD, Kiosk},
    process::{self, send},
    wait::{seconds, until},
};

scenarios![
    a_killed_content_process_is_replaced,
    a_stopped_content_process_is_replaced,
    a_page_that_loops_for_ever_is_replaced,
    a_page_that_lost_everything_in_it_is_loaded_again,
    a_page_that_allocates_five_gigabytes_is_replaced_and_the_supervisor_is_the_same,
    a_killed_firefox_is_started_again,
    a_firefox_that_is_killed_again_and_again_is_back_each_time,
    a_page_that_is_killed_before_there_is_one_gets_another_tab_and_no_other_firefox,
    a_stopped_firefox_is_started_again,
    a_killed_browser_loop_takes_firefox_with_it_and_the_next_one_shows_the_page,
    pushes_during_a_recovery_are_shown_once_it_is_over,
    a_page_that_has_grown_large_is_loaded_anew_at_a_quiet_moment_and_nobody_sees_it,
    a_browser_that_is_asked_to_start_again_does_so_behind_the_last_picture,
    a_profile_that_cannot_be_written_is_told_and_the_page_is_back_once_it_can,
    two_browser_loops_never_run_two_firefoxes,
];

fn a_killed_content_process_is_replaced(kiosk: &mut Kiosk) {
    for round in 0..3 {
        kiosk.recovers(&format!("killed-content-{round}"), seconds(2), |kiosk| {
            kiosk.content().into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
        });
    }
}

fn a_stopped_content_process_is_replaced(kiosk: &mut Kiosk) {
    let mut stopped = Vec::new();
    kiosk.recovers("stopped-content", seconds(15), |kiosk| {
        stopped = kiosk.content();
        stopped.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
    });
    until("the stopped processes are gone", seconds(10), || {
        stopped.iter().all(|pid| process::seen(*pid).is_none_or(|seen| seen.state == 'Z')).then_some(())
    });
}

fn a_page_that_loops_for_ever_is_replaced(kiosk: &mut Kiosk) {
    kiosk.recovers("loops", seconds(15), |kiosk| {
        kiosk.push_is("event", &json!({"name": "freeze"}), "done");
    });
}

fn a_page_that_lost_everything_in_it_is_loaded_again(kiosk: &mut Kiosk) {
    kiosk.recovers("white", seconds(15), |kiosk| {
        kiosk.push_is("event", &json!({"name": "empty"}), "done");
    });
}

fn a_page_that_allocates_five_gigabytes_is_replaced_and_the_supervisor_is_the_same(kiosk: &mut Kiosk) {
    let (supervisor, firefox) = (kiosk.run().pid(), kiosk.firefox());
    kiosk.recovers("hog", seconds(30), |kiosk| {
        kiosk.push_is("event", &json!({"name": "hog"}), "done");
    });
    assert_eq!((kiosk.run().pid(), kiosk.firefox()), (supervisor, firefox), "neither of them was ended for it");
    let log = kiosk.browser().log();
    assert!(log.contains("a page took too much memory"), "it was ended for its size, not only for its silence: {log}");
    assert!(process::seen(supervisor).is_some_and(|seen| seen.state != 'Z'));
}

fn a_firefox_that_is_killed_again_and_again_is_back_each_time(kiosk: &mut Kiosk) {
    for round in 0..6 {
        let tag = format!("killed-firefox-{round}");
        kiosk.recovers(&tag, seconds(8), |kiosk| send(kiosk.firefox(), Signal::SIGKILL));
    }
}

/// Firefox has no page about that crash either, and refuses every order for that tab.
fn a_page_that_is_killed_before_there_is_one_gets_another_tab_and_no_other_firefox(kiosk: &mut Kiosk) {
    let mut firefox = kiosk.firefox();
    let tabs = |kiosk: &mut Kiosk| kiosk.run().log().matches("opening another tab").count();
    let before = tabs(kiosk);
    kiosk.recovers("killed-unborn", seconds(20), |kiosk| {
        send(firefox, Signal::SIGKILL);
        until("the next Firefox runs", COLD, || (kiosk.firefox() != firefox).then_some(()));
        firefox = kiosk.firefox();
        kiosk.content();
        let first = std::time::Instant::now();
        until("it has its page's processes killed for a second", COLD, || {
            let all = process::below(firefox).into_iter().filter(|seen| seen.state != 'Z');
            let pages =
                all.filter(|seen| seen.name.starts_with("Web Content") || seen.name.starts_with("Isolated Web"));
            pages.for_each(|seen| send(seen.pid, Signal::SIGKILL));
            (first.elapsed() > seconds(1)).then_some(())
        });
    });
    assert!(tabs(kiosk) > before, "{}", kiosk.run().log());
    assert_eq!(kiosk.firefox(), firefox);
    let left = kiosk.push_and_wait("zoom", &json!({ "percent": 100 }));
    assert_eq!(left["status"], "shown", "the other tab takes orders as the first one did: {left}");
}

fn a_killed_firefox_is_started_again(kiosk: &mut Kiosk) {
    let before = kiosk.firefox();
    kiosk.recovers("killed-firefox", seconds(10), |kiosk| send(kiosk.firefox(), Signal::SIGKILL));
    assert_ne!(kiosk.firefox(), before);
}

fn a_stopped_firefox_is_started_again(kiosk: &mut Kiosk) {
    kiosk.recovers("stopped-firefox", seconds(30), |kiosk| send(kiosk.firefox(), Signal::SIGSTOP));
}

fn a_killed_browser_loop_takes_firefox_with_it_and_the_next_one_shows_the_page(kiosk: &mut Kiosk) {
    kiosk.recovers("killed-loop", COLD, |kiosk| {
        let firefox = kiosk.firefox();
        kiosk.browser().kill();
        until("Firefox is gone with its loop", seconds(10), || process::seen(firefox).is_none().then_some(()));
        kiosk.start_browser();
    });
}

fn pushes_during_a_recovery_are_shown_once_it_is_over(kiosk: &mut Kiosk) {
    send(kiosk.firefox(), Signal::SIGKILL);
    let last = kiosk.site.colour([9, 99, 199], "pushed-meanwhile");
    let ids: Vec<String> = vec![
        kiosk.push("navigate", &json!({ "url": kiosk.site.colour([1, 2, 3], "superseded") })),
        kiosk.push("navigate", &json!({ "url": last })),
        kiosk.push("event", &json!({"name": "did", "data": {"n": "meanwhile"}})),
    ];
    let statuses: Vec<String> = ids
        .iter()
        .map(|id| kiosk.server.receipt_within(id, support::kiosk::DISPLAY, COLD).0["status"].to_string())
        .collect();
    assert!(matches!(statuses[0].as_str(), "\"superseded\"" | "\"shown\""), "{statuses:?}");
    assert_eq!(statuses[1], "\"shown\"");
    kiosk.shows([9, 99, 199], seconds(5));
    assert!(kiosk.site.hits("/report/did/meanwhile").len() <= 1, "an action is done at most once");
}

#[expect(clippy::print_stdout, reason = "how long it took is what these tests are for")]
fn a_browser_that_is_asked_to_start_again_does_so_behind_the_last_picture(kiosk: &mut Kiosk) {
    let colour = [0x99, 0x33, 0x66];
    let url = kiosk.site.colour(colour, "restarted");
    kiosk.push_is("navigate", &json!({ "url": url }), "shown");
    kiosk.shows(colour, seconds(5));
    let firefox = kiosk.firefox();
    let picture = kiosk.frame();
    let began = std::time::Instant::now();
    let releases = kiosk.browser().log().matches("Release").count();
    kiosk.push("restart_browser", &json!({}));
    let (mut looks, mut released) = (0, None);
    until("Firefox is another one, and has painted what came to light", seconds(60), || {
        looks += 1;
        let frame = kiosk.frame();
        let same = frame.same_as(&picture);
        if same <= 0.999 {
            frame.save(&std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("restart-gap.png"));
            panic!("look {looks}, after {:?}: only {same:.3} of what a viewer sees is as before", began.elapsed());
        }
        if released.is_none() && kiosk.browser().log().matches("Release").count() > releases {
            released = Some(std::time::Instant::now());
        }
        released.filter(|at| at.elapsed() > seconds(1))
    });
    println!("    looked {looks} times in {:.1} s and saw the same", began.elapsed().as_secs_f64());
    assert_ne!(kiosk.firefox(), firefox);
}

fn two_browser_loops_never_run_two_firefoxes(kiosk: &mut Kiosk) {
    let first = kiosk.firefox();
    kiosk.start_another_browser();
    let receipt = kiosk.push_and_wait("restart_browser", &json!({}));
    assert!(matches!(receipt["status"].as_str(), Some("shown" | "done")), "{receipt}");
    kiosk.home();
    let left = kiosk.all_firefoxes();
    assert!(left.len() == 1 && left != [first], "{left:?}, at first {first}");
    let (log, _) = kiosk.another_browser();
    assert!(log.lines().count() < 20, "it is quiet while it waits: {log}");
    // The first one gone, the second has its place.
    kiosk.browser().kill();
    until("the first one's Firefox is gone", seconds(10), || (kiosk.all_firefoxes() != left).then_some(()));
    kiosk.home();
}

/// The quiet moment is ten seconds without a change, and a minute in which nobody touched anything: of that the scenarios
/// before have waited most.
fn a_page_that_has_grown_large_is_loaded_anew_at_a_quiet_moment_and_nobody_sees_it(kiosk: &mut Kiosk) {
    let colour = [0x33, 0x66, 0x99];
    let url = kiosk.site.colour(colour, "grows");
    kiosk.push_is("navigate", &json!({ "url": url }), "shown");
    kiosk.shows(colour, seconds(5));
    let (supervisor, firefox, content) = (kiosk.run().pid(), kiosk.firefox(), kiosk.content());
    kiosk.push_is("event", &json!({"name": "grow"}), "done");
    let picture = kiosk.frame();
    let mut looks = 0;
    let mut released = None;
    until("the page was loaded anew, and Firefox has painted what came to light", seconds(120), || {
        looks += 1;
        let frame = kiosk.frame();
        let same = frame.same_as(&picture);
        if same <= 0.999 {
            frame.save(&std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("gap.png"));
            panic!("look {looks}: only {same:.3} of what a viewer sees is as before (released: {released:?})");
        }
        if released.is_none() && kiosk.browser().log().contains("Release") {
            released = Some(std::time::Instant::now());
        }
        released.filter(|at| at.elapsed() > seconds(1))
    });
    assert!(looks > 100, "the glass was looked at {looks} times");
    assert_eq!((kiosk.run().pid(), kiosk.firefox()), (supervisor, firefox));
    assert!(kiosk.content().iter().all(|pid| !content.contains(pid)), "the page has another process");
    assert_eq!(kiosk.site.hits("/colour/336699/grows").len(), 2);
}

fn a_profile_that_cannot_be_written_is_told_and_the_page_is_back_once_it_can(kiosk: &mut Kiosk) {
    for (tag, read_only, why) in [
        ("read-only", true, "Read-only file system"),
        ("full", false, "No space left on device"),
        ("from-the-start", true, "Read-only file system"),
    ] {
        kiosk.recovers(tag, seconds(45), |kiosk| {
            let disk = Disk::over(&kiosk.runtime().join("profile"), 16, read_only);
            match tag {
                // A loop that never had one waits for it as well, and ends no session for it.
                "from-the-start" => {
                    kiosk.browser().kill();
                    kiosk.start_browser();
                }
                _ => send(kiosk.firefox(), Signal::SIGKILL),
            }
            let Some(disk) = disk else { return };
            let status = kiosk.runtime().join("status.json");
            until("the supervisor says where and why", seconds(20), || {
                let status: serde_json::Value = serde_json::from_slice(&std::fs::read(&status).ok()?).ok()?;
                let said = status["health"]["status"].as_str()?.contains(&format!("runtime/profile: {why}"));
                (said && status["health"]["trouble"]["cause"] == "profile").then_some(())
            });
            drop(disk);
        });
    }
}
