//! This server beside those that a person could install instead, in one run with one client: `make bench-server`.
//!
//! ```text
//!  main     each round: every peer is started alone, measured, ended
//!   |- options   what is asked for
//!   |- speed     a thousand sockets: memory, connects, floods, unicast, paced latency
//!   |- scale     ten thousand: memory, connects     durable   publishes that are on disk
//!   |- hostile   clients that never read, handshakes that never end
//!   |   |- crowd    a thousand clients in one thread      wire   cuts what comes into messages
//!   |   '- usage    processor time and memory, of /proc
//!   |- peers     start, open a socket, publish: pikiosk, nats, mosquitto, nchan, Tornado
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
mod durable;
mod hostile;
mod options;
mod peers;
#[path = "../../tests/support/redis.rs"]
mod redis_server;
mod scale;
mod speed;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod usage;
mod wire;

use std::{cell::Cell, path::Path, process::ExitCode};

use futures_util::future::LocalBoxFuture;
use options::Options;
use peers::pikiosk::{self, Pikiosk};
use table::Table;
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    // On a real disk: a folder in memory would make an fsync free, also for Redis.
    tempfile::env::override_temp_dir(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("nothing asked for it before");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut table = Table::default();
    let before = usage::load();
    let ended = Ended::default();
    'rounds: for round in 1..=options.rounds {
        for name in &options.peers {
            println!("round {round}: {name} ({})", usage::load());
            measure(name, &options, (&runtime, &ended), &mut table);
            if ended.get() {
                break 'rounds;
            }
        }
    }
    println!("\n{table}\nMedians of {} rounds. Before: {before}; after: {}.", options.rounds, usage::load());
    ExitCode::SUCCESS
}

/// Somebody asked for the end.
type Ended = Cell<bool>;

/// Every part begins with a fresh server, in a folder of its own.
fn measure(name: &str, options: &Options, (runtime, ended): (&Runtime, &Ended), table: &mut Table) {
    let folder = || tempfile::Builder::new().prefix("bench-").tempdir().expect("a folder");
    // Whoever ends the bench early gets the table so far, and no server stays behind.
    let run = |part: LocalBoxFuture<'_, ()>| {
        let until_told = async {
            let mut told = signal(SignalKind::terminate()).expect("signals can be heard");
            tokio::select! {
                () = part => {}
                _ = tokio::signal::ctrl_c() => ended.set(true),
                _ = told.recv() => ended.set(true),
            }
        };
        if !ended.get() {
            LocalSet::new().block_on(runtime, until_told);
        }
    };
    let start = |folder: &TempDir| {
        let peer = peers::start(name, folder.path(), options);
        if peer.is_none() {
            println!("  {name} is not installed: `.ci/needs bench` does it");
        }
        peer
    };
    if options.wants_any(&["connect", "memory", "flood", "unicast", "paced"]) {
        let folder = folder();
        let Some(peer) = start(&folder) else { return };
        run(Box::pin(speed::measure(peer.as_ref(), options, table)));
    }
    if options.wants("scale") {
        let folder = folder();
        let Some(peer) = start(&folder) else { return };
        run(Box::pin(scale::measure(peer.as_ref(), options, table)));
    }
    let Some(kind) = pikiosk::Kind::named(name) else { return };
    if options.wants("ticket") {
        let folder = folder();
        let server = Pikiosk::start(folder.path(), options, kind);
        run(Box::pin(scale::tickets(&server, options, table)));
    }
    if options.wants("durable") && kind.is_durable() {
        let folder = folder();
        let server = Pikiosk::start(folder.path(), options, kind);
        let promise = if kind == pikiosk::Kind::Disk { ">= 0.5" } else { "" };
        run(Box::pin(durable::measure(&server, folder.path(), promise, options, table)));
    }
    if options.wants("slow") && kind == pikiosk::Kind::Memory {
        let folder = folder();
        let server = Pikiosk::start(folder.path(), options, kind);
        run(Box::pin(hostile::slow(&server, options, table)));
    }
    if options.wants("half-open") && kind == pikiosk::Kind::Memory {
        let folder = folder();
        let server = Pikiosk::start(folder.path(), options, kind);
        run(Box::pin(hostile::half_open(&server, options, table)));
    }
}
