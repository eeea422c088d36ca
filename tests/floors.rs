//! The house keeps its floors: imports point down only, and rooms of one floor never import one another.

use std::path::{Path, PathBuf};

/// Every room with its floor, as the map in `src/lib.rs` draws them.
const ROOMS: &[(&str, u8)] = &[
    ("event", 0),
    ("config", 1),
    ("auth", 1),
    ("io", 1),
    ("provision", 2),
    ("flash", 2),
    ("image", 2),
    ("display", 2),
    ("server", 2),
    ("commands", 3),
];

/// Rooms that import nothing of ours at all.
const ALONE: &[&str] = &["io"];

#[test]
fn imports_point_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for path in rust_files(&src) {
        let within = path.strip_prefix(&src).expect("a file of src is under src").to_owned();
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        faults.extend(faults_in(&within, &text));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_room_of_the_house_has_a_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = std::fs::read_dir(&src).expect("src is a folder");
    for entry in entries {
        let path = entry.expect("src can be read").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("our file names are text").to_owned();
        if name != "main" && name != "lib" {
            assert!(
                floor(&name).is_some(),
                "src/{name} has no floor: add it to ROOMS here and to the map in src/lib.rs"
            );
        }
    }
}

#[test]
fn an_import_that_points_up_or_sideways_is_found_wherever_it_hides() {
    let fault = |path: &str, text: &str| faults_in(Path::new(path), text).len();
    assert_eq!(fault("event/mod.rs", "use crate::config::Settings;"), 1);
    assert_eq!(fault("config/mod.rs", "use crate::auth::Key;"), 1, "sideways");
    assert_eq!(fault("display/mod.rs", "fn a() { crate::server::serve() }"), 1, "a path without a use");
    assert_eq!(fault("display/mod.rs", "use crate::{\n    event::Event,\n    server::{a, b},\n};"), 1, "in braces");
    assert_eq!(fault("io/mod.rs", "use crate::event::Event;"), 1, "io stands alone");
    assert_eq!(fault("event/a.rs", "pub(crate) fn a() {}\n// crate::server is not for us\n"), 0);
    assert_eq!(fault("server/a.rs", "use crate::{event::Event, server::store::Store, config::ServerSettings};"), 0);
    assert_eq!(fault("commands/a.rs", "use crate::display::Display;"), 0);
}

fn floor(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn faults_in(path: &Path, text: &str) -> Vec<String> {
    let Some(from) = path.components().next().and_then(|part| part.as_os_str().to_str()) else { return Vec::new() };
    let from = from.trim_end_matches(".rs");
    // main.rs and lib.rs are the roof: they see everything.
    let Some(own) = floor(from) else { return Vec::new() };
    let mut faults = Vec::new();
    for to in rooms_named(text) {
        let Some(other) = floor(&to) else { continue };
        if to != from && (other >= own || ALONE.contains(&from)) {
            faults.push(format!("src/{}: {from} (floor {own}) imports {to} (floor {other})", path.display()));
        }
    }
    faults
}

/// The first name of every path that begins with `crate::`, those in braces included.
fn rooms_named(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(list) => rooms.extend(first_names(list)),
            None => rooms.push(name(after)),
        }
    }
    rooms
}

/// The first name of each entry of a `use` list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut begins) = (1, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            letter if begins && letter.is_alphabetic() => {
                names.push(name(&list[at..]));
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of src can be read") {
        let path = entry.expect("a folder of src can be read").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found
}
