//! One file per subcommand; arguments, output, logging, failure.
//!
//! ```text
//!  main.rs -> cli.rs (the tree of subcommands)
//!          -> one function of one file here -> output.rs (the only writer to stdout and stderr)
//!          -> failure.rs (what went wrong: one exit code, one hint)
//! ```
//!
//! Rejected: `anyhow` and one exit code for every failure. A script cannot tell "wrong key" from "server down", and a
//! technician gets a stack of causes without a cure.

#[cfg(feature = "display")]
pub mod actors;
#[cfg(feature = "tools")]
pub mod audit;
#[cfg(feature = "display")]
pub mod browser;
pub mod cli;
#[cfg(feature = "tools")]
pub mod client;
pub mod completions;
pub mod config;
#[cfg(all(feature = "display", feature = "server", feature = "tools"))]
pub mod demo;
#[cfg(feature = "tools")]
pub mod displays;
pub mod doctor;
#[cfg(feature = "display")]
pub mod drill;
#[cfg(feature = "tools")]
pub mod enroll;
pub mod failure;
#[cfg(feature = "tools")]
pub mod flash;
#[cfg(feature = "display")]
pub mod helper;
#[cfg(feature = "tools")]
pub mod image;
#[cfg(feature = "tools")]
pub mod keys;
pub mod logging;
pub mod man;
pub mod output;
#[cfg(any(feature = "display", feature = "tools"))]
pub mod provision;
#[cfg(feature = "tools")]
pub mod push;
#[cfg(any(feature = "tools", feature = "display"))]
mod reach;
#[cfg(feature = "display")]
pub mod run;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "display")]
pub mod status;
#[cfg(feature = "tools")]
pub mod ticket;

pub use cli::Cli;
pub use failure::{Exit, Failure};

use std::{process::ExitCode, time::Duration};

/// Tells a failure, and gives the exit code.
pub fn end(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(Failure::ReaderGone) => Exit::Done.into(),
        Err(failure) => {
            output::failure(&failure);
            failure.exit().into()
        }
    }
}

/// What is being written to a disk when all else is done gets so long. A name that is being looked up, of a DNS server that
/// does not answer, is not waited for: it would be half a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Runs what a person waits for: one thread is enough.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::Runtime { source })?;
    let done = runtime.block_on(future);
    runtime.shutdown_timeout(ENDS_WITHIN);
    Ok(done)
}

/// A length of time in its largest unit.
#[cfg(any(feature = "tools", feature = "display"))]
fn roughly(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_command_that_is_through_ends_though_a_name_is_still_being_looked_up() {
        let (answer, never) = mpsc::channel::<()>();
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || {
            let done = block_on(async {
                let (begin, begun) = tokio::sync::oneshot::channel();
                drop(tokio::task::spawn_blocking(move || {
                    let _ = begin.send(());
                    never.recv()
                }));
                begun.await
            });
            tell.send(done.is_ok())
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(true));
        drop(answer);
    }
}
