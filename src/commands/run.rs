//! `pikiosk run`: the supervisor, the on-device service.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::config::Sources;
use crate::display::shell::{self, Ending, RunSetting};
use crate::display::{blackbox, configured};
use crate::io::{heap, log_ring::LogRing};

/// Keeps the right page on this display: the supervisor, as systemd starts it.
///
/// It serves the local page, holds the link to the server, and tells Firefox what to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk run
  pikiosk run --config kiosk.toml --runtime /tmp/kiosk --state /tmp/state --listen 127.0.0.1:8080

The second one is a display without systemd; pikiosk browser --runtime /tmp/kiosk beside it starts
Firefox. Commands that start the supervisor again end it: systemd starts it, a shell does not.")]
pub struct Args {
    /// Read this kiosk.toml, and none of the folders.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep what is of this boot only here: the browser's socket, the status.
    #[arg(long, value_name = "DIR", default_value = "/run/pikiosk")]
    runtime: PathBuf,
    /// Keep what must survive everything here: the journal, the display's key.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/pikiosk")]
    state: PathBuf,
    /// Serve the local page here, whatever kiosk.toml says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub fn run(args: Args, log: LogRing) -> Result<Exit, Failure> {
    heap::keep_little();
    let sources = Sources::system().with_file(args.config);
    let sources = sources.with_flag("--listen", "page.listen", args.listen.map(|listen| listen.to_string()));
    let kiosk = configured::load(&sources, &args.state).map_err(|source| Failure::Config { source })?;
    blackbox::watch_for_panics(&args.state);
    let setting = RunSetting { kiosk, runtime: args.runtime, state: args.state, log, sources };
    match super::block_on(shell::run(setting))? {
        // systemd starts a service with Restart=always again, whatever it ended with.
        Ok(Ending::Asked | Ending::Restart) => Ok(Exit::Done),
        Err(source) => Err(Failure::Run { source }),
    }
}
