//! `pikiosk demo`, as somebody sees it who has just built it.
#![cfg(all(feature = "display", feature = "server", feature = "tools"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    http,
    process::{Process, below, seen},
    server::pikiosk,
    wait::{seconds, until},
};

/// A machine on which nothing is installed: the demo itself needs no program.
fn bare(args: &[&str], folder: &Path) -> Command {
    let mut command = pikiosk(args);
    command.env("TMPDIR", folder).env("PATH", folder).env_remove("DISPLAY");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn left_behind(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("pikiosk-demo-")).collect()
}

/// The demo without a glass, once it has said all it has to say.
fn up(folder: &Path) -> Process {
    let demo = Process::start("demo", folder, &mut bare(&["demo"], folder));
    until("the demo is up", seconds(30), || demo.log().contains("Ctrl-C ends all of it").then_some(()));
    demo
}

#[test]
fn the_tour_shows_everything_with_a_picture_of_each_step_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let tour = folder.path().join("tour");
    let mut command = pikiosk(&["demo", "--headless", "--tour"]);
    let output = command.arg(&tour).env("TMPDIR", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let receipts = fs::read_to_string(tour.join("receipts.jsonl")).unwrap();
    let receipts: Vec<Value> = receipts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(receipts.len() >= 12, "{}", said(&output));
    for receipt in &receipts {
        assert_eq!((&receipt["ok"], &receipt["receipt"]["status"]), (&Value::Bool(true), &receipt["expected"]));
        let picture = image::open(tour.join(receipt["picture"].as_str().unwrap())).unwrap();
        assert_eq!((picture.width(), picture.height()), (1280, 720));
    }
    assert!(tour.join("final.png").exists());
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[test]
fn without_firefox_it_says_how_to_get_it_and_serves_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = up(folder.path());
    let said = demo.log();
    assert!(said.contains("sudo apt install firefox-esr"), "{said}");
    let page = |name: &str| {
        let line = said.lines().rfind(|line| line.trim_start().starts_with(name)).unwrap();
        let url = line.rsplit_once("http://").unwrap().1;
        let (address, path) = url.split_once('/').unwrap_or((url, ""));
        let reply = http::request(address.parse().unwrap(), "GET", &format!("/{path}"), &[], b"", seconds(60)).unwrap();
        (reply.status, reply.text())
    };
    let (status, text) = page("the display's page");
    assert!(status == 200 && text.contains("<title>"), "{text}");
    let (status, text) = page("the demo's site");
    assert!(status == 200 && text.contains("Fish soup"), "{text}");
    assert_ne!(page("event server").0, 0);
    let pids: Vec<i32> = below(demo.pid()).into_iter().map(|process| process.pid).collect();
    demo.signal(Signal::SIGINT);
    let status = until("Ctrl-C ends it", seconds(20), || demo.ended());
    assert_eq!(status.code(), Some(0), "{}", demo.log());
    assert!(pids.len() >= 2 && pids.iter().all(|pid| seen(*pid).is_none()), "{pids:?}");
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[test]
fn kill_9_of_the_demo_ends_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = up(folder.path());
    let pids: Vec<i32> = below(demo.pid()).into_iter().map(|process| process.pid).collect();
    assert!(pids.len() >= 2, "{pids:?}");
    demo.kill();
    until("the kernel ends its processes", seconds(10), || {
        pids.iter().all(|pid| seen(*pid).is_none_or(|process| process.state == 'Z')).then_some(())
    });
}

#[test]
fn a_tour_without_firefox_is_refused_with_the_way_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = bare(&["demo", "--tour", "tour"], folder.path()).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = said(&output);
    assert!(said.contains("Firefox, which is not on this machine"), "{said}");
    assert!(said.contains("hint: sudo apt install firefox-esr"), "{said}");
}
