//! The README is true: its tables are the program's own, and its examples run.
#![cfg(all(feature = "display", feature = "server", feature = "tools"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pikiosk::{
    commands::failure::Exit,
    config::{KioskSettings, ServerSettings},
    event::command::{Kind, REGISTRY},
};
use serde_json::Value;
use support::{server::Server, socket::FakeDisplay};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The part between `<!-- name: ... -->` and `<!-- end -->` is this text; with README=write it is made so.
#[track_caller]
fn holds(name: &str, text: &str) {
    let readme = readme();
    let (before, rest) = readme.split_once(&format!("<!-- {name}:")).unwrap();
    let (mark, rest) = rest.split_once("-->\n").unwrap();
    let (there, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("\n{text}\n");
    if std::env::var_os("README").is_some_and(|value| value == "write") {
        let written = format!("{before}<!-- {name}:{mark}-->\n{wanted}<!-- end -->{after}");
        fs::write(root().join("README.md"), written).unwrap();
    } else {
        assert_eq!(there, wanted, "README=write cargo test --test readme writes it");
    }
}

/// Of all fenced blocks of this language, as they are printed.
fn examples(language: &str) -> Vec<String> {
    let readme = readme();
    let begin = format!("```{language}\n");
    let blocks = readme.split(&begin).skip(1);
    blocks.map(|block| block.split_once("\n```").unwrap().0.to_owned()).collect()
}

#[test]
fn its_tables_are_what_the_program_does() {
    let mut commands = String::from("| command | what it does | kept | for example |\n|---|---|---|---|\n");
    for spec in REGISTRY {
        let kept = match (spec.kind, spec.ttl) {
            (Kind::Action, Some(ttl)) => format!("action, {}", time(ttl.as_secs())),
            _ => "state".to_owned(),
        };
        let example = format!("{} {}", spec.name, spec.example).replace('|', "\\|");
        commands += &format!("| `{}` | {} | {kept} | `{}` |\n", spec.name, spec.summary, example.trim());
    }
    holds("commands", &commands);

    let mut exits = String::from("| code | means |\n|---|---|\n");
    for exit in Exit::ALL {
        exits += &format!("| {} | {} |\n", exit as u8, exit.meaning());
    }
    holds("exits", &exits);
}

fn time(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[test]
fn its_examples_run_as_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "");
    let lobby = FakeDisplay::enroll(&server, "lobby", 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let display = runtime.spawn(lobby.live());
    let run = |program: &Path, code: &str| {
        let mut command = Command::new(program);
        command.args(["-c", code]).env("PIKIOSK_SERVER", server.url());
        let output = command.env("PIKIOSK_KEY_FILE", folder.path().join("server/operator.key")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{code}\n{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };

    let curl = examples("sh");
    assert_eq!(curl.len(), 2);
    let waited: Value = serde_json::from_str(&run(Path::new("sh"), &curl[0])).unwrap();
    assert_eq!(
        (&waited["receipts"][0]["display"], &waited["receipts"][0]["status"]),
        (&"lobby".into(), &"done".into())
    );
    let placed: Value = serde_json::from_str(&run(Path::new("sh"), &curl[1])).unwrap();
    assert_eq!((&placed["id"], &placed["address"]), (&"soup-41".into(), &"display/lobby".into()));

    let python = root().join(".venv/bin/python");
    assert!(python.exists(), "the Python clients are not installed: run `make python`");
    for example in examples("python") {
        let said = run(&python, &example);
        assert!(said.starts_with("{'number': 41} at "), "{said}");
    }
    display.abort();
}

#[test]
fn its_configurations_can_be_used_as_they_are_printed() {
    let readme = readme();
    let mut seen = 0;
    for block in readme.split("\n```").skip(1).step_by(2) {
        // What nobody can print for others: a password and a key.
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIO8FSo4wtATm47Q00l5nE6cbRK0Y7F9HLYfAXXNo6+vB";
        let text = block.split_once('\n').unwrap().1.replace("AAAA…", key).replace("\"…\"", "\"a password\"");
        let refused = match text.split(['.', ']']).next() {
            Some("[display" | "[schedule") => KioskSettings::from_text(&text).err(),
            Some("[store" | "[[webhooks") => ServerSettings::from_text(&text).err(),
            _ => continue,
        };
        assert!(refused.is_none(), "{text}\n{}", refused.unwrap());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn what_it_names_is_there() {
    let readme = readme();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for target in readme
        .split("make ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next())
    {
        if !target.is_empty() && readme.contains(&format!("`make {target}")) {
            assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
        }
    }
    for file in ["src/lib.rs", "assets/tour/tour.png"] {
        assert!(readme.contains(file) && root().join(file).exists(), "{file}");
    }
    let headings: Vec<String> = readme.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    for link in readme.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(headings.iter().any(|heading| heading == link), "no heading is called #{link}: {headings:?}");
    }
    let pictures = fs::read_dir(root().join("assets/tour")).unwrap().flatten();
    let bytes: u64 = pictures.map(|picture| picture.metadata().unwrap().len()).sum();
    assert!(bytes <= 200_000, "{bytes} bytes of pictures");
}

/// What GitHub calls a heading in links.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}
