//! This server beside those that a person could install instead, in one run with one client: `make bench-server`.
//!
//! ```text
//!  main     each round: every peer is started alone, measured, ended
//!   |- options   what is asked for
//!   |- speed     the rows: memory, connects, floods, unicast, paced latency
//!   |   |- crowd    a thousand clients in one thread      wire   cuts what comes into messages
//!   |   '- usage    processor time and memory, of /proc
//!   |- peers     start, open a socket, publish: pikiosk, nats
//!   '- table     medians, ratios to the best peer and to nats
//! ```
//!
//! What is compared is processor time and memory of the servers' processes, with their Redis and RabbitMQ: on a busy
//! machine these hold within some percent, while rates and latencies do not (they are printed with the load beside them).
//!
//! Rejected: a load generator of the market. None speaks all these protocols, and each would be measured with the server
//! that it loads most; this client reads with one thread, counts by headers, and is the same for all.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table on stdout is what a bench is for")]

mod crowd;
mod options;
mod peers;
mod speed;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod usage;
mod wire;

use options::Options;
use table::Table;
use tokio::task::LocalSet;

fn main() {
    let options = Options::parse(std::env::args().skip(1)).unwrap_or_else(|problem| {
        eprintln!("{problem}\n{}", options::USAGE);
        std::process::exit(2);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut table = Table::default();
    let before = usage::load();
    for round in 1..=options.rounds {
        for name in &options.peers {
            println!("round {round}: {name} ({})", usage::load());
            // On a real disk: a folder in memory would make an fsync free.
            let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
            let folder = folder.expect("a folder");
            let Some(peer) = peers::start(name, folder.path(), &options) else {
                println!("  {name} is not installed: `.ci/needs bench` does it");
                continue;
            };
            LocalSet::new().block_on(&runtime, speed::measure(peer.as_ref(), &options, &mut table));
        }
    }
    println!("\n{table}\nMedians of {} rounds. Before: {before}; after: {}.", options.rounds, usage::load());
}
