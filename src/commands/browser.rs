//! `pikiosk browser`: keeps Firefox on the glass, until the X session ends.

use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::{
    config::{KioskSettings, Sources},
    display::browser::{self, LoopSettings},
    io::heap,
};

/// Keeps Firefox running in this X session, for the supervisor.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk browser
  pikiosk browser --runtime /tmp/kiosk --config ./kiosk.toml

Runs in the X session (DISPLAY must be set) and waits for pikiosk run, which says what to open.
Firefox is started with a fresh profile, comes back whatever ends it, and is ended with this command.")]
pub struct Args {
    /// Where the supervisor's socket is, and the browser's profile.
    #[arg(long, value_name = "DIR", default_value = "/run/pikiosk")]
    runtime: PathBuf,
    /// Firefox's profile, made anew at every start. [default: RUNTIME/profile]
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// The Firefox to start: a name on the path, or a whole path.
    #[arg(long, value_name = "PATH")]
    firefox: Option<String>,
    /// Read this kiosk.toml, and none of the folders.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    heap::keep_little();
    let sources = Sources::system().with_file(args.config).with_flag("--firefox", "browser.command", args.firefox);
    let kiosk = KioskSettings::load(&sources).map_err(|source| Failure::Config { source })?.settings;
    let settings =
        LoopSettings { runtime: args.runtime, profile: args.profile, browser: kiosk.browser, screen: kiosk.screen };
    super::block_on(browser::run(settings))?.map_err(|source| Failure::Browser { source })?;
    Ok(Exit::Done)
}
