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

pub mod cli;
pub mod completions;
pub mod config;
pub mod failure;
pub mod logging;
pub mod man;
pub mod output;

pub use cli::Cli;
pub use failure::{Exit, Failure};

use std::process::ExitCode;

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
