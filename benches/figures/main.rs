//! The figures that the README and the issues quote, measured on this machine: `make bench`.
//!
//! ```text
//!  main     chooses parts by the words of the command line, prints the table
//!   |- load      the server alone: fan-out to 1,000 sockets, publishes a second, memory of a socket
//!   |- glass     a whole display: push to shown, recovery
//!   |    rest      what supervisor and browser loop cost while nothing happens
//!   '- table     what was measured, and what it is measured against
//! ```
//!
//! Rejected: criterion. What is measured crosses four processes and takes from 5 ms to 10 s; a table with percentiles
//! of a hundred pushes says more than a fitted slope. Not a test: a busy machine must not fail the build. `PIKIOSK_QUICK=1`
//! takes a tenth of the rounds, to try the bench itself.

#![expect(clippy::print_stdout, reason = "the table on stdout is what a bench is for")]

mod glass;
mod load;
mod rest;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

use std::path::{Path, PathBuf};

use table::Table;

/// A tenth of the rounds where somebody only tries the bench.
fn rounds(full: usize) -> usize {
    if std::env::var_os("PIKIOSK_QUICK").is_some() { full.div_ceil(10) } else { full }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut table = Table::default();
    if wanted("server") {
        load::measure(&mut table);
    }
    if wanted("display") {
        glass::measure(&mut table, &wanted);
    }
    if wanted("size") {
        binary_size(&mut table);
    }
    println!("\n{table}");
}

/// The build that a Pi gets (`--no-default-features --features display`), where there is one; this bench builds none.
fn display_binary() -> Option<PathBuf> {
    let named = std::env::var_os("PIKIOSK_DISPLAY_BINARY").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/display/release/pikiosk");
    named.into_iter().chain([usual]).find(|path| path.is_file())
}

fn binary_size(table: &mut Table) {
    let bytes = display_binary().and_then(|path| std::fs::metadata(path).ok()).map(|file| file.len());
    let (value, note) = match bytes {
        Some(bytes) => (format!("{:.1} MB", bytes as f64 / 1e6), "release, `--features display` alone"),
        None => ("-".to_owned(), "not built (`make bench` does, or name one in PIKIOSK_DISPLAY_BINARY)"),
    };
    table.row("binary of the display build", value, "", note);
}
