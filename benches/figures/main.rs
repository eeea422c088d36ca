//! The figures that the README and the issues quote, measured on this machine: `make bench`.
//!
//! ```text
//!  main     chooses parts by the words of the command line, prints the table
//!   |- load      the server alone: fan-out to 1,000 sockets, publishes a second, memory of a socket
//!   |- glass     a whole display: push to shown, recovery, the supervisor's memory and processor time
//!   '- table     what was measured, and what it is measured against
//! ```
//!
//! Rejected: criterion. What is measured crosses four processes and takes from 5 ms to 10 s; a table with percentiles
//! of a hundred pushes says more than a fitted slope. Not a test: a busy machine must not fail the build. `PIKIOSK_QUICK=1`
//! takes a tenth of the rounds, to try the bench itself.

#![expect(clippy::print_stdout, reason = "the table on stdout is what a bench is for")]

mod glass;
mod load;
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

/// Of a build with `--no-default-features --features display`, where there is one; this bench builds none.
fn binary_size(table: &mut Table) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("PIKIOSK_DISPLAY_BINARY").map(PathBuf::from);
    let usual = ["target/display/release/pikiosk", "target/display/fast/pikiosk"].map(|path| root.join(path));
    let found = named.into_iter().chain(usual).find_map(|path| Some((std::fs::metadata(&path).ok()?.len(), path)));
    let (value, note) = match found {
        Some((bytes, path)) => {
            let short = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            (format!("{:.1} MB", bytes as f64 / 1e6), short)
        }
        None => ("-".to_owned(), "not built (or name one in PIKIOSK_DISPLAY_BINARY)".to_owned()),
    };
    table.row("binary of the display build", value, "", note);
}
