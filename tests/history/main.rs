//! The history checker: a seeded run of publishers, displays and readers with everything going wrong, and a judge that
//! knows what the contract promises and reads nothing but what the clients saw and what the ledger says.
//!
//! ```text
//!  plan   seed -> events and faults (pure)                    check  logs -> violations (pure)
//!    run    publishes, strikes --> audit  waits until all is done, gathers what was seen --^
//!      publisher courier display reader   programs over real sockets (courier: over RabbitMQ); each writes its log
//!        wire  log  road                  every client has a road of its own, on which the weather changes; so has every
//!                                         server to its Redis and its RabbitMQ
//!      world  services                    the servers, Redis, RabbitMQ; how they are killed
//!        power  power.c                   a disk that loses what was not synced
//! ```
//!
//! `make test` runs a small one, `make proof-history` the full size; both print the seed, and `PIKIOSK_SEED=N` runs one
//! again: the same events and faults, though not the same interleaving. `PIKIOSK_JUDGED=PATH` judges another build of the
//! server: `mutants.sh` does that with builds that break a promise, each of which must be found out.
//!
//! Rejected: a simulated network and clock (turmoil, madsim). What breaks here are real files, real sockets and real
//! processes; the pure parts have model tests of their own.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "seeds and figures are for whoever runs this with --nocapture")]

mod audit;
mod check;
mod courier;
mod display;
mod log;
mod plan;
mod power;
mod publisher;
mod reader;
mod road;
mod run;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod wire;
mod world;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use plan::Size;
use world::Setup;

/// The full size takes a sixth of this on two cores.
const RUN_MAX: Duration = Duration::from_secs(3_600);

#[test]
fn with_one_server_every_accepted_command_is_done_once_and_in_order_whatever_goes_wrong() {
    judge(Setup::Embedded);
}

#[test]
fn with_two_servers_on_redis_every_accepted_command_is_done_once_and_in_order_whatever_goes_wrong() {
    judge(Setup::Redis);
}

#[track_caller]
fn judge(setup: Setup) {
    /// One run at a time: two would make one another slow.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let size = Size {
        displays: number("PIKIOSK_DISPLAYS", 20),
        commands: number("PIKIOSK_COMMANDS", 2_000),
        faults: number("PIKIOSK_FAULTS", 40),
        publishers: 8,
    };
    let seed = number("PIKIOSK_SEED", usize::from(fastrand::u16(..)));
    println!("{setup:?}, seed {seed}");
    let mut folder = tempfile::Builder::new().prefix("history-").tempdir().unwrap();
    // Whatever ends a run before its judgement, what led to it is kept.
    folder.disable_cleanup(true);
    println!("logs in {}", folder.path().display());
    let binary = std::env::var_os("PIKIOSK_JUDGED").map_or_else(|| support::server::BINARY.into(), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (figures, violations) = runtime.block_on(async {
        let run = run::run(seed as u64, size, setup, folder.path(), &binary);
        tokio::time::timeout(RUN_MAX, run).await.expect("a run comes to its end")
    });
    runtime.shutdown_background();
    println!("{figures:#?}");
    let (broken, kept) = (violations.len(), folder.path().display());
    assert!(broken == 0, "seed {seed}: {broken} promises broken; logs in {kept}");
    folder.disable_cleanup(false);
}
